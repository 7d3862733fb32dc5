//! Stored records: their protobuf messages, keys and conversions.
//!
//! Field numbers and keys are those of lakeFS, except for records that lakeFS does not have. Never
//! add a field to a record of lakeFS: a lakeFS server that rewrites the record drops fields it does
//! not know.

use std::collections::BTreeMap;

use base::{OffsetDateTime, to_timestamp};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

use crate::{
    Branch, BranchId, BranchRecord, Commit, CommitId, Error, MetaRangeId, Repository, RepositoryId,
    RepositoryState, Result, StagingToken, Tag, TagId, Value,
};

/// The partition of repository records.
pub(crate) const REPOSITORIES: &[u8] = b"graveler";
/// The partition whose keys are the retired staging tokens that are not emptied yet.
pub(crate) const CLEANUP_TOKENS: &[u8] = b"cleanup-tokens";
/// The value of every entry of [`CLEANUP_TOKENS`].
pub(crate) const CLEANUP_STUB: &[u8] = b"stub-value";
/// The partition of the latest repository creation, and its only key. lakeFS has no such record.
pub(crate) const CREATIONS: &[u8] = b"weir-namespaces";
pub(crate) const LATEST_CREATION: &[u8] = b"latest";
/// The partition of restores, keyed by the partition of their repository. lakeFS has no such
/// record.
pub(crate) const RESTORES: &[u8] = b"weir-restores";
/// Keys in a repository's partition.
pub(crate) const BRANCHES: &str = "branches/";
pub(crate) const TAGS: &str = "tags/";
pub(crate) const COMMITS: &str = "commits/";
pub(crate) const REPOSITORY_METADATA: &[u8] = b"repo-metadata";
pub(crate) const PROTECTED_BRANCHES: &[u8] = b"settings/protected_branches";

/// A partition in which the catalog keeps rows of all repositories.
#[derive(Debug)]
pub(crate) struct SharedPartition {
    pub partition: &'static [u8],
    /// The prefix of the keys; the name of the repository's partition and a slash follow.
    pub folder: &'static str,
    /// If set, a non-empty value of a row is the key of one more record, in this partition.
    pub records: Option<&'static [u8]>,
}

const fn shared(partition: &'static [u8], folder: &'static str) -> SharedPartition {
    SharedPartition {
        partition,
        folder,
        records: None,
    }
}

/// The rows that a deletion removes: pull requests; claims, findings and branches of tasks; open
/// and recently completed multipart uploads.
///
/// In order of removal. Claims of tasks come before rows that are written only while a claim
/// exists.
pub(crate) const SHARED_PARTITIONS: &[SharedPartition] = &[
    shared(b"pulls", "repos/"),
    shared(b"weir-pulls", ""),
    shared(b"weir-tasks", ""),
    shared(b"weir-task-findings", ""),
    shared(b"weir-task-branches", ""),
    SharedPartition {
        partition: b"weir-multiparts",
        folder: "",
        // lakeFS's upload records do not name their repository.
        records: Some(b"multiparts"),
    },
    shared(b"weir-multiparts-done", ""),
];
/// The prefix of keys in [`REPOSITORIES`].
pub(crate) const REPOSITORY_PREFIX: &str = "repos/";

pub(crate) fn repository_key(id: &RepositoryId) -> Bytes {
    Bytes::from(format!("{REPOSITORY_PREFIX}{id}"))
}

pub(crate) fn branch_key(id: &str) -> Bytes {
    Bytes::from(format!("{BRANCHES}{id}"))
}

pub(crate) fn tag_key(id: &str) -> Bytes {
    Bytes::from(format!("{TAGS}{id}"))
}

