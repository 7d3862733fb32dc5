//! The stored form of events: one protobuf message with a version number.
//!
//! It is Weir's own message; lakeFS neither reads nor writes it. A change that an older server
//! would misread gets a new version. The details are the last field, so that a truncated record is
//! never valid.

mod parts;

use base::to_timestamp;
use bytes::Bytes;
use prost::{Message, Oneof};
use prost_types::Timestamp;

use self::parts::{
    BranchCreationData, BranchDeletionData, Checked, LandedData, LandedMergeData,
    MergeProposalData, PreparationData, ProposalData, TagChangeData, not_empty, present, time_of,
};
use super::{After, Event, EventDetails};
use crate::records::{RepositoryData, Stored as _};
use crate::{Error, Repository, Result};

/// The version that this server writes, and the only one that it reads.
const VERSION: u32 = 1;
/// Maximum length of a stored event. The request for a change has at most 10 MiB of JSON, and an
/// event contains each part of it at most once.
pub const MAX_EVENT_BYTES: usize = 16 << 20;

/// The field that every version has.
#[derive(Clone, PartialEq, Message)]
struct VersionData {
    #[prost(uint32, tag = "1")]
    version: u32,
}

#[derive(Clone, PartialEq, Message)]
struct EventData {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    run_id: String,
    #[prost(message, optional, tag = "3")]
    time: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    repository: Option<RepositoryData>,
    #[prost(string, tag = "5")]
    actor: String,
    #[prost(uint32, tag = "6")]
    depth: u32,
    /// Only in post-events.
    #[prost(string, optional, tag = "7")]
    pre_run_id: Option<String>,
    #[prost(
        oneof = "DetailsData",
        tags = "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32"
    )]
    details: Option<DetailsData>,
}

#[derive(Clone, PartialEq, Oneof)]
enum DetailsData {
    #[prost(message, tag = "16")]
    PrepareCommit(PreparationData),
    #[prost(message, tag = "17")]
    PreCommit(ProposalData),
    #[prost(message, tag = "18")]
    PostCommit(LandedData),
    #[prost(message, tag = "19")]
    PreMerge(MergeProposalData),
    #[prost(message, tag = "20")]
    PostMerge(LandedMergeData),
    #[prost(message, tag = "21")]
    PreCreateBranch(BranchCreationData),
    #[prost(message, tag = "22")]
    PostCreateBranch(BranchCreationData),
    #[prost(message, tag = "23")]
    PreDeleteBranch(BranchDeletionData),
    #[prost(message, tag = "24")]
    PostDeleteBranch(BranchDeletionData),
    #[prost(message, tag = "25")]
    PreCreateTag(TagChangeData),
    #[prost(message, tag = "26")]
    PostCreateTag(TagChangeData),
    #[prost(message, tag = "27")]
    PreDeleteTag(TagChangeData),
    #[prost(message, tag = "28")]
    PostDeleteTag(TagChangeData),
    #[prost(message, tag = "29")]
    PreRevert(ProposalData),
    #[prost(message, tag = "30")]
    PostRevert(LandedData),
    #[prost(message, tag = "31")]
    PreCherryPick(ProposalData),
    #[prost(message, tag = "32")]
    PostCherryPick(LandedData),
}

impl Event {
    /// Encodes the event as it is stored.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if it exceeds [`MAX_EVENT_BYTES`].
    pub fn encode(&self) -> Result<Bytes> {
        let data = EventData {
            version: VERSION,
            run_id: self.run_id.clone(),
            time: Some(to_timestamp(self.time)),
            repository: Some(self.repository.to_data()),
            actor: self.actor.clone(),
            depth: self.depth,
            pre_run_id: self.details.pre_run_id().cloned(),
            details: Some(self.details.to_data()),
        };
        match data.encoded_len() {
            0..=MAX_EVENT_BYTES => Ok(Bytes::from(data.encode_to_vec())),
            len => Err(Error::InvalidValue(too_long(len))),
        }
    }

    /// Decodes a stored event.
    ///
    /// # Errors
    /// [`Error::Corrupt`], also for an event that another version of the server stored.
    pub fn decode(stored: &[u8]) -> Result<Self> {
        let read = || {
            if stored.len() > MAX_EVENT_BYTES {
                return Err(too_long(stored.len()));
            }
            let VersionData { version } = VersionData::decode(stored).map_err(|e| e.to_string())?;
            if version != VERSION {
                return Err(format!(
                    "version {version} is unknown: this server reads version {VERSION}"
                ));
            }
            EventData::decode(stored)
                .map_err(|e| e.to_string())
                .and_then(Self::from_data)
        };
        read().map_err(|reason| Error::Corrupt {
            what: "event record".to_owned(),
            reason,
        })
    }

