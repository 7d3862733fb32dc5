//! The calls and their answers, in the order in which they began and ended.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::linear::Content;
use crate::{CommitId, Error, Kind};

const MARK: &str = "call ";

/// The live records of a tree.
pub(super) type Tree = BTreeMap<String, String>;

/// What an actor requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Put {
        branch: &'static str,
        key: &'static str,
        if_absent: bool,
    },
    /// Writes one value to several keys at once.
    PutMany {
        branch: &'static str,
        keys: Vec<&'static str>,
    },
    Delete {
        branch: &'static str,
        keys: Vec<&'static str>,
    },
    Commit {
        branch: &'static str,
    },
    Merge {
        source: &'static str,
        destination: &'static str,
    },
    /// Reverts a commit on the branch.
    Revert {
        branch: &'static str,
        commit: CommitId,
    },
    /// Cherry-picks a commit onto the branch.
    Pick {
        branch: &'static str,
        commit: CommitId,
    },
    /// Discards the staged change of one key, or all.
    Reset {
        branch: &'static str,
        key: Option<&'static str>,
    },
    /// Moves the head to a commit.
    HardReset {
        branch: &'static str,
        to: CommitId,
    },
    /// Undoes the newest change of the branch.
    Undo {
        branch: &'static str,
    },
    Branch {
        name: &'static str,
        source: &'static str,
    },
    DropBranch {
        name: &'static str,
    },
    Get {
        branch: &'static str,
        key: &'static str,
    },
    List {
        branch: &'static str,
    },
    /// Lists the uncommitted changes.
    Changes {
        branch: &'static str,
    },
}

impl Action {
    /// Whether the call makes a commit and moves the branch to it.
    pub(super) fn commits(&self) -> bool {
        matches!(
            self,
            Self::Commit { .. } | Self::Merge { .. } | Self::Revert { .. } | Self::Pick { .. }
        )
    }

    /// Whether the call changes the branch's content at most by staging changes.
    pub(super) fn keeps_head(&self) -> bool {
        matches!(
            self,
            Self::Put { .. }
                | Self::PutMany { .. }
                | Self::Delete { .. }
                | Self::Commit { .. }
                | Self::Get { .. }
                | Self::List { .. }
                | Self::Changes { .. }
        )
    }

    /// Whether the call stages changes.
    pub(super) fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Put { .. } | Self::PutMany { .. } | Self::Delete { .. }
        )
    }

    /// Whether the call stages a change of the key.
    pub(super) fn writes(&self, key: &str) -> bool {
        match self {
            Self::Put { key: on, .. } => *on == key,
            Self::PutMany { keys, .. } | Self::Delete { keys, .. } => keys.contains(&key),
            _ => false,
        }
    }

    /// The branch that the call is about.
    pub(super) fn branch(&self) -> &'static str {
        match self {
            Self::Put { branch, .. }
            | Self::PutMany { branch, .. }
            | Self::Delete { branch, .. }
            | Self::Commit { branch }
            | Self::Revert { branch, .. }
            | Self::Pick { branch, .. }
            | Self::Reset { branch, .. }
            | Self::HardReset { branch, .. }
            | Self::Undo { branch }
            | Self::Get { branch, .. }
            | Self::List { branch }
            | Self::Changes { branch } => branch,
            Self::Merge { destination, .. } => destination,
            Self::Branch { name, .. } | Self::DropBranch { name } => name,
        }
    }
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// The new commit, or the commit of a new branch.
    Commit(CommitId),
    Undone {
        /// The call that was undone.
        call: Option<usize>,
        /// The head before the undo; `None` if the branch was deleted.
        from: Option<CommitId>,
        /// The head after the undo.
        to: CommitId,
    },
    Value(Content),
    Tree(Tree),
    /// The keys that differ from the head, with their values.
    Changes(BTreeMap<String, Content>),
    /// The branch does not exist; nothing was done.
    NoBranch(String),
    /// The branch exists already; nothing was done.
    Exists,
    /// A value exists already; nothing was written.
    Present,
    /// Refused for another reason; nothing was done.
    Refused(String),
    /// The outcome is unknown: the call may have taken effect.
    Unknown(String),
    /// An error that no fault of a store explains.
    Wrong(String),
}

impl Answer {
    pub(super) fn of(error: &Error) -> Self {
        let text = base::error_chain(error);
        match error {
            Error::NotFound {
                kind: Kind::Branch | Kind::Reference,
                id,
            } => Self::NoBranch(id.clone()),
            Error::NotUnique { .. } => Self::Exists,
            Error::PreconditionFailed => Self::Present,
            Error::NoChanges(_)
            | Error::DirtyBranch(_)
            | Error::Conflict { .. }
            | Error::NoMergeBase(..)
            | Error::TooManyTries(_)
            | Error::ConcurrentChange(_)
            | Error::ParentRequired
            | Error::CherryPickParentRequired
            | Error::NoSuchParent { .. }
            | Error::InvalidReference { .. }
            | Error::MovedOn { .. }
            | Error::NotFound {
                kind: Kind::ReflogEntry,
                ..
            }
            | Error::InvalidValue(_)
            | Error::Advised { .. }
            | Error::Rejected(_)
            | Error::Block(block::Error::Storage { .. } | block::Error::Body(_)) => {
                Self::Refused(text)
            }
            Error::Kv(kv::Error::Storage { .. }) => Self::Unknown(text),
            _ => Self::Wrong(text),
        }
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Identifies the call. The call's mark contains it: the value that the call writes, the message of its commit, and
    /// its actor in the reflog.
    pub id: usize,
    pub actor: usize,
    pub action: Action,
    /// The [`History::tick`] at which the call began.
    pub from: u64,
    /// The tick at which it ended, or `u64::MAX` if it may still take effect at any time.
    pub to: u64,
    pub answer: Answer,
}

impl Call {
    pub(super) fn mark(id: usize) -> String {
        format!("{MARK}{id}")
    }

    /// The id of the call with this mark.
    pub(super) fn marked(mark: &str) -> Option<usize> {
        mark.strip_prefix(MARK)?.parse().ok()
    }
}

/// All calls, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct History {
    clock: AtomicU64,
    calls: Mutex<Vec<Call>>,
    ids: AtomicU64,
}

impl History {
    /// The position of an event in the order of all events.
    pub(super) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn next_id(&self) -> usize {
        self.ids.fetch_add(1, Ordering::SeqCst) as usize
    }

    pub(super) fn record(&self, call: Call) {
        self.calls
            .lock()
            .expect("no holder of the history panics")
            .push(call);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .expect("no holder of the history panics")
            .clone()
    }
}
