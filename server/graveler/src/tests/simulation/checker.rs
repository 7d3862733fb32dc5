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
use super::linear::{Event, State, Times, explains};
use super::stores::Guarding;
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
pub(super) struct Checker<'a> {
    pub calls: &'a [Call],
    pub stored: &'a Stored,
    /// The store writes first and looks after: a write that must go to another token may be seen, be
    /// gone with its token, and come again.
    pub writes_first: bool,
    /// The commit that a call made, by the mark in its message.
    pub made: BTreeMap<String, &'a CommitId>,
    violations: Vec<String>,
}

/// Everything that the calls and the stored state do not explain together; nothing if all is well.
pub(super) fn check(calls: &[Call], stored: &Stored, guarding: Guarding) -> Vec<String> {
    let mut checker = Checker {
        calls,
        stored,
        writes_first: guarding == Guarding::WritesFirst,
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

impl Checker<'_> {
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
            if self.writes_first {
                events.extend(self.early(call, branch, key));
            }
            let Some((effect, is_certain)) = self.effects(call, branch, key) else {
                continue;
            };
            let event = Event {
                call: call.id,
                from: call.from,
                to: call.to,
                times: match is_certain {
                    true => Times::Once,
                    false => Times::AtMostOnce,
                },
                effect,
            };
            if self.writes_first && self.is_early_look(call, key) {
                continue;
            }
            events.push(event);
        }
        events.sort_by_key(|event| event.from);
        let start = State::of((branch == MAIN).then_some(None));
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

    /// A commit took all keys at one moment: none may be newer than another's successor.
    fn moments(&mut self, branch: &str) {
        let on_branch: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.action.branch() == branch)
            .collect();
        // Other calls than puts and deletes could bring a value back.
        let overwrites =
            |call: &Call, key: &str| call.action.writes(key) && call.answer == Answer::Done;
        let brings_back = on_branch.iter().any(|call| {
            !call.action.keeps_head()
                && !matches!(
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
        times,
        effect,
    } = event;
    format!("call {call} from {from} to {to}, {times:?}: {effect:?}")
}
