//! Finds lost and phantom writes: what was answered, against what is stored in the end.
//!
//! Each key of each branch is judged by itself: there must be an order of the calls that
//! explains every answer (`linear`). A commit counts as a read of its whole tree, which
//! must have been there at one moment; a merge takes the place of the head that it was
//! merged into. Above the keys: no commit is in a history twice, none that was acknowledged
//! is missing from `main`, and they are in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};

use super::actors::{BRANCHES, KEYS, MAIN};
use super::history::{Action, Answer, Call, Tree};
use super::linear::{Content, Effect, Event, State, explains};
use crate::{Commit, CommitId};

/// What is stored when all calls have ended.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Every commit's record and tree.
    pub commits: BTreeMap<CommitId, (Commit, Tree)>,
    /// The first commit of the repository.
    pub root: Option<CommitId>,
    /// From the head of `main` to the first commit, along first parents.
    pub main: Vec<CommitId>,
}

#[derive(Debug)]
struct Checker<'a> {
    calls: &'a [Call],
    stored: &'a Stored,
    /// The commit that a call made, by the mark in its message.
    made: BTreeMap<String, &'a CommitId>,
    violations: Vec<String>,
}

/// Everything that the calls and the stored state do not explain together; nothing if all is well.
pub(super) fn check(calls: &[Call], stored: &Stored) -> Vec<String> {
    let mut checker = Checker {
        calls,
        stored,
        made: BTreeMap::new(),
        violations: Vec::new(),
    };
    checker.wrong_answers();
    checker.marks();
    checker.main();
    for branch in BRANCHES {
        for key in KEYS {
            checker.key(branch, key);
        }
        checker.moments(branch);
    }
    checker.violations
}

impl<'a> Checker<'a> {
    fn complain(&mut self, text: String) {
        self.violations.push(text);
    }

    fn wrong_answers(&mut self) {
        for call in self.calls {
            if matches!(call.answer, Answer::Wrong(_)) {
                self.complain(format!("no fault of a store explains {call:?}"));
            }
        }
    }

    /// Each commit was asked for, once, and each that was acknowledged is stored.
    fn marks(&mut self) {
        let asked: BTreeSet<String> = self.calls.iter().map(|call| Call::mark(call.id)).collect();
        for (id, (commit, _)) in &self.stored.commits {
            if self.stored.root.as_ref() == Some(id) {
                continue;
            }
            if !asked.contains(&commit.message) {
                self.complain(format!("commit {id} was never asked for: {commit:?}"));
            }
            if let Some(other) = self.made.insert(commit.message.clone(), id) {
                let message = &commit.message;
                self.complain(format!("{message} made two commits: {other} and {id}"));
            }
        }
        for call in self.calls {
            if let Answer::Commit(id) = &call.answer
                && !self.stored.commits.contains_key(id)
            {
                self.complain(format!("a commit is lost: {call:?}"));
            }
            let refused = matches!(
                call.answer,
                Answer::Refused(_) | Answer::NoBranch(_) | Answer::Exists
            );
            if refused && self.made.contains_key(&Call::mark(call.id)) {
                self.complain(format!("was refused and made a commit: {call:?}"));
            }
        }
    }

    /// `main` is never deleted and never moved back: it has all that was acknowledged, in order.
    fn main(&mut self) {
        let place = |id: &CommitId| self.stored.main.iter().position(|other| other == id);
        let mut landed: Vec<(&Call, usize)> = Vec::new();
        let mut complaints = Vec::new();
        for call in self.calls {
            let Answer::Commit(id) = &call.answer else {
                continue;
            };
            if !call.action.commits() || call.action.branch() != MAIN {
                continue;
            }
            match place(id) {
                Some(depth) => landed.push((call, depth)),
                None => complaints.push(format!("main does not descend from {call:?}")),
            }
        }
        for (earlier, deep) in &landed {
            for (later, shallow) in &landed {
                if earlier.to < later.from && deep <= shallow {
                    complaints.push(format!("main has {later:?} before {earlier:?}"));
                }
            }
        }
        self.violations.extend(complaints);
    }

    fn key(&mut self, branch: &str, key: &str) {
        let mut events: Vec<Event> = Vec::new();
        for call in self.calls {
            if let Some((effect, is_certain)) = self.effects(call, branch, key) {
                events.push(Event {
                    call: call.id,
                    from: call.from,
                    to: call.to,
                    is_certain,
                    effect,
                });
            }
        }
        events.sort_by_key(|event| event.from);
        let start: State = (branch == MAIN).then_some(None);
        if !explains(&start, &events) {
            // What is told is cut to the first calls that can't be explained.
            let mut least = events.len();
            while least > 0 && !explains(&start, &events[..least - 1]) {
                least -= 1;
            }
            let told: Vec<String> = events[..least].iter().map(show).collect();
            self.complain(format!(
                "{key} on {branch} can't be explained:\n    {}",
                told.join("\n    ")
            ));
        }
    }

