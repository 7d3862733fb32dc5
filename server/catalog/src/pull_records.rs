//! The stored form of pull requests: lakeFS's messages and keys, and Weir's own record of the destination's head
//! when a request was opened.

use base::{OffsetDateTime, from_timestamp, to_timestamp};
use bytes::Bytes;
use graveler::{CommitId, Repository};
use kv::Op;
use prost::Message;
use prost_types::Timestamp;

use crate::{Error, Result};

/// The status of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    Open,
    /// Closed without a merge. Can be reopened.
    Closed,
    /// Final.
    Merged,
}

/// A request to merge a branch into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// 20 characters. Requests opened in a later second sort first.
    pub id: String,
    pub status: PullStatus,
    pub title: String,
    pub description: String,
    /// The user who opened it.
    pub author: String,
    pub source_branch: String,
    pub destination_branch: String,
    pub created_at: OffsetDateTime,
    /// When it was closed or merged.
    pub closed_at: Option<OffsetDateTime>,
    /// The merge commit.
    pub merged_commit: Option<CommitId>,
}

/// The prefix of keys in the repository's partition.
pub(crate) const RECORDS: &str = "pulls/";
/// The partition of lakeFS's index by branches.
const INDEX: &[u8] = b"pulls";
/// The partition of the destinations' heads at opening time.
const OPENING_PARTITION: &[u8] = b"weir-pulls";
/// Go's zero time: the first second of the year 1.
const NO_TIME_SECS: i64 = -62_135_596_800;

pub(crate) fn record_key(id: &str) -> Bytes {
    Bytes::from(format!("{RECORDS}{id}"))
}

/// An operation that stores a request in the index as the newest one of its two branches.
pub(crate) fn index_op(repository: &Repository, pull: &PullRequest) -> Op {
    let (source, destination) = (&pull.source_branch, &pull.destination_branch);
    let partition = repository.partition();
    let entry = SecondaryIndex {
        primary_key: Bytes::copy_from_slice(pull.id.as_bytes()),
    };
    Op::Set {
        partition: Bytes::from_static(INDEX),
        key: Bytes::from(format!("repos/{partition}/{source}/{destination}")),
        value: Bytes::from(entry.encode_to_vec()),
        predicate: None,
    }
}

/// An operation that stores the head of the destination at opening time.
pub(crate) fn opening_op(repository: &Repository, id: &str, destination: &CommitId) -> Op {
    let opening = OpeningData {
        destination: destination.to_string(),
    };
    Op::Set {
        partition: Bytes::from_static(OPENING_PARTITION),
        key: opening_key(repository, id),
        value: Bytes::from(opening.encode_to_vec()),
        predicate: None,
    }
}

/// The head of the destination when a request was opened, or none if lakeFS or an old version of Weir opened it.
///
/// # Errors
/// Any error of the record store; [`Error::Corrupt`].
pub(crate) async fn destination_at_opening(
    kv: &dyn kv::Store,
    repository: &Repository,
    id: &str,
) -> Result<Option<CommitId>> {
    let stored = kv
        .get(OPENING_PARTITION, &opening_key(repository, id))
        .await?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    let opening = OpeningData::decode(stored.value).map_err(corrupt)?;
    Ok(Some(CommitId::trusted(opening.destination)))
}

/// Reads a stored record, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_opening(stored: Bytes) {
    drop(OpeningData::decode(stored));
}

fn opening_key(repository: &Repository, id: &str) -> Bytes {
    Bytes::from(format!("{}/{id}", repository.partition()))
}

#[derive(Clone, PartialEq, Message)]
struct OpeningData {
    #[prost(string, tag = "1")]
    destination: String,
}

