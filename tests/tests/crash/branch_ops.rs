//! All operations that change a branch, in sequence, by one client. If the server dies during an
//! operation, the branch is afterwards in the state before or in the state after that operation.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::Result;
use system_tests::Repo;

use super::{Progress, is_gone};

/// Committed and visible paths of a branch. `None` if the branch does not exist.
type State = Option<(BTreeSet<&'static str>, BTreeSet<&'static str>)>;

/// One operation.
#[derive(Debug, Clone, Copy)]
enum BranchOp {
    /// Creates the branch at the repository's first commit, which is empty.
    Create,
    Put(&'static str),
    Delete(&'static str),
    Commit,
    /// Reverts the commit with this number.
    Revert(usize),
    CherryPick(usize),
    ResetAll,
    ResetPath(&'static str),
    HardReset(usize),
    /// Deletes the branch.
    DeleteBranch,
    /// Undoes the previous step. An undo must be able to revert that step completely.
    Undo,
}

/// The sequence of operations. It contains every kind that could lose something, and each operation changes the branch.
const OPERATIONS: &[BranchOp] = &[
    BranchOp::Create,
    BranchOp::Put("a"),
    BranchOp::Commit,
    BranchOp::Put("b"),
    BranchOp::Delete("a"),
    BranchOp::Commit,
    BranchOp::Revert(1),
    BranchOp::Put("c"),
    BranchOp::ResetAll,
    BranchOp::Undo,
    BranchOp::ResetAll,
    BranchOp::CherryPick(1),
    BranchOp::Undo,
    BranchOp::CherryPick(1),
    BranchOp::Put("d"),
    BranchOp::Put("e"),
    BranchOp::ResetPath("d"),
    BranchOp::HardReset(0),
    BranchOp::Undo,
    BranchOp::HardReset(0),
    BranchOp::Commit,
    BranchOp::Put("f"),
    BranchOp::DeleteBranch,
    BranchOp::Undo,
    BranchOp::DeleteBranch,
];

/// A branch with its possible states.
#[derive(Debug)]
pub(super) struct BranchOps {
    branch: String,
    possible: Vec<State>,
    /// State before the last step.
    earlier: State,
    /// Acknowledged commits with their paths.
    commits: Vec<(String, BTreeSet<&'static str>)>,
}

/// Runs the sequence on new branches until the server is gone or the round ends.
pub(super) async fn run(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    root: String,
) -> Vec<BranchOps> {
    let mut branch_ops = Vec::new();
    while !progress.is_over() {
        let mut branch_op = BranchOps {
            branch: format!("branch-{label}-{}", branch_ops.len()),
            possible: vec![None],
            earlier: None,
            commits: Vec::new(),
        };
        // Every second sequence stops before its last step, so that its final state is checked.
        let steps = OPERATIONS.len() - branch_ops.len() % 2;
        for step in &OPERATIONS[..steps] {
            match branch_op.take(*step, &repo, &root).await {
                Ok(()) => progress.count_branch_op(),
                Err(e) if is_gone(&e) => {
                    branch_ops.push(branch_op);
                    return branch_ops;
                }
                Err(e) => panic!("{step:?} on {}: {e}", branch_op.branch),
            }
        }
        branch_ops.push(branch_op);
    }
    branch_ops
}

impl BranchOps {
    async fn take(&mut self, step: BranchOp, repo: &Repo, root: &str) -> Result<()> {
        let before = self
            .possible
            .last()
            .cloned()
            .expect("there is always a state");
        let after = self.after(step, before.clone());
        self.possible.push(after.clone());
        let on = self.branch.as_str();
        match step {
            BranchOp::Create => repo.branch(on, root).await?,
            BranchOp::Put(path) => repo.put(on, path, path).await?,
            BranchOp::Delete(path) => repo.delete(on, path).await?,
            BranchOp::Commit => {
                let made = repo.commit(on, "branch operation").await?;
                let paths = after.clone().expect("a commit needs a branch").0;
                self.commits.push((made.id, paths));
            }
            BranchOp::Revert(number) => repo.revert(on, &self.commits[number].0).await?,
            BranchOp::CherryPick(number) => {
                repo.cherry_pick(on, &self.commits[number].0).await?;
            }
            BranchOp::ResetAll => repo.reset(on, None).await?,
            BranchOp::ResetPath(path) => repo.reset(on, Some(path)).await?,
            BranchOp::HardReset(number) => repo.hard_reset(on, &self.commits[number].0).await?,
            BranchOp::DeleteBranch => repo.drop_branch(on).await?,
            BranchOp::Undo => {
                repo.undo(on, None).await?;
            }
        }
        self.earlier = before;
        self.possible = vec![after];
        Ok(())
    }

    fn after(&self, step: BranchOp, before: State) -> State {
        match step {
            BranchOp::Create => return Some(Default::default()),
            BranchOp::Undo => return self.earlier.clone(),
            _ => {}
        }
        let (mut committed, mut shown) =
            before.expect("the sequence starts by creating the branch");
        match step {
            BranchOp::Create | BranchOp::Undo | BranchOp::DeleteBranch => return None,
            BranchOp::Put(path) => {
                shown.insert(path);
            }
            BranchOp::Delete(path) => {
                shown.remove(path);
            }
            BranchOp::Commit => committed.clone_from(&shown),
            // The second commit replaced a by b.
            BranchOp::Revert(_) => (committed, shown) = (["a"].into(), ["a"].into()),
            BranchOp::CherryPick(_) => (committed, shown) = (["b"].into(), ["b"].into()),
            BranchOp::ResetAll => shown.clone_from(&committed),
            BranchOp::ResetPath(path) => {
                shown.remove(path);
                shown.extend(committed.get(path));
            }
            BranchOp::HardReset(number) => {
                // Staged changes remain, on top of the other commit.
                let target = self.commits[number].1.clone();
                let staged: Vec<_> = shown.difference(&committed).copied().collect();
                shown.clone_from(&target);
                shown.extend(staged);
                committed = target;
            }
        }
        Some((committed, shown))
    }

    /// Checks that the branch is in one of its possible states, and keeps that state.
    pub(super) async fn settle(&mut self, repo: &Repo) {
        let found = match repo.head(&self.branch).await {
            Err(e) if e.status() == Some(404) => None,
            Err(e) => panic!("{e}"),
            Ok(head) => {
                let committed = repo.list(&head, "").await.unwrap();
                let shown = repo.list(&self.branch, "").await.unwrap();
                for path in &shown {
                    let bytes = repo.get(&self.branch, path).await.unwrap();
                    assert_eq!(bytes.as_deref(), Some(path.as_bytes()));
                }
                Some((committed, shown))
            }
        };
        let is_found = |state: &&State| match (state, &found) {
            (None, None) => true,
            (Some((committed, shown)), Some(found)) => {
                committed.iter().eq(&found.0) && shown.iter().eq(&found.1)
            }
            _ => false,
        };
        let state = self.possible.iter().find(is_found).cloned();
        let state = state.unwrap_or_else(|| {
            panic!(
                "{} is {found:?}, which is not one of {:?}",
                self.branch, self.possible
            )
        });
        self.possible = vec![state];
    }
}
