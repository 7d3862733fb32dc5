//! Computes which commits garbage collection must keep.
//!
//! A branch keeps its head, and every commit that was its head within the retention time. A walk
//! from the head along main parents (the branch's previous heads) finds them: it keeps each commit,
//! and ends after the first one that is older than the retention time. Commits that are no commit's
//! main parent (merged sides, undone commits) start such walks too, with the default retention
//! time, if they are younger than that.
//!
//! A deletion, a hard reset or an undo can move a branch away from a head. The time of that change then decides how
//! long the head is kept, not the age of the head. The reflog records the time. Otherwise an undo could restore a
//! commit whose objects are gone. Every abandoned head is kept at least as long as the uncommitted changes that were
//! discarded with it.
//!
//! Keeping too much costs storage, keeping too little loses data. Commits are therefore read before
//! branches, and branches before the reflog, so that a head that moves meanwhile is found in one of
//! them.

mod heads;
mod index;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use base::OffsetDateTime;

pub(crate) use self::index::MAX_INDEXED_COMMITS;
use self::index::{CommitIndex, Node};
use crate::refs::missing_commit;
use crate::{BranchId, CommitId, Error, Graveler, MetaRangeId, Repository, Result};

/// The times before which a commit is too old to keep its ancestors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// For branches that are not in `branches`, and for commits that no branch names.
    pub default: OffsetDateTime,
    pub branches: BTreeMap<BranchId, OffsetDateTime>,
}

impl Retention {
    fn of(&self, branch: &BranchId) -> OffsetDateTime {
        self.branches.get(branch).copied().unwrap_or(self.default)
    }

    fn earliest(&self) -> OffsetDateTime {
        let branches = self.branches.values().copied();
        branches.fold(self.default, OffsetDateTime::min)
    }
}

/// A commit that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCommit {
    pub id: CommitId,
    /// Empty for the tree of a repository's first commit.
    pub meta_range_id: MetaRangeId,
}

/// The commits that are kept, each once, children before parents.
///
/// Memory holds the index of commits ([`MAX_INDEXED_COMMITS`]) and 48 bytes for each head whose
/// history is walked. Branches and the reflog bound the number of heads. Where walks meet, only one
/// continues.
#[derive(Debug)]
pub struct KeptCommits<'a> {
    engine: &'a Graveler,
    repository: &'a Repository,
    index: CommitIndex,
    /// Kept commits that are not returned yet, highest generation first, so that all children of a
    /// commit are returned before it.
    waiting: BinaryHeap<(i32, [u8; 32], Reverse<i64>)>,
}

impl<'a> KeptCommits<'a> {
    pub(crate) async fn open(
        engine: &'a Graveler,
        repository: &'a Repository,
        retention: &Retention,
        max_indexed: usize,
    ) -> Result<Self> {
        let mut kept = Self {
            engine,
            repository,
            index: CommitIndex::default(),
            waiting: BinaryHeap::new(),
        };
        kept.start(retention, max_indexed).await?;
        Ok(kept)
    }

    /// The next commit, or `None` at the end.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if a commit's record is missing. The caller must then discard the
    /// commits returned so far.
    pub async fn next(&mut self) -> Result<Option<KeptCommit>> {
        let Some((_, id, Reverse(mut keeps_from))) = self.waiting.pop() else {
            return Ok(None);
        };
        // Where walks meet, the one with the earliest limit continues.
        while let Some((_, same, Reverse(other))) = self.waiting.peek()
            && *same == id
        {
            keeps_from = keeps_from.min(*other);
            self.waiting.pop();
        }
        let node = self.node(&id).await?;
        if node.created_secs >= keeps_from
            && let Some(parent) = node.main_parent
        {
            let parent = self.parent(&parent, &id).await?;
            self.keep(&parent, keeps_from);
        }
        Ok(Some(KeptCommit {
            id: CommitId::trusted(hex::encode(node.id)),
            meta_range_id: node.meta_range_id(),
        }))
    }

    /// Adds a commit to those to return. Its ancestors are kept until one was created before
    /// `keeps_from`, in Unix seconds.
    fn keep(&mut self, node: &Node, keeps_from: i64) {
        self.waiting
            .push((node.generation, node.id, Reverse(keeps_from)));
    }

    async fn parent(&self, id: &[u8; 32], child: &[u8; 32]) -> Result<Node> {
        match self.node(id).await {
            Err(Error::NotFound { .. }) => {
                let id = CommitId::trusted(hex::encode(id));
                Err(missing_commit(
                    &id,
                    &format!("commit {}", hex::encode(child)),
                ))
            }
            other => other,
        }
    }

    async fn node(&self, id: &[u8; 32]) -> Result<Node> {
        if let Some(node) = self.index.get(id) {
            return Ok(node.clone());
        }
        let id = CommitId::trusted(hex::encode(id));
        Node::of(&*self.engine.refs.commit(self.repository, &id).await?)
    }
}

#[expect(
    clippy::missing_errors_doc,
    reason = "the errors all operations share are named once, on the type"
)]
impl Graveler {
    /// The commits that garbage collection must keep.
    pub async fn kept_commits<'a>(
        &'a self,
        repository: &'a Repository,
        retention: &Retention,
    ) -> Result<KeptCommits<'a>> {
        KeptCommits::open(self, repository, retention, MAX_INDEXED_COMMITS).await
    }
}
