//! The versioning engine: refs, staging, commits, diff and merge over key-value records.
//!
//! Does not know what an object is: a key has a [`Value`] (identity and opaque
//! data). Does not know HTTP, users or Wasm: hooks are the trait [`Hooks`].
//!
//! ```text
//! repository --- branch ---> head commit ---> parents ...
//!                  |             |
//!                  |             +--> metarange --> ranges     (committed/, sstable/)
//!                  +--> staging token, sealed tokens           (staging/)
//! ```
//!
//! What holds at every moment, whatever crashes or races:
//! - a write that was acknowledged is in a token its branch names, or in a commit
//!   its branch's head descends from;
//! - a commit's ranges are stored before its metarange, that before its record,
//!   that before (or together with) the branch that names it;
//! - a branch changes by compare-and-set only.

pub mod committed;
pub mod ident;
pub mod sstable;

mod branch_diff;
mod cherry_pick;
mod commit;
mod commit_record;
mod cursor;
mod deletion;
mod diff;
mod dump;
mod engine;
mod error;
mod graveler;
mod hooks;
mod ids;
mod landing;
mod merge;
mod model;
mod namespaces;
pub mod nesting;
mod options;
mod protection;
mod queue;
mod receipt;
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
    MergeStrategy, MovedStaged, Operation, RefKind, RefName, ReflogEntry, Repository,
    RepositoryState, ResetScope, ResolvedRef, RevertParams, Tag, UndoParams, Undone, Value,
};
pub use namespaces::{Claim, NoClaim};
pub use options::Options;
pub use receipt::{NoReceipt, Receipt, Step};
pub use refs::CommitLog;
pub use retention::{KeptCommit, KeptCommits, Retention};
