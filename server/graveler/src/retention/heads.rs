//! Where the walk starts: the heads of branches, and commits that are no commit's first parent.

use std::collections::BTreeMap;

use super::index::Commits;
use super::{CommitIndex, KeptCommits, Node, Retention};
use crate::refs::Listing;
use crate::{Branch, CommitId, Result};

/// How many branches are read at a time.
const BRANCHES_PAGE: usize = 1_000;
/// How many commits are looked at at a time where not all are at hand.
const COMMITS_PAGE: usize = 1_000;

impl KeptCommits<'_> {
    pub(super) async fn start(&mut self, retention: &Retention, max_indexed: usize) -> Result<()> {
        let keeps_from = retention.default.unix_timestamp();
        let mut dangling = self.young_without_children(keeps_from, max_indexed).await?;
        self.start_at_branches(retention, &mut dangling).await?;
        for node in dangling.values() {
            self.keep(node, keeps_from);
        }
        Ok(())
    }

    /// Commits from `keeps_from` on that are no commit's first parent. Each stands for a child of its
    /// own time, by which it is kept.
    async fn young_without_children(
        &mut self,
        keeps_from: i64,
        max_indexed: usize,
    ) -> Result<BTreeMap<[u8; 32], Node>> {
        let mut found = BTreeMap::new();
        let mut commits = Commits::new(self.engine.kv.as_ref(), self.repository);
        loop {
            let part = CommitIndex(commits.next(max_indexed).await?);
            let is_last = part.0.len() < max_indexed;
            let is_first = self.index.0.is_empty();
            let has_child = self.has_child(&part, is_first && is_last).await?;
            let nodes = part.0.iter().zip(has_child);
            let young =
                nodes.filter(|(node, has_child)| !has_child && node.created_secs >= keeps_from);
            found.extend(young.map(|(node, _)| (node.id, node.clone())));
            // The first part stays at hand for the walk.
            if is_first {
                self.index = part;
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Which commits of a part are a commit's first parent, wherever the children are.
    async fn has_child(&self, part: &CommitIndex, is_whole: bool) -> Result<Vec<bool>> {
        let mut has_child = vec![false; part.0.len()];
        let mut mark = |children: &[Node]| {
            let parents = children.iter().filter_map(|child| child.main_parent);
            for at in parents.filter_map(|parent| part.position(&parent)) {
                has_child[at] = true;
            }
        };
        if is_whole {
            mark(&part.0);
            return Ok(has_child);
        }
        let mut all = Commits::new(self.engine.kv.as_ref(), self.repository);
        loop {
            let children = all.next(COMMITS_PAGE).await?;
            if children.is_empty() {
                return Ok(has_child);
            }
            mark(&children);
        }
    }

    /// A branch's head is kept whatever its age, and is no head without a branch. Hidden branches count.
    async fn start_at_branches(
        &mut self,
        retention: &Retention,
        dangling: &mut BTreeMap<[u8; 32], Node>,
    ) -> Result<()> {
        let refs = &self.engine.refs;
        let mut after = String::new();
        loop {
            let range = Listing {
                prefix: "",
                after: &after,
                limit: BRANCHES_PAGE,
            };
            let page = refs
                .list_branches(self.repository, range, |_: &Branch| true)
                .await?;
            let heads: Vec<CommitId> = page
                .results
                .iter()
                .map(|branch| branch.record.commit_id.clone())
                .collect();
            let heads = refs.commits(self.repository, &heads).await?;
            for (branch, head) in page.results.iter().zip(heads) {
                let head = Node::of(&head)?;
                dangling.remove(&head.id);
                self.keep(&head, retention.of(&branch.id).unix_timestamp());
            }
            if !page.has_more {
                return Ok(());
            }
            after = page.next_offset;
        }
    }
}
