//! Computations of one repository that take long, and the gates of others.

use std::time::Duration;

use super::components::{put_component, wasm};
use super::listing::{commit_of, tree};
use super::*;
use crate::computations::Blocked;

const OBJECT_GATE: &[u8] = include_bytes!("../../../tests/fixtures/test_object_gate.wasm");

/// Regression test: slow globs of one repository occupied all threads, even after their hooks had timed out, and the
/// gates of all other repositories waited for them without a limit.
#[tokio::test]
async fn gates_do_not_wait_for_computations_of_another_repository() {
    let lake = Lake::new().await;
    let computations = &lake.actions.executor.loader.computations;
    let _blocked = Blocked::start(computations, "hostile").await;
    let gates = async {
        put_component(&lake, "main", OBJECT_GATE).await;
        let gate = wasm("      select: {paths: ['data/**']}\n");
        lake.gate("main", "gate.yaml", &gate).await;
        let by_path = "{pre-commit: {paths: ['data/*']}}";
        let webhook = REFUSE.replace("gate", "web").replace("/fail", "/ok");
        lake.gate("main", "web", &webhook.replace("{pre-commit: }", by_path))
            .await;
        lake.put("main", "data/x").await;
        lake.commit("main").await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(100), gates)
        .await
        .unwrap();
    assert_eq!(
        lake.runs("main").await,
        "pre-commit passed commit: 0000_0000 gate/guard Completed, 0001_0000 web/no Completed\n"
    );
}

/// Regression test: a change waited without a limit while its paths were matched.
#[tokio::test]
async fn all_actions_run_if_matching_takes_too_long() {
    let lake = Lake::new().await;
    let by_path = "{pre-commit: {paths: ['none/*']}}";
    lake.gate(
        "main",
        "gate.yaml",
        &REFUSE.replace("{pre-commit: }", by_path),
    )
    .await;
    lake.commit("main").await.unwrap();
    let base = tree(&lake, "main").await;
    lake.put("main", "data/x").await;
    lake.commit("main").await.unwrap();
    let event = commit_of(&lake, base, tree(&lake, "main").await);
    let mut loader = lake.actions.executor.loader.clone();
    let matching = async |loader: &Loader| {
        let matched = matching_actions(loader, &event, GatesSource::Both).await;
        matched.unwrap().len()
    };
    assert_eq!(matching(&loader).await, 0);
    loader.match_time = Duration::ZERO;
    let repository = lake.repository.partition();
    let _blocked = Blocked::start(&loader.computations, &repository).await;
    assert_eq!(matching(&loader).await, 1);
}