    fn from_data(data: EventData) -> Checked<Self> {
        let names_pre_run = data.pre_run_id.is_some();
        let details = present(data.details, "details of a known kind")?;
        let details = EventDetails::from_data(details, data.pre_run_id)?;
        if names_pre_run && !details.kind().is_post() {
            return Err("only post-events name the run of a pre-event".to_owned());
        }
        Ok(Self {
            run_id: not_empty(data.run_id, "run id")?,
            time: time_of(data.time)?,
            repository: Repository::from_data(present(data.repository, "repository")?)?,
            actor: data.actor,
            depth: data.depth,
            details,
        })
    }
}

impl EventDetails {
    fn to_data(&self) -> DetailsData {
        use DetailsData as Data;
        match self {
            Self::PrepareCommit(change) => Data::PrepareCommit(change.into()),
            Self::PreCommit(change) => Data::PreCommit(change.into()),
            Self::PostCommit(after) => Data::PostCommit((&after.change).into()),
            Self::PreMerge(change) => Data::PreMerge(change.into()),
            Self::PostMerge(after) => Data::PostMerge((&after.change).into()),
            Self::PreRevert(change) => Data::PreRevert(change.into()),
            Self::PostRevert(after) => Data::PostRevert((&after.change).into()),
            Self::PreCherryPick(change) => Data::PreCherryPick(change.into()),
            Self::PostCherryPick(after) => Data::PostCherryPick((&after.change).into()),
            Self::PreCreateBranch(change) => Data::PreCreateBranch(change.into()),
            Self::PostCreateBranch(after) => Data::PostCreateBranch((&after.change).into()),
            Self::PreDeleteBranch(change) => Data::PreDeleteBranch(change.into()),
            Self::PostDeleteBranch(after) => Data::PostDeleteBranch((&after.change).into()),
            Self::PreCreateTag(change) => Data::PreCreateTag(change.into()),
            Self::PostCreateTag(after) => Data::PostCreateTag((&after.change).into()),
            Self::PreDeleteTag(change) => Data::PreDeleteTag(change.into()),
            Self::PostDeleteTag(after) => Data::PostDeleteTag((&after.change).into()),
        }
    }

    fn from_data(data: DetailsData, pre_run_id: Option<String>) -> Checked<Self> {
        use DetailsData as Data;
        Ok(match data {
            Data::PrepareCommit(data) => Self::PrepareCommit(data.try_into()?),
            Data::PreCommit(data) => Self::PreCommit(data.try_into()?),
            Data::PostCommit(data) => Self::PostCommit(after(data, pre_run_id)?),
            Data::PreMerge(data) => Self::PreMerge(data.try_into()?),
            Data::PostMerge(data) => Self::PostMerge(after(data, pre_run_id)?),
            Data::PreRevert(data) => Self::PreRevert(data.try_into()?),
            Data::PostRevert(data) => Self::PostRevert(after(data, pre_run_id)?),
            Data::PreCherryPick(data) => Self::PreCherryPick(data.try_into()?),
            Data::PostCherryPick(data) => Self::PostCherryPick(after(data, pre_run_id)?),
            Data::PreCreateBranch(data) => Self::PreCreateBranch(data.try_into()?),
            Data::PostCreateBranch(data) => Self::PostCreateBranch(after(data, pre_run_id)?),
            Data::PreDeleteBranch(data) => Self::PreDeleteBranch(data.try_into()?),
            Data::PostDeleteBranch(data) => Self::PostDeleteBranch(after(data, pre_run_id)?),
            Data::PreCreateTag(data) => Self::PreCreateTag(data.try_into()?),
            Data::PostCreateTag(data) => Self::PostCreateTag(after(data, pre_run_id)?),
            Data::PreDeleteTag(data) => Self::PreDeleteTag(data.try_into()?),
            Data::PostDeleteTag(data) => Self::PostDeleteTag(after(data, pre_run_id)?),
        })
    }
}

fn after<D, T: TryFrom<D, Error = String>>(
    data: D,
    pre_run_id: Option<String>,
) -> Checked<After<T>> {
    Ok(After {
        pre_run_id,
        change: data.try_into()?,
    })
}

fn too_long(len: usize) -> String {
    format!("an event has {len} bytes, but at most {MAX_EVENT_BYTES} are allowed")
}
