//! Finds properties of a Wasm hook that have no effect in the events of its action.

use graveler::EventKind;

use crate::action_file::WasmProperties;
use crate::wasm::{Select, World};

/// Returns a warning for each property without effect, and for events in which an object gate judges
/// nothing. The warning says how to correct the action file.
pub(super) fn reasons(world: World, wasm: &WasmProperties, events: &[EventKind]) -> Vec<String> {
    let path = &wasm.component;
    let names = |has: fn(EventKind) -> bool| {
        let without = events.iter().filter(|kind| !has(**kind));
        let names: Vec<&str> = without.map(|kind| kind.as_str()).collect();
        names.join(", ")
    };
    let mut reasons = Vec::new();
    match world {
        World::ObjectGate => {
            let without = names(EventKind::has_changed_objects);
            if !without.is_empty() {
                reasons.push(format!(
                    "component {path} judges changed objects, so it judges nothing in {without}; use pre-commit, pre-merge, pre-revert and pre-cherry-pick"
                ));
            }
        }
        World::Gate => {
            let Select {
                kinds,
                max_size_bytes,
                ..
            } = &wasm.select;
            let unused = [
                ("select.kinds", !kinds.is_empty()),
                ("select.max_size", max_size_bytes.is_some()),
            ];
            for (name, _) in unused.iter().filter(|(_, is_set)| *is_set) {
                reasons.push(format!(
                    "'{name}' has no effect, because component {path} judges the whole change and selects the changes itself"
                ));
            }
        }
    }
    let reads = !wasm.read.is_empty() || (world == World::Gate && !wasm.select.paths.is_empty());
    if reads && !events.iter().copied().any(EventKind::has_trees) {
        let without = names(EventKind::has_trees);
        reasons.push(format!(
            "'select.paths' and 'capabilities.read' have no effect, because {without} give a hook no tree to read"
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action_file::{Action, HookKind};

    fn reasons_of(world: World, events: &str, properties: &str) -> Vec<String> {
        let text = format!(
            "name: gate\non: {{{events}}}\nhooks: [{{id: guard, type: wasm, properties: {{component: g.wasm{properties}}}}}]\n"
        );
        let action = Action::parse("gate.yaml", text.as_bytes()).unwrap();
        let HookKind::Wasm(wasm) = &action.hooks[0].kind else {
            panic!("{action:?}")
        };
        let events: Vec<EventKind> = action.on.keys().copied().collect();
        reasons(world, wasm, &events)
    }

    /// Regression test: such a gate passed every change without a warning.
    #[test]
    fn object_gate_needs_events_with_changed_objects() {
        let of = |events: &str| reasons_of(World::ObjectGate, events, ", select: {paths: ['**']}");
        for events in [
            "pre-commit: , pre-merge: ",
            "pre-revert: , pre-cherry-pick: ",
            "post-commit: , post-merge: , post-revert: , post-cherry-pick: ",
        ] {
            assert_eq!(of(events), [""; 0], "{events}");
        }
        assert_eq!(
            of("prepare-commit: , pre-commit: , pre-create-tag: "),
            [
                "component g.wasm judges changed objects, so it judges nothing in prepare-commit, pre-create-tag; use pre-commit, pre-merge, pre-revert and pre-cherry-pick"
            ]
        );
        for event in [
            "post-create-tag",
            "pre-delete-tag",
            "post-delete-tag",
            "pre-create-branch",
            "post-create-branch",
            "pre-delete-branch",
            "post-delete-branch",
        ] {
            let reasons = of(&format!("{event}: "));
            let [reason] = &reasons[..] else {
                panic!("{event}: {reasons:?}")
            };
            assert!(reason.contains(&format!("nothing in {event};")), "{reason}");
        }
    }

    #[test]
    fn gate_of_whole_changes_selects_itself() {
        let of = |properties| reasons_of(World::Gate, "pre-commit: ", properties);
        assert_eq!(of(", select: {paths: ['a/**']}"), [""; 0]);
        assert_eq!(
            of(", select: {paths: ['a/**'], kinds: [removed], max_size: 1}"),
            [
                "'select.kinds' has no effect, because component g.wasm judges the whole change and selects the changes itself",
                "'select.max_size' has no effect, because component g.wasm judges the whole change and selects the changes itself",
            ]
        );
    }

    #[test]
    fn rights_to_read_need_events_with_trees() {
        let of = |events, properties| reasons_of(World::Gate, events, properties);
        let (read, select) = (", capabilities: {read: [a]}", ", select: {paths: [a]}");
        let events = "pre-create-tag: , pre-delete-branch: ";
        let expected = [
            "'select.paths' and 'capabilities.read' have no effect, because pre-delete-branch, pre-create-tag give a hook no tree to read",
        ];
        assert_eq!(of(events, read), expected);
        assert_eq!(of(events, select), expected);
        assert_eq!(of(events, ""), [""; 0]);
        assert_eq!(of("prepare-commit: ", read), [""; 0]);
    }
}
