//! What was asked and what was answered, with the order in which it began and ended.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::linear::Content;
use crate::{CommitId, Error, Kind};

const MARK: &str = "call ";

/// The live records of a tree.
pub(super) type Tree = BTreeMap<String, String>;

/// What an actor asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Put {
        branch: &'static str,
        key: &'static str,
        if_absent: bool,
    },
    /// One value for many keys at once.
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
    /// Takes a commit back on the branch.
    Revert {
        branch: &'static str,
        commit: CommitId,
    },
    /// Makes a commit's change on the branch.
    Pick {
        branch: &'static str,
        commit: CommitId,
    },
    /// Throws away what is staged on a key, or on all of them.
    Reset {
        branch: &'static str,
        key: Option<&'static str>,
    },
    /// Moves the head.
    HardReset {
        branch: &'static str,
        to: CommitId,
    },
    /// Takes the newest change of the branch back.
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
    /// What is staged and makes a difference.
    Changes {
        branch: &'static str,
    },
}

impl Action {
    /// Whether it makes a commit and moves the branch on to it.
    pub(super) fn commits(&self) -> bool {
        matches!(
            self,
            Self::Commit { .. } | Self::Merge { .. } | Self::Revert { .. } | Self::Pick { .. }
        )
    }

    /// Whether the branch's head and its tree stay what they are, but for what was staged.
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

    /// Whether it stages something.
    pub(super) fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Put { .. } | Self::PutMany { .. } | Self::Delete { .. }
        )
    }

    /// Whether it stages something at the key.
    pub(super) fn writes(&self, key: &str) -> bool {
        match self {
            Self::Put { key: on, .. } => *on == key,
            Self::PutMany { keys, .. } | Self::Delete { keys, .. } => keys.contains(&key),
            _ => false,
        }
    }

    /// The branch that it is about.
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

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// The commit that was made, or that a new branch is at.
    Commit(CommitId),
    /// What was taken back, which that call did, had moved the head to `from`, none where it deleted the branch.
    Undone {
        call: Option<usize>,
        from: Option<CommitId>,
        to: CommitId,
    },
    Value(Content),
    Tree(Tree),
    /// What keys hold that differ from the head.
    Changes(BTreeMap<String, Content>),
    /// There is no such branch; nothing was done.
    NoBranch(String),
    /// The branch is there already; nothing was done.
    Exists,
    /// There is a value already; nothing was written.
    Present,
    /// Refused for another reason; nothing was done.
    Refused(String),
    /// It may have been done.
    Unknown(String),
    /// What no fault of a store explains.
    Wrong(String),
}

impl Answer {
    pub(super) fn of(error: &Error) -> Self {
        let text = base::chain(error);
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
            | Error::ParentToPickRequired
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
    /// Also its mark: the value that it writes, the message of its commit, who it is in the reflog.
    pub id: usize,
    pub actor: usize,
    pub action: Action,
    pub from: u64,
    pub to: u64,
    pub answer: Answer,
}

impl Call {
    pub(super) fn mark(id: usize) -> String {
        format!("{MARK}{id}")
    }

    /// The call that a mark is of.
    pub(super) fn marked(mark: &str) -> Option<usize> {
        mark.strip_prefix(MARK)?.parse().ok()
    }
}

/// All calls, by the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct History {
    clock: AtomicU64,
    calls: Mutex<Vec<Call>>,
    ids: AtomicU64,
}

impl History {
    /// The place of something that happens now among all that happens.
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
