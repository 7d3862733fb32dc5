//! Repositories: creation, records and lookup.
//!
//! Each repository's records have their own partition. The partition's name contains the instance
//! id, so a new repository of the same name never sees leftovers of the old one.

use std::collections::BTreeMap;

use base::Page;
use bytes::Bytes;
use kv::{Op, Predicate};

use crate::checks::{count_retry, generation_after};
use crate::ident::commit_id;
use crate::namespaces::{NamespaceClaim, NoNamespaceClaim};
use crate::records::{CREATIONS, LATEST_CREATION, Stored as _, branch_key, commit_key};
use crate::reflog::{RefChange, RefTarget};
use crate::refs::Listing;
use crate::repository_records::id_taken;
use crate::{
    Branch, BranchRecord, Commit, CommitId, CreateRepository, Error, Graveler, MetaRangeId,
    Operation, Repository, RepositoryId, RepositoryState, Result,
};

/// Maximum number of attempts of a creation while other creations come first.
const MAX_TRIES: usize = 10;
/// The name, in error messages, of the record that all creations replace.
const ALL_REPOSITORIES: &str = "the list of repositories";

impl Graveler {
    /// Creates a repository. Unless it is bare, it gets a first commit and its default branch.
    ///
    /// # Errors
    /// [`crate::Error::NotUnique`] if the name is taken; [`crate::Error::Namespace`] if the
    /// namespace lies inside another repository's, contains it or, unless the new repository is
    /// bare, equals it; [`crate::Error::TooManyTries`].
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
        self.create_repository_with_claim(request, &NoNamespaceClaim)
            .await
    }

    /// Like [`Self::create_repository`], and claims the namespace before the repository exists.
    pub async fn create_repository_with_claim(
        &self,
        request: CreateRepository,
        claim: &dyn NamespaceClaim,
    ) -> Result<Repository> {
        let of_all = String::from_utf8_lossy(CREATIONS).into_owned();
        let _permit = self
            .queue
            .acquire_for_record(of_all, LATEST_CREATION, ALL_REPOSITORIES)
            .await?;
        for _ in 0..MAX_TRIES {
            let latest = self.repositories.latest_creation().await?;
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
        match self.repositories.stored(id).await {
            Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok((there, _)) if there.state == RepositoryState::InDeletion => {
                Err(Error::InDeletion(id.to_string()))
            }
            Ok(_) => Err(id_taken(id)),
        }
    }

    /// Stores the first commit, the default branch and the repository's record in one transaction,
    /// if `latest` still matches the latest creation. `None`: another creation came first; check
    /// again.
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
        let first_records = match request.bare {
            true => Vec::new(),
            false => self.first_records(&repository, &request.creator),
        };
        let created = self.repositories.create(&repository, first_records, latest);
        Ok(created.await?.then_some(repository))
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
                staging_token: self
                    .staging
                    .new_token(repository, &repository.default_branch),
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
        ops.extend(self.reflog.ops(repository, change));
        ops
    }

    /// The repository's record, cached for a bounded time.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::InDeletion`].
    pub async fn repository(&self, id: &RepositoryId) -> Result<Repository> {
        self.repositories.get(id).await
    }

    /// Visible repositories in order of name, starting after `after` (exclusive), at most `limit`.
    /// The names start with `prefix` and contain `search`.
    pub async fn list_repositories(
        &self,
        prefix: &str,
        after: &str,
        search: &str,
        limit: usize,
        is_visible: impl Fn(&RepositoryId) -> bool + Send,
    ) -> Result<Page<Repository>> {
        let range = Listing {
            prefix,
            after,
            limit,
        };
        let keep = move |r: &Repository| {
            r.state == RepositoryState::Active
                && r.id.as_str().contains(search)
                && is_visible(&r.id)
        };
        self.repositories.list(range, keep).await
    }
}
