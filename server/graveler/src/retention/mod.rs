//! Which commits are kept: what garbage collection must not touch.
//!
//! A branch keeps its head, and behind it each commit that was its head within the time of
//! retention: the first parent of every commit that is young enough. So the first commit that
//! is too old is the last one kept. Commits that nothing goes on from (merged sides, what an
//! undo took back) keep what is young enough by the default.
//!
//! A head that a branch was moved away from, by its deletion, a hard reset, an undo, is kept by when that
//! was, as the reflog tells, and not by its own age: else an undo would bring back a commit
//! whose objects are gone. What any change left is kept as long as what it left uncommitted.
//!
//! Too much kept costs storage, too little costs data: commits are read before the branches, and the
//! reflog behind them, so that a head which moves meanwhile is seen at one place or the other.

mod heads;
mod index;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use base::OffsetDateTime;

pub(crate) use self::index::MAX_INDEXED_COMMITS;
use self::index::{CommitIndex, Node};
use crate::engine::Engine;
use crate::refs::hole;
use crate::{BranchId, CommitId, Error, MetaRangeId, Repository, Result};

/// The instants before which commits are too old to keep what is behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Of branches without one of their own, and of heads without a branch.
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
/// In memory are the commits of the index ([`MAX_INDEXED_COMMITS`]) and 48 bytes for each head
/// whose history is walked, of which the reflog tells a bounded number; histories that meet are walked on as one.
#[derive(Debug)]
pub struct KeptCommits<'a> {
    engine: &'a Engine,
    repository: &'a Repository,
    index: CommitIndex,
    /// Kept commits not yet given, those of the highest generation first: when one is taken, all its
    /// children were.
    waiting: BinaryHeap<(i32, [u8; 32], Reverse<i64>)>,
}

impl<'a> KeptCommits<'a> {
    pub(crate) async fn open(
        engine: &'a Engine,
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

    /// The next commit, or none at the end.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] if a commit's record is missing: nothing may be concluded then.
    pub async fn next(&mut self) -> Result<Option<KeptCommit>> {
        let Some((_, id, Reverse(mut keeps_from))) = self.waiting.pop() else {
            return Ok(None);
        };
        // Where histories meet, the one that keeps longest goes on.
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

    fn keep(&mut self, node: &Node, keeps_from: i64) {
        self.waiting
            .push((node.generation, node.id, Reverse(keeps_from)));
    }

    async fn parent(&self, id: &[u8; 32], child: &[u8; 32]) -> Result<Node> {
        match self.node(id).await {
            Err(Error::NotFound { .. }) => {
                let id = CommitId::trusted(hex::encode(id));
                Err(hole(&id, &format!("commit {}", hex::encode(child))))
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
