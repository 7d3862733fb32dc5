//! Clients that disconnect while their change is in progress.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base::testing::{FaultSchedule, Turn};
use catalog::testing::{TestCatalog, commit_params, creation, merge_params};
use catalog::{
    CompletedPart, Error, MAX_DETACHED_CHANGES, MAX_DETACHED_REPOSITORY_CHANGES, ObjectTarget,
    UploadOptions,
};
use graveler::{Event, EventKind, HookOutcome, Hooks, Rejection};
use kv::testing::{Faults, FaultyStore};
use tokio::sync::{Notify, Semaphore};

/// More turns than any test here needs; only a failing test uses all of them.
const MAX_TURNS: usize = 10_000;

/// Hooks that block one kind of event until released, and record their post events.
#[derive(Debug)]
struct Slow {
    kind: EventKind,
    entered: Notify,
    released: Notify,
    received: Mutex<Vec<EventKind>>,
}

impl Slow {
    fn new(kind: EventKind) -> Arc<Self> {
        Arc::new(Self {
            kind,
            entered: Notify::new(),
            released: Notify::new(),
            received: Mutex::default(),
        })
    }

    async fn has_received(&self, kind: EventKind) -> bool {
        for _ in 0..MAX_TURNS {
            if self.received.lock().unwrap().contains(&kind) {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }
}

#[async_trait]
impl Hooks for Slow {
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        if event.kind() == self.kind {
            self.entered.notify_one();
            self.released.notified().await;
        }
        Ok(HookOutcome::default())
    }

    async fn after(&self, event: Event) {
        self.received.lock().unwrap().push(event.kind());
    }
}

#[tokio::test]
async fn commit_and_its_post_hooks_complete_after_the_client_disconnects() {
    let hooks = Slow::new(EventKind::PreCommit);
    let lake = TestCatalog::with_hooks(|_| Arc::<Slow>::clone(&hooks));
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;

    let client = tokio::spawn({
        let (lake, repository) = (lake.clone(), repository.clone());
        async move {
            lake.commit_branch(&repository, "main", commit_params("one"))
                .await
        }
    });
    hooks.entered.notified().await;
    client.abort();
    client.await.unwrap_err();
    hooks.released.notify_one();

    assert!(hooks.has_received(EventKind::PostCommit).await);
    let head = lake
        .catalog
        .reader()
        .commit(&repository, "main")
        .await
        .unwrap();
    assert_eq!(head.message, "one");
}

#[tokio::test]
async fn merge_and_its_post_hooks_complete_after_the_client_disconnects() {
    let hooks = Slow::new(EventKind::PreMerge);
    let lake = TestCatalog::with_hooks(|_| Arc::<Slow>::clone(&hooks));
    let repository = lake.repository("lake").await;
    lake.create_branch(&repository, "dev", "main", false, false, "me")
        .await
        .unwrap();
    lake.put(&repository, "dev", "a", "1").await;
    lake.commit_branch(&repository, "dev", commit_params("one"))
        .await
        .unwrap();

    let client = tokio::spawn({
        let (lake, repository) = (lake.clone(), repository.clone());
        async move { lake.merge(&repository, "dev", "main", merge_params()).await }
    });
    hooks.entered.notified().await;
    client.abort();
    client.await.unwrap_err();
    hooks.released.notify_one();

    assert!(hooks.has_received(EventKind::PostMerge).await);
    assert_eq!(lake.read(&repository, "main", "a").await, "1");
}

#[tokio::test]
async fn multipart_completion_survives_a_disconnect() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let to = ObjectTarget {
        repository: &repository,
        branch: "main",
        path: "big",
    };
    let upload = lake
        .create_multipart(to, &UploadOptions::default())
        .await
        .unwrap();
    let part = lake
        .put_part(to, &upload.upload_id, 1, block::from_bytes("x".into()))
        .await
        .unwrap();
    let parts = [CompletedPart {
        number: 1,
        etag: part.etag,
    }];

    let mut request = Box::pin(lake.complete_multipart(to, &upload.upload_id, &parts, false));
    assert!(futures::poll!(&mut request).is_pending());
    drop(request);

