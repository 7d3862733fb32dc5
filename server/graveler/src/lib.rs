//! The versioning engine: refs, staging, commits, diff and merge over key-value records.
//!
//! Does not know what an object is: a key has a [`Value`] (identity and opaque
//! data). Does not know HTTP, users or Wasm: hooks are the trait [`Hooks`].

mod cursor;
mod error;
mod graveler;
mod hooks;
mod ids;
mod model;
pub mod committed;
pub mod sstable;

pub use cursor::{Cursor, Record};
pub use error::{Error, Kind, Result};
pub use graveler::{CommitLog, DiffCursor, Graveler, Options};
pub use hooks::{Draft, Event, EventKind, Finding, HookOutcome, Hooks, NoHooks, Rejection, TreeSource};
pub use ids::{BranchId, CommitId, MetaRangeId, RangeId, RepositoryId, StagingToken, TagId};
pub use model::{
    Branch, BranchRecord, Commit, CommitParams, Condition, CreateRepository, Diff, DiffKind, LogRequest,
    MergeBase, MergeOutcome, MergeParams, MergeStrategy, Repository, RepositoryState, ResolvedRef, RefKind, Tag, Value,
};
