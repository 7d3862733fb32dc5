//! Warnings about action files: in the response, the run and the log.

use super::*;

/// Regression test: the variable was sent as an empty string without a warning.
#[tokio::test]
async fn unreadable_variable_is_a_warning_without_its_value() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-commit: }\nhooks:\n  - id: tell\n    type: webhook\n    properties:\n      url: HOOK/tell\n      headers: {X-Token: '{{ ENV.OTHER_TOKEN }}', X-Good: '{{ ENV.LAKEFSACTION_TOKEN }}'}\n").await;
    let gates = lake.commit_with_gates("main").await;
    let warning = "_lakefs_actions/gate.yaml:8:26: hook 'tell': variable 'OTHER_TOKEN' is sent as an empty string: hooks may use variables whose names start with LAKEFSACTION_ (actions.env.prefix)";
    assert_eq!(gates.warnings, [warning]);
    let run = lake.actions.run(&lake.repository, &gates.run_ids[0]).await;
    assert_eq!(run.unwrap().unwrap().warnings, [warning]);
    let log = lake.output(&gates.run_ids[0], "0000_0000").await.unwrap();
    assert!(
        log.starts_with(&format!("warning: {warning}\n")) && !log.contains("s3cret"),
        "{log}"
    );
}

/// Regression test: the action in a second YAML document never ran, and there was no warning.
#[tokio::test]
async fn second_document_warning_is_in_response_and_run() {
    let lake = Lake::new().await;
    let one = "name: gate\non: {pre-commit: }\nhooks: [{id: tell, type: webhook, properties: {url: HOOK/one}}]\n";
    let two = one.replace("gate", "other").replace("one", "two");
    lake.gate("main", "gate.yaml", &format!("{one}---\n{two}"))
        .await;
    let gates = lake.commit_with_gates("main").await;
    assert_eq!(
        gates.warnings,
        [
            "_lakefs_actions/gate.yaml:4:1: only the first YAML document is read; put each action into a separate file"
        ]
    );
    let run = lake.actions.run(&lake.repository, &gates.run_ids[0]).await;
    assert_eq!(run.unwrap().unwrap().warnings, gates.warnings);
    assert_eq!(lake.calls().await, ["/one"]);
}

/// The warning appears when the gate is committed, not only when it refuses the first merge.
#[tokio::test]
async fn lua_gate_warns_on_commit_and_refuses_merge() {
    let lake = Lake::new().await;
    lake.gate("main", "gate.yaml", "name: gate\non: {pre-merge: }\nhooks:\n  - id: lua\n    type: lua\n    properties: {script: print(1)}\n").await;
    let gates = lake.commit_with_gates("main").await;
    let [warning] = &gates.warnings[..] else {
        panic!("{gates:?}")
    };
    assert!(
        warning.contains("Lua hooks are not run by this version"),
        "{warning}"
    );
    assert!(gates.run_ids.is_empty());
    lake.branch("dev").await;
    lake.put("dev", "a").await;
    lake.commit("dev").await.unwrap();
    let refused = lake.merge("dev", "main").await.unwrap_err();
    assert!(refused.message.contains("hook type lua is not supported"));
}

/// Regression test: a run stored 100 warnings of 3 KB, and a page of 1,000 runs had 300 MB.
#[tokio::test]
async fn size_of_warnings_is_limited() {
    let lake = Lake::new().await;
    let keys: String = (0..50)
        .map(|n| format!("{n:02}{}: 1\n", "k".repeat(1000)))
        .collect();
    for name in ["gate-1", "gate-2"] {
        let gate = REFUSE.replace("gate", name).replace("/fail", "/ok");
        lake.gate("main", name, &format!("{keys}{gate}")).await;
    }
    let gates = lake.commit_with_gates("main").await;
    let bytes: usize = gates.warnings.iter().map(String::len).sum();
    assert!(bytes < 33 << 10, "{bytes}");
    let shown = gates.warnings.len() - 1;
    let last = format!(
        "{} more warnings about action files are not shown",
        100 - shown
    );
    assert_eq!(gates.warnings.last(), Some(&last));
    let run = lake.actions.run(&lake.repository, &gates.run_ids[0]).await;
    assert_eq!(run.unwrap().unwrap().warnings, gates.warnings);
}
