//! What can be explained and what can't, told by hand.

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
fn a_write_is_seen_from_its_end_on_and_maybe_before() {
    assert!(check(&[event(1, 4, write("a")), event(2, 3, holds("a"))]));
    assert!(check(&[event(1, 4, write("a")), event(2, 3, holds(""))]));
    assert!(check(&[event(1, 2, write("a")), event(3, 4, holds("a"))]));
    assert!(!check(&[event(1, 2, write("a")), event(3, 4, holds(""))]));
}

#[test]
fn what_was_seen_is_not_unseen() {
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
fn a_call_of_unknown_outcome_took_effect_in_its_time_or_never() {
    let write = maybe(1, 2, write("a"));
    assert!(check(&[write.clone(), event(3, 4, holds("a"))]));
    assert!(check(&[write.clone(), event(3, 4, holds(""))]));
    assert!(!check(&[
        write,
        event(3, 4, holds("")),
        event(5, 6, holds("a"))
    ]));
}

/// The search took a deletion of nothing for a look, had it come first, and
/// then found no way to explain why the key was empty later.
#[test]
fn a_deletion_of_nothing_is_no_look() {
    assert!(check(&[
        event(1, 6, Effect::Write(None)),
        event(2, 3, write("a")),
        event(4, 5, holds("a")),
        event(7, 8, holds(""))
    ]));
}

#[test]
fn what_takes_effect_any_number_of_times_does_so_in_its_time() {
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
fn a_merge_takes_the_place_of_what_it_merged_into() {
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
fn an_undo_of_a_reset_brings_back_what_was_not_written_since() {
    let reset = |from, to| Event {
        call: 7,
        ..event(from, to, Effect::Reset(vec![None]))
    };
    let undo = |from, to| event(from, to, Effect::TakeBack(Some(7)));
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
fn there_is_nothing_where_there_is_no_branch() {
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
