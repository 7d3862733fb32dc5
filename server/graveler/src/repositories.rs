//! Repositories: creation, deletion, their records and metadata.
//!
//! A repository's records lie in a partition of its own, named by name and
//! instance, so a repository made anew never sees what an earlier one left.

use std::collections::BTreeMap;

use base::Page;
use bytes::Bytes;
use kv::{Op, Predicate};
use prost::Message as _;

use crate::engine::{Engine, check_read_only, count_retry, generation_after};
use crate::ident::commit_id;
use crate::namespaces::Claim;
use crate::records::{
    BRANCHES, CREATIONS, LATEST_CREATION, REPOSITORIES, REPOSITORY_METADATA, REPOSITORY_PREFIX,
    RESTORES, RepoMetadata, SHARED_PARTITIONS, Stored as _, branch_key, commit_key, repository_key,
};
use crate::reflog::{RefChange, RefTarget};
use crate::refs::{Listing, list, not_found};
use crate::staging::retire_op;
use crate::{
    Branch, BranchRecord, Commit, CommitId, CreateRepository, Error, Kind, MetaRangeId, Operation,
    Repository, RepositoryId, RepositoryState, Result,
};

/// How often a record is changed by compare-and-set before giving up.
const MAX_TRIES: usize = 10;
/// How people call what creations take turns at.
const ALL_REPOSITORIES: &str = "the list of repositories";
/// How many branches a deletion reads and removes at a time.
const DELETE_PAGE: usize = 500;

impl Engine {
    /// Creates a repository in a namespace that it shares with no other, also if others are created
    /// at the same time on other servers: `weir-namespaces` tells of every creation, so that
    /// what was looked at before it is looked at again.
    pub(crate) async fn create_repository(
        &self,
        request: CreateRepository,
        claim: &dyn Claim,
    ) -> Result<Repository> {
        let of_all = String::from_utf8_lossy(CREATIONS).into_owned();
        let _turn = self
            .queue
            .turn_at(of_all, LATEST_CREATION, ALL_REPOSITORIES)
            .await?;
        for _ in 0..MAX_TRIES {
            let latest = self.kv.get(CREATIONS, LATEST_CREATION).await?;
            let latest = latest.map_or(Predicate::Absent, |stored| stored.predicate);
            self.check_id_free(&request.id).await?;
            self.check_overlap(&request).await?;
            claim.claim().await?;
            if let Some(made) = self.create_after(&request, latest).await? {
                return Ok(made);
            }
            count_retry("create_repository");
        }
        Err(Error::TooManyTries(ALL_REPOSITORIES.to_owned()))
    }

    async fn check_id_free(&self, id: &RepositoryId) -> Result<()> {
        match self.stored_repository(id).await {
            Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok((there, _)) if there.state == RepositoryState::InDeletion => {
                Err(Error::InDeletion(id.to_string()))
            }
            Ok(_) => Err(id_taken(id)),
        }
    }

    /// Stores first commit, default branch and record, in one transaction, if the creation that
    /// was the latest still is. None: it is not, look again.
    async fn create_after(
        &self,
        request: &CreateRepository,
        latest: Predicate,
    ) -> Result<Option<Repository>> {
        let repository = Repository {
            id: request.id.clone(),
            storage_namespace: request.storage_namespace.clone(),
            default_branch: request.default_branch.clone(),
            creation_date: self.clock.now(),
            state: RepositoryState::Active,
            instance_uid: self.ids.xid(),
            read_only: request.read_only,
            storage_id: request.storage_id.clone(),
        };
        let mut ops = vec![Op::Set {
            partition: Bytes::from_static(CREATIONS),
            key: Bytes::from_static(LATEST_CREATION),
            // Never the same twice, so that no change of it goes unnoticed.
            value: Bytes::from(repository.partition()),
            predicate: Some(latest),
        }];
        if !request.bare {
            ops.extend(self.first_records(&repository, &request.creator));
        }
        ops.push(Op::Set {
            partition: Bytes::from_static(REPOSITORIES),
            key: repository_key(&request.id),
            value: repository.encode(),
            predicate: Some(Predicate::Absent),
        });
        match self.kv.batch(ops).await {
            Ok(()) => {}
            Err(kv::Error::PredicateFailed { index: 0 }) => return Ok(None),
            // By a server of lakeFS, which writes no such record.
            Err(kv::Error::PredicateFailed { .. }) => return Err(id_taken(&request.id)),
            // Not known whether it took effect: look.
            Err(error) => match self.stored_repository(&repository.id).await {
                Ok((stored, _)) if stored == repository => {}
                _ => return Err(error.into()),
            },
        }
        self.repositories
            .insert(repository.id.clone(), repository.clone());
        Ok(Some(repository))
    }