    for _ in 0..MAX_TURNS {
        if lake.reader().stat(&repository, "main", "big").await.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(lake.read(&repository, "main", "big").await, "x");
}

#[tokio::test]
async fn repository_creation_survives_a_disconnect() {
    let lake = TestCatalog::new();
    let mut request = Box::pin(lake.create_repository(creation("lake")));
    assert!(futures::poll!(&mut request).is_pending());
    drop(request);
    lake.drain().await;
    let repository = lake.catalog.reader().repository("lake").await.unwrap();
    lake.put(&repository, "main", "a", "1").await;
}

#[tokio::test]
async fn shutdown_waits_for_changes_of_disconnected_clients() {
    let hooks = Slow::new(EventKind::PreCommit);
    let lake = TestCatalog::with_hooks(|_| Arc::<Slow>::clone(&hooks));
    let repository = lake.repository("lake").await;
    lake.put(&repository, "main", "a", "1").await;
    lake.drain().await;

    let client = tokio::spawn({
        let (lake, repository) = (lake.clone(), repository.clone());
        async move {
            lake.commit_branch(&repository, "main", commit_params("one"))
                .await
        }
    });
    hooks.entered.notified().await;
    client.abort();
    client.await.unwrap_err();

    let mut drained = Box::pin(lake.drain());
    assert!(futures::poll!(&mut drained).is_pending());
    hooks.released.notify_one();
    drained.await;
    assert_eq!(
        hooks.received.lock().unwrap().last(),
        Some(&EventKind::PostCommit)
    );
}

/// A store whose calls wait until the test opens it.
#[derive(Debug)]
struct BlockedStore {
    waiting: Semaphore,
    open: Semaphore,
}

impl FaultSchedule for BlockedStore {
    fn should_fail(&self, _rate: u8) -> bool {
        false
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            self.waiting.add_permits(1);
            drop(self.open.acquire().await.unwrap());
        })
    }
}

/// Guards against a bug: a client that repeatedly requested a dump and disconnected started dumps without limit.
#[tokio::test]
async fn changes_of_clients_that_disconnected_are_limited() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let blocked = Arc::new(BlockedStore {
        waiting: Semaphore::new(0),
        open: Semaphore::new(0),
    });
    let schedule = Arc::<BlockedStore>::clone(&blocked);
    let inner = Arc::<kv::MemoryStore>::clone(&lake.kv);
    let store: Arc<dyn kv::Store> = Arc::new(FaultyStore::with_schedule(
        inner,
        Faults::default(),
        schedule,
    ));
    let server = lake.with_store(&store);
    for _ in 0..MAX_DETACHED_REPOSITORY_CHANGES {
        let dump = server.dump_refs(&repository);
        tokio::select! {
            outcome = dump => panic!("{outcome:?}"),
            waiting = blocked.waiting.acquire() => waiting.unwrap().forget(),
        }
    }
    let refused = server.dump_refs(&repository).await;
    assert!(matches!(refused, Err(Error::TooManyChanges)), "{refused:?}");
    // Other changes have their own limit.
    let tag = async |n: usize| {
        let name = format!("t{n}");
        let tagged = server.create_tag(&repository, &name, "main", false, "me");
        tokio::select! {
            outcome = tagged => Some(outcome),
            waiting = blocked.waiting.acquire() => { waiting.unwrap().forget(); None },
        }
    };
    for n in 0..MAX_DETACHED_CHANGES {
        let outcome = tag(n).await;
        assert!(outcome.is_none(), "{outcome:?}");
    }
    let refused = tag(MAX_DETACHED_CHANGES).await;
    assert!(
        matches!(refused, Some(Err(Error::TooManyChanges))),
        "{refused:?}"
    );

    blocked.open.add_permits(1);
    server.drain().await;
    server.dump_refs(&repository).await.unwrap();
    let tags = lake.catalog.reader();
    let tags = tags.list_tags(&repository, "", "", 10_000).await.unwrap();
    assert_eq!(tags.results.len(), MAX_DETACHED_CHANGES);
}
