//! The read operations of the service, for the APIs and for hooks. A [`Reader`] cannot write.

use std::ops::Range;
use std::sync::Arc;

use base::Page;
use block::{BlockStore, ByteStream, Location, StoreInfo};
use graveler::{
    Branch, BranchId, Commit, CommitId, Diff, DiffCursor, DiffKind, Graveler, Kind, MergeBase,
    MetaRangeId, RefKind, Repository, RepositoryId, ResolvedRef, Tag, TagId,
};
use tokio::sync::Semaphore;

use crate::checked_body::checked_body;
use crate::constants::{MAX_CONCURRENT_BATCHES, MAX_PATH_BYTES};
use crate::listing::{Fold, Row, fold, text};
use crate::object_listing::list_page;
use crate::{
    DiffQuery, Difference, DifferenceKind, Entry, Error, ListRequest, Object, ObjectOrPrefix,
    ReferenceProblem, Result, Snapshot,
};

/// All read operations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) graveler: Graveler,
    pub(crate) block: Arc<dyn BlockStore>,
    /// Limits how many batches of commits are compared with their parents concurrently.
    pub(crate) compare_permits: Arc<Semaphore>,
}

impl Reader {
    /// Creates a reader.
    #[must_use]
    pub fn new(graveler: Graveler, block: Arc<dyn BlockStore>) -> Self {
        Self {
            graveler,
            block,
            compare_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_BATCHES)),
        }
    }

    /// Facts about the block store that clients may see.
    #[must_use]
    pub fn store_info(&self) -> StoreInfo {
        self.block.info()
    }

    // ---- repositories and references

    /// A repository by name.
    ///
    /// # Errors
    /// Not found (also if `id` is not a valid name); the repository is being deleted.
    pub async fn repository(&self, id: &str) -> Result<Repository> {
        let Ok(id) = RepositoryId::parse(id) else {
            return Err(Error::NotFound {
                kind: Kind::Repository,
                id: id.to_owned(),
            });
        };
        Ok(self.graveler.repository(&id).await?)
    }

    /// Repositories whose names start with `prefix` and contain `search`, in order of name from `after` (exclusive).
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn list_repositories(
        &self,
        prefix: &str,
        after: &str,
        search: &str,
        limit: usize,
    ) -> Result<Page<Repository>> {
        self.list_visible_repositories(prefix, after, search, limit, |_| true)
            .await
    }

    /// Like [`Reader::list_repositories`], but only repositories for which `is_visible` returns true. Others do not
    /// count towards `limit`.
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn list_visible_repositories(
        &self,
        prefix: &str,
        after: &str,
        search: &str,
        limit: usize,
        is_visible: impl Fn(&RepositoryId) -> bool + Send,
    ) -> Result<Page<Repository>> {
        Ok(self
            .graveler
            .list_repositories(prefix, after, search, limit, is_visible)
            .await?)
    }

    /// A branch by name.
    ///
    /// # Errors
    /// Not found; invalid name.
    pub async fn branch(&self, repository: &Repository, id: &str) -> Result<Branch> {
        Ok(self
            .graveler
            .branch(repository, &BranchId::parse(id)?)
            .await?)
    }

    /// Branches whose names start with `prefix`, in order of name from `after` (exclusive). Hidden branches are included
    /// only with `show_hidden`.
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn list_branches(
        &self,
        repository: &Repository,
        prefix: &str,
        after: &str,
        show_hidden: bool,
        limit: usize,
    ) -> Result<Page<Branch>> {
        Ok(self
            .graveler
            .list_branches(repository, prefix, after, show_hidden, limit)
            .await?)
    }

    /// A tag by name.
    ///
    /// # Errors
    /// Not found; invalid name.
    pub async fn tag(&self, repository: &Repository, id: &str) -> Result<Tag> {
        Ok(self.graveler.tag(repository, &TagId::parse(id)?).await?)
    }

    /// Tags whose names start with `prefix`, in order of name from `after` (exclusive).
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn list_tags(
        &self,
        repository: &Repository,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<Tag>> {
        Ok(self
            .graveler
            .list_tags(repository, prefix, after, limit)
            .await?)
    }

    /// The commit that a reference resolves to.
    ///
    /// # Errors
    /// Not found; invalid. `branch$` is invalid here because it names staged changes, not a commit.
    pub async fn commit(&self, repository: &Repository, reference: &str) -> Result<Commit> {
        let id = self.commit_id(repository, reference).await?;
        Ok(self.graveler.get_commit(repository, &id).await?)
    }

    pub(crate) async fn commit_id(
        &self,
        repository: &Repository,
        reference: &str,
    ) -> Result<CommitId> {
        let resolved = self.graveler.resolve(repository, reference).await?;
        if resolved.kind == RefKind::BranchStaging {
            return Err(not_a_commit(reference));
        }
        Ok(resolved.commit_id)
    }

    /// The nearest common ancestor of two references.
    ///
    /// # Errors
    /// Unknown or invalid references.
    pub async fn find_merge_base(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
    ) -> Result<MergeBase> {
        Ok(self
            .graveler
            .find_merge_base(repository, source, destination)
            .await?)
    }

    // ---- objects

    /// The object at a path.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`], or any error of resolving the reference.
    pub async fn stat(
        &self,
        repository: &Repository,
        reference: &str,
        path: &str,
    ) -> Result<Object> {
        let resolved = self.graveler.resolve(repository, reference).await?;
        match self.find(repository, &resolved, path).await? {
            Some(object) => Ok(object),
            None => Err(Error::ObjectNotFound(path.to_owned())),
        }
    }

    pub(crate) async fn find(
        &self,
        repository: &Repository,
        reference: &ResolvedRef,
        path: &str,
    ) -> Result<Option<Object>> {
        if path.is_empty() || path.len() > MAX_PATH_BYTES {
            return Ok(None);
        }
        let Some(value) = self
            .graveler
            .get(repository, reference, path.as_bytes())
            .await?
        else {
            return Ok(None);
        };
        Ok(Some(Object::from_value(
            &repository.storage_namespace,
            path.to_owned(),
            &value,
        )?))
    }

    /// Streams the bytes of an object of `repository`, or a range of them. The end of the range may exceed the object's
    /// size. If the bytes cannot be read to the end, the stream ends with an error and the server's log says why.
    ///
    /// # Errors
    /// [`Error::DataGone`] if the bytes are missing, [`Error::WrongSize`] if there are fewer or more than the entry says,
    /// [`Error::RangeNotSatisfiable`].
    pub async fn open(
        &self,
        repository: &Repository,
        object: &Object,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let at = Location::full(&object.physical_address);
        let size = object.size_bytes();
        let length = range.as_ref().map_or(size, |range| {
            range.end.min(size).saturating_sub(range.start)
        });
        match self.block.get(&at, range).await {
            Err(block::Error::NotFound(_)) => Err(Error::DataGone(object.path.clone())),
            Err(block::Error::RangeNotSatisfiable { size: stored }) if stored != size => {
                Err(object.wrong_size(repository, stored))
            }
            opened => {
                let opened = opened?;
                if opened.object_size_bytes != size {
                    return Err(object.wrong_size(repository, opened.object_size_bytes));
                }
                Ok(checked_body(opened.body, repository, object, length))
            }
        }
    }

    /// Up to `request.limit` objects and common prefixes, in byte order of path.
    ///
    /// # Errors
    /// Any error of resolving the reference.
    pub async fn list_objects(
        &self,
        repository: &Repository,
        reference: &str,
        request: &ListRequest,
    ) -> Result<Page<ObjectOrPrefix>> {
        let resolved = self.graveler.resolve(repository, reference).await?;
        let cursor = self.graveler.cursor(repository, &resolved).await?;
        list_page(cursor, &repository.storage_namespace, request).await
    }

    // ---- differences

    /// The uncommitted changes of a branch, in byte order of path.
    ///
    /// # Errors
    /// Any error of reading the branch.
    pub async fn diff_uncommitted(
        &self,
        repository: &Repository,
        branch: &str,
        query: &DiffQuery,
    ) -> Result<Page<Difference>> {
        let cursor = self
            .graveler
            .diff_uncommitted(repository, &BranchId::parse(branch)?)
            .await?;
        fold_diff(cursor, query).await
    }

    /// Compares two references, in byte order of path. With `two_dot`, compares `left` with `right`. Without it, shows
    /// what `right` changed since the merge base.
    ///
    /// # Errors
    /// Unknown or invalid references. `branch$` is valid only on the right of a two-dot diff.
    pub async fn diff_refs(
        &self,
        repository: &Repository,
        left: &str,
        right: &str,
        two_dot: bool,
        query: &DiffQuery,
    ) -> Result<Page<Difference>> {
        let mut sides = Vec::with_capacity(2);
        for (reference, may_be_staged) in [(left, false), (right, two_dot)] {
            let resolved = self.graveler.resolve(repository, reference).await?;
            if resolved.kind == RefKind::BranchStaging && !may_be_staged {
                return Err(not_a_commit(reference));
            }
            sides.push(resolved);
        }
        let cursor = if two_dot {
            self.graveler.diff(repository, &sides[0], &sides[1]).await?
        } else {
            self.graveler
                .compare(repository, &sides[0], &sides[1])
                .await?
        };
        fold_diff(cursor, query).await
    }

    /// Opens a stored tree for reading. An empty id stands for the empty tree.
    #[must_use]
    pub fn snapshot(&self, repository: &Repository, tree: &MetaRangeId) -> Snapshot {
        Snapshot {
            graveler: self.graveler.clone(),
            repository: repository.clone(),
            tree: tree.clone(),
        }
    }
}

