//! Which actions judge an event. Pure but for the last question: whether a path changed.

use catalog::{Object, Snapshot};
use graveler::Event;

use crate::action_file::{Action, On};
use crate::glob;

/// Differences read at once while looking for a changed path.
const PAGE: usize = 1_000;

/// The filters of an action that listens to an event on its branch.
pub(crate) fn listens<'a>(action: &'a Action, event: &Event) -> Option<&'a On> {
    let on = action.on.get(&event.kind)?;
    let branch = event.branch.as_ref().map_or("", |b| b.as_str());
    let matches = on.branches.is_empty()
        || on
            .branches
            .iter()
            .any(|pattern| glob::branch_matches(pattern, branch));
    matches.then_some(on)
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
                listens(&action, &event).is_some(),
                expected,
                "{kind:?} {branch}"
            );
        }
        let mut event = event(EventKind::PreCreateTag);
        event.branch = None;
        assert!(listens(&action, &event).is_some());
    }
}
