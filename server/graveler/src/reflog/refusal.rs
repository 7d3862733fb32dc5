//! Why a change can't be undone, in words that say what to do instead.

use super::{PAGE, described, folder, reflog_partition};
use crate::engine::Engine;
use crate::records::Stored as _;
use crate::{CommitId, Error, RefName, ReflogEntry, Repository, Result};

/// How many later changes a refusal names.
const MAX_NAMED: usize = 5;

impl Engine {
    /// Says what the reference is, what came after the entry, and what can be done.
    pub(super) async fn moved_on(
        &self,
        repository: &Repository,
        entry: &ReflogEntry,
        now: Option<&CommitId>,
    ) -> Result<Error> {
        let later = self.named_later(repository, entry).await?;
        let (kind, name) = described(&entry.reference);
        let place = |at: Option<&CommitId>| match at {
            Some(id) => format!("commit {id}"),
            None => "nothing (deleted)".to_owned(),
        };
        let story = if later.is_empty() {
            "the reflog does not tell of what changed it since".to_owned()
        } else {
            format!("since then, newest first: {}", later.join(", "))
        };
        let remedy = match (now, &entry.to, &entry.reference) {
            (Some(_), None, _) => format!("delete the {kind} of that name first, or create one by another name at the commit"),
            (Some(_), Some(_), RefName::Branch(_)) => {
                "undo what came later first, or revert what is to go, or reset the branch to a commit".to_owned()
            }
            _ => "undo what came later first".to_owned(),
        };
        Ok(Error::MovedOn {
            problem: format!(
                "cannot undo {} {} of {kind} {name}, which took it from {} to {}: now it is at {}; {story}",
                entry.operation.as_str(),
                entry.id,
                place(entry.from.as_ref()),
                place(entry.to.as_ref()),
                place(now),
            ),
            advice: remedy,
        })
    }

    /// The newest changes that came after the entry, a few of them.
    async fn named_later(
        &self,
        repository: &Repository,
        entry: &ReflogEntry,
    ) -> Result<Vec<String>> {
        let folder = folder(&entry.reference);
        let rows = self
            .kv
            .scan(&reflog_partition(repository), folder.as_bytes(), PAGE)
            .await?;
        let mut named = Vec::new();
        for row in rows.into_iter().take(MAX_NAMED) {
            let later = row
                .key
                .strip_prefix(folder.as_bytes())
                .is_some_and(|id| id < entry.id.as_bytes());
            if !later {
                break;
            }
            let later = ReflogEntry::decode(row.value)?;
            let operation = later.operation.as_str();
            named.push(match later.actor.as_str() {
                "" => format!("{operation} {}", later.id),
                actor => format!("{operation} {} by {actor}", later.id),
            });
        }
        Ok(named)
    }
}

/// Of an undo whose tokens are merged with others or committed.
pub(super) fn moved_on_without_tokens(entry: &ReflogEntry) -> Error {
    let (kind, name) = described(&entry.reference);
    Error::MovedOn {
        problem: format!(
            "the uncommitted changes that undo {} brought back to {kind} {name} are no longer apart from others",
            entry.id
        ),
        advice: format!("reset the {kind} instead"),
    }
}

pub(super) fn refused_creation(entry: &ReflogEntry) -> Error {
    let (kind, name) = described(&entry.reference);
    Error::advised(
        format!(
            "{} {} made {kind} {name}, and undo deletes nothing",
            entry.operation.as_str(),
            entry.id
        ),
        format!("delete the {kind} instead, which can be undone"),
    )
}

pub(super) fn nothing_kept(entry: &ReflogEntry) -> Error {
    let (kind, name) = described(&entry.reference);
    Error::InvalidValue(format!(
        "{} {} left the head of {kind} {name} where it was, and no uncommitted changes that it threw away are kept, or kept any more: there is nothing to undo",
        entry.operation.as_str(),
        entry.id
    ))
}

/// What an undo says of what it undid.
pub(super) fn told(entry: &ReflogEntry) -> String {
    match entry.reason.as_str() {
        "" => entry.operation.as_str().to_owned(),
        reason => format!("{}: {reason}", entry.operation.as_str()),
    }
}
