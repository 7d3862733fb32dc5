//! Tests the status, message and hint of every failure.

mod contexts;
mod failures;
mod own_failures;

use std::collections::BTreeSet;

use axum::response::IntoResponse as _;
use catalog::TaskOperation;

use super::{Context as _, During, Error};
use contexts::in_context;
use failures::{Hint, conflict, every_failure, rejection};

#[test]
fn every_failure_has_its_status_message_and_hint() {
    for (error, status, message, hint) in every_failure() {
        assert_eq!(error.status().as_u16(), status, "{error:?}");
        let text = error.text();
        assert_eq!(text.message, message, "{error:?}");
        let given = if text.hint.is_some() {
            Hint::Given
        } else {
            Hint::None
        };
        assert!(given == hint, "{error:?}: {:?}", text.hint);
    }
}

/// Messages of lakeFS that start with a capital letter.
const RECORDED_IN_CAPITALS: &[&str] = &[
    "Already exists",
    "No data",
    "Not Implemented",
    "Precondition failed",
    "Requested Range Not Satisfiable",
];

#[test]
fn texts_are_lowercase_fragments() {
    let general = every_failure().into_iter().map(|(error, ..)| error.text());
    for text in general.chain(in_context().into_iter().map(|(text, _)| text)) {
        if !RECORDED_IN_CAPITALS.contains(&text.message.as_str()) {
            assert_is_fragment(&text.message);
        }
        if let Some(hint) = text.hint {
            // HTTP methods are in capitals.
            if !hint.starts_with("GET ") && !hint.starts_with("HEAD ") {
                assert_is_fragment(&hint);
            }
            assert!(!text.message.contains(&hint), "{hint}: repeats the message");
        }
    }
}

#[track_caller]
fn assert_is_fragment(text: &str) {
    let first = text.chars().next().expect("the text is not empty");
    assert!(!first.is_uppercase(), "{text}");
    assert!(!text.ends_with(['.', '!', '\n']), "{text}");
}

/// Fields, parameters and flags of the API, which the lower layers must not mention.
const API_TERMS: &[&str] = &[
    "lakectl",
    "--",
    "`",
    "allow_empty",
    "parent_number",
    "bare=",
    "force",
    "If-Match",
    "If-None-Match",
    "GET ",
    "/api/v1",
];

#[test]
fn messages_of_lower_layers_do_not_mention_fields_or_flags() {
    for (error, ..) in every_failure() {
        let (Error::Catalog(_) | Error::Auth(_)) = &error else {
            continue;
        };
        let text = error.to_string();
        for word in API_TERMS {
            assert!(!text.contains(word), "{word:?} in {text:?}");
        }
    }
}

#[test]
fn operations_have_their_own_messages() {
    for (text, message) in in_context() {
        assert_eq!(text.message, message);
        assert!(text.hint.is_some(), "{message}");
    }
}

#[test]
fn described_failures_keep_status_findings_and_conflicts() {
    let describe = |error: catalog::Error| {
        let result: Result<(), Error> = Err(Error::from(error));
        result.during(During::Commit).expect_err("it was an error")
    };
    assert_eq!(describe(rejection(true)).status().as_u16(), 400);
    assert_eq!(
        describe(rejection(false)).findings().map(|f| f.len()),
        Some(1)
    );
    assert_eq!(describe(conflict()).conflicts().map(|c| c.count), Some(3));
}

#[test]
fn failed_tasks_have_the_messages_of_their_operation() {
    let describe = |operation: &TaskOperation| {
        let error = catalog::Error::NoChanges("why".to_owned());
        super::describe_failure(&error, operation)
    };
    let merge = TaskOperation::Merge {
        destination: "main".to_owned(),
    };
    assert_eq!(
        describe(&TaskOperation::Commit).message,
        "commit: no changes"
    );
    assert_eq!(describe(&merge).message, "update branch main: no changes");
    assert_eq!(describe(&TaskOperation::Other).message, "no changes");
    assert_eq!(describe(&TaskOperation::Commit).code, 400);
    assert!(
        describe(&merge)
            .hint
            .is_some_and(|hint| hint.contains("--allow-empty"))
    );
}

/// Guards against hints that name a command or flag that lakectl does not have.
#[test]
fn commands_and_flags_in_hints_exist_in_lakectl() {
    let recorded = include_str!("../../../../../tests/compat/conformance/lakectl/recorded.jsonl");
    let mut commands = BTreeSet::new();
    let mut flags = BTreeSet::new();
    for line in recorded.lines() {
        let step: serde_json::Value = serde_json::from_str(line).expect("a step is JSON");
        let Some(help) = step.get("help").filter(|help| !help.is_null()) else {
            continue;
        };
        let argv = step["argv"].as_array().expect("a command line");
        let argv: Vec<_> = argv.iter().filter_map(|word| word.as_str()).collect();
        commands.insert(argv[..argv.len() - 1].join(" "));
        for flag in help["flags"].as_array().into_iter().flatten() {
            flags.insert(format!("--{}", flag[0].as_str().unwrap_or_default()));
        }
    }
    let general = every_failure().into_iter().map(|(error, ..)| error.text());
    let special = in_context().into_iter().map(|(text, _)| text);
    for hint in general.chain(special).filter_map(|text| text.hint) {
        let words: Vec<_> = hint
            .split([' ', ',', ')', '(', ':'])
            .filter(|word| !word.is_empty())
            .collect();
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(flags.contains(*flag), "{flag} in {hint:?}");
        }
        for (at, _) in hint.match_indices("lakectl ") {
            let rest = &hint[at + "lakectl ".len()..];
            let is_known =
                |command: &String| !command.is_empty() && rest.starts_with(command.as_str());
            assert!(commands.iter().any(is_known), "{rest:?} in {hint:?}");
        }
    }
}

