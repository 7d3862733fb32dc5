//! Creates and deletes branches and tags, with their hooks.
//!
//! A name belongs to one branch, tag or commit. The batch that creates a branch therefore fails if a tag has the name,
//! even if another server has just created the tag. The same holds for the creation of a tag.

use bytes::Bytes;
use kv::{Op, Predicate};

use crate::change::MAX_TRIES;
use crate::checks::{check_read_only, count_retry};
use crate::error::not_found;
use crate::records::{Stored as _, branch_key, tag_key};
use crate::reflog::{RefChange, RefTarget};
use crate::{
    After, Branch, BranchCreation, BranchDeletion, BranchId, BranchRecord, CommitId, Error,
    EventDetails, Graveler, Hooks, Kind, Operation, Repository, Result, Tag, TagChange, TagId,
};

/// Who changes a reference, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefRequest<'a> {
    pub actor: &'a str,
    /// Whether to change even a read-only repository.
    pub force: bool,
    pub hooks: &'a dyn Hooks,
}

impl Graveler {
    /// Creates a branch at the commit that `source` names.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if a branch, tag or commit has the name.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one field of the request; upper layers name them"
    )]
    pub async fn create_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        source: &str,
        hidden: bool,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<Branch> {
        let by = RefRequest {
            actor,
            force,
            hooks,
        };
        check_read_only(repository, by.force)?;
        self.check_name_free(repository, id.as_str()).await?;
        let commit_id = self.refs.resolve_commit(repository, source).await?;
        let creation = BranchCreation {
            branch: id.clone(),
            source: source.to_owned(),
            commit_id: commit_id.clone(),
            meta_range_id: self.tree_of(repository, &commit_id).await?,
        };
        let pre = EventDetails::PreCreateBranch(creation.clone());
        let pre_run_id = self.run_pre_ref_hooks(repository, pre, by).await?;

        let record = BranchRecord {
            commit_id,
            staging_token: self.staging.new_token(repository, id),
            sealed_tokens: Vec::new(),
            hidden,
        };
        let branch = Branch {
            id: id.clone(),
            record,
        };
        let created = RefChange::creation(RefTarget::Branch(id), &branch.record.commit_id);
        let change = RefChange {
            hidden,
            ..created.by(by.actor, source)
        };
        self.create(repository, branch.encode(), change).await?;

        let post = EventDetails::PostCreateBranch(After {
            pre_run_id,
            change: creation,
        });
        self.run_post_ref_hooks(repository, post, by).await;
        Ok(branch)
    }

    /// Deletes a branch with its uncommitted changes.
    ///
    /// # Errors
    /// [`crate::Error::DefaultBranch`] for the default branch; [`crate::Error::ConcurrentChange`]
    /// if the head moved while hooks ran.
    pub async fn delete_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        let by = RefRequest {
            actor,
            force,
            hooks,
        };
        check_read_only(repository, by.force)?;
        if *id == repository.default_branch {
            return Err(Error::DefaultBranch(id.to_string()));
        }
        let stored = self.refs.branch(repository, id).await?;
        let judged = &stored.record.commit_id;
        let deletion = BranchDeletion {
            branch: id.clone(),
            head: judged.clone(),
            meta_range_id: self.tree_of(repository, judged).await?,
        };
        let pre = EventDetails::PreDeleteBranch(deletion.clone());
        let pre_run_id = self.run_pre_ref_hooks(repository, pre, by).await?;

        self.remove_branch(repository, id, judged, by).await?;
        let post = EventDetails::PostDeleteBranch(After {
            pre_run_id,
            change: deletion,
        });
        self.run_post_ref_hooks(repository, post, by).await;
        Ok(())
    }

    /// Deletes the branch by compare-and-set, provided that its head still is the commit that the
    /// hooks judged. A commit that lands meanwhile, on any server, is therefore not deleted.
    ///
    /// # Errors
    /// [`Error::ConcurrentChange`] if the head moved.
    async fn remove_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        judged: &CommitId,
        by: RefRequest<'_>,
    ) -> Result<()> {
        let _permit = self.queue.acquire(repository, id).await?;
        for _ in 0..MAX_TRIES {
            // Read in each attempt, since the branch may have other tokens by now.
            let stored = self.refs.branch(repository, id).await?;
            if stored.record.commit_id != *judged {
                return Err(Error::ConcurrentChange(format!("branch {id}")));
            }
            let tokens: Vec<_> = stored.record.tokens().cloned().collect();
            let change = RefChange {
                reference: RefTarget::Branch(id),
                operation: Operation::Delete,
                actor: by.actor,
                reason: "",
                from: Some(&stored.record.commit_id),
                to: None,
                hidden: stored.record.hidden,
                discarded: &tokens,
            };
            let value = Branch {
                id: id.clone(),
                record: stored.record.clone(),
            }
            .encode();
            let key = branch_key(id.as_str());
            let mut ops = delete_ops(repository, &key, value, stored.predicate);
            let record = self.reflog.write(repository, change);
            ops.extend(record.ops);
            match self.refs.write(ops).await {
                Ok(()) => {}
                Err(kv::Error::PredicateFailed { .. }) => {
                    count_retry("delete");
                    continue;
                }
                Err(error) => {
                    self.reflog
                        .resolve_ambiguous_write(repository, &record.key, error)
                        .await?;
                }
            }
            self.reflog.retire_unless_kept(tokens);
            return Ok(());
        }
        Err(Error::TooManyTries(format!("branch {id}")))
    }

    /// Creates a tag of the commit that `source` names.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if a branch, tag or commit has the name.
    pub async fn create_tag(
        &self,
        repository: &Repository,
        id: &TagId,
        source: &str,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<Tag> {
        let by = RefRequest {
            actor,
            force,
            hooks,
        };
        check_read_only(repository, by.force)?;
        self.check_name_free(repository, id.as_str()).await?;
        let commit_id = self.refs.resolve_commit(repository, source).await?;
        let tag = Tag {
            id: id.clone(),
            commit_id,
        };
        let tagged = self.tag_change(repository, &tag).await?;
        let pre = EventDetails::PreCreateTag(tagged.clone());
        let pre_run_id = self.run_pre_ref_hooks(repository, pre, by).await?;

        let created = RefChange::creation(RefTarget::Tag(id), &tag.commit_id);
        let change = created.by(by.actor, source);
        self.create(repository, tag.encode(), change).await?;

        let post = EventDetails::PostCreateTag(After {
            pre_run_id,
            change: tagged,
        });
        self.run_post_ref_hooks(repository, post, by).await;
        Ok(tag)
    }

    /// Deletes a tag.
    pub async fn delete_tag(
        &self,
        repository: &Repository,
        id: &TagId,
        force: bool,
        actor: &str,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        let by = RefRequest {
            actor,
            force,
            hooks,
        };
        check_read_only(repository, by.force)?;
        let tag = self.refs.tag(repository, id).await?;
        let tagged = self.tag_change(repository, &tag).await?;
        let pre = EventDetails::PreDeleteTag(tagged.clone());
        let pre_run_id = self.run_pre_ref_hooks(repository, pre, by).await?;

        self.remove_tag(repository, &tag, by).await?;

        let post = EventDetails::PostDeleteTag(After {
            pre_run_id,
            change: tagged,
        });
        self.run_post_ref_hooks(repository, post, by).await;
        Ok(())
    }

    /// Deletes the tag, provided that it still names the commit that the hooks judged.
    ///
    /// # Errors
    /// [`Error::ConcurrentChange`] if it names another commit by now.
    async fn remove_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        by: RefRequest<'_>,
    ) -> Result<()> {
        let change = RefChange {
            reference: RefTarget::Tag(&tag.id),
            operation: Operation::Delete,
            actor: by.actor,
            reason: "",
            from: Some(&tag.commit_id),
            to: None,
            hidden: false,
            discarded: &[],
        };
        let key = tag_key(tag.id.as_str());
        for _ in 0..MAX_TRIES {
            let stored = self.refs.stored_tag(repository, &tag.id).await?;
            let stored = stored.ok_or_else(|| not_found(Kind::Tag, tag.id.as_str()))?;
            if Tag::decode(stored.value.clone())? != *tag {
                return Err(Error::ConcurrentChange(format!("tag {}", tag.id)));
            }
            let mut ops = delete_ops(repository, &key, stored.value, stored.predicate);
            let record = self.reflog.write(repository, change);
            ops.extend(record.ops);
            // Unlike branches, tags are removed after the reflog when a repository is deleted.
            return match self.refs.write_unless_deleted(repository, ops).await {
                // The tag is gone or different by now: read it again.
                Err(Error::Kv(kv::Error::PredicateFailed { .. })) => {
                    count_retry("delete");
                    continue;
                }
                Err(Error::Kv(error)) => {
                    self.reflog
                        .resolve_ambiguous_write(repository, &record.key, error)
                        .await
                }
                written => written,
            };
        }
        Err(Error::TooManyTries(format!("tag {}", tag.id)))
    }

    async fn tag_change(&self, repository: &Repository, tag: &Tag) -> Result<TagChange> {
        Ok(TagChange {
            tag: tag.id.clone(),
            commit_id: tag.commit_id.clone(),
            meta_range_id: self.tree_of(repository, &tag.commit_id).await?,
        })
    }

    async fn run_pre_ref_hooks(
        &self,
        repository: &Repository,
        details: EventDetails,
        by: RefRequest<'_>,
    ) -> Result<Option<String>> {
        let event = self.event(repository, by.actor, details);
        self.run_pre_hooks(by.hooks, &event).await
    }

    async fn run_post_ref_hooks(
        &self,
        repository: &Repository,
        details: EventDetails,
        by: RefRequest<'_>,
    ) {
        let event = self.event(repository, by.actor, details);
        self.run_post_hooks(by.hooks, event).await;
    }

    pub(crate) async fn check_name_free(&self, repository: &Repository, name: &str) -> Result<()> {
        let taken = self.refs.find_names_in_use(repository, name).await?;
        for (taken, kind) in taken
            .into_iter()
            .zip([Kind::Branch, Kind::Tag, Kind::Commit])
        {
            if taken {
                return Err(not_unique(kind, name));
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        repository: &Repository,
        value: Bytes,
        change: RefChange<'_>,
    ) -> Result<()> {
        let (name, kind, other) = match change.reference {
            RefTarget::Branch(id) => (id.as_str(), Kind::Branch, Kind::Tag),
            RefTarget::Tag(id) => (id.as_str(), Kind::Tag, Kind::Branch),
        };
        let mut ops = vec![Op::Set {
            partition: Bytes::from(repository.partition()),
            key: match change.reference {
                RefTarget::Branch(_) => branch_key(name),
                RefTarget::Tag(_) => tag_key(name),
            },
            value,
            predicate: Some(Predicate::Absent),
        }];
        ops.extend(require_free_name_ops(repository, change.reference));
        let record = self.reflog.write(repository, change);
        ops.extend(record.ops);
        // Hooks may have run for minutes, so check now that the repository still exists.
        match self.refs.write_unless_deleted(repository, ops).await {
            Err(Error::Kv(kv::Error::PredicateFailed { index: 0 })) => Err(not_unique(kind, name)),
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => Err(not_unique(other, name)),
            Err(Error::Kv(error)) => {
                self.reflog
                    .resolve_ambiguous_write(repository, &record.key, error)
                    .await
            }
            written => written,
        }
    }
}

/// Writes that change nothing, but fail if a reference of the other kind has the name of
/// `reference`.
///
/// A batch can require that a record is absent only by creating and deleting it. A concurrent batch
/// that creates the record waits or fails.
pub(crate) fn require_free_name_ops(repository: &Repository, reference: RefTarget<'_>) -> [Op; 2] {
    let partition = Bytes::from(repository.partition());
    let key = match reference {
        RefTarget::Branch(id) => tag_key(id.as_str()),
        RefTarget::Tag(id) => branch_key(id.as_str()),
    };
    [
        Op::Set {
            partition: partition.clone(),
            key: key.clone(),
            value: Bytes::new(),
            predicate: Some(Predicate::Absent),
        },
        Op::Delete { partition, key },
    ]
}

/// The writes that delete a record if `predicate` holds. A deletion in a batch cannot have a
/// predicate, so a write of the same `value` with the predicate precedes it.
fn delete_ops(repository: &Repository, key: &Bytes, value: Bytes, predicate: Predicate) -> Vec<Op> {
    let partition = Bytes::from(repository.partition());
    vec![
        Op::Set {
            partition: partition.clone(),
            key: key.clone(),
            value,
            predicate: Some(predicate),
        },
        Op::Delete {
            partition,
            key: key.clone(),
        },
    ]
}

fn not_unique(kind: Kind, id: &str) -> Error {
    Error::NotUnique {
        kind,
        id: id.to_owned(),
    }
}
