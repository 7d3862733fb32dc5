//! The versioning engine: refs, staging, commits, diff and merge over key-value records.
//!
//! The engine does not know what an object is: each key maps to a [`Value`] (an identity and opaque
//! data). It does not know HTTP, users or Wasm either: it calls hooks through the trait [`Hooks`].
//!
//! ```text
//! repository --- branch ---> head commit ---> parents ...
//!                  |             |
//!                  |             +--> metarange --> ranges     (committed/, sstable/)
//!                  +--> staging token, sealed tokens           (staging/)
//! ```
//!
//! Invariants, at every moment and across crashes and races:
//! - An acknowledged write is in a token that its branch names, or in a commit that is an ancestor of
//!   the branch's head.
//! - A commit's ranges are stored before its metarange, the metarange before the commit's record, and
//!   the record before (or together with) the branch that names it.
//! - A branch changes only by compare-and-set.

pub mod committed;
pub mod ident;
pub mod sstable;

mod branch_diff;
mod cherry_pick;
mod commit;
mod commit_participant;
mod commit_record;
mod cursor;
mod deletion;
mod diff;
mod dump;
mod engine;
mod error;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
mod graveler;
mod hooks;
mod ids;
mod landing;
mod merge;
mod model;
mod namespaces;
pub mod nesting;
mod options;
mod problem;
mod protection;
mod queue;
mod records;
mod ref_diff;
mod reflog;
mod refs;
mod replay;
mod repositories;
mod repository_cache;
mod repository_metadata;
mod reset;
mod retention;
mod revert;
mod staging;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use commit_participant::{CommitParticipant, CommitStep, NoParticipant};
pub use cursor::{Cursor, Record};
pub use diff::{DiffCursor, DiffSource};
pub use dump::{CountRecords, RefsDump, RestoreRefs};
pub use error::{Error, Kind, Result};
pub use graveler::Graveler;
pub use hooks::{
    Draft, Event, EventKind, Finding, HookOutcome, Hooks, NoHooks, Rejection, TreeSource,
};
pub use ids::{
    BranchId, CommitId, MAX_REF_NAME_BYTES, MetaRangeId, RangeId, RepositoryId, StagingToken, TagId,
};
pub use model::{
    Branch, BranchProtection, BranchRecord, CherryPickParams, Commit, CommitParams, Condition,
    CreateRepository, Diff, DiffKind, LogRequest, MergeBase, MergeOutcome, MergeParams,
    MergeStrategy, Operation, RefKind, RefName, ReflogEntry, Repository, RepositoryState,
    ResetScope, ResolvedRef, RevertParams, StagedMove, Tag, UndoOutcome, UndoParams, Value,
};
pub use namespaces::{NamespaceClaim, NoNamespaceClaim};
pub use options::Options;
pub use problem::{NamespaceProblem, ReferenceProblem};
pub use refs::CommitLog;
pub use retention::{KeptCommit, KeptCommits, Retention};