#[test]
fn conflict_lists_its_paths() {
    let error = Error::from(conflict());
    let conflicts = error.conflicts().expect("conflicts");
    assert_eq!(
        (conflicts.paths, conflicts.count),
        (vec!["a/1".to_owned(), "b".to_owned()], 3)
    );
    assert!(Error::NoEndpoint.conflicts().is_none());
}

/// Guards against a bug: only an exhausted memory budget sent `Retry-After`.
#[test]
fn temporary_failures_say_when_to_retry() {
    let mut count = 0;
    for (error, status, ..) in every_failure() {
        let shown = format!("{error:?}");
        let response = error.into_response();
        let has_header = response.headers().contains_key("retry-after");
        assert_eq!(has_header, [429, 503].contains(&status), "{shown}");
        count += u32::from(has_header);
    }
    assert!(count > 5, "{count}");
}

/// Guards against a bug: an overloaded database logged an error for each request.
#[test]
fn busy_databases_are_not_errors_of_the_server() {
    let busy = || std::io::Error::other("busy").into();
    assert!(Error::from(catalog::Error::RecordsBusy(busy())).is_busy());
    assert!(Error::from(auth::Error::RecordsBusy(busy())).is_busy());
    assert!(!Error::from(catalog::Error::Records(busy())).is_busy());
    assert!(!Error::from(auth::Error::Records(busy())).is_busy());
}

/// Guards against a bug: a full disk was reported as status 500 if it made the access to auth records fail.
#[test]
fn full_disk_has_the_same_status_everywhere() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull).into();
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied).into();
    assert_eq!(Error::from(catalog::Error::Records(full())).status(), 507);
    assert_eq!(Error::from(auth::Error::Records(full())).status(), 507);
    assert_eq!(Error::from(auth::Error::Records(denied())).status(), 500);
}

#[test]
fn rejection_lists_its_findings() {
    let error = Error::from(rejection(false));
    let findings = error.findings().expect("findings");
    assert_eq!(
        (findings[0].rule.as_str(), findings[0].path.as_deref()),
        ("column", Some("p"))
    );
    assert_eq!(Error::NoEndpoint.findings(), None);
}

#[tokio::test]
async fn causes_are_logged_but_not_sent() {
    let cause = || std::io::Error::other("disk on fire").into();
    let storage = catalog::Error::Storage {
        message: "failed to write mem://lake/x".to_owned(),
        source: cause(),
    };
    for (error, message) in [
        (
            Error::from(auth::Error::Records(cause())),
            "failed to access auth records",
        ),
        (
            catalog::Error::Records(cause()).into(),
            "failed to access records",
        ),
        (storage.into(), "failed to write mem://lake/x"),
    ] {
        let logged = base::error_chain(&error);
        assert_eq!(logged, format!("{message}: disk on fire"));
        let response = error.into_response();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX);
        let body = body.await.expect("a body in memory");
        let sent: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(sent["message"], message);
        let sent = String::from_utf8_lossy(&body);
        assert!(!sent.contains("on fire"), "{sent}");
    }
}

/// The hint of an error during an operation.
fn hint_during(error: catalog::Error, during: During<'_>) -> String {
    let result: Result<(), Error> = Err(Error::from(error));
    let error = result.during(during).expect_err("it was an error");
    error.text().hint.expect("a hint")
}

/// Merging a pull request takes neither `allow_empty` nor `strategy`.
#[test]
fn hint_of_a_pull_request_names_no_parameter_that_it_lacks() {
    let merge = During::MergePullRequest { destination: "d" };
    let no_changes = catalog::Error::NoChanges("why".to_owned());
    let hint = hint_during(no_changes, merge);
    assert!(!hint.contains("allow"), "{hint}");
    let hint = hint_during(conflict(), merge);
    assert!(!hint.contains("strategy"), "{hint}");
}

#[test]
fn hint_of_a_full_disk_names_the_cause() {
    let full = catalog::Error::Storage {
        message: "failed to write local://lake/x".to_owned(),
        source: std::io::Error::from(std::io::ErrorKind::StorageFull).into(),
    };
    let hint = hint_during(full, During::Upload);
    assert!(hint.contains("no space left"), "{hint}");
}

#[test]
fn hint_of_a_foreign_namespace_shows_what_to_write() {
    let namespace = catalog::NamespaceProblem::OtherStore {
        namespace: "s3://x".to_owned(),
        expected: "^local://".to_owned(),
    };
    let hint = hint_during(catalog::Error::Namespace(namespace), During::Any);
    assert!(hint.ends_with("write local://NAME"), "{hint}");
}

#[test]
fn hint_of_a_branch_name_with_a_slash_names_the_slash() {
    let branch = catalog::Error::from(catalog::BranchId::parse("feature/x").expect_err("a slash"));
    let hint = hint_during(branch, During::Any);
    assert!(hint.contains("without `/`"), "{hint}");
}