pub(crate) fn commit_key(id: &str) -> Bytes {
    Bytes::from(format!("{COMMITS}{id}"))
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryData {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub storage_namespace: String,
    #[prost(string, tag = "3")]
    pub default_branch_id: String,
    #[prost(message, optional, tag = "4")]
    pub creation_date: Option<Timestamp>,
    /// 0 active, 1 in deletion.
    #[prost(int32, tag = "5")]
    pub state: i32,
    #[prost(string, tag = "6")]
    pub instance_uid: String,
    #[prost(bool, tag = "7")]
    pub read_only: bool,
    #[prost(string, tag = "8")]
    pub storage_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BranchData {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub commit_id: String,
    #[prost(string, tag = "3")]
    pub staging_token: String,
    #[prost(string, repeated, tag = "4")]
    pub sealed_tokens: Vec<String>,
    #[prost(bool, tag = "5")]
    pub hidden: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TagData {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub commit_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CommitData {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub committer: String,
    #[prost(string, tag = "3")]
    pub message: String,
    #[prost(message, optional, tag = "4")]
    pub creation_date: Option<Timestamp>,
    #[prost(string, tag = "5")]
    pub meta_range_id: String,
    #[prost(btree_map = "string, string", tag = "6")]
    pub metadata: BTreeMap<String, String>,
    #[prost(string, repeated, tag = "7")]
    pub parents: Vec<String>,
    #[prost(int32, tag = "8")]
    pub version: i32,
    #[prost(int32, tag = "9")]
    pub generation: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StagedEntryData {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub identity: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub data: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepoMetadata {
    #[prost(btree_map = "string, string", tag = "1")]
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BranchProtectionRules {
    #[prost(message, repeated, tag = "1")]
    pub rules: Vec<ProtectionRule>,
}

/// An entry of the map in which lakeFS stores the rules. Weir decodes the map as a list to keep the
/// stored order.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProtectionRule {
    #[prost(string, tag = "1")]
    pub pattern: String,
    #[prost(message, optional, tag = "2")]
    pub blocked: Option<BlockedActions>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlockedActions {
    /// 0 staging write, 1 commit.
    #[prost(int32, repeated, tag = "1")]
    pub value: Vec<i32>,
}

/// A record that is stored as one protobuf message.
pub(crate) trait Stored: Sized {
    type Data: Message + Default;
    const RECORD_NAME: &'static str;
    fn to_data(&self) -> Self::Data;
    fn from_data(data: Self::Data) -> std::result::Result<Self, String>;

    fn encode(&self) -> Bytes {
        Bytes::from(self.to_data().encode_to_vec())
    }

    /// Decodes a stored record.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn decode(stored: Bytes) -> Result<Self> {
        Self::Data::decode(stored)
            .map_err(|e| e.to_string())
            .and_then(Self::from_data)
            .map_err(|reason| Error::Corrupt {
                what: format!("{} record", Self::RECORD_NAME),
                reason,
            })
    }
}

impl Stored for Repository {
    type Data = RepositoryData;
    const RECORD_NAME: &'static str = "repository";

    fn to_data(&self) -> RepositoryData {
        RepositoryData {
            id: self.id.to_string(),
            storage_namespace: self.storage_namespace.clone(),
            default_branch_id: self.default_branch.to_string(),
            creation_date: Some(to_timestamp(self.creation_date)),
            state: i32::from(self.state == RepositoryState::InDeletion),
            instance_uid: self.instance_uid.clone(),
            read_only: self.read_only,
            storage_id: self.storage_id.clone(),
        }
    }

    fn from_data(data: RepositoryData) -> std::result::Result<Self, String> {
        Ok(Self {
            id: RepositoryId::trusted(data.id),
            storage_namespace: data.storage_namespace,
            default_branch: BranchId::trusted(data.default_branch_id),
            creation_date: from_timestamp(data.creation_date)?,
            state: match data.state {
                0 => RepositoryState::Active,
                1 => RepositoryState::InDeletion,
                other => return Err(format!("unknown state {other}")),
            },
            instance_uid: data.instance_uid,
            read_only: data.read_only,
            storage_id: data.storage_id,
        })
    }
}

impl Stored for Branch {
    type Data = BranchData;
    const RECORD_NAME: &'static str = "branch";

    fn to_data(&self) -> BranchData {
        BranchData {
            id: self.id.to_string(),
            commit_id: self.record.commit_id.to_string(),
            staging_token: self.record.staging_token.to_string(),
            sealed_tokens: self
                .record
                .sealed_tokens
                .iter()
                .map(StagingToken::to_string)
                .collect(),
            hidden: self.record.hidden,
        }
    }

    fn from_data(data: BranchData) -> std::result::Result<Self, String> {
        Ok(Self {
            id: BranchId::trusted(data.id),
            record: BranchRecord {
                commit_id: CommitId::trusted(data.commit_id),
                staging_token: StagingToken::trusted(data.staging_token),
                sealed_tokens: data
                    .sealed_tokens
                    .into_iter()
                    .map(StagingToken::trusted)
                    .collect(),
                hidden: data.hidden,
            },
        })
    }
}

impl Stored for Tag {
    type Data = TagData;
    const RECORD_NAME: &'static str = "tag";

    fn to_data(&self) -> TagData {
        TagData {
            id: self.id.to_string(),
            commit_id: self.commit_id.to_string(),
        }
    }

    fn from_data(data: TagData) -> std::result::Result<Self, String> {
        Ok(Self {
            id: TagId::trusted(data.id),
            commit_id: CommitId::trusted(data.commit_id),
        })
    }
}

impl Stored for Commit {
    type Data = CommitData;
    const RECORD_NAME: &'static str = "commit";

    fn to_data(&self) -> CommitData {
        CommitData {
            id: self.id.to_string(),
            committer: self.committer.clone(),
            message: self.message.clone(),
            creation_date: Some(to_timestamp(self.creation_date)),
            meta_range_id: self.meta_range_id.to_string(),
            metadata: self.metadata.clone(),
            parents: self.parents.iter().map(CommitId::to_string).collect(),
            version: self.version,
            generation: self.generation,
        }
    }

    fn from_data(data: CommitData) -> std::result::Result<Self, String> {
        Ok(Self {
            id: CommitId::trusted(data.id),
            committer: data.committer,
            message: data.message,
            creation_date: from_timestamp(data.creation_date)?,
            meta_range_id: MetaRangeId::trusted(data.meta_range_id),
            metadata: data.metadata,
            parents: data.parents.into_iter().map(CommitId::trusted).collect(),
            version: data.version,
            generation: data.generation,
        })
    }
}

impl Commit {
    /// Encodes the commit as it is stored.
    #[must_use]
    pub fn to_record(&self) -> Bytes {
        self.encode()
    }

    /// Decodes a stored commit.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn from_record(stored: Bytes) -> Result<Self> {
        Self::decode(stored)
    }
}

/// Encodes the staged record of a key; `None` is a tombstone.
pub(crate) fn encode_staged(key: &[u8], value: Option<&Value>) -> Bytes {
    let (identity, data) =
        value.map_or_else(Default::default, |v| (v.identity.clone(), v.data.clone()));
    Bytes::from(
        StagedEntryData {
            key: Bytes::copy_from_slice(key),
            identity,
            data,
        }
        .encode_to_vec(),
    )
}

/// Decodes a staged record; `None` is a tombstone.
pub(crate) fn decode_staged(stored: Bytes) -> Result<Option<Value>> {
    let entry = StagedEntryData::decode(stored).map_err(|e| Error::Corrupt {
        what: "staged entry".to_owned(),
        reason: e.to_string(),
    })?;
    Ok((!entry.identity.is_empty()).then_some(Value {
        identity: entry.identity,
        data: entry.data,
    }))
}

/// Converts a stored time. A missing time becomes the Unix epoch.
pub(crate) fn from_timestamp(at: Option<Timestamp>) -> std::result::Result<OffsetDateTime, String> {
    base::from_timestamp(&at.unwrap_or_default()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let branch = Branch {
            id: BranchId::trusted("dev"),
            record: BranchRecord {
                commit_id: CommitId::trusted("c"),
                staging_token: StagingToken::trusted("r-dev:1"),
                sealed_tokens: vec![
                    StagingToken::trusted("r-dev:2"),
                    StagingToken::trusted("r-dev:3"),
                ],
                hidden: true,
            },
        };
        assert_eq!(Branch::decode(branch.encode()).expect("decodes"), branch);
        let commit = Commit {
            id: CommitId::trusted("c"),
            committer: "me".into(),
            message: "m".into(),
            creation_date: OffsetDateTime::from_unix_timestamp_nanos(-62_135_596_800_000_000_000)
                .expect("in range"),
            meta_range_id: MetaRangeId::trusted(""),
            metadata: [("k".to_owned(), String::new())].into(),
            parents: vec![CommitId::trusted("p")],
            version: 1,
            generation: 2,
        };
        assert_eq!(Commit::decode(commit.encode()).expect("decodes"), commit);
    }

    #[test]
    fn branch_record_has_lakefs_bytes() {
        let branch = Branch {
            id: BranchId::trusted("m"),
            record: BranchRecord {
                commit_id: CommitId::trusted("c"),
                staging_token: StagingToken::trusted("s"),
                sealed_tokens: vec![StagingToken::trusted("x"), StagingToken::trusted("y")],
                hidden: false,
            },
        };
        assert_eq!(
            branch.encode().as_ref(),
            b"\x0a\x01m\x12\x01c\x1a\x01s\x22\x01x\x22\x01y"
        );
    }

    #[test]
    fn tombstone_stores_only_the_key() {
        let stored = encode_staged(b"a", None);
        assert_eq!(stored.as_ref(), b"\x0a\x01a");
        assert_eq!(decode_staged(stored).expect("decodes"), None);
        let value = Value {
            identity: Bytes::from_static(b"i"),
            data: Bytes::from_static(b"d"),
        };
        assert_eq!(
            decode_staged(encode_staged(b"a", Some(&value))).expect("decodes"),
            Some(value)
        );
    }

    #[test]
    fn malformed_records_are_corrupt() {
        assert!(matches!(
            Branch::decode(Bytes::from_static(b"\xff")),
            Err(Error::Corrupt { .. })
        ));
        assert!(matches!(
            Repository::decode(Bytes::from_static(b"\x28\x09")),
            Err(Error::Corrupt { .. })
        ));
    }
}
