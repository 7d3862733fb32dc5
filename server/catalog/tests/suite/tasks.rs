//! Tasks: status, end, and recovery when a server dies.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::time::Duration;

use catalog::tasks::{HEARTBEAT_TIMEOUT, MAX_OPEN_TASKS, TASK_RETENTION};
use catalog::testing::{TestCatalog, creation};
use catalog::{Catalog, Description, Error, TaskKind, TaskStatus};
use graveler::{Finding, Rejection, Repository};
use tokio::runtime::Runtime;

const KIND: TaskKind = TaskKind::PREPARE_GC_COMMITS;
/// More turns than any test here needs; only a failing test uses all of them.
const MAX_TURNS: usize = 100_000;

/// The result of the tasks in these tests.
#[derive(Clone, PartialEq, prost::Message)]
struct Counted {
    #[prost(int64, tag = "1")]
    number: i64,
}

async fn status(lake: &Catalog, repository: &Repository, id: &str) -> TaskStatus<Counted> {
    lake.task_status(repository, KIND, id).await.unwrap()
}

async fn done(lake: &Catalog, repository: &Repository, id: &str) -> TaskStatus<Counted> {
    for _ in 0..MAX_TURNS {
        let status = status(lake, repository, id).await;
        if status.done {
            return status;
        }
        tokio::task::yield_now().await;
    }
    panic!("task {id} is not done");
}

async fn submit<F>(lake: &Catalog, repository: &Repository, work: F) -> catalog::Result<String>
where
    F: Future<Output = catalog::Result<Counted>> + Send + 'static,
{
    lake.submit_task(repository, KIND, move |_| work).await
}

/// Starts a task that never ends on a server that then dies. Returns the task id.
async fn submit_on_dying_server(lake: &TestCatalog, repository: &Repository) -> String {
    let server = Runtime::new().unwrap();
    let (dying, repository) = (lake.another_server(), repository.clone());
    let id = server
        .spawn(async move { submit(&dying, &repository, pending()).await.unwrap() })
        .await
        .unwrap();
    server.shutdown_background();
    id
}

#[tokio::test]
async fn status_is_available_until_a_day_after_the_end() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let id = lake
        .submit_task(&repository, KIND, |progress| async move {
            progress.add(3);
            Ok(Counted { number: 7 })
        })
        .await
        .unwrap();
    assert_eq!((&id[..4], id.len()), ("GCPC", 24));
    let found = done(&lake, &repository, &id).await;
    assert_eq!(found.info, Some(Counted { number: 7 }));
    assert_eq!((found.progress, found.failure), (3, None));

    lake.clock.advance(TASK_RETENTION);
    lake.prune_tasks().await.unwrap();
    status(&lake, &repository, &id).await;
    lake.clock.advance(Duration::from_secs(1));
    lake.prune_tasks().await.unwrap();
    let gone = lake.task_status::<Counted>(&repository, KIND, &id).await;
    assert!(matches!(gone, Err(Error::TaskNotFound(_))), "{gone:?}");
    assert_eq!(
        lake.records("catalog").await,
        [""; 0],
        "heartbeats are deleted too"
    );
}

#[tokio::test]
async fn failure_includes_the_findings_of_hooks() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let finding = Finding {
        action: "a".into(),
        hook: "h".into(),
        severity: "error".into(),
        rule: "column".into(),
        message: "no such column".into(),
        path: Some("t.parquet".into()),
        properties: BTreeMap::from([("column".into(), "id".into())]),
    };
    let refusal = Error::Rejected(Box::new(Rejection {
        run_id: "r".into(),
        kind: graveler::EventKind::PreCommit,
        message: "refused by h".into(),
        hint: None,
        invalid_actions: false,
        findings: vec![finding.clone()],
    }));
    let server = lake
        .catalog
        .clone()
        .describe_failures_with(|e, _| Description {
            code: 412,
            is_server_fault: false,
            message: format!("described: {e}"),
            hint: Some("do better".to_owned()),
        });
    let id = submit(&server, &repository, async { Err(refusal) })
        .await
        .unwrap();
    let failure = done(&lake, &repository, &id).await.failure.unwrap();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (412, "described: refused by h")
    );
    assert_eq!(failure.hint.as_deref(), Some("do better"));
    assert_eq!(failure.findings, [finding]);

    lake.clock.advance(TASK_RETENTION + Duration::from_secs(1));
    lake.prune_tasks().await.unwrap();
    assert_eq!(lake.records("weir-task-findings").await, [""; 0]);
}

