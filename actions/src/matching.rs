//! Which actions judge an event. Pure but for the last question: whether a path changed.

use catalog::{Object, Snapshot};
use graveler::Event;

use crate::action_file::{Action, On};
use crate::glob;

/// Differences read at once while looking for a changed path.
const PAGE: usize = 1_000;

/// The filters of an action that listens to an event on its branch.
///
/// # Errors
/// The first glob that the branch is held against and that is none. As in lakeFS, globs after one that
/// matches are not looked at.
pub(crate) fn listens<'a>(action: &'a Action, event: &Event) -> Result<Option<&'a On>, String> {
    let Some(on) = action.on.get(&event.kind) else {
        return Ok(None);
    };
    if on.branches.is_empty() {
        return Ok(Some(on));
    }
    let branch = event.branch.as_ref().map_or("", |b| b.as_str());
    for pattern in &on.branches {
        if !glob::is_branch_pattern(pattern) {
            let event = event.kind.as_str();
            let quoted = base::glob::quoted(pattern);
            return Err(format!("'branches' of {event}: '{quoted}' is no glob"));
        }
        if glob::branch_matches(pattern, branch) {
            return Ok(Some(on));
        }
    }
    Ok(None)
}

/// Whether something under `patterns` differs between two trees.
///
/// # Errors
/// Whatever reading the trees gives.
pub(crate) async fn touches(
    base: &Snapshot,
    candidate: &Snapshot,
    patterns: &[String],
) -> catalog::Result<bool> {
    let Ok(set) = glob::path_set(patterns) else {
        // Checked when the file was read.
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
    use graveler::{BranchId, EventKind};

    use super::*;
    use crate::testing::event;

    #[test]
    fn an_action_listens_to_its_events_on_its_branches() {
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
            let mut event = event(kind);
            event.branch = Some(BranchId::trusted(branch));
            assert_eq!(
                listens(&action, &event).unwrap().is_some(),
                expected,
                "{kind:?} {branch}"
            );
        }
        let mut event = event(EventKind::PreCreateTag);
        event.branch = None;
        assert!(listens(&action, &event).unwrap().is_some());
    }
    #[test]
    fn a_malformed_glob_is_an_error_once_a_branch_is_held_against_it() {
        let action = Action::parse(
            "a.yaml",
            b"name: gate\non:\n  pre-commit:\n    branches: [main, '[']\n",
        )
        .unwrap();
        let mut event = event(EventKind::PreCommit);
        assert!(
            listens(&action, &event).unwrap().is_some(),
            "main matches first"
        );
        event.branch = Some(BranchId::trusted("dev"));
        assert_eq!(
            listens(&action, &event).unwrap_err(),
            "'branches' of pre-commit: '[' is no glob"
        );
        event.kind = EventKind::PreMerge;
        assert!(listens(&action, &event).unwrap().is_none());
    }
}
