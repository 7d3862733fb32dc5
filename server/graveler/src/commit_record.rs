//! Stores the record of a commit that another server made, for mirroring and low-level tools. No
//! branch moves.
//!
//! The server stores a record only if its id matches its content, its parents exist, its generation
//! is higher than theirs, and its tree can be opened. Logs and merge bases therefore never meet a
//! missing commit. A mirror must copy trees before commits, and parents before children. A restore
//! does not use this function: it reads a dump's commits in order of id, and checks the whole dump.

use bytes::Bytes;
use kv::{Op, Predicate};

use crate::checks::check_read_only;
use crate::ident::commit_id;
use crate::records::{Stored as _, commit_key};
use crate::{Commit, Error, Graveler, Kind, Repository, Result};

/// Maximum number of parents of an imported commit; commits made here have at most two.
const MAX_PARENTS: usize = 16;

impl Graveler {
    /// Stores the record of a commit that another server made; no branch moves.
    ///
    /// # Errors
    /// [`crate::Error::WrongCommitId`] if the id does not match the content;
    /// [`crate::Error::Advised`] if a parent or the tree is missing, or if the tree is a dump;
    /// [`crate::Error::InvalidValue`] if it has too many parents or a generation that is too low;
    /// [`crate::Error::NotUnique`] if the commit is recorded already.
    pub async fn create_commit_record(
        &self,
        repository: &Repository,
        commit: &Commit,
        force: bool,
    ) -> Result<()> {
        check_read_only(repository, force)?;
        check_id(commit)?;
        self.check_parents(repository, commit).await?;
        self.check_tree(repository, commit).await?;
        let op = Op::Set {
            partition: Bytes::from(repository.partition()),
            key: commit_key(commit.id.as_str()),
            value: commit.encode(),
            predicate: Some(Predicate::Absent),
        };
        match self.refs.write_unless_deleted(repository, vec![op]).await {
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => Err(Error::NotUnique {
                kind: Kind::Commit,
                id: commit.id.to_string(),
            }),
            written => written,
        }
    }

    async fn check_parents(&self, repository: &Repository, commit: &Commit) -> Result<()> {
        if commit.parents.len() > MAX_PARENTS {
            return Err(Error::InvalidValue(format!(
                "commit {} has {} parents: at most {MAX_PARENTS} are allowed",
                commit.id,
                commit.parents.len()
            )));
        }
        let parents = match self.refs.commits(repository, &commit.parents).await {
            Err(Error::NotFound { id, .. }) => {
                return Err(Error::with_advice(
                    format!(
                        "parent {id} of commit {} is not in the repository",
                        commit.id
                    ),
                    "record the parent first",
                ));
            }
            parents => parents?,
        };
        let above = parents.iter().map(|parent| parent.generation).max();
        let above = above.unwrap_or(0);
        if commit.generation <= above {
            return Err(Error::InvalidValue(format!(
                "commit {} has generation {}: it must be above {above}",
                commit.id, commit.generation
            )));
        }
        Ok(())
    }

    async fn check_tree(&self, repository: &Repository, commit: &Commit) -> Result<()> {
        let tree = &commit.meta_range_id;
        match self
            .committed
            .cursor(&repository.storage_namespace, tree)
            .await
        {
            Err(Error::NotFound {
                kind: Kind::MetaRange,
                ..
            }) => Err(Error::with_advice(
                format!(
                    "metarange {tree} of commit {} is not in the storage namespace",
                    commit.id
                ),
                "copy the metarange and its ranges there first",
            )),
            opened => {
                opened?;
                self.check_object_tree(repository, tree).await
            }
        }
    }
}

fn check_id(commit: &Commit) -> Result<()> {
    let id = commit_id(commit);
    if id != commit.id {
        return Err(Error::WrongCommitId {
            given: commit.id.to_string(),
            right: id.to_string(),
        });
    }
    Ok(())
}