#[tokio::test]
async fn task_that_panics_fails() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let id = submit(&lake, &repository, async { panic!("a bug") })
        .await
        .unwrap();
    let failure = done(&lake, &repository, &id).await.failure.unwrap();
    assert!(failure.message.contains("unexpectedly"), "{failure:?}");
}

#[tokio::test]
async fn recovery_fails_tasks_of_dead_servers_only() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let id = submit_on_dying_server(&lake, &repository).await;
    lake.clock
        .advance(HEARTBEAT_TIMEOUT - Duration::from_secs(1));
    lake.recover_tasks().await.unwrap();
    assert!(
        !status(&lake, &repository, &id).await.done,
        "the server may still be alive"
    );

    lake.clock.advance(Duration::from_secs(1));
    lake.recover_tasks().await.unwrap();
    assert_eq!(lake.records("weir-tasks").await, [""; 0]);
    let failure = status(&lake, &repository, &id).await.failure.unwrap();
    assert!(
        failure.message.starts_with("the server died"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn status_of_a_dead_servers_task_is_failed_without_recovery() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let id = submit_on_dying_server(&lake, &repository).await;
    lake.clock.advance(HEARTBEAT_TIMEOUT);
    let failure = status(&lake, &repository, &id).await.failure.unwrap();
    assert!(
        failure.message.starts_with("the server died"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn server_that_stops_hands_over_its_tasks_at_once() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let stopping = lake.another_server();
    let id = submit(&stopping, &repository, pending()).await.unwrap();
    stopping.hand_over_tasks().await;
    stopping.drain().await;
    lake.recover_tasks().await.unwrap();
    assert!(status(&lake, &repository, &id).await.failure.is_some());
}

#[tokio::test]
async fn server_refuses_tasks_beyond_its_limit() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    for _ in 0..MAX_OPEN_TASKS {
        submit(&lake, &repository, pending()).await.unwrap();
    }
    let refused = submit(&lake, &repository, pending()).await;
    assert!(matches!(refused, Err(Error::TooManyTasks)), "{refused:?}");
}

#[tokio::test]
async fn tasks_are_deleted_with_their_repository() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    submit(&lake, &repository, async {
        gone.await.unwrap();
        Ok(Counted { number: 1 })
    })
    .await
    .unwrap();
    submit_on_dying_server(&lake, &repository).await;
    lake.delete_repository("lake", false).await.unwrap();
    lake.create_repository(graveler::CreateRepository {
        bare: true,
        ..creation("lake")
    })
    .await
    .unwrap();
    go.send(()).unwrap();
    lake.drain().await;
    lake.clock.advance(HEARTBEAT_TIMEOUT);
    let other = lake.another_server();
    other.recover_tasks().await.unwrap();
    assert_eq!(lake.records("weir-tasks").await, [""; 0]);
    assert_eq!(lake.records(&repository.partition()).await, [""; 0]);
}

#[tokio::test]
async fn ids_of_other_tasks_are_not_found() {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let other = lake.repository("other").await;
    let id = submit(&lake, &repository, async { Ok(Counted { number: 1 }) })
        .await
        .unwrap();
    for (repository, kind, id) in [
        (&other, KIND, id.as_str()),
        (
            &repository,
            TaskKind {
                prefix: "DR",
                ..KIND
            },
            id.as_str(),
        ),
        (&repository, KIND, ""),
        (&repository, KIND, "GCPC"),
        (&repository, KIND, "GCPC/../../branches/mai"),
        (&repository, KIND, "GCPC00000000000000000000"),
    ] {
        let found = lake.task_status::<Counted>(repository, kind, id).await;
        assert!(
            matches!(found, Err(Error::TaskNotFound(_))),
            "{id}: {found:?}"
        );
    }
}
