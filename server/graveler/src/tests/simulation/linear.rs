//! Whether what was seen of one key can be explained: an order of the calls, each at one
//! moment between its beginning and its end, in which every answer is right.
//!
//! The search of Wing and Gong, with the positions remembered from which there was no
//! way on. A call whose outcome is not known may have taken effect within its time, or never.

use std::collections::HashSet;

/// What a key of a branch holds; none if there is no branch.
pub(super) type State = Option<Content>;
/// A value, none if the key has none.
pub(super) type Content = Option<String>;

/// What a call does to a key, or tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// There was no branch.
    NoBranch,
    /// There was a branch.
    HasBranch,
    /// The key held this: a read, or a commit whose tree says so.
    Holds(Content),
    /// The key held something.
    HoldsSomething,
    /// Writes, whatever was there.
    Write(Content),
    /// Writes, where nothing was.
    WriteFirst(String),
    /// Puts `to` in the place of `from`, which must be there: a merge into a clean branch.
    Replace { from: Content, to: Content },
    /// Leaves one of these: a reset to a head that is not known for certain.
    OneOf(Vec<Content>),
    /// What was one of the old head's becomes the new head's; what was staged stays.
    Rebase { old: Vec<Content>, new: Content },
    /// Leaves one of these, whether the branch was there or not: an undo of an unknown outcome.
    BringBack(Vec<Content>),
    /// Makes the branch; the key holds one of these.
    Create(Vec<Content>),
    /// Deletes the branch, or finds after a failure that somebody else has.
    Drop,
}

impl Effect {
    fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::NoBranch | Self::HasBranch | Self::Holds(_) | Self::HoldsSomething
        )
    }

    /// What may be there afterwards; nothing if it can't have happened in this state.
    fn after(&self, state: &State) -> Vec<State> {
        match (self, state) {
            (Self::NoBranch, None) => vec![None],
            (Self::Drop, None) => vec![None],
            (Self::BringBack(of), _) => of.iter().cloned().map(Some).collect(),
            (Self::Create(of), None) => of.iter().cloned().map(Some).collect(),
            (_, None) => Vec::new(),
            (Self::HasBranch, Some(_)) => vec![state.clone()],
            (Self::Holds(content), Some(held)) if content == held => vec![state.clone()],
            (Self::HoldsSomething, Some(Some(_))) => vec![state.clone()],
            (Self::Write(content), Some(_)) => vec![Some(content.clone())],
            (Self::WriteFirst(value), Some(None)) => vec![Some(Some(value.clone()))],
            (Self::Replace { from, to }, Some(held)) if from == held => vec![Some(to.clone())],
            (Self::OneOf(of), Some(_)) => of.iter().cloned().map(Some).collect(),
            (Self::Rebase { old, new }, Some(held)) => {
                let mut after = Vec::new();
                if old.contains(held) {
                    after.push(Some(new.clone()));
                }
                if old.iter().any(|old| old != held) {
                    after.push(state.clone());
                }
                after
            }
            (Self::Drop, Some(_)) => vec![None],
            _ => Vec::new(),
        }
    }
}

/// A call as one key of one branch knows it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub call: usize,
    pub from: u64,
    pub to: u64,
    /// It took effect; else it may have.
    pub is_certain: bool,
    pub effect: Effect,
}

/// Whether there is such an order, from `start` on.
pub(super) fn explains(start: &State, events: &[Event]) -> bool {
    let mut search = Search {
        events,
        dead: HashSet::new(),
    };
    search.goes_on(&mut vec![false; events.len()], 0, start)
}

struct Search<'a> {
    events: &'a [Event],
    dead: HashSet<(Vec<bool>, u64, State)>,
}

impl Search<'_> {
    /// `latest` is the last beginning among those that are done.
    fn goes_on(&mut self, done: &mut Vec<bool>, latest: u64, state: &State) -> bool {
        let open = || (0..self.events.len()).filter(|&i| !done[i]);
        let certain = || open().filter(|&i| self.events[i].is_certain);
        let Some(deadline) = certain().map(|i| self.events[i].to).min() else {
            return true;
        };
        let position = (done.clone(), latest, state.clone());
        if self.dead.contains(&position) {
            return false;
        }
        let mut next: Vec<usize> = open()
            .filter(|&i| self.events[i].from <= deadline && self.events[i].to >= latest)
            .collect();
        // What only looks, and fits, can as well come first, unless that shuts others out.
        let looks = next.iter().copied().find(|&i| {
            let event = &self.events[i];
            event.is_certain
                && event.effect.only_looks()
                && event.effect.after(state) == [state.clone()]
                && !open().any(|j| !self.events[j].is_certain && self.events[j].to < event.from)
        });
        if let Some(i) = looks {
            next = vec![i];
        }
        for i in next {
            for after in self.events[i].effect.after(state) {
                done[i] = true;
                let latest = latest.max(self.events[i].from);
                if self.goes_on(done, latest, &after) {
                    return true;
                }
                done[i] = false;
            }
        }
        self.dead.insert(position);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(from: u64, to: u64, effect: Effect) -> Event {
        Event {
            call: 0,
            from,
            to,
            is_certain: true,
            effect,
        }
    }

    fn maybe(from: u64, to: u64, effect: Effect) -> Event {
        Event {
            is_certain: false,
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
        explains(&Some(None), events)
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
    fn there_is_nothing_where_there_is_no_branch() {
        let create = |value: &str| Effect::Create(vec![Some(value.to_owned())]);
        assert!(explains(
            &None,
            &[
                event(1, 2, Effect::NoBranch),
                event(3, 4, create("a")),
                event(5, 6, holds("a")),
                event(7, 8, Effect::Drop),
                event(9, 10, Effect::NoBranch),
            ]
        ));
        assert!(!explains(
            &None,
            &[event(1, 2, create("a")), event(3, 4, Effect::NoBranch)]
        ));
    }
}
