//! The effect of each call on one key of a branch, or what its answer says about the key.

use std::collections::BTreeSet;

use super::actors::MAIN;
use super::checker::Checker;
use super::history::{Action, Answer, Call};
use super::linear::{Content, Effect, Event, Times};
use crate::CommitId;

impl Checker<'_> {
    /// The effect that a write may have before its final attempt succeeds or fails. A commit may read
    /// the write from a token that was sealed meanwhile.
    pub(super) fn early_write(&self, call: &Call, branch: &str, key: &str) -> Option<Event> {
        let mark = Call::mark(call.id);
        let effect = match &call.action {
            action if action.branch() != branch || !action.writes(key) => return None,
            Action::Delete { .. } => Effect::Write(None),
            _ => Effect::Write(Some(mark)),
        };
        Some(Event {
            call: call.id,
            from: call.from,
            to: call.to,
            times: Times::AnyNumber,
            effect,
        })
    }

    /// Whether a call read a key while it was being written.
    pub(super) fn is_read_during_write(&self, look: &Call, key: &str) -> bool {
        let looks = match &look.action {
            Action::Get { .. } | Action::List { .. } | Action::Changes { .. } => true,
            Action::Put { .. } => look.answer == Answer::Present,
            _ => false,
        };
        looks
            && self.calls.iter().any(|call| {
                call.id != look.id
                    && call.action.branch() == look.action.branch()
                    && call.action.writes(key)
                    && call.from < look.to
                    && call.to > look.from
            })
    }

    /// The effect of a call on a key of a branch, or what its answer says about the key; and whether
    /// the call certainly took effect.
    pub(super) fn effects(&self, call: &Call, branch: &str, key: &str) -> Option<(Effect, bool)> {
        if let Answer::NoBranch(name) = &call.answer {
            return (name == branch).then_some((Effect::NoBranch, true));
        }
        if call.action.branch() != branch
            || matches!(call.answer, Answer::Refused(_) | Answer::Wrong(_))
        {
            return None;
        }
        if call.answer == Answer::Exists {
            return Some((Effect::HasBranch, true));
        }
        let is_certain = !matches!(call.answer, Answer::Unknown(_));
        let mark = Call::mark(call.id);
        let effect = match &call.action {
            action if action.is_write() && !action.writes(key) => return None,
            Action::PutMany { .. } => Effect::Write(Some(mark)),
            Action::Put { .. } if call.answer == Answer::Present => Effect::HoldsSomething,
            Action::Put {
                if_absent: true, ..
            } if !self.head_may_move(call) => Effect::WriteFirst(mark),
            Action::Put { .. } => Effect::Write(Some(mark)),
            Action::Delete { .. } => Effect::Write(None),
            Action::Commit { .. } => Effect::Holds(self.at(self.made.get(&mark)?, key)),
            Action::Merge { .. } | Action::Revert { .. } | Action::Pick { .. } => {
                let id = self.made.get(&mark)?;
                let parent = self.stored.commits[*id].0.parents.first()?;
                Effect::Replace {
                    from: self.at(parent, key),
                    to: self.at(id, key),
                }
            }
            Action::Reset { key: on, .. } if on.is_some_and(|on| on != key) => return None,
            Action::Reset { .. } => Effect::Reset(self.at_head(call, key)),
            Action::HardReset { to, .. } => Effect::Rebase {
                old: self.at_head(call, key),
                new: self.at(to, key),
            },
            Action::Undo { .. } => self.undone(call, key),
            Action::Branch { .. } => Effect::Create(match &call.answer {
                Answer::Commit(id) => vec![self.at(id, key)],
                _ => self.in_any_commit(key),
            }),
            Action::DropBranch { .. } => Effect::Drop,
            Action::Get { key: on, .. } => match &call.answer {
                Answer::Value(content) if *on == key => Effect::Holds(content.clone()),
                _ => return None,
            },
            Action::List { .. } => match &call.answer {
                Answer::Tree(tree) => Effect::Holds(tree.get(key).cloned()),
                _ => return None,
            },
            Action::Changes { .. } => match &call.answer {
                Answer::Changes(changes) => Effect::Holds(changes.get(key)?.clone()),
                _ => return None,
            },
        };
        Some((effect, is_certain))
    }

    fn undone(&self, call: &Call, key: &str) -> Effect {
        match &call.answer {
            // Late writes to a discarded token are restored with the token.
            Answer::Undone { from, to, .. } if self.writes_first && from.as_ref() == Some(to) => {
                Effect::UnknownUndo(self.ever_written(key))
            }
            Answer::Undone { from: None, .. } if self.writes_first => {
                Effect::Create(self.ever_written(key))
            }
            Answer::Undone {
                call,
                from: None,
                to,
            } => Effect::Recreate {
                dropped_by: *call,
                committed: self.at(to, key),
            },
            Answer::Undone {
                from: Some(from),
                to,
                ..
            } if from != to => Effect::Rebase {
                old: vec![self.at(from, key)],
                new: self.at(to, key),
            },
            Answer::Undone { call: of, .. } => {
                let undone = self.calls.iter().find(|call| Some(call.id) == *of);
                match undone.map(|call| &call.action) {
                    Some(Action::Undo { .. }) => Effect::RedoReset {
                        of: *of,
                        heads: self.at_head(call, key),
                    },
                    _ => Effect::UndoReset(*of),
                }
            }
            _ => Effect::UnknownUndo(self.ever_written(key)),
        }
    }

    pub(super) fn at(&self, id: &CommitId, key: &str) -> Content {
        self.stored.commits.get(id)?.1.get(key).cloned()
    }

    /// Whether a change of the head's tree was in flight during a call. Such a change examines the
    /// staged changes first, and those staged later stay on top of the new head. A conditional write
    /// during that time may therefore have been decided by the old head.
    fn head_may_move(&self, during: &Call) -> bool {
        self.calls.iter().any(|call| {
            call.action.branch() == during.action.branch()
                && !call.action.keeps_head()
                && call.from < during.to
                && call.to > during.from
        })
    }

    /// The key's values in the commits that may have been the branch's head during a call.
    fn at_head(&self, during: &Call, key: &str) -> Vec<Content> {
        let branch = during.action.branch();
        let mut heads: Vec<(u64, u64, bool, &CommitId)> = Vec::new();
        if branch == MAIN
            && let Some(root) = &self.stored.root
        {
            heads.push((0, 0, true, root));
        }
        for call in self.calls {
            if call.action.branch() != branch || call.id == during.id {
                continue;
            }
            let moved_to = match (&call.action, &call.answer) {
                (_, Answer::Refused(_) | Answer::NoBranch(_) | Answer::Exists) => None,
                (Action::HardReset { to, .. }, _) | (_, Answer::Undone { to, .. }) => Some(to),
                (Action::Undo { .. }, _) => return self.in_any_commit(key),
                (_, Answer::Commit(id)) => Some(id),
                (action, _) if action.commits() => self.made.get(&Call::mark(call.id)).copied(),
                // It is unknown whether the branch was created, and from which commit.
                (Action::Branch { .. }, _) => return self.in_any_commit(key),
                _ => None,
            };
            let is_certain = !matches!(call.answer, Answer::Unknown(_));
            heads.extend(moved_to.map(|id| (call.from, call.to, is_certain, id)));
        }
        let is_over = |to: u64| {
            heads
                .iter()
                .any(|head| head.2 && head.0 > to && head.1 < during.from)
        };
        let possible: BTreeSet<Content> = heads
            .iter()
            .filter(|head| head.0 <= during.to && !is_over(head.1))
            .map(|head| self.at(head.3, key))
            .collect();
        possible.into_iter().collect()
    }

    /// All values that the key may ever have had on any branch.
    fn ever_written(&self, key: &str) -> Vec<Content> {
        let written = self.calls.iter().filter(|call| call.action.writes(key));
        let written = written.map(|call| Some(Call::mark(call.id)));
        let mut all: BTreeSet<Content> =
            self.in_any_commit(key).into_iter().chain(written).collect();
        all.insert(None);
        all.into_iter().collect()
    }

    /// The key's values in all commits.
    fn in_any_commit(&self, key: &str) -> Vec<Content> {
        let all: BTreeSet<Content> = self
            .stored
            .commits
            .keys()
            .map(|id| self.at(id, key))
            .collect();
        all.into_iter().collect()
    }
}
