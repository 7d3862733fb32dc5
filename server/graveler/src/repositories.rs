//! Repositories: creation, records and lookup.
//!
//! A repository's records lie in a partition of their own. Its name contains the instance id, so a
//! new repository of the same name never sees the old one's leftovers.

use std::collections::BTreeMap;

use base::Page;
use bytes::Bytes;
use kv::{Op, Predicate};

use crate::engine::{Engine, count_retry, generation_after};
use crate::ident::commit_id;
use crate::namespaces::NamespaceClaim;
use crate::records::{
    CREATIONS, LATEST_CREATION, REPOSITORIES, REPOSITORY_PREFIX, Stored as _, branch_key,
    commit_key, repository_key,
};
use crate::reflog::{RefChange, RefTarget};
use crate::refs::{Listing, list, not_found};
use crate::{
    Branch, BranchRecord, Commit, CommitId, CreateRepository, Error, Kind, MetaRangeId, Operation,
    Repository, RepositoryId, RepositoryState, Result,
};

/// How often a compare-and-set of a record is tried.
const MAX_TRIES: usize = 10;
/// The name of the creations' common record, for errors.
const ALL_REPOSITORIES: &str = "the list of repositories";

impl Engine {
    /// Creates a repository in a namespace that no other repository shares, even if other servers
    /// create repositories concurrently. Every creation changes `weir-namespaces`; if that record
    /// changed, the checks are repeated.
    pub(crate) async fn create_repository(
        &self,
        request: CreateRepository,
        claim: &dyn NamespaceClaim,
    ) -> Result<Repository> {
        let of_all = String::from_utf8_lossy(CREATIONS).into_owned();
        let _turn = self
            .queue
            .turn_for_record(of_all, LATEST_CREATION, ALL_REPOSITORIES)
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

    /// Stores the first commit, the default branch and the repository's record in one transaction, if
    /// `latest` still matches the latest creation. `None`: another creation came first; check again.
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
            // Unique per creation, so that every change of the record is noticed.
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
        let before = self.repositories.changes();
        match self.kv.batch(ops).await {
            Ok(()) => {}
            Err(kv::Error::PredicateFailed { index: 0 }) => return Ok(None),
            // A lakeFS server created the repository; it does not write `weir-namespaces`.
            Err(kv::Error::PredicateFailed { .. }) => return Err(id_taken(&request.id)),
            // The outcome is unknown, so read the record back.
            Err(error) => match self.stored_repository(&repository.id).await {
                Ok((stored, _)) if stored == repository => {}
                _ => return Err(error.into()),
            },
        }
        self.repositories.remember(&repository, before);
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

    /// The repository's record, cached for a bounded time.
    pub(crate) async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        if let Some(repository) = self.repositories.get(id) {
            return Ok(repository);
        }
        let before = self.repositories.changes();
        let (repository, _) = self.stored_repository(id).await?;
        if repository.state == RepositoryState::InDeletion {
            return Err(Error::InDeletion(id.to_string()));
        }
        self.repositories.remember(&repository, before);
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

    /// Visible active repositories in order of name.
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
}

fn id_taken(id: &RepositoryId) -> Error {
    Error::NotUnique {
        kind: Kind::Repository,
        id: id.to_string(),
    }
}