    fn first_records(&self, repository: &Repository, creator: &str) -> Vec<Op> {
        let mut root = Commit {
            id: CommitId::trusted(""),
            committer: String::new(),
            message: "Repository created".to_owned(),
            creation_date: repository.creation_date,
            meta_range_id: MetaRangeId::trusted(""),
            metadata: BTreeMap::new(),
            parents: Vec::new(),
            version: 1,
            generation: generation_after([]),
        };
        root.id = commit_id(&root);
        let branch = Branch {
            id: repository.default_branch.clone(),
            record: BranchRecord {
                commit_id: root.id.clone(),
                staging_token: self.new_staging_token(repository, &repository.default_branch),
                sealed_tokens: Vec::new(),
                hidden: false,
            },
        };
        let partition = Bytes::from(repository.partition());
        let change = RefChange {
            reference: RefTarget::Branch(&branch.id),
            operation: Operation::Create,
            actor: creator,
            reason: &root.message,
            from: None,
            to: Some(&root.id),
            hidden: false,
            discarded: &[],
        };
        let mut ops = vec![
            Op::Set {
                partition: partition.clone(),
                key: commit_key(root.id.as_str()),
                value: root.encode(),
                predicate: None,
            },
            Op::Set {
                partition,
                key: branch_key(branch.id.as_str()),
                value: branch.encode(),
                predicate: None,
            },
        ];
        ops.extend(self.reflog_ops(repository, change));
        ops
    }

