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
//! The operations are methods of [`Graveler`], split over files by theme. Only collaborators access
//! the key-value store. Each owns the records of one kind:
//!
//! | collaborator | records |
//! |---|---|
//! | `RefStore` (`refs/`) | branches, tags, commits |
//! | `Staging` (`staging/`) | staged changes, retired tokens |
//! | `Reflog` (`reflog/`) | changes of references |
//! | `Repositories` (`repository_records.rs`) | repositories and their metadata |
//! | `Protection` (`protection.rs`) | branch protection rules |
//! | `Restores` (`dump/restores.rs`) | restores in progress |
//!
//! Trees (`committed/`) are stored in the block store.
//!
//! Invariants, at every moment and across crashes and races:
//! - An acknowledged write is in a token that its branch names, or in the branch's head or one of
//!   its ancestors, until a user discards it.
//! - A commit's ranges are stored before its metarange, the metarange before the commit's record,
//!   and the record before (or together with) the branch that names it.
//! - A branch changes only by compare-and-set.

pub mod committed;
pub mod ident;
pub mod sstable;

mod branch_diff;
mod branch_protection;
mod change;
mod checks;
mod commit_participant;
mod commit_record;
mod cursor;
mod deletion;
mod diff;
mod dump;
mod error;
mod event;
mod fresh_branch;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
mod graveler;
mod guarded_write;
mod hooks;
mod ids;
mod model;
mod namespaces;
pub mod nesting;
mod options;
mod problem;
mod protection;
mod queue;
mod records;
mod ref_diff;
mod reference_changes;
mod references;
mod reflog;
mod reflogs;
mod refs;
mod rejection;
mod repositories;
mod repository_cache;
mod repository_metadata;
mod repository_records;
mod reset;
mod retention;
mod staged_diff;
mod staging;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod undo;
mod values;

pub use commit_participant::{CommitParticipant, CommitStep, NoParticipant};
pub use cursor::{Cursor, Record};
pub use diff::{DiffCursor, DiffSource};
pub use dump::{CountRecords, RefsDump, RestoreRefs};
pub use error::{Error, Kind, Result};
pub use event::{
    After, BranchCreation, BranchDeletion, CommitPreparation, CommitProposal, Draft, Event,
    EventDetails, EventKind, LandedCommit, LandedMerge, MAX_EVENT_BYTES, MergeProposal,
    MergeSource, TagChange, TreeSource,
};
pub use graveler::Graveler;
pub use hooks::{HookOutcome, Hooks, NoHooks};
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
pub use rejection::{Finding, Rejection};
pub use retention::{KeptCommit, KeptCommits, Retention};
