//! Deletions that race with other servers: of a repository that is being changed, and of a tag that is
//! being recreated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use base::testing::{FaultSchedule, Turn};
use kv::Store;
use kv::testing::{Faults, FaultyStore};

use super::dump::{bare, dump, restore};
use crate::records::{REPOSITORIES, RESTORES, Stored as _, repository_key};
use crate::reflog::reflog_partition;
use crate::testing::{Lake, branch};
use crate::{
    Error, Event, EventKind, Graveler, HookOutcome, NoHooks, RefName, Rejection, Repository,
    RepositoryState, Result, TagId, UndoParams,
};

fn with_faults(lake: &Lake, schedule: &Arc<dyn FaultSchedule>) -> Lake {
    let kv = Arc::clone(&lake.kv);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::with_schedule(
        kv,
        Faults::default(),
        Arc::clone(schedule),
    ));
    Lake {
        graveler: lake.graveler.on_store_for_tests(&store),
        ..lake.clone()
    }
}

async fn assert_nothing_is_left(lake: &Lake, what: &str) {
    let partition = lake.repo.partition().into_bytes();
    for partition in [partition.as_slice(), &reflog_partition(&lake.repo)] {
        let left = lake.kv.scan(partition, b"", 10).await.unwrap();
        assert_eq!(left.entries, [], "{what}");
    }
}

/// Another server deletes the whole repository at this turn.
#[derive(Debug)]
struct DeletedAt {
    turn: usize,
    turns: AtomicUsize,
    by: Lake,
}

impl FaultSchedule for DeletedAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) == self.turn {
                let deleted = self.by.graveler.delete_repository(&self.by.repo.id, false);
                deleted.await.unwrap();
            }
        })
    }
}

const CHANGES: &[&str] = &[
    "branch",
    "tag",
    "metadata",
    "rules",
    "rule",
    "record",
    "undo a branch",
    "undo a tag",
    "delete a branch",
    "delete a tag",
];

async fn change(lake: &Lake, what: &str) -> Result<()> {
    let (graveler, repo) = (&lake.graveler, &lake.repo);
    let tag = TagId::trusted("v");
    let undo = async |of: RefName| {
        let params = UndoParams::default();
        graveler.undo(repo, &of, &params).await.map(drop)
    };
    match what {
        "branch" => graveler
            .create_branch(repo, &branch("b"), "main", false, false, "me", &NoHooks)
            .await
            .map(drop),
        "tag" => graveler
            .create_tag(repo, &tag, "main", false, "me", &NoHooks)
            .await
            .map(drop),
        "metadata" => {
            let set = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
            graveler.set_repository_metadata(repo, set, 100).await
        }
        "rules" => {
            let rules = ["main".to_owned()];
            graveler.set_branch_protection(repo, &rules, None).await
        }
        "rule" => graveler.add_protected_pattern(repo, "main").await,
        "record" => {
            let head = graveler
                .branch(repo, &branch("main"))
                .await?
                .record
                .commit_id;
            let mut commit = graveler.get_commit(repo, &head).await?;
            commit.message = "from elsewhere".to_owned();
            commit.id = crate::ident::commit_id(&commit);
            graveler.create_commit_record(repo, &commit, false).await
        }
        "undo a branch" => undo(RefName::Branch(branch("gone"))).await,
        "undo a tag" => undo(RefName::Tag(TagId::trusted("gone"))).await,
        "delete a branch" => {
            let there = branch("there");
            graveler
                .delete_branch(repo, &there, false, "me", &NoHooks)
                .await
        }
        "delete a tag" => {
            let there = TagId::trusted("there-too");
            graveler
                .delete_tag(repo, &there, false, "me", &NoHooks)
                .await
        }
        other => panic!("{other}"),
    }
}

/// A lake in which each of [`CHANGES`] is possible.
async fn lake_to_change() -> Lake {
    let lake = Lake::new().await;
    let (graveler, repo) = (&lake.graveler, &lake.repo);
    let (gone, gone_tag) = (branch("gone"), TagId::trusted("gone"));
    for name in ["gone", "there"] {
        lake.branch_from(name, "main").await;
    }
    let deleted = graveler.delete_branch(repo, &gone, false, "me", &NoHooks);
    deleted.await.unwrap();
    for name in ["gone", "there-too"] {
        let tag = TagId::trusted(name);
        let made = graveler.create_tag(repo, &tag, "main", false, "me", &NoHooks);
        made.await.unwrap();
    }
    let deleted = graveler.delete_tag(repo, &gone_tag, false, "me", &NoHooks);
    deleted.await.unwrap();
    lake
}

/// Another server makes a whole change at this turn.
#[derive(Debug)]
struct ChangedAt {
    turn: usize,
    turns: AtomicUsize,
    by: Lake,
    what: &'static str,
    is_refused: AtomicBool,
}

impl FaultSchedule for ChangedAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) != self.turn {
                return;
            }
            match change(&self.by, self.what).await {
                Ok(()) => {}
                Err(Error::InDeletion(_) | Error::NotFound { .. }) => {
                    self.is_refused.store(true, Ordering::Relaxed);
                }
                Err(error) => panic!("{}, at turn {}: {error}", self.what, self.turn),
            }
        })
    }
}

