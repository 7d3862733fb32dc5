//! Tests which objects are action files, and the limits on the files of a tree.

use super::*;

#[tokio::test]
async fn invalid_action_file_blocks_only_its_branch() {
    let lake = Lake::new().await;
    lake.branch("other").await;
    lake.gate("main", "gate.yaml", "name: gate\non:\n  pre-dance:\n")
        .await;
    lake.gate("main", "two.yaml", "on:\n").await;
    lake.gate("main", "notes", "just: a note").await;
    lake.gate("main", "below/nested.yaml", "not: [yaml").await;
    let rejection = lake.commit("main").await.unwrap_err();
    assert!(rejection.invalid_actions);
    assert_eq!(
        rejection.message,
        format!(
            "prepare-commit hook aborted, run id '{}': 3 errors occurred:\n\t* parsing file _lakefs_actions/gate.yaml:3:3: event 'pre-dance' is not supported; the events are prepare-commit, pre-commit, post-commit, pre-merge, post-merge, pre-create-branch, post-create-branch, pre-delete-branch, post-delete-branch, pre-create-tag, post-create-tag, pre-delete-tag, post-delete-tag, pre-revert, post-revert, pre-cherry-pick, post-cherry-pick\n\t* parsing file _lakefs_actions/notes:1:1: 'name' is required\n\t* parsing file _lakefs_actions/two.yaml:1:1: 'name' is required\n\n",
            rejection.run_id
        )
    );
    assert_eq!(
        rejection.hint.as_deref(),
        Some(
            "correct the action files on branch main, or delete them there, and try again; every object directly below _lakefs_actions/ is an action file, so keep other files elsewhere; no hook ran, so this run id has no record"
        )
    );
    lake.put("other", "x").await;
    lake.commit("other").await.unwrap();
}

/// Regression test: only files with the extension `.yaml` were read, so gates with other names were
/// skipped.
#[tokio::test]
async fn every_object_in_the_folder_is_an_action_file() {
    for name in [
        "gate",
        "gate.yml",
        ".gate",
        "gate.yaml.bak",
        "my gate.YAML",
        "tör",
        "",
    ] {
        let lake = Lake::new().await;
        lake.gate("main", name, REFUSE).await;
        let message = lake.commit("main").await.unwrap_err().message;
        assert!(message.contains("status code: 400"), "{name}: {message}");
    }
}

/// Regression test: the search for action files stepped to the last assigned code point below a
/// subfolder and never got past an object with a later name.
#[tokio::test]
async fn subfolders_with_any_names_are_stepped_over() {
    let lake = Lake::new().await;
    lake.gate("main", "sub/\u{10FFFF}\u{10FFFF}", "no action")
        .await;
    lake.gate("main", "sub0", REFUSE).await;
    lake.gate("main", "sub1/x", "no action").await;
    lake.gate(
        "main",
        "sub2",
        &REFUSE.replace("name: gate", "name: second"),
    )
    .await;
    let message = lake.commit("main").await.unwrap_err().message;
    for name in ["gate", "second"] {
        assert!(message.contains(&format!("action '{name}'")), "{message}");
    }
}

/// Regression test: files in a wrong folder were ignored without a warning.
#[tokio::test]
async fn misplaced_action_files_are_warnings() {
    let lake = Lake::new().await;
    for path in ["_lakefs_actions/sub/gate.yaml", "_lakefs_action/gate.yaml"] {
        lake.put("main", path).await;
    }
    let warnings = lake.commit_with_gates("main").await.warnings;
    assert_eq!(
        warnings,
        [
            "_lakefs_action/gate.yaml: has no effect, because the folder of action files is _lakefs_actions/",
            "_lakefs_actions/sub/gate.yaml: has no effect, because it is in a folder below _lakefs_actions/; move it to _lakefs_actions/gate.yaml"
        ]
    );
    lake.put("main", "other").await;
    assert_eq!(
        lake.commit_with_gates("main").await.warnings,
        Vec::<String>::new(),
        "only the commit that adds the files gets the warning"
    );
}

/// A folder marker, and objects in folders below.
#[tokio::test]
async fn folders_in_the_folder_are_no_action_files() {
    let lake = Lake::new().await;
    lake.gate("main", "", "").await;
    lake.gate("main", "below/gate.yaml", REFUSE).await;
    lake.gate("main", "/gate.yaml", REFUSE).await;
    lake.commit("main").await.unwrap();
}

#[tokio::test]
async fn duplicate_action_names_are_rejected() {
    let lake = Lake::new().await;
    lake.gate("main", "a.yaml", TELL).await;
    lake.gate("main", "b.yaml", TELL).await;
    let message = lake.commit("main").await.unwrap_err().message;
    assert!(message.contains("parsing file _lakefs_actions/b.yaml: name 'tell' is already used by _lakefs_actions/a.yaml"), "{message}");
}

/// Without the limit, a tree with many small files could make every change wait for hours.
#[tokio::test]
async fn number_of_hooks_per_event_is_limited() {
    let lake = Lake::new().await;
    let hooks: String = (0..100).fold(String::new(), |mut text, n| {
        let _ = writeln!(
            text,
            "  - {{id: hook{n}, type: webhook, properties: {{url: HOOK/x}}}}"
        );
        text
    });
    for n in 0..11 {
        let yaml = format!("name: many {n}\non: {{pre-commit: }}\nhooks:\n{hooks}");
        lake.gate("main", &format!("{n:02}.yaml"), &yaml).await;
    }
    let refused = lake.commit("main").await.unwrap_err();
    assert!(refused.invalid_actions);
    let expected = "parsing file _lakefs_actions/10.yaml: with this file, one event would run 1100 hooks; at most 1000 are allowed";
    assert!(refused.message.contains(expected), "{}", refused.message);
    assert!(lake.calls().await.is_empty());
}

/// Without the limit, a tree of short files with aliases could expand to gigabytes.
#[tokio::test]
async fn total_size_of_action_files_is_limited() {
    let lake = Lake::new().await;
    let text = "x".repeat(650_000);
    for n in 0..6 {
        let yaml =
            format!("name: many {n}\non: {{pre-merge: }}\nx-0: &a {text}\nx-1: [*a, *a, *a, *a]\n");
        lake.gate("main", &format!("{n}.yaml"), &yaml).await;
    }
    let refused = lake.commit("main").await.unwrap_err();
    assert!(refused.invalid_actions);
    let expected = "* parsing file _lakefs_actions/5.yaml: the action files exceed 16777216 bytes in total, with aliases expanded\n";
    assert!(refused.message.contains(expected), "{}", refused.message);
    lake.delete("main", "_lakefs_actions/5.yaml").await;
    lake.commit("main").await.unwrap();
}

/// One event may have to be matched against the patterns of all files.
#[tokio::test]
async fn total_size_of_patterns_is_limited() {
    let lake = Lake::new().await;
    let many = |n: usize| vec!["a".repeat(1000); n].join(", ");
    let (branches, paths) = (many(60), many(60));
    for n in 0..9 {
        let yaml = format!(
            "name: many {n}\non: {{pre-merge: {{branches: [{branches}], paths: [{paths}]}}}}\n"
        );
        lake.gate("main", &format!("{n}.yaml"), &yaml).await;
    }
    let refused = lake.commit("main").await.unwrap_err();
    assert!(refused.invalid_actions);
    let expected = "* parsing file _lakefs_actions/8.yaml: the branch and path patterns in the action files exceed 1048576 bytes in total\n";
    assert!(refused.message.contains(expected), "{}", refused.message);
    lake.delete("main", "_lakefs_actions/8.yaml").await;
    lake.commit("main").await.unwrap();
}
