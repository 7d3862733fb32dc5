//! Hand-written cases of what can and cannot be explained.

use super::*;

fn event(from: u64, to: u64, effect: Effect) -> Event {
    Event {
        call: 0,
        from,
        to,
        times: Times::Once,
        effect,
    }
}

fn maybe(from: u64, to: u64, effect: Effect) -> Event {
    Event {
        times: Times::AtMostOnce,
        ..event(from, to, effect)
    }
}

fn write(value: &str) -> Effect {
    Effect::Write(Some(value.to_owned()))
}

fn holds(value: &str) -> Effect {
    Effect::Holds((!value.is_empty()).then(|| value.to_owned()))
}

fn check(events: &[Event]) -> bool {
    explains(&State::of(Some(None)), events)
}

#[test]
fn write_is_visible_from_its_end_and_possibly_earlier() {
    assert!(check(&[event(1, 4, write("a")), event(2, 3, holds("a"))]));
    assert!(check(&[event(1, 4, write("a")), event(2, 3, holds(""))]));
    assert!(check(&[event(1, 2, write("a")), event(3, 4, holds("a"))]));
    assert!(!check(&[event(1, 2, write("a")), event(3, 4, holds(""))]));
}

#[test]
fn visible_write_stays_visible() {
    let write = event(1, 9, write("a"));
    assert!(check(&[
        write.clone(),
        event(2, 3, holds("")),
        event(4, 5, holds("a"))
    ]));
    assert!(!check(&[
        write,
        event(2, 3, holds("a")),
        event(4, 5, holds(""))
    ]));
}

#[test]
fn call_of_unknown_outcome_takes_effect_in_its_time_or_never() {
    let write = maybe(1, 2, write("a"));
    assert!(check(&[write.clone(), event(3, 4, holds("a"))]));
    assert!(check(&[write.clone(), event(3, 4, holds(""))]));
    assert!(!check(&[
        write,
        event(3, 4, holds("")),
        event(5, 6, holds("a"))
    ]));
}

/// Regression: the search treated a deletion that would have found nothing as a read. It then could
/// not explain why the key was empty later.
#[test]
fn deletion_of_a_missing_key_is_no_read() {
    assert!(check(&[
        event(1, 6, Effect::Write(None)),
        event(2, 3, write("a")),
        event(4, 5, holds("a")),
        event(7, 8, holds(""))
    ]));
}

#[test]
fn repeated_effects_stay_within_the_time_of_the_call() {
    let often = |from, to| Event {
        times: Times::AnyNumber,
        ..event(from, to, write("a"))
    };
    let seen = [
        event(2, 3, holds("a")),
        event(4, 5, write("b")),
        event(6, 7, holds("b")),
        event(8, 9, holds("a")),
    ];
    assert!(check(&[[often(1, 9)].as_slice(), &seen].concat()));
    assert!(!check(&[[often(1, 5)].as_slice(), &seen].concat()));
    assert!(!check(
        &[[event(1, 9, write("a"))].as_slice(), &seen].concat()
    ));
    assert!(check(&[often(1, 2), event(3, 4, holds(""))]));
}

#[test]
fn merge_replaces_the_content_of_its_destination() {
    let merge = Effect::Replace {
        from: None,
        to: Some("m".to_owned()),
    };
    assert!(check(&[
        event(1, 5, merge.clone()),
        event(2, 4, write("a")),
        event(6, 7, holds("a"))
    ]));
    assert!(!check(&[
        event(1, 2, write("a")),
        event(3, 4, merge),
        event(5, 6, holds("m"))
    ]));
}

#[test]
fn undo_of_a_reset_restores_keys_not_written_since() {
    let reset = |from, to| Event {
        call: 7,
        ..event(from, to, Effect::Reset(vec![None]))
    };
    let undo = |from, to| event(from, to, Effect::UndoReset(Some(7)));
    let sees = |value| {
        check(&[
            event(1, 2, write("a")),
            event(3, 4, write("b")),
            reset(5, 6),
            undo(9, 10),
            event(11, 12, holds(value)),
        ])
    };
    assert!(sees("b"));
    assert!(!sees("a") && !sees(""));
    let sees = |value| {
        check(&[
            event(1, 2, write("a")),
            reset(3, 4),
            event(5, 6, write("b")),
            undo(7, 8),
            event(9, 10, holds(value)),
        ])
    };
    assert!(sees("b"));
    assert!(!sees("a") && !sees(""));
}

#[test]
fn missing_branch_has_no_content() {
    let create = |value: &str| Effect::Create(vec![Some(value.to_owned())]);
    assert!(explains(
        &State::of(None),
        &[
            event(1, 2, Effect::NoBranch),
            event(3, 4, create("a")),
            event(5, 6, holds("a")),
            event(7, 8, Effect::Drop),
            event(9, 10, Effect::NoBranch),
        ]
    ));
    assert!(!explains(
        &State::of(None),
        &[event(1, 2, create("a")), event(3, 4, Effect::NoBranch)]
    ));
}
