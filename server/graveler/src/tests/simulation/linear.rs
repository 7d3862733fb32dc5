//! Linearizability of one key: finds an order of the calls, each at one moment between its beginning
//! and end, in which every answer is correct.
//!
//! This is the search algorithm of Wing and Gong. It remembers positions that led nowhere. A call of unknown outcome
//! may take effect at one moment between its beginning and end, or never. A write that a commit may have read early may
//! take effect any number of times.

use std::collections::{BTreeMap, HashSet};

/// The content of a key on a branch; `None` if the branch does not exist.
pub(super) type Held = Option<Content>;
/// A value; `None` if the key has none.
pub(super) type Content = Option<String>;

/// The content of a key, and the contents that calls have discarded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    held: Held,
    discarded: BTreeMap<usize, Discarded>,
}

/// The content that a call discarded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Discarded {
    content: Content,
    since: WritesSince,
}

/// What happened to the key after it was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum WritesSince {
    Nothing,
    Written,
    /// The key may have been written.
    Unknown,
}

impl State {
    pub(super) fn of(held: Held) -> Self {
        Self {
            held,
            discarded: BTreeMap::new(),
        }
    }
}

/// The effect of a call on a key, or what its answer says about the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// The branch did not exist.
    NoBranch,
    /// The branch existed.
    HasBranch,
    /// The key had this content: a read returned it, or a commit has it in its tree.
    Holds(Content),
    /// The key had a value.
    HoldsSomething,
    /// Writes unconditionally.
    Write(Content),
    /// Writes only if the key has no value.
    WriteFirst(String),
    /// Replaces the content `from` with `to`: a merge into a branch without staged changes. Impossible
    /// if the key has other content.
    Replace { from: Content, to: Content },
    /// Discards the content and leaves one of these: a reset to a head that is not known for certain.
    Reset(Vec<Content>),
    /// Undoes the reset with this call id: restores what it discarded, unless the key was written since.
    UndoReset(Option<usize>),
    /// Undoes the undo `of` a reset. It leaves the content, or restores what the undo had discarded or
    /// one of the heads' values.
    RedoReset {
        of: Option<usize>,
        heads: Vec<Content>,
    },
    /// Restores the branch with the content that the call `dropped_by` discarded, or without its staged
    /// changes.
    Recreate {
        dropped_by: Option<usize>,
        committed: Content,
    },
    /// Changes a value of the old head to that of the new head; staged values stay.
    Rebase { old: Vec<Content>, new: Content },
    /// Leaves one of these, whether or not the branch existed: an undo with unknown outcome.
    UnknownUndo(Vec<Content>),
    /// Creates the branch; the key has one of these contents.
    Create(Vec<Content>),
    /// Deletes the branch, or finds after a failure that another call has deleted it.
    Drop,
}

impl Effect {
    fn is_read(&self) -> bool {
        matches!(
            self,
            Self::NoBranch | Self::HasBranch | Self::Holds(_) | Self::HoldsSomething
        )
    }

    /// Whether an undo may restore the content.
    fn discards(&self) -> bool {
        matches!(self, Self::Reset(_) | Self::RedoReset { .. } | Self::Drop)
    }

    /// The possible states after the effect; empty if it is impossible in this state.
    fn after(&self, call: usize, state: &State) -> Vec<State> {
        let mut discarded = state.discarded.clone();
        let since = match self {
            Self::Write(Some(_)) | Self::WriteFirst(_) => Some(WritesSince::Written),
            Self::Reset(_) => Some(WritesSince::Nothing),
            _ if self.is_read() => None,
            // This includes deletions, which may have found nothing to delete.
            _ => Some(WritesSince::Unknown),
        };
        for discarded in discarded.values_mut() {
            discarded.since = since.unwrap_or(discarded.since);
        }
        if let Some(held) = &state.held
            && self.discards()
        {
            let (content, since) = (held.clone(), WritesSince::Nothing);
            discarded.insert(call, Discarded { content, since });
        }
        let then = |held| State {
            held,
            discarded: discarded.clone(),
        };
        self.held_after(state).into_iter().map(then).collect()
    }

    fn held_after(&self, state: &State) -> Vec<Held> {
        let discarded = |by: &Option<usize>| by.and_then(|by| state.discarded.get(&by));
        let content = |by: &Option<usize>| discarded(by).map(|discarded| discarded.content.clone());
        match (self, &state.held) {
            (Self::NoBranch, None) => vec![None],
            (Self::Drop, _) => vec![None],
            (Self::UnknownUndo(of), _) => of.iter().cloned().map(Some).collect(),
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
            (Self::UndoReset(of), Some(held)) => match discarded(of) {
                None => vec![Some(held.clone())],
                Some(Discarded { content, since }) => match since {
                    WritesSince::Nothing => vec![Some(content.clone())],
                    WritesSince::Written => vec![Some(held.clone())],
                    WritesSince::Unknown => vec![Some(held.clone()), Some(content.clone())],
                },
            },
            (Self::RedoReset { of, heads }, Some(held)) => {
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

/// A call from the point of view of one key of one branch.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub call: usize,
    pub from: u64,
    pub to: u64,
    pub times: Times,
    pub effect: Effect,
}

/// How often a call may take effect between its beginning and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    AtMostOnce,
    AnyNumber,
}

/// Whether such an order exists, starting from `start`.
pub(super) fn explains(start: &State, events: &[Event]) -> bool {
    let mut search = Search {
        events,
        seen: HashSet::new(),
    };
    search.search(&mut vec![false; events.len()], 0, start)
}

struct Search<'a> {
    events: &'a [Event],
    /// Positions that are being tried or led nowhere.
    seen: HashSet<(Vec<bool>, u64, State)>,
}

impl Search<'_> {
    /// Tries to complete the order; `latest` is the latest beginning among the calls in it so far.
    fn search(&mut self, done: &mut Vec<bool>, latest: u64, state: &State) -> bool {
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
        // A read that fits can come first, unless calls that may never take effect would then be too
        // late.
        let looks = next.iter().copied().find(|&i| {
            let event = &self.events[i];
            event.times == Times::Once
                && event.effect.is_read()
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
                if self.search(done, latest, &after) {
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
