//! Outcomes of reference changes that race or whose acknowledgement is lost: names stay unique, and a
//! change that is reported as failed did not happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::testing::{FaultSchedule, Turn};
use kv::testing::{Faults, FaultyStore};
use kv::{MemoryStore, Store};

use crate::records::{Stored as _, commit_key};
use crate::testing::{Lake, branch, committing, stores};
use crate::{
    Error, Event, EventKind, HookOutcome, Kind, NoHooks, Options, RefName, Rejection, Result,
    TagId, UndoParams,
};

async fn create_branch(lake: &Lake, name: &str) -> Result<()> {
    lake.new_branch(name, "main").await.map(drop)
}

async fn create_tag(lake: &Lake, name: &str) -> Result<()> {
    lake.new_tag(name, "main").await.map(drop)
}

async fn undo(lake: &Lake, of: RefName) -> Result<()> {
    let params = UndoParams::default();
    lake.graveler.undo(&lake.repo, &of, &params).await.map(drop)
}

/// Whether a branch and a tag with this name exist.
async fn exists(lake: &Lake, name: &str) -> (bool, bool) {
    let found = lake.graveler.branch(&lake.repo, &branch(name)).await;
    let tag = lake.graveler.tag(&lake.repo, &TagId::trusted(name)).await;
    (found.is_ok(), tag.is_ok())
}

/// Asserts that exactly one of the two requests succeeded, and that the other failed because
/// the name is taken.
async fn assert_one_won(lake: &Lake, name: &str, made: Result<()>, tagged: Result<()>) {
    match (&made, &tagged) {
        (Ok(()), Err(Error::NotUnique { kind, .. })) => assert_eq!(*kind, Kind::Branch),
        (Err(Error::NotUnique { kind, .. }), Ok(())) => assert_eq!(*kind, Kind::Tag),
        both => panic!("{name} on {}: {both:?}", lake.kv.name()),
    }
    let exists = exists(lake, name).await;
    assert_eq!(exists, (made.is_ok(), tagged.is_ok()), "{name}");
}

/// Hooks during which another server creates a reference of the other kind with the same name, or
/// commits to the branch that is being deleted.
#[derive(Debug)]
struct InterferingHooks(Lake);