    /// What a call did to a key of a branch or tells of it, and whether that is certain.
    fn effects(&self, call: &Call, branch: &str, key: &str) -> Option<(Effect, bool)> {
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
            Action::Put { key: on, .. } if *on != key => return None,
            Action::Put { .. } if call.answer == Answer::Present => Effect::HoldsSomething,
            Action::Put {
                if_absent: true, ..
            } if !self.head_may_move(call) => Effect::WriteFirst(mark),
            Action::Put { .. } => Effect::Write(Some(mark)),
            Action::Delete { keys, .. } if !keys.contains(&key) => return None,
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
            Action::Reset { .. } => Effect::OneOf(self.at_head(call, key)),
            Action::HardReset { to, .. } => Effect::Rebase {
                old: self.at_head(call, key),
                new: self.at(to, key),
            },
            Action::Undo { .. } => match &call.answer {
                Answer::Undone { from: None, .. } => Effect::Create(self.ever(key)),
                Answer::Undone {
                    from: Some(from),
                    to,
                } if from != to => Effect::Rebase {
                    old: vec![self.at(from, key)],
                    new: self.at(to, key),
                },
                // A reset, of which comes back what was not written again.
                Answer::Undone { .. } => Effect::OneOf(self.ever(key)),
                _ => Effect::BringBack(self.ever(key)),
            },
            Action::Branch { .. } => Effect::Create(match &call.answer {
                Answer::Commit(id) => vec![self.at(id, key)],
                _ => self.anywhere(key),
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
        };
        Some((effect, is_certain))
    }

    fn at(&self, id: &CommitId, key: &str) -> Content {
        self.stored.commits.get(id)?.1.get(key).cloned()
    }

    /// Whether a change of the head's tree was under way during a call. It looks at what is staged
    /// before it is worked out, and what is staged since lies over it: a conditional write of
    /// that time was judged by the head before.
    fn head_may_move(&self, during: &Call) -> bool {
        self.calls.iter().any(|call| {
            call.action.branch() == during.action.branch()
                && !matches!(
                    call.action,
                    Action::Put { .. }
                        | Action::Delete { .. }
                        | Action::Commit { .. }
                        | Action::Get { .. }
                        | Action::List { .. }
                )
                && call.from < during.to
                && call.to > during.from
        })
    }

    /// What the key holds in the commits that may have been the branch's head during a call.
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
                (Action::Undo { .. }, _) => return self.anywhere(key),
                (_, Answer::Commit(id)) => Some(id),
                (action, _) if action.commits() => self.made.get(&Call::mark(call.id)).copied(),
                // Of a creation that is not known to have been made, anything may have come.
                (Action::Branch { .. }, _) => return self.anywhere(key),
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

    /// What the key may ever have held, on any branch.
    fn ever(&self, key: &str) -> Vec<Content> {
        let written = self.calls.iter().filter_map(|call| match call.action {
            Action::Put { key: on, .. } if on == key => Some(Some(Call::mark(call.id))),
            _ => None,
        });
        let mut all: BTreeSet<Content> = self.anywhere(key).into_iter().chain(written).collect();
        all.insert(None);
        all.into_iter().collect()
    }

    /// What the key holds in any commit.
    fn anywhere(&self, key: &str) -> Vec<Content> {
        let all: BTreeSet<Content> = self
            .stored
            .commits
            .keys()
            .map(|id| self.at(id, key))
            .collect();
        all.into_iter().collect()
    }

    /// A commit took all keys at one moment: none may be newer than another's successor.
    fn moments(&mut self, branch: &str) {
        let on_branch: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.action.branch() == branch)
            .collect();
        // Other calls than puts and deletes could bring a value back.
        let overwrites = |call: &Call, key: &str| match &call.action {
            Action::Put { key: on, .. } => *on == key && call.answer == Answer::Done,
            Action::Delete { keys, .. } => keys.contains(&key) && call.answer == Answer::Done,
            _ => false,
        };
        let brings_back = on_branch.iter().any(|call| {
            !matches!(
                call.action,
                Action::Put { .. }
                    | Action::Delete { .. }
                    | Action::Commit { .. }
                    | Action::Get { .. }
                    | Action::List { .. }
            ) && !matches!(
                call.answer,
                Answer::Refused(_) | Answer::NoBranch(_) | Answer::Exists
            )
        });
        if brings_back {
            return;
        }
        for commit in &on_branch {
            let (Action::Commit { .. }, Answer::Commit(id)) = (&commit.action, &commit.answer)
            else {
                continue;
            };
            let (mut not_before, mut not_after) = (commit.from, commit.to);
            for key in KEYS {
                let Some(value) = self.at(id, key) else {
                    continue;
                };
                let Some(write) = on_branch.iter().find(|call| Call::mark(call.id) == value) else {
                    continue;
                };
                not_before = not_before.max(write.from);
                for next in &on_branch {
                    if next.from > write.to && overwrites(next, key) {
                        not_after = not_after.min(next.to);
                    }
                }
            }
            if not_before > not_after {
                self.complain(format!(
                    "the tree of {commit:?} was never there at one moment"
                ));
            }
        }
    }
}

fn show(event: &Event) -> String {
    let Event {
        call,
        from,
        to,
        is_certain,
        effect,
    } = event;
    let maybe = if *is_certain { "" } else { " (maybe)" };
    format!("call {call} from {from} to {to}{maybe}: {effect:?}")
}
