//! The lives of branches: each operation that changes a branch, one after the other, by one
//! client. Of whichever the server dies in, the branch is afterwards as before it or as after it.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::Result;
use system_tests::Repo;

use super::{Progress, is_gone};

/// What a branch has committed and what it shows, by paths; none if there is no branch.
type State = Option<(BTreeSet<&'static str>, BTreeSet<&'static str>)>;

/// One operation.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// At the repository's first commit, which is empty.
    Make,
    Put(&'static str),
    Delete(&'static str),
    Commit,
    /// Takes back the commit of this number.
    Revert(usize),
    CherryPick(usize),
    ResetAll,
    ResetPath(&'static str),
    HardReset(usize),
    Drop,
    /// Takes back the step before, which is one that an undo takes back whole.
    Undo,
}

/// Every operation with something to lose. No two in a row leave the branch alike.
const LIFE: &[Step] = &[
    Step::Make,
    Step::Put("a"),
    Step::Commit,
    Step::Put("b"),
    Step::Delete("a"),
    Step::Commit,
    Step::Revert(1),
    Step::Put("c"),
    Step::ResetAll,
    Step::Undo,
    Step::ResetAll,
    Step::CherryPick(1),
    Step::Undo,
    Step::CherryPick(1),
    Step::Put("d"),
    Step::Put("e"),
    Step::ResetPath("d"),
    Step::HardReset(0),
    Step::Undo,
    Step::HardReset(0),
    Step::Commit,
    Step::Put("f"),
    Step::Drop,
    Step::Undo,
    Step::Drop,
];

/// A branch, and the states that it may be in.
#[derive(Debug)]
pub(super) struct Life {
    branch: String,
    possible: Vec<State>,
    /// What it was before the last step.
    earlier: State,
    /// Commits that were acknowledged, and their paths.
    commits: Vec<(String, BTreeSet<&'static str>)>,
}

/// Leads one life after the other until the server is gone or the end is told.
pub(super) async fn lead(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    root: String,
) -> Vec<Life> {
    let mut lives = Vec::new();
    while !progress.is_over() {
        let mut life = Life {
            branch: format!("life-{label}-{}", lives.len()),
            possible: vec![None],
            earlier: None,
            commits: Vec::new(),
        };
        // Each second one is cut before its end, and left to be looked at.
        let steps = LIFE.len() - lives.len() % 2;
        for step in &LIFE[..steps] {
            match life.take(*step, &repo, &root).await {
                Ok(()) => progress.lived(),
                Err(e) if is_gone(&e) => {
                    lives.push(life);
                    return lives;
                }
                Err(e) => panic!("{step:?} on {}: {e}", life.branch),
            }
        }
        lives.push(life);
    }
    lives
}

impl Life {
    async fn take(&mut self, step: Step, repo: &Repo, root: &str) -> Result<()> {
        let before = self.possible.last().cloned().expect("there is a state");
        let after = self.after(step, before.clone());
        self.possible.push(after.clone());
        let on = self.branch.as_str();
        match step {
            Step::Make => repo.branch(on, root).await?,
            Step::Put(path) => repo.put(on, path, path).await?,
            Step::Delete(path) => repo.delete(on, path).await?,
            Step::Commit => {
                let made = repo.commit(on, "a step of a life").await?;
                let paths = after.clone().expect("a commit needs its branch").0;
                self.commits.push((made.id, paths));
            }
            Step::Revert(number) => repo.revert(on, &self.commits[number].0).await?,
            Step::CherryPick(number) => {
                repo.cherry_pick(on, &self.commits[number].0).await?;
            }
            Step::ResetAll => repo.reset(on, None).await?,
            Step::ResetPath(path) => repo.reset(on, Some(path)).await?,
            Step::HardReset(number) => repo.hard_reset(on, &self.commits[number].0).await?,
            Step::Drop => repo.drop_branch(on).await?,
            Step::Undo => {
                repo.undo(on, None).await?;
            }
        }
        self.earlier = before;
        self.possible = vec![after];
        Ok(())
    }

    fn after(&self, step: Step, before: State) -> State {
        match step {
            Step::Make => return Some(Default::default()),
            Step::Undo => return self.earlier.clone(),
            _ => {}
        }
        let (mut committed, mut shown) = before.expect("a life begins with its branch");
        match step {
            Step::Make | Step::Undo | Step::Drop => return None,
            Step::Put(path) => {
                shown.insert(path);
            }
            Step::Delete(path) => {
                shown.remove(path);
            }
            Step::Commit => committed.clone_from(&shown),
            // The second commit exchanged a for b.
            Step::Revert(_) => (committed, shown) = (["a"].into(), ["a"].into()),
            Step::CherryPick(_) => (committed, shown) = (["b"].into(), ["b"].into()),
            Step::ResetAll => shown.clone_from(&committed),
            Step::ResetPath(path) => {
                shown.remove(path);
                shown.extend(committed.get(path));
            }
            Step::HardReset(number) => {
                // What is staged stays, over the other commit.
                let target = self.commits[number].1.clone();
                let staged: Vec<_> = shown.difference(&committed).copied().collect();
                shown.clone_from(&target);
                shown.extend(staged);
                committed = target;
            }
        }
        Some((committed, shown))
    }

    /// The branch is in one of the states that it may be in, and stays in it.
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
                "{} is {found:?}, which is none of {:?}",
                self.branch, self.possible
            )
        });
        self.possible = vec![state];
    }
}
