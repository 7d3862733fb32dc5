//! Finds lost and phantom writes by comparing the answers with the final stored state.
//!
//! Each key of each branch is checked on its own: there must be an order of the calls that explains
//! every answer (`linear`). A commit counts as a read of its whole tree, which must have existed at
//! one moment. A merge replaces the content of its destination's head.
//!
//! Across keys, no two commits may have the same mark. No acknowledged commit may be missing from
//! `main`, and its commits must be in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};

use super::actors::{BRANCHES, KEYS, MAIN};
use super::history::{Action, Answer, Call, Tree};
use super::linear::{Event, State, Times, explains};
use super::stores::Guarding;
use crate::{Commit, CommitId};

/// What is stored after all calls have ended.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// All commits: record and tree.
    pub commits: BTreeMap<CommitId, (Commit, Tree)>,
    /// The root commit of the repository.
    pub root: Option<CommitId>,
    /// The first-parent line from the head of `main` to the root.
    pub main: Vec<CommitId>,
}

#[derive(Debug)]
pub(super) struct Checker<'a> {
    pub calls: &'a [Call],
    pub stored: &'a Stored,
    /// Whether the store writes before it checks the guard. If the check fails, the write is repeated in
    /// another token. It may then be seen, disappear with its first token, and appear again.
    pub writes_first: bool,
    /// The commit that each call made, by the mark in its message.
    pub made: BTreeMap<String, &'a CommitId>,
    violations: Vec<String>,
}

/// All violations: what the calls and the stored state cannot explain together.
pub(super) fn check(calls: &[Call], stored: &Stored, guarding: Guarding) -> Vec<String> {
    let mut checker = Checker {
        calls,
        stored,
        writes_first: guarding == Guarding::WriteThenCheck,
        made: BTreeMap::new(),
        violations: Vec::new(),
    };
    checker.check_answers();
    checker.check_marks();
    checker.check_main();
    for branch in BRANCHES {
        for key in KEYS {
            checker.check_key(branch, key);
        }
        checker.check_moments(branch);
    }
    checker.violations
}

impl Checker<'_> {
    fn report(&mut self, text: String) {
        self.violations.push(text);
    }

    fn check_answers(&mut self) {
        for call in self.calls {
            if matches!(call.answer, Answer::Wrong(_)) {
                self.report(format!("no fault of a store explains {call:?}"));
            }
        }
    }

    /// Each commit must have been requested exactly once, and each acknowledged commit must be stored.
    fn check_marks(&mut self) {
        let requested: BTreeSet<String> =
            self.calls.iter().map(|call| Call::mark(call.id)).collect();
        for (id, (commit, _)) in &self.stored.commits {
            if self.stored.root.as_ref() == Some(id) {
                continue;
            }
            if !requested.contains(&commit.message) {
                self.report(format!("commit {id} was never requested: {commit:?}"));
            }
            if let Some(other) = self.made.insert(commit.message.clone(), id) {
                let message = &commit.message;
                self.report(format!("{message} made two commits: {other} and {id}"));
            }
        }
        for call in self.calls {
            if let Answer::Commit(id) = &call.answer
                && !self.stored.commits.contains_key(id)
            {
                self.report(format!("a commit is lost: {call:?}"));
            }
            let refused = matches!(
                call.answer,
                Answer::Refused(_) | Answer::NoBranch(_) | Answer::Exists
            );
            if refused && self.made.contains_key(&Call::mark(call.id)) {
                self.report(format!("was refused but made a commit: {call:?}"));
            }
        }
    }

    /// `main` is never deleted or moved back, so it must have all acknowledged commits, in order.
    fn check_main(&mut self) {
        let place = |id: &CommitId| self.stored.main.iter().position(|other| other == id);
        let mut landed: Vec<(&Call, usize)> = Vec::new();
        let mut found = Vec::new();
        for call in self.calls {
            let Answer::Commit(id) = &call.answer else {
                continue;
            };
            if !call.action.commits() || call.action.branch() != MAIN {
                continue;
            }
            match place(id) {
                Some(depth) => landed.push((call, depth)),
                None => found.push(format!("main has lost {call:?}")),
            }
        }
        for (earlier, deep) in &landed {
            for (later, shallow) in &landed {
                if earlier.to < later.from && deep <= shallow {
                    found.push(format!("main has {later:?} before {earlier:?}"));
                }
            }
        }
        self.violations.extend(found);
    }

    fn check_key(&mut self, branch: &str, key: &str) {
        let mut events: Vec<Event> = Vec::new();
        for call in self.calls {
            if self.writes_first {
                events.extend(self.early_write(call, branch, key));
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
            if self.writes_first && self.is_read_during_write(call, key) {
                continue;
            }
            events.push(event);
        }
        events.sort_by_key(|event| event.from);
        let start = State::of((branch == MAIN).then_some(None));
        if !explains(&start, &events) {
            // Report only the shortest prefix that cannot be explained.
            let mut least = events.len();
            while least > 0 && !explains(&start, &events[..least - 1]) {
                least -= 1;
            }
            let lines: Vec<String> = events[..least].iter().map(show).collect();
            self.report(format!(
                "{key} on {branch} cannot be explained:\n    {}",
                lines.join("\n    ")
            ));
        }
    }

    /// A commit reads all keys at one moment: no key's value may have been written after another key's
    /// value was overwritten.
    fn check_moments(&mut self, branch: &str) {
        let on_branch: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.action.branch() == branch)
            .collect();
        let overwrites =
            |call: &Call, key: &str| call.action.writes(key) && call.answer == Answer::Done;
        // Calls other than puts, deletes and commits may restore an old value, so branches with such
        // calls are skipped.
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
                self.report(format!(
                    "the tree of {commit:?} never existed at one moment"
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
