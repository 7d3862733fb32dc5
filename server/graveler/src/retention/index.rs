//! Commits in a compact form for the walk, 112 bytes each.

use bytes::Bytes;

use crate::records::{COMMITS, Stored as _};
use crate::refs::RefStore;
use crate::{Commit, Error, MetaRangeId, Repository, Result};

/// Maximum number of commits in memory (56 MB). A longer history is processed in parts, and commits
/// that are not in memory are read one by one.
pub(crate) const MAX_INDEXED_COMMITS: usize = 500_000;
/// Number of commits read in one round trip.
const PAGE: usize = 1_000;

/// The fields of a commit that retention needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: [u8; 32],
    /// The parent that was the branch's previous head.
    pub(super) main_parent: Option<[u8; 32]>,
    pub(super) generation: i32,
    pub(super) created_secs: i64,
    tree: Option<[u8; 32]>,
}

impl Node {
    pub(super) fn of(commit: &Commit) -> Result<Self> {
        // Commits of version 0 list the destination of a merge last.
        let main_parent = if commit.version == 0 {
            commit.parents.last()
        } else {
            commit.parents.first()
        };
        let tree = commit.meta_range_id.as_str();
        Ok(Self {
            id: digest(commit.id.as_str())?,
            main_parent: main_parent.map(|id| digest(id.as_str())).transpose()?,
            generation: commit.generation,
            created_secs: commit.creation_date.unix_timestamp(),
            tree: (!tree.is_empty()).then(|| digest(tree)).transpose()?,
        })
    }

    pub(super) fn meta_range_id(&self) -> MetaRangeId {
        MetaRangeId::trusted(self.tree.map(hex::encode).unwrap_or_default())
    }
}

pub(super) fn digest(id: &str) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(id, &mut digest).map_err(|error| Error::Corrupt {
        what: "commit".to_owned(),
        reason: format!("{id:?} is not an id: {error}"),
    })?;
    Ok(digest)
}

/// Commits in order of id.
#[derive(Debug, Default)]
pub(super) struct CommitIndex(pub(super) Vec<Node>);

impl CommitIndex {
    pub(super) fn get(&self, id: &[u8; 32]) -> Option<&Node> {
        self.position(id).map(|at| &self.0[at])
    }

    pub(super) fn position(&self, id: &[u8; 32]) -> Option<usize> {
        self.0.binary_search_by(|node| node.id.cmp(id)).ok()
    }
}

/// Reads the commits of a repository in order of id.
#[derive(Debug)]
pub(super) struct Commits<'a> {
    refs: &'a RefStore,
    repository: &'a Repository,
    /// Where the next page starts; `None` at the end.
    next: Option<Bytes>,
}

impl<'a> Commits<'a> {
    pub(super) fn new(refs: &'a RefStore, repository: &'a Repository) -> Self {
        Self {
            refs,
            repository,
            next: Some(Bytes::from_static(COMMITS.as_bytes())),
        }
    }

    /// The next commits, at most `limit`; empty at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        while let Some(start) = &self.next
            && nodes.len() < limit
        {
            let page = PAGE.min(limit - nodes.len());
            let page = self.refs.rows(self.repository, (COMMITS, start), page);
            let page = page.await?;
            for row in page.entries {
                nodes.push(Node::of(&Commit::decode(row.value)?)?);
            }
            self.next = page.next;
        }
        debug_assert!(nodes.is_sorted_by(|a, b| a.id < b.id));
        Ok(nodes)
    }
}

const _: () = assert!(size_of::<Node>() <= 120);
