//! The tables: what each failure is answered with, and in which words.

mod contexts;
mod failures;

use std::collections::BTreeSet;

use catalog::{Doing, EngineError, StoreError};

use super::{Context as _, During, Error};
use contexts::in_context;
use failures::{Hint, conflict, every_failure, rejection};

#[test]
fn every_failure_has_its_status_and_its_words() {
    for (error, status, message, hint) in every_failure() {
        assert_eq!(error.status().as_u16(), status, "{error:?}");
        let words = error.words();
        assert_eq!(words.message, message, "{error:?}");
        let given = if words.hint.is_some() {
            Hint::Given
        } else {
            Hint::None
        };
        assert!(given == hint, "{error:?}: {:?}", words.hint);
    }
}

/// Texts of lakeFS that begin with a capital, as clients know them.
const RECORDED_IN_CAPITALS: &[&str] = &[
    "Already exists",
    "No data",
    "Not Implemented",
    "Precondition failed",
    "Requested Range Not Satisfiable",
];

#[test]
fn texts_are_lowercase_fragments() {
    let own = every_failure().into_iter().map(|(error, ..)| error.words());
    for words in own.chain(in_context().into_iter().map(|(words, _)| words)) {
        if !RECORDED_IN_CAPITALS.contains(&words.message.as_str()) {
            assert_is_fragment(&words.message);
        }
        if let Some(hint) = words.hint {
            // Methods of HTTP and names are written as they are.
            if !hint.starts_with("GET ") && !hint.starts_with("HEAD ") {
                assert_is_fragment(&hint);
            }
            assert!(!words.message.contains(&hint), "{hint}: said twice");
        }
    }
}

#[track_caller]
fn assert_is_fragment(text: &str) {
    let first = text.chars().next().expect("it says something");
    assert!(!first.is_uppercase(), "{text}");
    assert!(!text.ends_with(['.', '!', '\n']), "{text}");
}

/// Members, parameters and flags of the wire, which the layers below have no notion of.
const OF_THE_WIRE: &[&str] = &[
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
fn lower_layers_know_no_member_and_no_flag() {
    for (error, ..) in every_failure() {
        let (Error::Catalog(_) | Error::Auth(_)) = &error else {
            continue;
        };
        let text = error.to_string();
        for word in OF_THE_WIRE {
            assert!(!text.contains(word), "{word:?} in {text:?}");
        }
    }
}

#[test]
fn operations_have_words_of_their_own() {
    for (words, message) in in_context() {
        assert_eq!(words.message, message);
        assert!(words.hint.is_some(), "{message}");
    }
}

#[test]
fn what_is_told_keeps_its_status_its_findings_and_its_conflicts() {
    let told = |error: EngineError| {
        let result: Result<(), Error> = Err(Error::from(catalog::Error::from(error)));
        result.during(During::Commit).expect_err("it was an error")
    };
    assert_eq!(told(rejection(true)).status().as_u16(), 400);
    assert_eq!(told(rejection(false)).findings().map(|f| f.len()), Some(1));
    assert_eq!(told(conflict()).conflicts().map(|c| c.count), Some(3));
}

/// Tasks fail in the words of the operation that they do.
#[test]
fn tasks_have_the_words_of_their_operation() {
    let failed = |doing: &Doing| {
        let error = catalog::Error::from(EngineError::NoChanges("why".to_owned()));
        super::describe_failure(&error, doing)
    };
    let merge = Doing::Merge {
        destination: "main".to_owned(),
    };
    assert_eq!(failed(&Doing::Commit).message, "commit: no changes");
    assert_eq!(failed(&merge).message, "update branch main: no changes");
    assert_eq!(failed(&Doing::Other).message, "no changes");
    assert_eq!(failed(&Doing::Commit).status_code, 400);
    assert!(
        failed(&merge)
            .hint
            .is_some_and(|hint| hint.contains("--allow-empty"))
    );
}

/// A hint that names a command or a flag which lakectl does not have helps nobody.
#[test]
fn hints_name_commands_and_flags_that_lakectl_has() {
    let recorded = include_str!("../../../../../tests/compat/conformance/lakectl/recorded.jsonl");
    let mut commands = BTreeSet::new();
    let mut flags = BTreeSet::new();
    for line in recorded.lines() {
        let step: serde_json::Value = serde_json::from_str(line).expect("a step is JSON");
        let Some(help) = step.get("help").filter(|help| !help.is_null()) else {
            continue;
        };
        let words = step["argv"].as_array().expect("words of a command line");
        let words: Vec<_> = words.iter().filter_map(|word| word.as_str()).collect();
        commands.insert(words[..words.len() - 1].join(" "));
        for flag in help["flags"].as_array().into_iter().flatten() {
            flags.insert(format!("--{}", flag[0].as_str().unwrap_or_default()));
        }
    }
    let own = every_failure().into_iter().map(|(error, ..)| error.words());
    let told = in_context().into_iter().map(|(words, _)| words);
    for hint in own.chain(told).filter_map(|words| words.hint) {
        let words: Vec<_> = hint
            .split([' ', ',', ')', '(', ':'])
            .filter(|word| !word.is_empty())
            .collect();
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(flags.contains(*flag), "{flag} in {hint:?}");
        }
        for (at, _) in hint.match_indices("lakectl ") {
            let behind = &hint[at + "lakectl ".len()..];
            let known =
                |command: &String| !command.is_empty() && behind.starts_with(command.as_str());
            assert!(commands.iter().any(known), "{behind:?} in {hint:?}");
        }
    }
}

#[test]
fn a_conflict_carries_its_paths() {
    let error = Error::from(catalog::Error::from(conflict()));
    let conflicts = error.conflicts().expect("conflicts");
    assert_eq!(
        (conflicts.paths, conflicts.count),
        (vec!["a/1".to_owned(), "b".to_owned()], 3)
    );
    assert!(Error::NoEndpoint.conflicts().is_none());
}

#[test]
fn a_refusal_carries_its_findings() {
    let error = Error::from(catalog::Error::from(rejection(false)));
    let findings = error.findings().expect("findings");
    assert_eq!(
        (findings[0].rule.as_str(), findings[0].path.as_deref()),
        ("column", Some("p"))
    );
    assert_eq!(Error::NoEndpoint.findings(), None);
}

#[test]
fn causes_are_kept_for_the_log() {
    let source = StoreError::Storage {
        operation: "get",
        source: Box::new(std::io::Error::other("disk on fire")),
    };
    let error = Error::from(auth::Error::Kv(source));
    assert_eq!(
        base::chain(&error),
        "failed to access auth records: failed to get: disk on fire"
    );
    assert_eq!(error.words().message, "failed to access auth records");
}
