//! Random histories of three branches, compared with the model: commits, merges in both directions,
//! squashes and merges after them, criss-cross merges, and reverts and cherry-picks of any commit,
//! including merges by either parent. The model finds merge bases by listing all ancestors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

use super::maps::{Edits, Tree, edited, identities, model_merge};
use super::stage::{
    check_merge_result, commit, config, content, picking, read, reverting, run, write,
};
use crate::testing::{Lake, branch, merging};
use crate::{Commit, Error, MergeStrategy, NoHooks, Options};

const BRANCHES: [&str; 3] = ["main", "ours", "theirs"];

#[derive(Debug, Clone)]
enum Step {
    Commit {
        on: usize,
        edits: Edits,
    },
    Merge {
        from: usize,
        into: usize,
        strategy: MergeStrategy,
        squash: bool,
    },
    /// Merges two branches into each other, each with the other's old head.
    Cross(usize, usize),
    /// Reverts or cherry-picks a commit, compared with one of its parents.
    Replay {
        on: usize,
        commit: Index,
        parent: Index,
        is_revert: bool,
    },
}

fn some_edits() -> impl Strategy<Value = Edits> {
    let key = (0..10u32).prop_map(|number| format!("k{number}"));
    btree_map(key, proptest::option::weighted(0.7, content("some")), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    let strategy = prop_oneof![
        Just(MergeStrategy::None),
        Just(MergeStrategy::DestWins),
        Just(MergeStrategy::SourceWins),
    ];
    let on = 0..BRANCHES.len();
    // Two different branches.
    let two =
        (on.clone(), 1..BRANCHES.len()).prop_map(|(one, by)| (one, (one + by) % BRANCHES.len()));
    prop_oneof![
        4 => (on.clone(), some_edits()).prop_map(|(on, edits)| Step::Commit { on, edits }),
        4 => (two.clone(), strategy, proptest::bool::weighted(0.3)).prop_map(
            |((from, into), strategy, squash)| Step::Merge { from, into, strategy, squash }
        ),
        1 => two.prop_map(|(one, other)| Step::Cross(one, other)),
        3 => (on, any::<Index>(), any::<Index>(), any::<bool>()).prop_map(
            |(on, commit, parent, is_revert)| Step::Replay { on, commit, parent, is_revert }
        ),
    ]
}

/// A commit, its tree, and the numbers of its parents.
struct NewCommit {
    commit: Commit,
    tree: Tree,
    parents: Vec<usize>,
}

struct History {
    lake: Lake,
    made: Vec<NewCommit>,
    /// The number of each branch's head commit.
    heads: [usize; BRANCHES.len()],
}

impl History {
    async fn new(raggedness: u32) -> Self {
        let options = Options {
            range_raggedness_entries: f64::from(raggedness),
            min_range_size_bytes: 0,
            ..Options::default()
        };
        let lake = Lake::with(Arc::new(kv::MemoryStore::default()), "lake", options).await;
        for name in &BRANCHES[1..] {
            lake.branch_from(name, BRANCHES[0]).await;
        }
        let root = NewCommit {
            commit: lake.head(BRANCHES[0]).await,
            tree: Tree::new(),
            parents: Vec::new(),
        };
        Self {
            lake,
            made: vec![root],
            heads: [0; BRANCHES.len()],
        }
    }

    async fn apply(&mut self, step: &Step) -> TestCaseResult {
        match step {
            Step::Commit { on, edits } => {
                let before = self.heads[*on];
                write(&self.lake, BRANCHES[*on], edits).await;
                commit(&self.lake, BRANCHES[*on]).await;
                let expected = edited(&self.made[before].tree, edits);
                self.check_new_commit(*on, vec![before], &[before]).await?;
                prop_assert_eq!(&self.made[self.heads[*on]].tree, &expected);
                Ok(())
            }
            Step::Merge {
                from,
                into,
                strategy,
                squash,
            } => {
                self.merge(self.heads[*from], *into, *strategy, *squash)
                    .await
            }
            Step::Cross(one, other) => {
                let (ours, theirs) = (self.heads[*one], self.heads[*other]);
                self.merge(theirs, *one, MergeStrategy::SourceWins, false)
                    .await?;
                self.merge(ours, *other, MergeStrategy::SourceWins, false)
                    .await
            }
            Step::Replay {
                on,
                commit,
                parent,
                is_revert,
            } => {
                self.replay(*on, commit.index(self.made.len()), *parent, *is_revert)
                    .await
            }
        }
    }

    async fn merge(
        &mut self,
        source: usize,
        into: usize,
        strategy: MergeStrategy,
        squash: bool,
    ) -> TestCaseResult {
        let before = self.heads[into];
        let base = self.base(source, before);
        let [base, ours, theirs] = [base, before, source].map(|at| &self.made[at].tree);
        let expected = model_merge(base, ours, theirs, strategy);
        let mut params = merging();
        (params.strategy, params.squash) = (strategy, squash);
        let reference = self.made[source].commit.id.to_string();
        let merged = self
            .lake
            .merge_with(&reference, BRANCHES[into], params, &NoHooks)
            .await;
        match (merged, expected) {
            (Err(Error::NoChanges(_)), expected) => {
                let is_empty_squash = squash && expected == Ok(identities(ours));
                prop_assert!(is_empty_squash || identities(base) == identities(theirs));
            }
            (Err(Error::Conflict { keys, .. }), Err(expected)) => prop_assert_eq!(keys, expected),
            (Ok(_), Ok(expected)) => {
                // A squash's generation is above that of its source too, although the source is no parent.
                let sides = [before, source];
                let parents = if squash { &sides[..1] } else { &sides[..] };
                return self
                    .check_merged(into, parents.to_vec(), &sides, &expected, sides)
                    .await;
            }
            (other, expected) => prop_assert!(false, "{other:?} instead of {expected:?}"),
        }
        prop_assert_eq!(
            &self.lake.head(BRANCHES[into]).await,
            &self.made[before].commit
        );
        Ok(())
    }

    async fn replay(
        &mut self,
        on: usize,
        number: usize,
        parent: Index,
        is_revert: bool,
    ) -> TestCaseResult {
        let parents = self.made[number].parents.clone();
        if parents.is_empty() {
            return Ok(());
        }
        let parent = parent.index(parents.len());
        let (before, against) = (self.heads[on], parents[parent]);
        let (from, to) = match is_revert {
            true => (number, against),
            false => (against, number),
        };
        let [base, ours, theirs] = [from, before, to].map(|at| &self.made[at].tree);
        let expected = model_merge(base, ours, theirs, MergeStrategy::None);
        let (lake, name) = (&self.lake, branch(BRANCHES[on]));
        let reference = self.made[number].commit.id.as_str();
        // Zero means the only parent.
        let parent_number = if parents.len() == 1 { 0 } else { parent + 1 };
        let made = match is_revert {
            true => {
                let mut params = reverting();
                params.parent_number = parent_number;
                let (graveler, repo) = (&lake.graveler, &lake.repo);
                graveler
                    .revert(repo, &name, reference, params, &NoHooks)
                    .await
            }
            false => {
                let mut params = picking();
                params.parent_number = parent_number;
                let (graveler, repo) = (&lake.graveler, &lake.repo);
                graveler
                    .cherry_pick(repo, &name, reference, params, &NoHooks)
                    .await
            }
        };
        match (made, expected) {
            (Err(Error::NoChanges(_)), Ok(expected)) => {
                prop_assert!(is_revert);
                prop_assert_eq!(expected, identities(ours));
            }
            (Err(Error::Conflict { keys, .. }), Err(expected)) => prop_assert_eq!(keys, expected),
            (Ok(_), Ok(expected)) => {
                prop_assert!(!is_revert || expected != identities(ours));
                return self
                    .check_merged(on, vec![before], &[before], &expected, [before, to])
                    .await;
            }
            (other, expected) => prop_assert!(false, "{other:?} instead of {expected:?}"),
        }
        prop_assert_eq!(
            &self.lake.head(BRANCHES[on]).await,
            &self.made[before].commit
        );
        Ok(())
    }

    /// Asserts that a branch has a new commit with these identities, and with the bytes of one of
    /// `sides`.
    async fn check_merged(
        &mut self,
        on: usize,
        parents: Vec<usize>,
        above: &[usize],
        expected: &BTreeMap<String, Bytes>,
        sides: [usize; 2],
    ) -> TestCaseResult {
        let of = sides.map(|at| &self.made[at].tree);
        check_merge_result(&self.lake, BRANCHES[on], expected, &of).await?;
        self.check_new_commit(on, parents, above).await
    }

    /// Asserts that a branch has a new commit with these parents, one generation above `above`, and
    /// adds it.
    async fn check_new_commit(
        &mut self,
        on: usize,
        parents: Vec<usize>,
        above: &[usize],
    ) -> TestCaseResult {
        let commit = self.lake.head(BRANCHES[on]).await;
        let of = |number: &usize| &self.made[*number].commit;
        let ids: Vec<_> = parents.iter().map(|number| of(number).id.clone()).collect();
        prop_assert_eq!(&commit.parents, &ids);
        let highest = above.iter().map(|number| of(number).generation).max();
        prop_assert_eq!(Some(commit.generation), highest.map(|highest| highest + 1));
        let tree = read(&self.lake, BRANCHES[on]).await;
        self.heads[on] = self.made.len();
        self.made.push(NewCommit {
            commit,
            tree,
            parents,
        });
        Ok(())
    }

    fn ancestors(&self, of: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([of]);
        let mut open = vec![of];
        while let Some(next) = open.pop() {
            open.extend(
                self.made[next]
                    .parents
                    .iter()
                    .filter(|&&parent| found.insert(parent)),
            );
        }
        found
    }

    /// The common ancestor of the highest generation; among several, the newest, then the one with
    /// the greatest id.
    fn base(&self, one: usize, other: usize) -> usize {
        let (one, other) = (self.ancestors(one), self.ancestors(other));
        let rank = |at: &&usize| {
            let commit = &self.made[**at].commit;
            (commit.generation, commit.creation_date, commit.id.clone())
        };
        let best = one.intersection(&other).max_by_key(rank);
        *best.expect("the root commit is an ancestor of every commit")
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn histories_match_the_model(
        raggedness in 1..4u32, base in some_edits(), steps in vec(step(), 1..16)
    ) {
        run(async {
            let mut history = History::new(raggedness).await;
            history.apply(&Step::Commit { on: 0, edits: base }).await?;
            for into in [1, 2] {
                history.merge(history.heads[0], into, MergeStrategy::None, false).await?;
            }
            for step in &steps {
                history.apply(step).await?;
            }
            Ok(())
        })?;
    }
}
