//! Which commits are kept, on given and random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::OffsetDateTime;
use kv::Op;
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

use crate::ident::commit_id;
use crate::records::{Stored as _, branch_key, commit_key};
use crate::retention::{KeptCommits, MAX_INDEXED_COMMITS, Retention};
use crate::testing::{Lake, branch, repository};
use crate::{
    Branch, BranchId, BranchRecord, Commit, CommitId, Error, MetaRangeId, Repository, StagingToken,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn day(number: u32) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + DAY * number
}

/// A history as text. Each word is `NAME@DAY<PARENT<PARENT`, with a `v` after the day for version 0.
#[derive(Debug, Default)]
struct History {
    commits: BTreeMap<String, Commit>,
    branches: Vec<(String, String)>,
}

impl History {
    fn new(text: &str) -> Self {
        let mut history = Self::default();
        for word in text.split_whitespace() {
            let mut parts = word.split('<');
            let (name, at) = parts.next().unwrap().split_once('@').unwrap();
            let (at, version) = at.strip_suffix('v').map_or((at, 1), |at| (at, 0));
            let parents: Vec<&str> = parts.collect();
            history.add(name, day(at.parse().unwrap()), &parents, version);
        }
        history
    }

    fn add(&mut self, name: &str, at: OffsetDateTime, parents: &[&str], version: i32) {
        let parents: Vec<&Commit> = parents.iter().map(|p| &self.commits[*p]).collect();
        let mut commit = Commit {
            id: CommitId::trusted(""),
            committer: String::new(),
            message: name.to_owned(),
            creation_date: at,
            meta_range_id: MetaRangeId::trusted(hex::encode([name.len() as u8; 32])),
            metadata: BTreeMap::new(),
            generation: parents.iter().map(|p| p.generation).max().unwrap_or(0) + 1,
            parents: parents.iter().map(|p| p.id.clone()).collect(),
            version,
        };
        commit.id = commit_id(&commit);
        self.commits.insert(name.to_owned(), commit);
    }

    fn branch(mut self, name: &str, head: &str) -> Self {
        self.branches.push((name.to_owned(), head.to_owned()));
        self
    }

    fn name(&self, id: &CommitId) -> &str {
        let found = self.commits.iter().find(|(_, commit)| commit.id == *id);
        found.unwrap().0
    }

    async fn store(&self, lake: &Lake, repo: &Repository) {
        let set = |key, value| Op::Set {
            partition: repo.partition().into(),
            key,
            value,
            predicate: None,
        };
        let commits = self.commits.values();
        let mut ops: Vec<Op> = commits
            .map(|commit| set(commit_key(commit.id.as_str()), commit.encode()))
            .collect();
        for (name, head) in &self.branches {
            let record = BranchRecord {
                commit_id: self.commits[head].id.clone(),
                staging_token: StagingToken::trusted(format!("token-{name}")),
                sealed_tokens: Vec::new(),
                hidden: true,
            };
            let id = branch(name);
            ops.push(set(branch_key(name), Branch { id, record }.encode()));
        }
        lake.kv.batch(ops).await.unwrap();
    }

    /// The names of the kept commits, in the order they are returned.
    async fn kept(&self, retention: &Retention, max_indexed: usize) -> Vec<&str> {
        let lake = Lake::new().await;
        let repo = repository("history");
        self.store(&lake, &repo).await;
        let engine = &lake.graveler;
        let mut kept = KeptCommits::open(engine, &repo, retention, max_indexed)
            .await
            .unwrap();
        let mut names = Vec::new();
        while let Some(commit) = kept.next().await.unwrap() {
            let name = self.name(&commit.id);
            assert_eq!(commit.meta_range_id, self.commits[name].meta_range_id);
            names.push(name);
        }
        names
    }
}

/// On day 100: keeps 10 days by default, 50 on `long`, 2 on `short`.
fn retention() -> Retention {
    let of = |name: &str, days: u32| (BranchId::trusted(name), day(100 - days));
    Retention {
        default: day(90),
        branches: [of("long", 50), of("short", 2)].into(),
    }
}

async fn check(history: History, expected: &str) {
    let mut kept = history.kept(&retention(), MAX_INDEXED_COMMITS).await;
    kept.sort_unstable();
    assert_eq!(kept.join(" "), expected);
}

#[tokio::test]
async fn branch_keeps_its_retention_time_and_one_commit_more() {
    let line = "a@70 b@80<a c@89<b d@90<c e@95<d f@99<e";
    check(History::new(line).branch("main", "f"), "c d e f").await;
    check(History::new(line).branch("long", "f"), "a b c d e f").await;
    check(History::new(line).branch("short", "f"), "e f").await;
}

#[tokio::test]
async fn head_is_kept_at_any_age() {
    let history = History::new("a@1 b@2<a").branch("main", "b");
    check(history, "b").await;
}

#[tokio::test]
async fn longest_retention_applies_to_shared_history() {
    let history = History::new("a@40 b@60<a c@85<b d@99<c e@99<c")
        .branch("short", "d")
        .branch("long", "e");
    check(history, "a b c d e").await;
}

#[tokio::test]
async fn dangling_heads_keep_their_ancestors_for_the_default_time() {
    // x and y were on a deleted branch, and z on one whose last commit is old.
    let history = History::new("a@80 b@99<a x@85<a y@95<x z@85<a").branch("short", "b");
    check(history, "a b x y").await;
}