    /// Served from the cache for a bounded time.
    pub(crate) async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        if let Some(repository) = self.repositories.get(id) {
            return Ok(repository);
        }
        let (repository, _) = self.stored_repository(id).await?;
        if repository.state == RepositoryState::InDeletion {
            return Err(Error::InDeletion(id.to_string()));
        }
        self.repositories.insert(id.clone(), repository.clone());
        Ok(repository)
    }

    pub(crate) async fn stored_repository(
        &self,
        id: &RepositoryId,
    ) -> Result<(Repository, Predicate)> {
        match self.kv.get(REPOSITORIES, &repository_key(id)).await? {
            Some(stored) => Ok((Repository::decode(stored.value)?, stored.predicate)),
            None => Err(not_found(Kind::Repository, id.as_str())),
        }
    }

    /// Active repositories in order of name, of those that `is_visible` tells of.
    pub(crate) async fn list_repositories(
        &self,
        range: Listing<'_>,
        search: &str,
        is_visible: impl Fn(&RepositoryId) -> bool + Send,
    ) -> Result<Page<Repository>> {
        let keep = move |r: &Repository| {
            r.state == RepositoryState::Active
                && r.id.as_str().contains(search)
                && is_visible(&r.id)
        };
        list(
            self.kv.as_ref(),
            REPOSITORIES,
            REPOSITORY_PREFIX,
            range,
            |r: &Repository| r.id.to_string(),
            keep,
        )
        .await
    }

    /// Marks the repository, then removes its records, the mark last. A deletion
    /// that was cut short is taken up where it stopped.
    pub(crate) async fn delete_repository(&self, id: &RepositoryId, force: bool) -> Result<()> {
        let marked = self.mark_deleted(id, force).await?;
        self.purge_repository(&marked).await
    }

    /// Removes what belongs to a marked repository. May be done by many at a time: all goes by the
    /// repository's instance, so a later repository of the same name is not touched.
    pub(crate) async fn purge_repository(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        // Branches go first: a write that is under way fails its guard from then
        // on. Their tokens are recorded, so that none is left behind.
        loop {
            let branches = self
                .kv
                .scan(partition.as_bytes(), BRANCHES.as_bytes(), DELETE_PAGE)
                .await?;
            let mut ops = Vec::new();
            let mut tokens = Vec::new();
            for entry in branches
                .into_iter()
                .filter(|entry| entry.key.starts_with(BRANCHES.as_bytes()))
            {
                ops.push(Op::Delete {
                    partition: Bytes::from(partition.clone()),
                    key: entry.key,
                });
                tokens.extend(Branch::decode(entry.value)?.record.tokens().cloned());
            }
            if ops.is_empty() {
                break;
            }
            ops.splice(0..0, tokens.iter().map(retire_op));
            self.kv.batch(ops).await?;
            self.janitor.retire(tokens);
        }
        self.forget_reflog(repository).await?;
        self.delete_shared_rows(&partition).await?;
        self.kv.delete_partition(partition.as_bytes()).await?;
        self.kv.delete(RESTORES, partition.as_bytes()).await?;
        self.forget_repository(repository).await?;
        self.repositories.invalidate(&repository.id);
        Ok(())
    }

    /// Rows of the repository in partitions of all repositories.
    async fn delete_shared_rows(&self, partition: &str) -> Result<()> {
        for (shared, folder) in SHARED_PARTITIONS {
            let prefix = format!("{folder}{partition}/").into_bytes();
            loop {
                let entries = self.kv.scan(shared, &prefix, DELETE_PAGE).await?;
                let ops: Vec<Op> = entries
                    .into_iter()
                    .filter(|entry| entry.key.starts_with(&prefix))
                    .map(|entry| Op::Delete {
                        partition: Bytes::from_static(shared),
                        key: entry.key,
                    })
                    .collect();
                if ops.is_empty() {
                    break;
                }
                self.kv.batch(ops).await?;
            }
        }
        Ok(())
    }

    /// Removes the record that marks a deletion, if it is still there: whoever finished the same
    /// deletion meanwhile has freed the name, and it may be another repository's by now.
    async fn forget_repository(&self, marked: &Repository) -> Result<()> {
        let predicate = match self.stored_repository(&marked.id).await {
            Ok((stored, predicate)) if stored == *marked => predicate,
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let partition = Bytes::from_static(REPOSITORIES);
        let key = repository_key(&marked.id);
        let removed = self.kv.batch(vec![
            Op::Set {
                partition: partition.clone(),
                key: key.clone(),
                value: marked.encode(),
                predicate: Some(predicate),
            },
            Op::Delete { partition, key },
        ]);
        match removed.await {
            Err(kv::Error::PredicateFailed { .. }) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Goes on with deletions that were cut short, `limit` of them at most, and gives their number.
    /// One that fails does not keep the others from it.
    pub(crate) async fn finish_deletions(&self, limit: usize) -> Result<usize> {
        let is_marked = |r: &Repository| r.state == RepositoryState::InDeletion;
        let range = Listing {
            prefix: "",
            after: "",
            limit,
        };
        let name = |r: &Repository| r.id.to_string();
        let marked = list(
            self.kv.as_ref(),
            REPOSITORIES,
            REPOSITORY_PREFIX,
            range,
            name,
            is_marked,
        )
        .await?
        .results;
        let mut finished = 0;
        let mut failure = None;
        for repository in marked {
            match self.purge_repository(&repository).await {
                Ok(()) => finished += 1,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(finished), Err)
    }

    async fn mark_deleted(&self, id: &RepositoryId, force: bool) -> Result<Repository> {
        for _ in 0..MAX_TRIES {
            let (mut repository, predicate) = self.stored_repository(id).await?;
            check_read_only(&repository, force)?;
            self.repositories.invalidate(id);
            if repository.state == RepositoryState::InDeletion {
                return Ok(repository);
            }
            repository.state = RepositoryState::InDeletion;
            match self
                .kv
                .set_if(
                    REPOSITORIES,
                    &repository_key(id),
                    repository.encode(),
                    predicate,
                )
                .await
            {
                Err(kv::Error::PredicateFailed { .. }) => {}
                Ok(()) => return Ok(repository),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::InDeletion(id.to_string()))
    }

    pub(crate) async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        let stored = self
            .kv
            .get(repository.partition().as_bytes(), REPOSITORY_METADATA)
            .await?;
        stored.map_or_else(
            || Ok(BTreeMap::new()),
            |stored| decode_metadata(stored.value),
        )
    }

    /// Changes the metadata by compare-and-set.
    pub(crate) async fn change_repository_metadata(
        &self,
        repository: &Repository,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<()> + Send,
    ) -> Result<()> {
        check_read_only(repository, false)?;
        let partition = repository.partition();
        for _ in 0..MAX_TRIES {
            let (mut metadata, predicate) = match self
                .kv
                .get(partition.as_bytes(), REPOSITORY_METADATA)
                .await?
            {
                Some(stored) => (decode_metadata(stored.value)?, stored.predicate),
                None => (BTreeMap::new(), Predicate::Absent),
            };
            change(&mut metadata)?;
            let value = Bytes::from(RepoMetadata { metadata }.encode_to_vec());
            match self
                .kv
                .set_if(partition.as_bytes(), REPOSITORY_METADATA, value, predicate)
                .await
            {
                Err(kv::Error::PredicateFailed { .. }) => {}
                other => return Ok(other?),
            }
        }
        Err(Error::ConcurrentChange(format!(
            "repository {}",
            repository.id
        )))
    }
}

fn id_taken(id: &RepositoryId) -> Error {
    Error::NotUnique {
        kind: Kind::Repository,
        id: id.to_string(),
    }
}

fn decode_metadata(stored: Bytes) -> Result<BTreeMap<String, String>> {
    let decoded = RepoMetadata::decode(stored).map_err(|e| Error::Corrupt {
        what: "repository metadata".to_owned(),
        reason: e.to_string(),
    })?;
    Ok(decoded.metadata)
}
