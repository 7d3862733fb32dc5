//! The stored form of reflog entries. It is Weir's own message in its own partition; lakeFS neither
//! reads nor writes it.

use base::to_timestamp;
use prost::Message;
use prost_types::Timestamp;

use crate::records::{Stored, from_timestamp};
use crate::{BranchId, CommitId, Operation, RefName, ReflogEntry, StagingToken, TagId};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReflogData {
    #[prost(string, tag = "1")]
    pub id: String,
    /// 1 branch, 2 tag.
    #[prost(int32, tag = "2")]
    pub kind: i32,
    #[prost(string, tag = "3")]
    pub name: String,
    /// See [`OPERATIONS`].
    #[prost(int32, tag = "4")]
    pub operation: i32,
    #[prost(string, tag = "5")]
    pub actor: String,
    #[prost(message, optional, tag = "6")]
    pub time: Option<Timestamp>,
    #[prost(string, tag = "7")]
    pub reason: String,
    /// Empty if the reference did not exist.
    #[prost(string, tag = "8")]
    pub from: String,
    /// Empty if the reference no longer exists.
    #[prost(string, tag = "9")]
    pub to: String,
    #[prost(bool, tag = "10")]
    pub hidden: bool,
    /// Newest first.
    #[prost(string, repeated, tag = "11")]
    pub kept_tokens: Vec<String>,
    /// Of an undo: the id of the undone entry.
    #[prost(string, tag = "12")]
    pub undone: String,
    /// Of an undo: the tokens that it restored, newest first.
    #[prost(string, repeated, tag = "13")]
    pub restored_tokens: Vec<String>,
}

/// Each operation with its stored number and its name.
const OPERATIONS: [(Operation, i32, &str); 11] = [
    (Operation::Create, 1, "create"),
    (Operation::Commit, 2, "commit"),
    (Operation::Merge, 3, "merge"),
    (Operation::Revert, 4, "revert"),
    (Operation::CherryPick, 5, "cherry-pick"),
    (Operation::HardReset, 6, "hard-reset"),
    (Operation::Reset, 7, "reset"),
    (Operation::Delete, 8, "delete"),
    (Operation::Undo, 9, "undo"),
    (Operation::Import, 10, "import"),
    (Operation::Restore, 11, "restore"),
];

impl Operation {
    /// The operation's name in the API: `hard-reset`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (Self, i32, &'static str) {
        *OPERATIONS
            .iter()
            .find(|(operation, ..)| *operation == self)
            .expect("OPERATIONS lists every operation")
    }
}

impl Stored for ReflogEntry {
    type Data = ReflogData;
    const RECORD_NAME: &'static str = "reflog";

    fn to_data(&self) -> ReflogData {
        let (kind, name) = match &self.reference {
            RefName::Branch(branch) => (1, branch.to_string()),
            RefName::Tag(tag) => (2, tag.to_string()),
        };
        let commit =
            |id: &Option<CommitId>| id.as_ref().map(CommitId::to_string).unwrap_or_default();
        ReflogData {
            id: self.id.clone(),
            kind,
            name,
            operation: self.operation.row().1,
            actor: self.actor.clone(),
            time: Some(to_timestamp(self.time)),
            reason: self.reason.clone(),
            from: commit(&self.from),
            to: commit(&self.to),
            hidden: self.hidden,
            kept_tokens: texts(&self.kept_tokens),
            undone: self.undone.clone().unwrap_or_default(),
            restored_tokens: texts(&self.restored_tokens),
        }
    }

    fn from_data(data: ReflogData) -> Result<Self, String> {
        let commit = |id: String| (!id.is_empty()).then(|| CommitId::trusted(id));
        Ok(Self {
            id: data.id,
            reference: match data.kind {
                1 => RefName::Branch(BranchId::trusted(data.name)),
                2 => RefName::Tag(TagId::trusted(data.name)),
                other => return Err(format!("unknown kind of reference {other}")),
            },
            operation: OPERATIONS
                .iter()
                .find(|(_, number, _)| *number == data.operation)
                .map(|(operation, ..)| *operation)
                .ok_or_else(|| format!("unknown operation {}", data.operation))?,
            actor: data.actor,
            time: from_timestamp(data.time)?,
            reason: data.reason,
            from: commit(data.from),
            to: commit(data.to),
            hidden: data.hidden,
            kept_tokens: tokens(data.kept_tokens),
            undone: (!data.undone.is_empty()).then_some(data.undone),
            restored_tokens: tokens(data.restored_tokens),
        })
    }
}

fn texts(tokens: &[StagingToken]) -> Vec<String> {
    tokens.iter().map(StagingToken::to_string).collect()
}

fn tokens(texts: Vec<String>) -> Vec<StagingToken> {
    texts.into_iter().map(StagingToken::trusted).collect()
}

#[cfg(test)]
mod tests {
    use base::OffsetDateTime;

    use super::*;

    #[test]
    fn entries_of_every_operation_round_trip() {
        for (operation, ..) in OPERATIONS {
            for reference in [
                RefName::Branch(BranchId::trusted("dev")),
                RefName::Tag(TagId::trusted("v1")),
            ] {
                let entry = ReflogEntry {
                    id: "id".to_owned(),
                    reference,
                    operation,
                    actor: "me".to_owned(),
                    time: OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("in range"),
                    reason: "why".to_owned(),
                    from: None,
                    to: Some(CommitId::trusted("c")),
                    hidden: true,
                    kept_tokens: vec![StagingToken::trusted("r-dev:1")],
                    undone: Some("other".to_owned()),
                    restored_tokens: vec![StagingToken::trusted("r-dev:2")],
                };
                assert_eq!(ReflogEntry::decode(entry.encode()).expect("decodes"), entry);
            }
        }
    }
}
