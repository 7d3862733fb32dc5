//! Decides which actions match an event. Only [`any_path_changed`] does I/O.

use catalog::{Object, Snapshot};
use graveler::Event;

use crate::action_file::{Action, EventFilter};
use crate::error::Malformed;
use crate::glob;

/// Page size when reading differences.
const PAGE: usize = 1_000;

/// Returns an action's filter for an event, if the action names the event and one of its branch
/// globs matches or there are none. The caller checks the filter's paths.
///
/// # Errors
/// If the branch is matched against a malformed glob. As in lakeFS, globs after the first match are
/// not evaluated.
pub(crate) fn matching_filter<'a>(
    action: &'a Action,
    event: &Event,
) -> Result<Option<&'a EventFilter>, Malformed> {
    let Some(on) = action.on.get(&event.kind()) else {
        return Ok(None);
    };
    if on.branches.is_empty() {
        return Ok(Some(on));
    }
    let branch = event.branch().map_or("", |b| b.as_str());
    for pattern in &on.branches {
        if !glob::is_branch_pattern(pattern) {
            let event = event.kind().as_str();
            let quoted = base::glob::quoted(pattern);
            return Err(Malformed::new(format!(
                "'branches' of {event}: '{quoted}' is not a valid glob"
            )));
        }
        if glob::branch_matches(pattern, branch) {
            return Ok(Some(on));
        }
    }
    Ok(None)
}

/// Reports whether an object whose path matches `patterns` differs between two trees.
///
/// # Errors
/// Errors from reading the trees.
pub(crate) async fn any_path_changed(
    base: &Snapshot,
    candidate: &Snapshot,
    patterns: &[String],
) -> catalog::Result<bool> {
    let Ok(set) = glob::path_set(patterns) else {
        // Cannot happen: the patterns were validated when the file was parsed.
        return Ok(true);
    };
    let mut prefixes: Vec<&str> = patterns.iter().map(|p| glob::literal_prefix(p)).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    for prefix in prefixes {
        let mut after = String::new();
        loop {
            let page = base.diff(candidate, prefix, &after, PAGE).await?;
            let changed = |(before, now): &(Option<Object>, Option<Object>)| {
                before
                    .as_ref()
                    .or(now.as_ref())
                    .is_some_and(|o| set.is_match(&o.path))
            };
            if page.results.iter().any(changed) {
                return Ok(true);
            }
            if !page.has_more {
                break;
            }
            after = page.next_offset;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use graveler::EventKind;

    use super::*;
    use crate::testing::event_on;

    #[test]
    fn action_matches_its_events_and_branches() {
        let action = Action::parse(
            "a.yaml",
            b"name: gate\non:\n  pre-commit:\n    branches: [main, case*]\n  pre-create-tag:\n",
        )
        .unwrap();
        for (kind, branch, expected) in [
            (EventKind::PreCommit, "main", true),
            (EventKind::PreCommit, "case12", true),
            (EventKind::PreCommit, "dev", false),
            (EventKind::PostCommit, "main", false),
        ] {
            let event = event_on(branch, kind);
            assert_eq!(
                matching_filter(&action, &event).unwrap().is_some(),
                expected,
                "{kind:?} {branch}"
            );
        }
        let event = event_on("main", EventKind::PreCreateTag);
        assert!(matching_filter(&action, &event).unwrap().is_some());
    }
    #[test]
    fn malformed_glob_is_an_error_only_when_evaluated() {
        let action = Action::parse(
            "a.yaml",
            b"name: gate\non:\n  pre-commit:\n    branches: [main, '[']\n",
        )
        .unwrap();
        let filter = |branch, kind| matching_filter(&action, &event_on(branch, kind));
        assert!(
            filter("main", EventKind::PreCommit).unwrap().is_some(),
            "'main' must match before the malformed glob is evaluated"
        );
        assert_eq!(
            filter("dev", EventKind::PreCommit).unwrap_err().to_string(),
            "'branches' of pre-commit: '[' is not a valid glob"
        );
        assert!(filter("dev", EventKind::PreMerge).unwrap().is_none());
    }
}
