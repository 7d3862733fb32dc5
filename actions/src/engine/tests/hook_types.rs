//! Gates of the types `lua` and `airflow`.

use super::*;

#[tokio::test]
async fn lua_hook_fails_with_a_clear_message() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks:\n  - id: lua\n    type: lua\n    properties: {script: print(1)}\n").await;
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(
        rejection.message.contains(
            "action failed: hook type lua is not supported by this version: use wasm, webhook or airflow"
        ),
        "{}",
        rejection.message
    );
    let log = lake.output(&rejection.run_id, "0000_0000").await.unwrap();
    assert!(
        log.starts_with("warning: _lakefs_actions/gate.yaml:6:17: hook[0] type 'lua': Lua hooks are not run by this version: ")
            && log.ends_with("\nError: action failed: hook type lua is not supported by this version: use wasm, webhook or airflow\n"),
        "{log}"
    );
}

/// An Airflow hook gates a change like a webhook does.
#[tokio::test]
async fn failed_dag_refuses_the_change() {
    let lake = Lake::new().await;
    let gate = |dag: &str| {
        format!(
            "name: gate\non: {{pre-commit: }}\nhooks:\n  - id: air\n    type: airflow\n    properties: {{url: HOOK, dag_id: {dag}, username: u, password: '{{{{ ENV.LAKEFSACTION_P }}}}', wait_for_dag: true}}\n"
        )
    };
    lake.gate("main", "gate.yaml", &gate("fails")).await;
    let refused = lake.commit("main").await.unwrap_err();
    assert!(
        refused.message.ends_with("1 error occurred:\n\t* hook run id '0000_0000' failed on action 'gate' hook 'air': action failed: airflow hook DAG failed\n\n"),
        "{}",
        refused.message
    );
    let log = lake.output(&refused.run_id, "0000_0000").await.unwrap();
    assert!(
        log.ends_with(
            "\nDAG completed with state: failed\nError: action failed: airflow hook DAG failed\n"
        ) && !log.contains("s3cret"),
        "{log}"
    );
    lake.gate("main", "gate.yaml", &gate("succeeds")).await;
    lake.commit("main").await.unwrap();
}

/// Airflow rejects a run id that it already has. When a change edits an action file, both versions of the file run, so
/// each needs its own run id.
#[tokio::test]
async fn old_and_new_version_of_an_action_file_start_dag_runs_with_different_ids() {
    let lake = Lake::new().await;
    let gate = |description: &str| {
        format!(
            "name: gate\ndescription: {description}\non: {{pre-commit: }}\nhooks:\n  - id: air\n    type: airflow\n    properties: {{url: HOOK, dag_id: checks, username: u, password: p4ssword}}\n"
        )
    };
    for description in ["old", "new"] {
        lake.gate("main", "gate.yaml", &gate(description)).await;
        lake.commit("main").await.unwrap();
    }
    let bodies: Vec<String> = {
        let seen = lake.seen.lock().unwrap();
        seen.iter()
            .map(|(_, _, body)| String::from_utf8_lossy(body).into_owned())
            .collect()
    };
    let id = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["dag_run_id"].as_str().unwrap().to_owned()
    };
    let ids: std::collections::BTreeSet<String> = bodies.iter().map(id).collect();
    assert_eq!((bodies.len(), ids.len()), (3, 3), "{ids:?}");
    assert!(
        ids.iter().all(|id| id.starts_with("lakeFS_hook_air_")),
        "{ids:?}"
    );
}
