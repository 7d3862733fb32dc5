//! Parses the records of a dump and checks each on its own.

use bytes::Bytes;

use super::entity::Entity;
use crate::ident::commit_id;
use crate::records::{Stored as _, branch_key, commit_key, tag_key};
use crate::reflog::{RefChange, RefTarget};
use crate::{Branch, BranchId, Commit, CommitId, Error, Operation, Record, Result, Tag, TagId};

/// A parsed and checked record of a dump.
#[derive(Debug)]
pub(super) enum DumpRecord {
    Commit(Commit),
    Tag(Tag),
    Branch {
        id: BranchId,
        commit_id: CommitId,
        hidden: bool,
    },
}

impl DumpRecord {
    /// The change to record in the reflog; `None` for commits, which are not references.
    pub(super) fn change<'a>(&'a self, actor: &'a str) -> Option<RefChange<'a>> {
        let (reference, to, hidden) = match self {
            Self::Commit(_) => return None,
            Self::Tag(tag) => (RefTarget::Tag(&tag.id), &tag.commit_id, false),
            Self::Branch {
                id,
                commit_id,
                hidden,
            } => (RefTarget::Branch(id), commit_id, *hidden),
        };
        Some(RefChange {
            reference,
            operation: Operation::Restore,
            actor,
            reason: "restored from a dump",
            from: None,
            to: Some(to),
            hidden,
            discarded: &[],
        })
    }

    /// Parses a record and checks its names, its key and, of a commit, its id.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::InvalidName`] or [`Error::InvalidValue`].
    pub(super) fn parse(entity: Entity, record: &Record) -> Result<Self> {
        let key = String::from_utf8_lossy(&record.key);
        let data = record.value.data.clone();
        let restored = match entity {
            Entity::Commit => {
                let commit = Commit::decode(data)?;
                check_commit(&commit)?;
                Self::Commit(commit)
            }
            Entity::Tag => {
                let tag = Tag::decode(data)?;
                TagId::parse(tag.id.as_str())?;
                Self::Tag(tag)
            }
            Entity::Branch => {
                let branch = Branch::decode(data)?;
                Self::Branch {
                    id: BranchId::parse(branch.id.as_str())?,
                    commit_id: branch.record.commit_id,
                    hidden: branch.record.hidden,
                }
            }
        };
        if restored.id() != key {
            return Err(invalid(format!(
                "{} {:?} of the dump has the key {key:?}",
                entity.name(),
                restored.id()
            )));
        }
        Ok(restored)
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Commit(commit) => commit.id.as_str(),
            Self::Tag(tag) => tag.id.as_str(),
            Self::Branch { id, .. } => id.as_str(),
        }
    }

    /// The key of the other kind of reference with this name; `None` for commits.
    pub(super) fn other_kind_key(&self) -> Option<Bytes> {
        match self {
            Self::Commit(_) => None,
            Self::Tag(tag) => Some(branch_key(tag.id.as_str())),
            Self::Branch { id, .. } => Some(tag_key(id.as_str())),
        }
    }

    pub(super) fn key(&self) -> Bytes {
        match self {
            Self::Commit(commit) => commit_key(commit.id.as_str()),
            Self::Tag(tag) => tag_key(tag.id.as_str()),
            Self::Branch { id, .. } => branch_key(id.as_str()),
        }
    }
}

fn check_commit(commit: &Commit) -> Result<()> {
    let id = commit_id(commit);
    if id != commit.id {
        return Err(invalid(format!(
            "commit {} of the dump does not match its id: its content has the id {id}",
            commit.id
        )));
    }
    if commit.generation <= 0 {
        return Err(invalid(format!(
            "commit {} of the dump has no generation: the dump comes from a version that is too old to restore",
            commit.id
        )));
    }
    Ok(())
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidValue(reason.into())
}