#[tokio::test]
async fn merge_keeps_the_history_of_its_destination() {
    // The side commit is no first parent, so it counts as a head without a branch.
    let history = History::new("a@80 s@95<a m@96<a n@97<m<s").branch("short", "n");
    check(history, "a n s").await;
    let history = History::new("a@80 s@85<a m@96<a n@99<m<s").branch("main", "n");
    check(history, "a m n").await;
}

#[tokio::test]
async fn version_0_merges_list_the_destination_last() {
    let history = History::new("a@80 s@85<a m@96<a n@99v<s<m").branch("main", "n");
    check(history, "a m n").await;
}

#[tokio::test]
async fn missing_commit_is_an_error() {
    let history = History::new("a@95 b@96<a").branch("main", "b");
    let lake = Lake::new().await;
    let repo = repository("history");
    history.store(&lake, &repo).await;
    let gone = commit_key(history.commits["a"].id.as_str());
    lake.kv
        .delete(repo.partition().as_bytes(), &gone)
        .await
        .unwrap();
    let mut kept = lake
        .graveler
        .kept_commits(&repo, &retention())
        .await
        .unwrap();
    let error = kept.next().await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    for name in ["a", "b"] {
        let id = history.commits[name].id.as_str();
        assert!(error.to_string().contains(id), "{name}: {error}");
    }
}

#[tokio::test]
async fn other_records_are_not_read_as_commits() {
    let lake = Lake::new().await;
    let partition = lake.repo.partition();
    lake.kv
        .set(partition.as_bytes(), b"settings/x", "y".into())
        .await
        .unwrap();
    let mut kept = lake
        .graveler
        .kept_commits(&lake.repo, &retention())
        .await
        .unwrap();
    let first = kept.next().await.unwrap().unwrap();
    assert_eq!(first.id, lake.head("main").await.id);
    assert_eq!(first.meta_range_id.as_str(), "", "must be the empty tree");
    assert_eq!(kept.next().await.unwrap(), None);
}

/// For each commit: its parents, as picks among earlier commits, its day, and whether it has version 1.
type GeneratedHistory = Vec<(Vec<usize>, u32, bool)>;

fn histories() -> impl Strategy<Value = (GeneratedHistory, Vec<(usize, u8)>)> {
    let commit = (
        prop::collection::vec(any::<usize>(), 0..3),
        80_u32..100,
        any::<bool>(),
    );
    (
        prop::collection::vec(commit, 1..25),
        prop::collection::vec((any::<usize>(), 0_u8..3), 0..4),
    )
}

fn build(drawn: &GeneratedHistory, branches: &[(usize, u8)]) -> History {
    let mut history = History::default();
    let name = |index: usize| format!("c{index:02}");
    for (index, (picks, at, switched)) in drawn.iter().enumerate() {
        let picks: BTreeSet<usize> = picks
            .iter()
            .filter(|_| index > 0)
            .map(|p| p % index)
            .collect();
        let parents: Vec<String> = picks.into_iter().map(name).collect();
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        history.add(&name(index), day(*at), &parents, i32::from(*switched));
    }
    for (number, (head, kind)) in branches.iter().enumerate() {
        let branch = match kind {
            0 => "long".to_owned(),
            1 => "short".to_owned(),
            _ => format!("b{number}"),
        };
        if history.branches.iter().all(|(name, _)| *name != branch) {
            history = history.branch(&branch, &name(head % drawn.len()));
        }
    }
    history
}

/// The expected result by definition: walks from each starting point separately.
fn expected_kept(history: &History) -> BTreeSet<&str> {
    let main_parent = |commit: &Commit| {
        let parent = if commit.version == 0 {
            commit.parents.last()
        } else {
            commit.parents.first()
        };
        parent.cloned()
    };
    let parents: BTreeSet<CommitId> = history.commits.values().filter_map(main_parent).collect();
    let retention = retention();
    let mut starts: Vec<(&str, OffsetDateTime)> = Vec::new();
    for (name, head) in &history.branches {
        let own = retention.branches.get(&branch(name));
        starts.push((head, own.copied().unwrap_or(retention.default)));
    }
    for (name, commit) in &history.commits {
        let is_head = history.branches.iter().any(|(_, head)| head == name);
        if !is_head && !parents.contains(&commit.id) && commit.creation_date >= retention.default {
            starts.push((name, retention.default));
        }
    }
    let mut kept = BTreeSet::new();
    for (start, from) in starts {
        let mut at = &history.commits[start];
        loop {
            kept.insert(history.name(&at.id));
            match main_parent(at) {
                Some(parent) if at.creation_date >= from => {
                    at = &history.commits[history.name(&parent)];
                }
                _ => break,
            }
        }
    }
    kept
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: base::testing::cases(), failure_persistence: None, ..Default::default() })]

    #[test]
    fn kept_commits_match_the_model(drawn in histories(), max_indexed in 1_usize..30) {
        let history = build(&drawn.0, &drawn.1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kept = runtime.block_on(history.kept(&retention(), max_indexed));
        let once: BTreeSet<&str> = kept.iter().copied().collect();
        prop_assert_eq!(once.len(), kept.len(), "each commit must be returned once");
        prop_assert_eq!(once, expected_kept(&history));
    }
}