async fn fold_diff(mut cursor: DiffCursor, query: &DiffQuery) -> Result<Page<Difference>> {
    let query = Fold {
        prefix: &query.prefix,
        after: &query.after,
        delimiter: &query.delimiter,
        limit: query.limit,
    };
    try_map(fold(&mut cursor, query).await?, difference)
}

fn difference(row: Row<Diff>) -> graveler::Result<Difference> {
    let diff = match row {
        Row::Item(diff) => diff,
        Row::Prefix(path) => {
            return Ok(Difference {
                kind: DifferenceKind::PrefixChanged,
                path,
                is_prefix: true,
                left: None,
                right: None,
            });
        }
    };
    Ok(Difference {
        kind: match diff.kind {
            DiffKind::Added => DifferenceKind::Added,
            DiffKind::Changed => DifferenceKind::Changed,
            DiffKind::Removed => DifferenceKind::Removed,
            DiffKind::Conflict => DifferenceKind::Conflict,
        },
        path: text(&diff.key),
        is_prefix: false,
        left: diff.left.as_ref().map(Entry::from_value).transpose()?,
        right: diff.right.as_ref().map(Entry::from_value).transpose()?,
    })
}

fn try_map<T, U>(page: Page<T>, convert: impl FnMut(T) -> graveler::Result<U>) -> Result<Page<U>> {
    Ok(Page {
        results: page
            .results
            .into_iter()
            .map(convert)
            .collect::<graveler::Result<_>>()?,
        has_more: page.has_more,
        next_offset: page.next_offset,
    })
}

fn not_a_commit(reference: &str) -> Error {
    Error::InvalidReference {
        reference: reference.to_owned(),
        problem: ReferenceProblem::Staging,
    }
}
