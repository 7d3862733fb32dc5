//! Whether what was seen of one key can be explained: an order of the calls, each at one
//! moment between its beginning and its end, in which every answer is right.
//!
//! The search of Wing and Gong, with the positions remembered from which there was no
//! way on. A call whose outcome is not known may have taken effect within its time, or never; one whose writes
//! a commit may have seen before they were good, any number of times.

use std::collections::{BTreeMap, HashSet};

/// What a key of a branch holds; none if there is no branch.
pub(super) type Held = Option<Content>;
/// A value, none if the key has none.
pub(super) type Content = Option<String>;

/// What a key holds, and what it held when calls threw that away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    held: Held,
    thrown: BTreeMap<usize, Thrown>,
}

/// What a call threw away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Thrown {
    content: Content,
    since: Since,
}

/// What happened to the key since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Since {
    Nothing,
    Written,
    /// It may have been written.
    Unknown,
}

impl State {
    pub(super) fn of(held: Held) -> Self {
        Self {
            held,
            thrown: BTreeMap::new(),
        }
    }
}

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
    /// Throws away what is held and leaves one of these: a reset to a head that is not known for certain.
    Reset(Vec<Content>),
    /// Brings back what that reset threw away, where nothing was written since.
    TakeBack(Option<usize>),
    /// Throws away what that undo of a reset brought back, down to the head, or brings back what
    /// it threw away as such.
    TakeBackUndo {
        of: Option<usize>,
        heads: Vec<Content>,
    },
    /// Makes the branch as it was when that call dropped it, or without what was staged.
    Recreate {
        dropped_by: Option<usize>,
        committed: Content,
    },
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

    /// Whether an undo may bring back what was there.
    fn throws(&self) -> bool {
        matches!(
            self,
            Self::Reset(_) | Self::TakeBackUndo { .. } | Self::Drop
        )
    }

    /// What may be there after the effect of a call; nothing if it can't have happened in this state.
    fn after(&self, call: usize, state: &State) -> Vec<State> {
        let mut thrown = state.thrown.clone();
        let since = match self {
            Self::Write(Some(_)) | Self::WriteFirst(_) => Some(Since::Written),
            Self::Reset(_) => Some(Since::Nothing),
            _ if self.only_looks() => None,
            // Also a deletion, which may have found nothing.
            _ => Some(Since::Unknown),
        };
        for thrown in thrown.values_mut() {
            thrown.since = since.unwrap_or(thrown.since);
        }
        if let Some(held) = &state.held
            && self.throws()
        {
            let (content, since) = (held.clone(), Since::Nothing);
            thrown.insert(call, Thrown { content, since });
        }
        let then = |held| State {
            held,
            thrown: thrown.clone(),
        };
        self.held_after(state).into_iter().map(then).collect()
    }

    fn held_after(&self, state: &State) -> Vec<Held> {
        let thrown = |by: &Option<usize>| by.and_then(|by| state.thrown.get(&by));
        let content = |by: &Option<usize>| thrown(by).map(|thrown| thrown.content.clone());
        match (self, &state.held) {
            (Self::NoBranch, None) => vec![None],
            (Self::Drop, _) => vec![None],
            (Self::BringBack(of), _) => of.iter().cloned().map(Some).collect(),
            (Self::Create(of), None) => of.iter().cloned().map(Some).collect(),
            (
                Self::Recreate {
                    dropped_by,
                    committed,
                },
                None,
            ) => {
                let whole = content(dropped_by).into_iter();
                whole.chain([committed.clone()]).map(Some).collect()
            }
            (_, None) => Vec::new(),
            (Self::HasBranch, held) => vec![held.clone()],
            (Self::Holds(content), held) if Some(content) == held.as_ref() => vec![held.clone()],
            (Self::HoldsSomething, held @ Some(Some(_))) => vec![held.clone()],
            (Self::Write(content), Some(_)) => vec![Some(content.clone())],
            (Self::WriteFirst(value), Some(None)) => vec![Some(Some(value.clone()))],
            (Self::Replace { from, to }, Some(held)) if from == held => vec![Some(to.clone())],
            (Self::Reset(to), Some(_)) => to.iter().cloned().map(Some).collect(),
            (Self::TakeBack(of), Some(held)) => match thrown(of) {
                None => vec![Some(held.clone())],
                Some(Thrown { content, since }) => match since {
                    Since::Nothing => vec![Some(content.clone())],
                    Since::Written => vec![Some(held.clone())],
                    Since::Unknown => vec![Some(held.clone()), Some(content.clone())],
                },
            },
            (Self::TakeBackUndo { of, heads }, Some(held)) => {
                let back = [held.clone()].into_iter().chain(content(of));
                back.chain(heads.iter().cloned()).map(Some).collect()
            }
            (Self::Rebase { old, new }, Some(held)) => {
                let mut after = Vec::new();
                if old.contains(held) {
                    after.push(Some(new.clone()));
                }
                if old.iter().any(|old| old != held) {
                    after.push(Some(held.clone()));
                }
                after
            }
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
    pub times: Times,
    pub effect: Effect,
}

/// How often a call took effect within its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    AtMostOnce,
    AnyNumber,
}

/// Whether there is such an order, from `start` on.
pub(super) fn explains(start: &State, events: &[Event]) -> bool {
    let mut search = Search {
        events,
        seen: HashSet::new(),
    };
    search.goes_on(&mut vec![false; events.len()], 0, start)
}

struct Search<'a> {
    events: &'a [Event],
    /// Positions that are being tried, or were in vain.
    seen: HashSet<(Vec<bool>, u64, State)>,
}

impl Search<'_> {
    /// `latest` is the last beginning among those that are done.
    fn goes_on(&mut self, done: &mut Vec<bool>, latest: u64, state: &State) -> bool {
        let open = || (0..self.events.len()).filter(|&i| !done[i]);
        let certain = || open().filter(|&i| self.events[i].times == Times::Once);
        let Some(deadline) = certain().map(|i| self.events[i].to).min() else {
            return true;
        };
        let position = (done.clone(), latest, state.clone());
        if !self.seen.insert(position) {
            return false;
        }
        let mut next: Vec<usize> = open()
            .filter(|&i| self.events[i].from <= deadline && self.events[i].to >= latest)
            .collect();
        // What only looks, and fits, can as well come first, unless that shuts others out.
        let looks = next.iter().copied().find(|&i| {
            let event = &self.events[i];
            event.times == Times::Once
                && event.effect.only_looks()
                && event.effect.after(event.call, state) == [state.clone()]
                && !open()
                    .any(|j| self.events[j].times != Times::Once && self.events[j].to < event.from)
        });
        if let Some(i) = looks {
            next = vec![i];
        }
        for i in next {
            let Event { call, effect, .. } = &self.events[i];
            for after in effect.after(*call, state) {
                done[i] = self.events[i].times != Times::AnyNumber;
                let latest = latest.max(self.events[i].from);
                if self.goes_on(done, latest, &after) {
                    return true;
                }
                done[i] = false;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