#[derive(Clone, PartialEq, Message)]
struct SecondaryIndex {
    #[prost(bytes = "bytes", tag = "1")]
    primary_key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PullData {
    #[prost(string, tag = "1")]
    id: String,
    /// 0 open, 1 closed, 2 merged.
    #[prost(int32, tag = "2")]
    status: i32,
    #[prost(message, optional, tag = "3")]
    created_at: Option<Timestamp>,
    #[prost(string, tag = "4")]
    title: String,
    #[prost(string, tag = "5")]
    author: String,
    #[prost(string, tag = "6")]
    description: String,
    #[prost(string, tag = "7")]
    source_branch: String,
    #[prost(string, tag = "8")]
    destination_branch: String,
    #[prost(string, optional, tag = "9")]
    commit_id: Option<String>,
    #[prost(message, optional, tag = "10")]
    closed_at: Option<Timestamp>,
}

impl PullData {
    pub(crate) fn encode(pull: &PullRequest) -> Bytes {
        let data = Self {
            id: pull.id.clone(),
            status: match pull.status {
                PullStatus::Open => 0,
                PullStatus::Closed => 1,
                PullStatus::Merged => 2,
            },
            created_at: Some(to_timestamp(pull.created_at)),
            title: pull.title.clone(),
            author: pull.author.clone(),
            description: pull.description.clone(),
            source_branch: pull.source_branch.clone(),
            destination_branch: pull.destination_branch.clone(),
            commit_id: pull.merged_commit.as_ref().map(CommitId::to_string),
            closed_at: pull.closed_at.map(to_timestamp),
        };
        Bytes::from(data.encode_to_vec())
    }

    /// # Errors
    /// [`Error::Corrupt`].
    pub(crate) fn decode(stored: Bytes) -> Result<PullRequest> {
        let data = <Self as Message>::decode(stored).map_err(corrupt)?;
        Ok(PullRequest {
            status: match data.status {
                0 => PullStatus::Open,
                1 => PullStatus::Closed,
                2 => PullStatus::Merged,
                other => return Err(corrupt(format!("unknown status {other}"))),
            },
            id: data.id,
            title: data.title,
            description: data.description,
            author: data.author,
            source_branch: data.source_branch,
            destination_branch: data.destination_branch,
            created_at: from_timestamp(&data.created_at.unwrap_or_default()).map_err(corrupt)?,
            closed_at: data
                .closed_at
                .filter(|at| at.seconds != NO_TIME_SECS)
                .map(|at| from_timestamp(&at))
                .transpose()
                .map_err(corrupt)?,
            merged_commit: data
                .commit_id
                .filter(|id| !id.is_empty())
                .map(CommitId::trusted),
        })
    }
}

fn corrupt(reason: impl std::fmt::Display) -> Error {
    Error::Corrupt {
        what: "pull request".to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record written by lakeFS 1.84.
    const CLOSED: &[u8] = b"\n\x144oojt2hksdudq1pb8vi0\x10\x01\x1a\x0c\x08\xf6\xba\x8d\xd8\x06\x10\xd5\xd3\x8c\xa3\x02\"\nclosed one*\x05admin:\x03devB\x04mainR\x0c\x08\xf6\xba\x8d\xd8\x06\x10\xf6\xab\xec\xa7\x02";

    #[test]
    fn record_of_lakefs_round_trips_byte_for_byte() {
        let pull = PullData::decode(Bytes::from_static(CLOSED)).expect("decodes");
        assert_eq!(pull.id, "4oojt2hksdudq1pb8vi0");
        assert_eq!(pull.status, PullStatus::Closed);
        assert_eq!(
            (pull.title.as_str(), pull.author.as_str()),
            ("closed one", "admin")
        );
        assert_eq!(pull.created_at.nanosecond(), 610_478_549);
        assert_eq!(pull.closed_at.map(|at| at.nanosecond()), Some(620_434_934));
        assert_eq!(pull.merged_commit, None);
        assert_eq!(PullData::encode(&pull).as_ref(), CLOSED);
    }

    #[test]
    fn zero_time_reads_as_none_and_invalid_records_are_corrupt() {
        let mut data = <PullData as Message>::decode(CLOSED).expect("decodes");
        data.closed_at = Some(Timestamp {
            seconds: NO_TIME_SECS,
            nanos: 0,
        });
        let pull = PullData::decode(Bytes::from(data.encode_to_vec())).expect("decodes");
        assert_eq!(pull.closed_at, None);
        data.status = 3;
        for bad in [
            Bytes::from(data.encode_to_vec()),
            Bytes::from_static(b"\xff"),
        ] {
            assert!(matches!(PullData::decode(bad), Err(Error::Corrupt { .. })));
        }
    }
}