#[async_trait::async_trait]
impl crate::Hooks for InterferingHooks {
    async fn before(&self, event: &Event) -> std::result::Result<HookOutcome, Box<Rejection>> {
        match event.kind() {
            EventKind::PreCreateBranch => create_tag(&self.0, "b").await.unwrap(),
            EventKind::PreCreateTag => create_branch(&self.0, "t").await.unwrap(),
            EventKind::PreDeleteBranch => {
                self.0.put("b", "late=1").await;
                self.0.commit("b", "late").await.unwrap();
            }
            _ => {}
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, _event: Event) {}
}

#[tokio::test]
async fn name_taken_while_hooks_run_is_refused() {
    let lake = Lake::new().await;
    let (repo, hooks) = (&lake.repo, InterferingHooks(lake.other_server()));
    let refused = lake
        .graveler
        .create_branch(repo, &branch("b"), "main", false, false, "tester", &hooks)
        .await;
    assert_one_won(&lake, "b", refused.map(drop), Ok(())).await;
    let refused = lake
        .graveler
        .create_tag(repo, &TagId::trusted("t"), "main", false, "tester", &hooks)
        .await;
    assert_one_won(&lake, "t", Ok(()), refused.map(drop)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branch_and_tag_race_for_one_name() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder, "names").await {
        let one = Lake::with(store, "race-for-names", Options::default()).await;
        let other = one.other_server();
        for n in 0..20 {
            let name = format!("n{n}");
            for tagging in [&one, &other] {
                let (made, tagged) = tokio::join!(
                    tokio::spawn({
                        let (lake, name) = (one.clone(), name.clone());
                        async move { create_branch(&lake, &name).await }
                    }),
                    tokio::spawn({
                        let (lake, name) = (tagging.clone(), name.clone());
                        async move { create_tag(&lake, &name).await }
                    }),
                );
                let (made, tagged) = (made.unwrap(), tagged.unwrap());
                let is_branch = made.is_ok();
                assert_one_won(&one, &name, made, tagged).await;
                match is_branch {
                    true => one.delete_branch(&name).await.unwrap(),
                    false => one.delete_tag(&name).await.unwrap(),
                }
            }
        }
        let id = one.repo.id.clone();
        one.graveler.delete_repository(&id, false).await.unwrap();
    }
}

/// An undo that restores a reference races for its name like a creation.
#[tokio::test]
async fn undo_takes_no_name_from_another_reference() {
    let (mut came_back, mut lost) = (0, 0);
    for seed in 0..60 {
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let lake = Lake::on(Arc::clone(&inner)).await;
        create_branch(&lake, "b").await.unwrap();
        lake.delete_branch("b").await.unwrap();
        create_tag(&lake, "t").await.unwrap();
        lake.delete_tag("t").await.unwrap();
        let faults = Faults {
            yields: 128,
            ..Faults::default()
        };
        let yielding: Arc<dyn Store> = Arc::new(FaultyStore::new(inner, seed, faults));
        let server = || Lake {
            graveler: lake.graveler.on_store_for_tests(&yielding),
            ..lake.clone()
        };
        let (one, other) = (server(), server());
        let (back, tagged, tag_back, made) = tokio::join!(
            undo(&one, RefName::Branch(branch("b"))),
            create_tag(&other, "b"),
            undo(&other, RefName::Tag(TagId::trusted("t"))),
            create_branch(&one, "t"),
        );
        for won in [&back, &tag_back] {
            came_back += usize::from(won.is_ok());
            lost += usize::from(won.is_err());
        }
        assert_one_won(&lake, "b", back, tagged).await;
        assert_one_won(&lake, "t", made, tag_back).await;
    }
    assert!(came_back > 5 && lost > 5, "{came_back} {lost}");
}

/// On one server nearly every write fails before it is applied; on the other nearly every write is
/// applied but its acknowledgement is lost. The outcomes of creations and deletions must match the
/// stored state.
#[tokio::test]
async fn lost_acknowledgements_are_resolved() {
    let (before, after) = (
        Faults {
            before_write: 255,
            ..Faults::default()
        },
        Faults {
            after_write: 255,
            ..Faults::default()
        },
    );
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let lake = Lake::on(Arc::clone(&inner)).await;
    let on = |faults| {
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&inner), 5, faults));
        Lake {
            graveler: lake.graveler.on_store_for_tests(&faulty),
            ..lake.clone()
        }
    };
    let (refusing, unacknowledged) = (on(before), on(after));
    for n in 0..10 {
        let (b, t) = (format!("b{n}"), format!("t{n}"));
        let created = [
            create_branch(&refusing, &b).await,
            create_tag(&refusing, &t).await,
        ];
        assert!(created.iter().all(Result::is_err), "{created:?}");
        assert_eq!(exists(&lake, &b).await, (false, false));
        assert_eq!(exists(&lake, &t).await, (false, false));
        create_branch(&unacknowledged, &b).await.unwrap();
        create_tag(&unacknowledged, &t).await.unwrap();
        assert_eq!(exists(&lake, &b).await, (true, false));
        assert_eq!(exists(&lake, &t).await, (false, true));
        let deleted = [
            refusing.delete_branch(&b).await,
            refusing.delete_tag(&t).await,
        ];
        assert!(deleted.iter().all(Result::is_err), "{deleted:?}");
        unacknowledged.delete_branch(&b).await.unwrap();
        unacknowledged.delete_tag(&t).await.unwrap();
        assert_eq!(exists(&lake, &b).await, (false, false));
        assert_eq!(exists(&lake, &t).await, (false, false));
    }
}

/// Loses the acknowledgement of the write that moves the head of `main`, and makes another server
/// commit on top before the outcome is checked.
#[derive(Debug)]
struct OvertakingServer {
    other: Lake,
    from: crate::CommitId,
    done: AtomicBool,
    should_fail: AtomicBool,
}

/// The probability of faults after writes; [`OvertakingServer`] recognizes these faults by it.
const AFTER_WRITE: u8 = 1;

impl FaultSchedule for OvertakingServer {
    fn should_fail(&self, parts: u8) -> bool {
        parts == AFTER_WRITE && self.should_fail.swap(false, Ordering::Relaxed)
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            let moved = self.other.head("main").await.id != self.from;
            if moved && !self.done.swap(true, Ordering::Relaxed) {
                self.other.put("main", "top=1").await;
                self.other.commit("main", "on top").await.unwrap();
                self.should_fail.store(true, Ordering::Relaxed);
            }
        })
    }
}

