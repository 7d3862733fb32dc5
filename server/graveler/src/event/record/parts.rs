//! The protobuf messages of [`EventDetails`](crate::EventDetails), and their conversions.

use std::collections::BTreeMap;

use base::{OffsetDateTime, to_timestamp};
use prost::Message;
use prost_types::Timestamp;

use crate::event::{
    BranchCreation, BranchDeletion, CommitPreparation, CommitProposal, Draft, LandedCommit,
    LandedMerge, MergeProposal, MergeSource, TagChange,
};
use crate::records::from_timestamp;
use crate::{BranchId, CommitId, MetaRangeId, TagId};

/// Maximum number of parents of an event's commit.
const MAX_PARENTS: usize = 16;

/// A decoded part of an event, or why it is invalid.
pub(super) type Checked<T> = Result<T, String>;

#[derive(Clone, PartialEq, Message)]
pub(super) struct DraftData {
    #[prost(string, tag = "1")]
    message: String,
    #[prost(string, tag = "2")]
    committer: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
    #[prost(message, optional, tag = "4")]
    creation_date: Option<Timestamp>,
    #[prost(string, tag = "5")]
    meta_range_id: String,
    #[prost(string, repeated, tag = "6")]
    parents: Vec<String>,
    #[prost(int32, tag = "7")]
    version: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PreparationData {
    #[prost(string, tag = "1")]
    branch: String,
    #[prost(message, optional, tag = "2")]
    draft: Option<DraftData>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProposalData {
    #[prost(string, tag = "1")]
    branch: String,
    #[prost(message, optional, tag = "2")]
    draft: Option<DraftData>,
    #[prost(string, tag = "3")]
    base: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LandedData {
    #[prost(string, tag = "1")]
    branch: String,
    #[prost(message, optional, tag = "2")]
    draft: Option<DraftData>,
    #[prost(string, tag = "3")]
    base: String,
    #[prost(string, tag = "4")]
    commit_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MergeSourceData {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    commit_id: String,
    #[prost(string, tag = "3")]
    meta_range_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MergeProposalData {
    #[prost(message, optional, tag = "1")]
    commit: Option<ProposalData>,
    #[prost(string, tag = "2")]
    commit_id: String,
    #[prost(message, optional, tag = "3")]
    source: Option<MergeSourceData>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LandedMergeData {
    #[prost(message, optional, tag = "1")]
    commit: Option<LandedData>,
    #[prost(message, optional, tag = "2")]
    source: Option<MergeSourceData>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchCreationData {
    #[prost(string, tag = "1")]
    branch: String,
    #[prost(string, tag = "2")]
    source: String,
    #[prost(string, tag = "3")]
    commit_id: String,
    #[prost(string, tag = "4")]
    meta_range_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BranchDeletionData {
    #[prost(string, tag = "1")]
    branch: String,
    #[prost(string, tag = "2")]
    head: String,
    #[prost(string, tag = "3")]
    meta_range_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TagChangeData {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(string, tag = "2")]
    commit_id: String,
    #[prost(string, tag = "3")]
    meta_range_id: String,
}

impl From<&Draft> for DraftData {
    fn from(draft: &Draft) -> Self {
        Self {
            message: draft.message.clone(),
            committer: draft.committer.clone(),
            metadata: draft.metadata.clone(),
            creation_date: Some(to_timestamp(draft.creation_date)),
            meta_range_id: draft.meta_range_id.to_string(),
            parents: draft.parents.iter().map(CommitId::to_string).collect(),
            version: draft.version,
        }
    }
}

fn draft_of(data: Option<DraftData>) -> Checked<Draft> {
    let data = present(data, "draft")?;
    if data.parents.len() > MAX_PARENTS {
        return Err(format!(
            "a commit has {} parents, but at most {MAX_PARENTS} are allowed",
            data.parents.len()
        ));
    }
    let parents = data.parents.into_iter().map(commit_id);
    Ok(Draft {
        message: data.message,
        committer: data.committer,
        metadata: data.metadata,
        creation_date: time_of(data.creation_date)?,
        meta_range_id: MetaRangeId::trusted(data.meta_range_id),
        parents: parents.collect::<Checked<_>>()?,
        version: data.version,
    })
}

impl From<&CommitPreparation> for PreparationData {
    fn from(change: &CommitPreparation) -> Self {
        Self {
            branch: change.branch.to_string(),
            draft: Some((&change.draft).into()),
        }
    }
}

impl TryFrom<PreparationData> for CommitPreparation {
    type Error = String;

    fn try_from(data: PreparationData) -> Checked<Self> {
        Ok(Self {
            branch: branch_id(data.branch)?,
            draft: draft_of(data.draft)?,
        })
    }
}

impl From<&CommitProposal> for ProposalData {
    fn from(change: &CommitProposal) -> Self {
        Self {
            branch: change.branch.to_string(),
            draft: Some((&change.draft).into()),
            base: change.base.to_string(),
        }
    }
}

impl TryFrom<ProposalData> for CommitProposal {
    type Error = String;

    fn try_from(data: ProposalData) -> Checked<Self> {
        Ok(Self {
            branch: branch_id(data.branch)?,
            draft: draft_of(data.draft)?,
            base: MetaRangeId::trusted(data.base),
        })
    }
}

impl From<&LandedCommit> for LandedData {
    fn from(change: &LandedCommit) -> Self {
        Self {
            branch: change.branch.to_string(),
            draft: Some((&change.draft).into()),
            base: change.base.to_string(),
            commit_id: change.commit_id.to_string(),
        }
    }
}

impl TryFrom<LandedData> for LandedCommit {
    type Error = String;

    fn try_from(data: LandedData) -> Checked<Self> {
        Ok(Self {
            branch: branch_id(data.branch)?,
            commit_id: commit_id(data.commit_id)?,
            draft: draft_of(data.draft)?,
            base: MetaRangeId::trusted(data.base),
        })
    }
}

impl From<&MergeSource> for MergeSourceData {
    fn from(source: &MergeSource) -> Self {
        Self {
            name: source.name.clone(),
            commit_id: source.commit_id.to_string(),
            meta_range_id: source.meta_range_id.to_string(),
        }
    }
}

fn source_of(data: Option<MergeSourceData>) -> Checked<MergeSource> {
    let data = present(data, "source")?;
    Ok(MergeSource {
        name: data.name,
        commit_id: commit_id(data.commit_id)?,
        meta_range_id: MetaRangeId::trusted(data.meta_range_id),
    })
}

impl From<&MergeProposal> for MergeProposalData {
    fn from(change: &MergeProposal) -> Self {
        Self {
            commit: Some((&change.commit).into()),
            commit_id: change.commit_id.to_string(),
            source: Some((&change.source).into()),
        }
    }
}

impl TryFrom<MergeProposalData> for MergeProposal {
    type Error = String;

    fn try_from(data: MergeProposalData) -> Checked<Self> {
        Ok(Self {
            commit: present(data.commit, "commit")?.try_into()?,
            commit_id: commit_id(data.commit_id)?,
            source: source_of(data.source)?,
        })
    }
}

impl From<&LandedMerge> for LandedMergeData {
    fn from(change: &LandedMerge) -> Self {
        Self {
            commit: Some((&change.commit).into()),
            source: Some((&change.source).into()),
        }
    }
}

impl TryFrom<LandedMergeData> for LandedMerge {
    type Error = String;

    fn try_from(data: LandedMergeData) -> Checked<Self> {
        Ok(Self {
            commit: present(data.commit, "commit")?.try_into()?,
            source: source_of(data.source)?,
        })
    }
}

impl From<&BranchCreation> for BranchCreationData {
    fn from(change: &BranchCreation) -> Self {
        Self {
            branch: change.branch.to_string(),
            source: change.source.clone(),
            commit_id: change.commit_id.to_string(),
            meta_range_id: change.meta_range_id.to_string(),
        }
    }
}

impl TryFrom<BranchCreationData> for BranchCreation {
    type Error = String;

    fn try_from(data: BranchCreationData) -> Checked<Self> {
        Ok(Self {
            branch: branch_id(data.branch)?,
            source: data.source,
            commit_id: commit_id(data.commit_id)?,
            meta_range_id: MetaRangeId::trusted(data.meta_range_id),
        })
    }
}

impl From<&BranchDeletion> for BranchDeletionData {
    fn from(change: &BranchDeletion) -> Self {
        Self {
            branch: change.branch.to_string(),
            head: change.head.to_string(),
            meta_range_id: change.meta_range_id.to_string(),
        }
    }
}

impl TryFrom<BranchDeletionData> for BranchDeletion {
    type Error = String;

    fn try_from(data: BranchDeletionData) -> Checked<Self> {
        Ok(Self {
            branch: branch_id(data.branch)?,
            head: commit_id(data.head)?,
            meta_range_id: MetaRangeId::trusted(data.meta_range_id),
        })
    }
}

impl From<&TagChange> for TagChangeData {
    fn from(change: &TagChange) -> Self {
        Self {
            tag: change.tag.to_string(),
            commit_id: change.commit_id.to_string(),
            meta_range_id: change.meta_range_id.to_string(),
        }
    }
}

impl TryFrom<TagChangeData> for TagChange {
    type Error = String;

    fn try_from(data: TagChangeData) -> Checked<Self> {
        Ok(Self {
            tag: TagId::trusted(not_empty(data.tag, "tag")?),
            commit_id: commit_id(data.commit_id)?,
            meta_range_id: MetaRangeId::trusted(data.meta_range_id),
        })
    }
}

pub(super) fn present<T>(part: Option<T>, name: &str) -> Checked<T> {
    part.ok_or_else(|| missing(name))
}

pub(super) fn not_empty(text: String, name: &str) -> Checked<String> {
    match text.is_empty() {
        true => Err(missing(name)),
        false => Ok(text),
    }
}

fn missing(name: &str) -> String {
    format!("{name} missing")
}

fn branch_id(text: String) -> Checked<BranchId> {
    not_empty(text, "branch").map(BranchId::trusted)
}

fn commit_id(text: String) -> Checked<CommitId> {
    not_empty(text, "commit id").map(CommitId::trusted)
}

pub(super) fn time_of(at: Option<Timestamp>) -> Checked<OffsetDateTime> {
    from_timestamp(Some(present(at, "time")?))
}
