//! Globs that can match no path.

use super::*;

#[test]
fn select_that_can_match_nothing_is_rejected() {
    let long = format!("'{}*'", "x".repeat(1025));
    let nothing = "has a glob that can match nothing because paths have 1 to 1024 bytes: ";
    for (pattern, reason) in [
        ("''", nothing),
        ("a, '{}'", nothing),
        ("'{,}'", nothing),
        (
            long.as_str(),
            "is not a valid glob: it is longer than 1024 bytes",
        ),
    ] {
        let message = parse(&wasm(&format!("      select: {{paths: [{pattern}]}}\n"))).unwrap_err();
        assert!(message.contains(reason), "{message}");
    }
}

/// Regression test: an action with such a filter never ran, and there was no warning.
#[test]
fn paths_that_can_match_nothing_are_warnings() {
    let text = format!("name: gate\non:\n  pre-commit:\n    paths: ['', '{{}}', a]\n{GOOD_HOOK}");
    let warnings = parse(&text).unwrap().warnings;
    let warnings: Vec<_> = warnings
        .iter()
        .map(|w| (w.at.unwrap().column, w.reason.as_str()))
        .collect();
    assert_eq!(
        warnings,
        [
            (
                13,
                "'paths': '' can match no path; write '**' to match every path"
            ),
            (
                17,
                "'paths': '{}' can match no path; write '**' to match every path"
            ),
        ]
    );
}