async fn overtaken_server(lake: &Lake) -> (Lake, Arc<OvertakingServer>) {
    let schedule = Arc::new(OvertakingServer {
        other: lake.other_server(),
        from: lake.head("main").await.id,
        done: false.into(),
        should_fail: false.into(),
    });
    let faults = Faults {
        after_write: AFTER_WRITE,
        ..Faults::default()
    };
    let kv = Arc::clone(&lake.kv);
    let faulty: Arc<dyn Store> = Arc::new(FaultyStore::with_schedule(
        kv,
        faults,
        Arc::clone(&schedule) as _,
    ));
    let graveler = lake.graveler.on_store_for_tests(&faulty);
    let lake = Lake {
        graveler,
        ..lake.clone()
    };
    (lake, schedule)
}

#[tokio::test]
async fn unacknowledged_commit_below_the_head_has_landed() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let (server, schedule) = overtaken_server(&lake).await;
    let commit = server.commit("main", "mine").await.unwrap();
    assert!(schedule.done.load(Ordering::Relaxed));
    let head = lake.head("main").await;
    assert_eq!(
        (head.message.as_str(), head.parents),
        ("on top", vec![commit.id])
    );
    assert_eq!(lake.show("main@").await, "a=1 top=1");
}

#[tokio::test]
async fn unacknowledged_reset_below_a_later_commit_has_landed() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let base = lake.commit("main", "base").await.unwrap();
    lake.put("main", "a=2").await;
    lake.commit("main", "bad").await.unwrap();
    let (server, schedule) = overtaken_server(&lake).await;
    server.hard_reset("main", base.id.as_str()).await.unwrap();
    assert!(schedule.done.load(Ordering::Relaxed));
    assert_eq!(lake.head("main").await.parents, [base.id]);
    assert_eq!(lake.show("main@").await, "a=1 top=1");
}

/// Commits a little later, but within the same second.
async fn commit_within_the_second(lake: &Lake, on: &str) -> crate::Commit {
    lake.clock.advance(Duration::from_millis(10));
    let (on, params) = (branch(on), committing("load"));
    let committed = lake.graveler.commit(&lake.repo, &on, params, &NoHooks);
    committed.await.unwrap()
}

/// Equal changes on two branches, committed in the same second, make commits with the same id.
#[tokio::test]
async fn first_record_of_equal_commits_stays() {
    let lake = Lake::new().await;
    for name in ["one", "two"] {
        create_branch(&lake, name).await.unwrap();
        lake.put(name, "a=1").await;
    }
    let first = commit_within_the_second(&lake, "one").await;
    // A mirror may have recorded it with another generation, which only has to be above its parents'.
    let mirrored = crate::Commit {
        generation: 7,
        ..first.clone()
    };
    let key = commit_key(first.id.as_str());
    let partition = lake.repo.partition();
    let recorded = lake.kv.set(partition.as_bytes(), &key, mirrored.encode());
    recorded.await.unwrap();
    let lake = lake.other_server();

    let second = commit_within_the_second(&lake, "two").await;
    assert_eq!(second, mirrored, "the answer must be the recorded commit");
    for server in [&lake, &lake.other_server()] {
        assert_eq!(server.head("one").await, mirrored);
        assert_eq!(server.head("two").await, mirrored);
    }
    assert_eq!(lake.show("two@").await, "a=1");
    lake.put("two", "b=1").await;
    let next = lake.commit("two", "next").await.unwrap();
    assert_eq!(next.generation, 8);
}

#[tokio::test]
async fn branch_deletion_fails_if_the_head_moved_during_hooks() {
    let lake = Lake::new().await;
    create_branch(&lake, "b").await.unwrap();
    let hooks = InterferingHooks(lake.other_server());
    let refused = lake
        .graveler
        .delete_branch(&lake.repo, &branch("b"), false, "tester", &hooks)
        .await;
    assert!(
        matches!(refused, Err(Error::ConcurrentChange(_))),
        "{refused:?}"
    );
    assert_eq!(lake.head("b").await.message, "late");
    lake.delete_branch("b").await.unwrap();
    assert_eq!(exists(&lake, "b").await, (false, false));
}
