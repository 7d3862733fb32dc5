//! Log and merge base on random histories, compared with a straightforward model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kv::Op;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use crate::ident::commit_id;
use crate::records::{Stored as _, commit_key};
use crate::testing::{Lake, repository};
use crate::{Commit, CommitId, LogRequest, MetaRangeId, Repository};

/// For each commit: its parents, as picks among earlier commits, and how far behind its clock is.
fn histories() -> impl Strategy<Value = Vec<(Vec<usize>, u8)>> {
    prop::collection::vec(
        (prop::collection::vec(any::<usize>(), 0..3), 0_u8..4),
        1..25,
    )
}

fn commits(history: &[(Vec<usize>, u8)]) -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    for (index, (picks, age)) in history.iter().enumerate() {
        let parents: BTreeSet<usize> = if index == 0 {
            BTreeSet::new()
        } else {
            picks.iter().map(|pick| pick % index).collect()
        };
        let generation = parents
            .iter()
            .map(|&p| commits[p].generation)
            .max()
            .unwrap_or(0)
            + 1;
        let mut commit = Commit {
            id: CommitId::trusted(""),
            committer: String::new(),
            message: index.to_string(),
            // Clocks differ, so a child may be older than its parent.
            creation_date: base::OffsetDateTime::UNIX_EPOCH
                + Duration::from_secs(1_000 + index as u64 - 3 * u64::from(*age)),
            meta_range_id: MetaRangeId::trusted(""),
            metadata: BTreeMap::new(),
            parents: parents.iter().map(|&p| commits[p].id.clone()).collect(),
            version: 1,
            generation,
        };
        commit.id = commit_id(&commit);
        commits.push(commit);
    }
    commits
}

struct Model(BTreeMap<CommitId, Commit>);

impl Model {
    fn ancestors(&self, of: &CommitId) -> BTreeSet<CommitId> {
        let mut found = BTreeSet::from([of.clone()]);
        for parent in &self.0[of].parents {
            found.extend(self.ancestors(parent));
        }
        found
    }

    /// The common ancestors that are not an ancestor of another common ancestor.
    fn nearest(&self, left: &CommitId, right: &CommitId) -> BTreeSet<CommitId> {
        let common: BTreeSet<CommitId> = self
            .ancestors(left)
            .intersection(&self.ancestors(right))
            .cloned()
            .collect();
        let covered = |id: &CommitId| {
            common
                .iter()
                .any(|other| other != id && self.ancestors(other).contains(id))
        };
        common.iter().filter(|id| !covered(id)).cloned().collect()
    }

    /// The log by its definition: of all commits with a returned child, the newest comes next.
    fn log(&self, request: &LogRequest) -> Vec<CommitId> {
        let mut in_sight = BTreeSet::new();
        let look = |id: &CommitId, log: &[CommitId], in_sight: &mut BTreeSet<_>| {
            let date = self.0[id].creation_date;
            if request.since.is_none_or(|since| date >= since) && !log.contains(id) {
                in_sight.insert((date, id.clone()));
            }
        };
        let mut log: Vec<CommitId> = Vec::new();
        look(&request.from, &log, &mut in_sight);
        while let Some((_, id)) = in_sight.pop_last() {
            log.push(id.clone());
            if request.stop_at.as_ref() == Some(&id) {
                break;
            }
            let followed = if request.first_parent { 1 } else { usize::MAX };
            for parent in self.0[&id].parents.iter().take(followed) {
                look(parent, &log, &mut in_sight);
            }
        }
        log
    }
}

async fn stored(commits: &[Commit]) -> (Lake, Repository) {
    let lake = Lake::new().await;
    let repo = repository("graph");
    let set = |commit: &Commit| Op::Set {
        partition: Bytes::from(repo.partition()),
        key: commit_key(commit.id.as_str()),
        value: commit.encode(),
        predicate: None,
    };
    lake.kv
        .batch(commits.iter().map(set).collect())
        .await
        .unwrap();
    (lake, repo)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: base::testing::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn log_matches_the_model(
        history in histories(),
        from in any::<usize>(),
        first_parent in any::<bool>(),
        since in prop_oneof![1 => Just(None), 2 => (0..25_u64).prop_map(Some)],
        stop_at in prop_oneof![1 => Just(None), 2 => any::<usize>().prop_map(Some)],
    ) {
        let commits = commits(&history);
        let model = Model(commits.iter().map(|c| (c.id.clone(), c.clone())).collect());
        let id = |pick: usize| commits[pick % commits.len()].id.clone();
        let request = LogRequest {
            from: id(from),
            first_parent,
            since: since.map(|secs| base::OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000 + secs)),
            stop_at: stop_at.map(id),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let log = runtime.block_on(async {
            let (lake, repo) = stored(&commits).await;
            let mut cursor = lake.graveler.log(&repo, request.clone()).await.unwrap();
            let mut log = Vec::new();
            while let Some(commit) = cursor.next().await.unwrap() {
                log.push(commit.id);
            }
            log
        });
        prop_assert_eq!(log, model.log(&request));
    }

    #[test]
    fn log_and_merge_base_match_the_model(history in histories(), left in any::<usize>(), right in any::<usize>()) {
        let commits = commits(&history);
        let model = Model(commits.iter().map(|c| (c.id.clone(), c.clone())).collect());
        let left = commits[left % commits.len()].id.clone();
        let right = commits[right % commits.len()].id.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = LogRequest { from: left.clone(), first_parent: false, since: None, stop_at: None };
        let (log, base, back) = runtime.block_on(async {
            let (lake, repo) = stored(&commits).await;
            let mut cursor = lake.graveler.log(&repo, request.clone()).await.unwrap();
            let mut log = Vec::new();
            while let Some(commit) = cursor.next().await.unwrap() {
                log.push(commit.id);
            }
            let base = lake.graveler.find_merge_base(&repo, left.as_str(), right.as_str()).await.unwrap().base;
            let back = lake.graveler.find_merge_base(&repo, right.as_str(), left.as_str()).await.unwrap().base;
            (log, base, back)
        });
        prop_assert_eq!(&log, &model.log(&request));
        prop_assert_eq!(log.into_iter().collect::<BTreeSet<_>>(), model.ancestors(&left));
        prop_assert_eq!(&base, &back, "the merge base must be symmetric");
        let nearest = model.nearest(&left, &right);
        match base {
            None => prop_assert!(nearest.is_empty()),
            Some(base) => prop_assert!(nearest.contains(&base)),
        }
    }
}

/// The first parents of both heads are the same commit, but it is an ancestor of another common parent.
/// It is not the merge base: changes between the two would count twice.
#[tokio::test]
async fn merge_base_is_not_an_ancestor_of_another_common_ancestor() {
    let history = [
        (vec![], 0),
        (vec![0], 0),
        (vec![1], 0),
        (vec![0, 2], 0),
        (vec![0, 2], 1),
    ];
    let commits = commits(&history);
    let (lake, repo) = stored(&commits).await;
    let base = lake
        .graveler
        .find_merge_base(&repo, commits[3].id.as_str(), commits[4].id.as_str())
        .await
        .unwrap();
    assert_eq!(base.base.as_ref(), Some(&commits[2].id));
    let same = lake
        .graveler
        .find_merge_base(&repo, commits[3].id.as_str(), commits[3].id.as_str())
        .await
        .unwrap();
    assert_eq!(same.base.as_ref(), Some(&commits[3].id));
}
