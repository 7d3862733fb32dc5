//! Tests of warnings about keys that can never have an effect.

use super::*;

/// Regression test: the filter was ignored without a warning, and the hooks ran for every tag.
#[test]
fn paths_need_an_event_with_changed_objects() {
    let of = |event: &str| {
        warnings(&format!(
            "name: gate\non:\n  {event}:\n    paths: ['tables/**']\n{GOOD_HOOK}"
        ))
    };
    for event in [
        "prepare-commit",
        "pre-create-branch",
        "post-create-branch",
        "pre-delete-branch",
        "post-delete-branch",
        "pre-create-tag",
        "post-create-tag",
        "pre-delete-tag",
        "post-delete-tag",
    ] {
        let expected = format!(
            "4:12: 'paths' has no effect in {event}, which has no changed objects: the hooks run for every {event}"
        );
        assert_eq!(of(event), [expected]);
    }
    for event in [
        "pre-commit",
        "post-commit",
        "pre-merge",
        "post-merge",
        "pre-revert",
        "post-revert",
        "pre-cherry-pick",
        "post-cherry-pick",
    ] {
        assert_eq!(of(event), [""; 0], "{event}");
    }
}

/// Regression test: such a gate never ran, and there was no warning.
#[test]
fn condition_that_is_never_true_is_a_warning() {
    let hook = |id: &str, condition: &str| {
        format!("  - {{id: {id}, if: {condition}, type: webhook, properties: {{url: http://x}}}}\n")
    };
    let of = |first: &str, second: &str| {
        let (first, second) = (hook("aa", first), hook("bb", second));
        let text = format!("name: gate\non: {{pre-merge: }}\nhooks:\n{first}{second}");
        warnings(&text)
    };
    assert_eq!(of("success()", "failure()"), [""; 0]);
    assert_eq!(of("success() || failure()", "'!failure()'"), [""; 0]);
    // Guards against a bug: a hook that never runs counted as one that can fail.
    assert_eq!(
        of("false", "failure()"),
        [
            "5:18: hook[1] never runs: its 'if' is true only after a hook has failed, and no hook that runs precedes it"
        ]
    );
    // A hook can be switched off on purpose.
    assert_eq!(of("success()", "false"), [""; 0]);
    assert_eq!(
        of("failure()", "failure() && success()"),
        [
            "4:18: hook[0] never runs: its 'if' is true only after a hook has failed, and no hook that runs precedes it",
            "5:18: hook[1] never runs: its 'if' is never true",
        ]
    );
}

#[test]
fn max_size_selects_something() {
    assert_eq!(
        warnings(&wasm("      select: {kinds: [removed], max_size: 1MiB}\n")),
        ["9:44: hook[0] type 'wasm': 'select.max_size' has no effect on removed objects"]
    );
    let both = "      select: {kinds: [removed, added], max_size: 1MiB}\n";
    assert_eq!(warnings(&wasm(both)), [""; 0]);
    check_refused(
        &wasm("      select: {max_size: 0}\n"),
        "9:26: hook[0] type 'wasm': 'select.max_size' '0' is not a size; write 256MiB, 20GiB or a number of bytes",
    );
}
