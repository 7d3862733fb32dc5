//! Creates and deletes branches and tags, with their hooks.
//!
//! One name belongs to a branch, a tag or a commit, never to two of them.

use bytes::Bytes;
use kv::{Op, Predicate};

use super::manager::not_found;
use crate::engine::{Engine, check_read_only};
use crate::records::{Stored as _, branch_key, tag_key};
use crate::{
    Branch, BranchId, BranchRecord, CommitId, Error, EventKind, Hooks, Kind, Repository, Result,
    Tag, TagId, TreeSource,
};

/// Who changes a reference, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub actor: &'a str,
    /// Also in a read-only repository.
    pub force: bool,
    pub hooks: &'a dyn Hooks,
}

impl Engine {
    pub(crate) async fn create_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        source: &str,
        hidden: bool,
        by: Change<'_>,
    ) -> Result<Branch> {
        check_read_only(repository, by.force)?;
        self.check_name_free(repository, id.as_str()).await?;
        let commit_id = self.refs.resolve_commit(repository, source).await?;
        let mut event = self.event(repository, EventKind::PreCreateBranch, by.actor);
        event.branch = Some(id.clone());
        source.clone_into(&mut event.source_ref);
        event.commit_id = Some(commit_id.clone());
        event.actions_from = TreeSource::MetaRange(self.tree_of(repository, &commit_id).await?);
        let pre_run_id = self.ask(by.hooks, &event).await?;

        let record = BranchRecord {
            commit_id,
            staging_token: self.new_staging_token(repository, id),
            sealed_tokens: Vec::new(),
            hidden,
        };
        let branch = Branch {
            id: id.clone(),
            record,
        };
        self.create(
            repository,
            branch_key(id.as_str()),
            branch.encode(),
            Kind::Branch,
            id.as_str(),
        )
        .await?;

        self.tell_after(event, EventKind::PostCreateBranch, pre_run_id, by)
            .await;
        Ok(branch)
    }

    pub(crate) async fn delete_branch(
        &self,
        repository: &Repository,
        id: &BranchId,
        by: Change<'_>,
    ) -> Result<()> {
        check_read_only(repository, by.force)?;
        if *id == repository.default_branch {
            return Err(Error::DefaultBranch(id.to_string()));
        }
        let stored = self.refs.branch(repository, id).await?;
        let mut event = self.event(repository, EventKind::PreDeleteBranch, by.actor);
        event.branch = Some(id.clone());
        event.source_ref = stored.record.commit_id.to_string();
        event.actions_from =
            TreeSource::MetaRange(self.tree_of(repository, &stored.record.commit_id).await?);
        let pre_run_id = self.ask(by.hooks, &event).await?;

        {
            let _turn = self.queue.turn(repository, id).await?;
            // Read again: a commit may have moved the branch to other tokens meanwhile.
            let stored = self.refs.branch(repository, id).await?;
            let partition = Bytes::from(repository.partition());
            let mut ops = vec![Op::Delete {
                partition,
                key: branch_key(id.as_str()),
            }];
            let tokens: Vec<_> = stored.record.tokens().cloned().collect();
            ops.extend(tokens.iter().map(crate::staging::retire_op));
            self.kv.batch(ops).await?;
            self.janitor.retire(tokens);
        }
        self.tell_after(event, EventKind::PostDeleteBranch, pre_run_id, by)
            .await;
        Ok(())
    }

    pub(crate) async fn create_tag(
        &self,
        repository: &Repository,
        id: &TagId,
        source: &str,
        by: Change<'_>,
    ) -> Result<Tag> {
        check_read_only(repository, by.force)?;
        self.check_name_free(repository, id.as_str()).await?;
        let commit_id = self.refs.resolve_commit(repository, source).await?;
        let tag = Tag {
            id: id.clone(),
            commit_id,
        };
        let mut event = self.event(repository, EventKind::PreCreateTag, by.actor);
        self.describe_tag(repository, &tag, &mut event).await?;
        let pre_run_id = self.ask(by.hooks, &event).await?;

        self.create(
            repository,
            tag_key(id.as_str()),
            tag.encode(),
            Kind::Tag,
            id.as_str(),
        )
        .await?;

        self.tell_after(event, EventKind::PostCreateTag, pre_run_id, by)
            .await;
        Ok(tag)
    }

    pub(crate) async fn delete_tag(
        &self,
        repository: &Repository,
        id: &TagId,
        by: Change<'_>,
    ) -> Result<()> {
        check_read_only(repository, by.force)?;
        let tag = self.refs.tag(repository, id).await?;
        let mut event = self.event(repository, EventKind::PreDeleteTag, by.actor);
        self.describe_tag(repository, &tag, &mut event).await?;
        let pre_run_id = self.ask(by.hooks, &event).await?;

        self.kv
            .delete(repository.partition().as_bytes(), &tag_key(id.as_str()))
            .await?;

        self.tell_after(event, EventKind::PostDeleteTag, pre_run_id, by)
            .await;
        Ok(())
    }

    async fn describe_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        event: &mut crate::Event,
    ) -> Result<()> {
        event.tag = Some(tag.id.clone());
        event.source_ref = tag.commit_id.to_string();
        event.commit_id = Some(tag.commit_id.clone());
        event.actions_from = TreeSource::MetaRange(self.tree_of(repository, &tag.commit_id).await?);
        Ok(())
    }

    /// The post event of a reference is its pre event, told again.
    async fn tell_after(
        &self,
        pre: crate::Event,
        kind: EventKind,
        pre_run_id: Option<String>,
        by: Change<'_>,
    ) {
        let post = crate::Event {
            run_id: self.ids.descending_run_id(pre.time),
            pre_run_id,
            kind,
            time: self.clock.now(),
            ..pre
        };
        self.tell(by.hooks, post).await;
    }

    async fn check_name_free(&self, repository: &Repository, name: &str) -> Result<()> {
        let taken = self.refs.taken(repository, name).await?;
        for (taken, kind) in taken
            .into_iter()
            .zip([Kind::Branch, Kind::Tag, Kind::Commit])
        {
            if taken {
                return Err(Error::NotUnique {
                    kind,
                    id: name.to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        repository: &Repository,
        key: Bytes,
        value: Bytes,
        kind: Kind,
        id: &str,
    ) -> Result<()> {
        match self
            .kv
            .set_if(
                repository.partition().as_bytes(),
                &key,
                value,
                Predicate::Absent,
            )
            .await
        {
            Err(kv::Error::PredicateFailed { .. }) => Err(Error::NotUnique {
                kind,
                id: id.to_owned(),
            }),
            other => Ok(other?),
        }
    }

    pub(crate) async fn get_commit(
        &self,
        repository: &Repository,
        id: &CommitId,
    ) -> Result<crate::Commit> {
        // Also by a unique prefix, as lakeFS does.
        if !CommitId::is_full(id.as_str()) {
            let full = if crate::ids::is_lower_hex(id.as_str()) {
                self.refs.commit_by_prefix(repository, id.as_str()).await?
            } else {
                None
            };
            let full = full.ok_or_else(|| not_found(Kind::Commit, id.as_str()))?;
            return Ok(self.refs.commit(repository, &full).await?.as_ref().clone());
        }
        Ok(self.refs.commit(repository, id).await?.as_ref().clone())
    }
}