#[tokio::test]
async fn changes_during_a_deletion_leave_nothing() {
    for what in CHANGES {
        let mut refused = 0;
        for turn in 0.. {
            let lake = lake_to_change().await;
            let other = Arc::new(ChangedAt {
                turn,
                turns: AtomicUsize::new(0),
                by: lake.clone(),
                what,
                is_refused: AtomicBool::new(false),
            });
            let schedule: Arc<dyn FaultSchedule> = Arc::clone(&other) as _;
            let server = with_faults(&lake, &schedule).graveler;
            let deleted = server.delete_repository(&lake.repo.id, false);
            deleted.await.unwrap();
            if other.turns.load(Ordering::Relaxed) <= turn {
                break;
            }
            assert_nothing_is_left(&lake, &format!("{what}, at turn {turn}")).await;
            refused += usize::from(other.is_refused.load(Ordering::Relaxed));
        }
        assert!(refused > 5, "{what}: {refused}");
    }
}

#[tokio::test]
async fn changes_of_a_deleted_repository_leave_nothing() {
    for what in CHANGES {
        let mut refused = 0;
        for turn in 0.. {
            let lake = lake_to_change().await;
            let deletion = Arc::new(DeletedAt {
                turn,
                turns: AtomicUsize::new(0),
                by: lake.clone(),
            });
            let schedule: Arc<dyn FaultSchedule> = Arc::clone(&deletion) as _;
            match change(&with_faults(&lake, &schedule), what).await {
                Ok(()) => {}
                Err(Error::InDeletion(_) | Error::NotFound { .. }) => refused += 1,
                Err(error) => panic!("{what}, deleted at turn {turn}: {error}"),
            }
            if deletion.turns.load(Ordering::Relaxed) <= turn {
                break;
            }
            assert_nothing_is_left(&lake, &format!("{what}, deleted at turn {turn}")).await;
        }
        assert!(refused > 1, "{what}");
    }
}

#[tokio::test]
async fn restore_into_a_deleted_repository_leaves_nothing() {
    let mut refused = 0;
    for turn in 0.. {
        let lake = Lake::new().await;
        lake.branch_from("dev", "main").await;
        let dumped = dump(&lake).await;
        let target = Lake {
            repo: bare(&lake, "bare").await,
            ..lake.clone()
        };
        let deletion = Arc::new(DeletedAt {
            turn,
            turns: AtomicUsize::new(0),
            by: target.clone(),
        });
        let schedule: Arc<dyn FaultSchedule> = Arc::clone(&deletion) as _;
        let server = with_faults(&target, &schedule).graveler;
        match restore(&server, &target.repo, &dumped).await {
            Ok(()) => {}
            Err(Error::InDeletion(_) | Error::NotFound { .. }) => refused += 1,
            Err(error) => panic!("deleted at turn {turn}: {error}"),
        }
        if deletion.turns.load(Ordering::Relaxed) <= turn {
            break;
        }
        assert_nothing_is_left(&target, &format!("deleted at turn {turn}")).await;
        let begun = lake.kv.scan(RESTORES, b"", 10).await.unwrap();
        assert_eq!(begun.entries, [], "deleted at turn {turn}");
    }
    assert!(refused > 10, "{refused}");
}

/// Another server deletes a tag at this turn, and may create it again.
#[derive(Debug)]
struct RetagAt {
    turn: usize,
    turns: AtomicUsize,
    by: Lake,
    /// The source of the new tag; `None`: it is not created again.
    new_source: Option<&'static str>,
}

impl FaultSchedule for RetagAt {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.turns.fetch_add(1, Ordering::Relaxed) != self.turn {
                return;
            }
            let (graveler, repo, tag) = (&self.by.graveler, &self.by.repo, TagId::trusted("v"));
            let deleted = graveler.delete_tag(repo, &tag, false, "other", &NoHooks);
            if deleted.await.is_ok()
                && let Some(source) = self.new_source
            {
                let made = graveler.create_tag(repo, &tag, source, false, "other", &NoHooks);
                made.await.unwrap();
            }
        })
    }
}

/// Checks that a tag is kept if its deletion failed and another server created it again.
async fn check_kept(lake: &Lake, new_source: Option<&str>, outcome: &Result<()>) {
    let found = lake.graveler.tag(&lake.repo, &TagId::trusted("v")).await;
    match (outcome, new_source) {
        (Err(_), Some(source)) => {
            assert_eq!(found.unwrap().commit_id, lake.head(source).await.id);
        }
        (Err(_), None) => assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}"),
        // Another server may have created the tag again after this deletion.
        (Ok(()), _) => {}
    }
}

