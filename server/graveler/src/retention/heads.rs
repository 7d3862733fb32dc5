//! The starting points of the walk: heads of branches, heads that branches were moved away from,
//! and commits that are no commit's main parent.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::OffsetDateTime;

use super::index::{Commits, digest};
use super::{CommitIndex, KeptCommits, Node, Retention};
use crate::refs::{Listing, missing_commit};
use crate::{Branch, Commit, CommitId, Error, Operation, RefName, ReflogEntry, Result};

/// Number of branches read at a time.
const BRANCHES_PAGE: usize = 1_000;
/// Number of commits read at a time when not all of them fit into memory.
const COMMITS_PAGE: usize = 1_000;
/// Number of reflog entries read at a time.
const ENTRIES_PAGE: usize = 500;

impl KeptCommits<'_> {
    pub(super) async fn start(&mut self, retention: &Retention, max_indexed: usize) -> Result<()> {
        let keeps_from = retention.default.unix_timestamp();
        let mut dangling = self
            .recent_without_children(keeps_from, max_indexed)
            .await?;
        self.start_at_branches(retention, &mut dangling).await?;
        // Read after the branches: if a branch moved before it was read, the reflog names its old
        // head by now.
        self.start_at_abandoned_heads(retention).await?;
        for node in dangling.values() {
            self.keep(node, keeps_from);
        }
        Ok(())
    }

    /// Commits created since `keeps_from` that are no commit's main parent, such as the heads of
    /// merged or deleted branches. Their own age decides how long they are kept.
    async fn recent_without_children(
        &mut self,
        keeps_from: i64,
        max_indexed: usize,
    ) -> Result<BTreeMap<[u8; 32], Node>> {
        let mut found = BTreeMap::new();
        let mut commits = Commits::new(&self.engine.refs, self.repository);
        loop {
            let part = CommitIndex(commits.next(max_indexed).await?);
            let is_last = part.0.len() < max_indexed;
            let is_first = self.index.0.is_empty();
            let has_child = self.has_child(&part, is_first && is_last).await?;
            let nodes = part.0.iter().zip(has_child);
            let young =
                nodes.filter(|(node, has_child)| !has_child && node.created_secs >= keeps_from);
            found.extend(young.map(|(node, _)| (node.id, node.clone())));
            // The first part stays in memory for the walk.
            if is_first {
                self.index = part;
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// For each commit of a part, whether any commit has it as its main parent. `is_whole`: the
    /// part has all commits of the repository.
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
        let mut all = Commits::new(&self.engine.refs, self.repository);
        loop {
            let children = all.next(COMMITS_PAGE).await?;
            if children.is_empty() {
                return Ok(has_child);
            }
            mark(&children);
        }
    }

    /// Starts at the heads of all branches, including hidden ones. A head is kept at any age. It is
    /// removed from `dangling`, so that its branch's retention time counts instead of the default.
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
            let heads = self.named_commits(&heads, "a branch").await?;
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

    /// Starts at heads that a change moved a branch away from. The time of that change decides how
    /// long they are kept, not their own age.
    async fn start_at_abandoned_heads(&mut self, retention: &Retention) -> Result<()> {
        let undo_from = self.engine.clock.now().saturating_sub(
            self.engine
                .reflog
                .keep_staged
                .try_into()
                .unwrap_or(time::Duration::MAX),
        );
        let earliest = retention.earliest().min(undo_from);
        let mut after = String::new();
        loop {
            let page = self
                .engine
                .reflog
                .changes(self.repository, &after, ENTRIES_PAGE)
                .await?;
            let is_over = page.results.iter().any(|entry| entry.time < earliest);
            let mut left = BTreeMap::new();
            for entry in &page.results {
                if let Some((head, keeps_from)) = abandoned_head(entry, retention, undo_from) {
                    let keeps = left.entry(head.clone()).or_insert(keeps_from);
                    *keeps = keeps_from.min(*keeps);
                }
            }
            self.keep_commits(left).await?;
            if is_over || !page.has_more {
                return Ok(());
            }
            after = page.next_offset;
        }
    }

    async fn named_commits(&self, ids: &[CommitId], by: &str) -> Result<Vec<Arc<Commit>>> {
        match self.engine.refs.commits(self.repository, ids).await {
            Err(Error::NotFound { id, .. }) => Err(missing_commit(&CommitId::trusted(id), by)),
            other => other,
        }
    }

    /// Keeps commits, each with its own limit in Unix seconds. Most of them are in memory.
    async fn keep_commits(&mut self, commits: BTreeMap<CommitId, i64>) -> Result<()> {
        let mut elsewhere = Vec::new();
        for (id, keeps_from) in commits {
            match self.index.get(&digest(id.as_str())?).cloned() {
                Some(node) => self.keep(&node, keeps_from),
                None => elsewhere.push((id, keeps_from)),
            }
        }
        let (ids, times): (Vec<CommitId>, Vec<i64>) = elsewhere.into_iter().unzip();
        let commits = self.named_commits(&ids, "the reflog").await?;
        for (commit, keeps_from) in commits.iter().zip(times) {
            let node = Node::of(commit)?;
            self.keep(&node, keeps_from);
        }
        Ok(())
    }
}

/// The head that a change moved its branch away from, and the time from which its ancestors are
/// kept; `None` if the change is too old.
///
/// After a commit, merge, revert or cherry-pick, the old head is an ancestor of the new one, so
/// only the branch's retention time counts. After other changes, the longer of that time and the default retention time
/// counts. Every abandoned head is kept for at least as long as uncommitted changes are kept for an undo.
fn abandoned_head<'e>(
    entry: &'e ReflogEntry,
    retention: &Retention,
    undo_from: OffsetDateTime,
) -> Option<(&'e CommitId, i64)> {
    let RefName::Branch(branch) = &entry.reference else {
        return None;
    };
    let from = entry.from.as_ref().filter(|_| entry.from != entry.to)?;
    let own = retention.of(branch);
    let counts_from = match entry.operation {
        Operation::Commit | Operation::Merge | Operation::Revert | Operation::CherryPick => own,
        _ => own.min(retention.default),
    };
    (entry.time >= counts_from.min(undo_from)).then(|| (from, own.unix_timestamp()))
}