/// The outcomes of deleting a tag: one for each turn at which another server may delete it first.
async fn deleted_beside(new_source: Option<&'static str>) -> Vec<Result<()>> {
    let mut outcomes = Vec::new();
    for turn in 0.. {
        let lake = Lake::new().await;
        let (repo, tag) = (&lake.repo, TagId::trusted("v"));
        lake.branch_from("dev", "main").await;
        lake.put("dev", "a=1").await;
        lake.commit("dev", "one").await.unwrap();
        let made = lake
            .graveler
            .create_tag(repo, &tag, "main", false, "me", &NoHooks);
        made.await.unwrap();
        let other = Arc::new(RetagAt {
            turn,
            turns: AtomicUsize::new(0),
            by: lake.clone(),
            new_source,
        });
        let schedule: Arc<dyn FaultSchedule> = Arc::clone(&other) as _;
        let server = with_faults(&lake, &schedule).graveler;
        let outcome = server.delete_tag(repo, &tag, false, "me", &NoHooks).await;
        if other.turns.load(Ordering::Relaxed) <= turn {
            break;
        }
        check_kept(&lake, new_source, &outcome).await;
        outcomes.push(outcome);
    }
    outcomes
}

#[tokio::test]
async fn deleting_a_tag_that_was_recreated_elsewhere_fails() {
    let (mut changed, mut deleted) = (0, 0);
    for outcome in deleted_beside(Some("dev")).await {
        match outcome {
            Ok(()) => deleted += 1,
            Err(Error::ConcurrentChange(_)) => changed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(changed > 2 && deleted > 0, "{changed}, {deleted}");
}

#[tokio::test]
async fn deleting_a_tag_that_is_deleted_meanwhile_succeeds_or_is_not_found() {
    let (mut missing, mut deleted) = (0, 0);
    for outcome in deleted_beside(None).await {
        match outcome {
            Ok(()) => deleted += 1,
            Err(Error::NotFound { .. }) => missing += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(missing > 0 && deleted > 0, "{missing}, {deleted}");
}

#[tokio::test]
async fn deleting_a_tag_that_was_recreated_at_the_same_commit_succeeds() {
    let outcomes = deleted_beside(Some("main")).await;
    assert!(outcomes.len() > 2, "{outcomes:?}");
    for outcome in outcomes {
        outcome.unwrap();
    }
}

/// Hooks during which another server deletes the repository.
#[derive(Debug)]
struct DeletingHooks(Lake);

#[async_trait::async_trait]
impl crate::Hooks for DeletingHooks {
    async fn before(&self, event: &Event) -> std::result::Result<HookOutcome, Box<Rejection>> {
        assert_eq!(event.kind(), EventKind::PreCreateBranch);
        let deleted = self.0.graveler.delete_repository(&self.0.repo.id, false);
        deleted.await.unwrap();
        Ok(HookOutcome::ran())
    }

    async fn after(&self, event: Event) {
        panic!("unexpected event {:?}", event.kind());
    }
}

#[tokio::test]
async fn creating_a_branch_fails_if_the_repository_is_deleted_during_hooks() {
    let lake = Lake::new().await;
    let other = lake.other_server();
    let (repo, b, hooks) = (&lake.repo, branch("b"), DeletingHooks(other));
    let created = lake
        .graveler
        .create_branch(repo, &b, "main", false, false, "me", &hooks);
    let error = created.await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_nothing_is_left(&lake, "a branch").await;
}

/// Requests the repository at every step of its deletion, on the deleting server.
#[derive(Debug)]
struct RepositoryProbe {
    server: OnceLock<Graveler>,
    is_probing: AtomicBool,
    lake: Lake,
    served_after_mark: AtomicUsize,
    refused: AtomicUsize,
}

impl FaultSchedule for RepositoryProbe {
    fn should_fail(&self, _parts: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            let Some(server) = self.server.get() else {
                return;
            };
            if self.is_probing.swap(true, Ordering::Relaxed) {
                return;
            }
            let id = &self.lake.repo.id;
            let is_served = server.repository(id).await.is_ok();
            let stored = self.lake.kv.get(REPOSITORIES, &repository_key(id)).await;
            let stored = stored
                .unwrap()
                .map(|s| Repository::decode(s.value).unwrap());
            let is_active = stored.is_some_and(|r| r.state == RepositoryState::Active);
            self.served_after_mark
                .fetch_add(usize::from(is_served && !is_active), Ordering::Relaxed);
            self.refused
                .fetch_add(usize::from(!is_served), Ordering::Relaxed);
            self.is_probing.store(false, Ordering::Relaxed);
        })
    }
}

#[tokio::test]
async fn deleting_server_stops_serving_the_repository() {
    let lake = Lake::new().await;
    let probe = Arc::new(RepositoryProbe {
        server: OnceLock::new(),
        is_probing: AtomicBool::new(false),
        lake: lake.clone(),
        served_after_mark: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let schedule: Arc<dyn FaultSchedule> = Arc::clone(&probe) as _;
    let server = with_faults(&lake, &schedule);
    probe.server.set(server.graveler.clone()).unwrap();
    let deleted = server.graveler.delete_repository(&lake.repo.id, false);
    deleted.await.unwrap();
    let (served, refused) = (&probe.served_after_mark, &probe.refused);
    let counts = [served, refused].map(|count| count.load(Ordering::Relaxed));
    // One served request is allowed: after the mark is written and before the server has received the response.
    assert!(counts[0] <= 1 && counts[1] > 5, "{counts:?}");
}
