//! The service layer: objects, branches and commits, as both REST and S3 need them.
//!
//! ```text
//!   Catalog ── reader() ──> Reader ──> Snapshot      one stored tree
//!      │ hooks, clock, ids     │
//!      └──── graveler ─────────┴──── block           records and trees; bytes
//! ```
//!
//! [`Catalog`] writes. [`Reader`] reads and cannot write; it is what hooks and read routes get. Hooks record their
//! logs through [`InternalFiles`]. This crate does not know HTTP, S3 or Wasm.
//!
//! Bytes are always durable before the entry that points to them is staged. A crash can therefore leave orphaned
//! bytes, which garbage collection removes, but never an entry without bytes.

mod addresses;
mod catalog;
mod checked_body;
mod completion;
mod constants;
mod dump;
mod entry;
mod error;
mod file_writer;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gates;
mod gc_commits;
mod gc_uncommitted;
mod history;
mod internal_files;
mod limits;
mod listing;
mod log;
mod marker;
mod model;
mod multipart;
mod object_listing;
mod pending;
mod protection;
mod pull_merge;
mod pull_records;
mod pulls;
mod reader;
mod reflog;
mod repository;
mod retention;
mod sample;
mod snapshot;
mod symlinks;
mod tables;
pub mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod upload;

pub use catalog::{Catalog, MAX_DETACHED_CHANGES, MAX_DETACHED_REPOSITORY_CHANGES};
pub use completion::COMPLETION_RETENTION;
pub use entry::{AddressType, DEFAULT_CONTENT_TYPE, Entry};
pub use error::{Cause, DiskProblem, Error, Result, WrongSize};
pub use gates::{GateLog, Gates};
pub use gc_commits::PreparedCommits;
pub use gc_uncommitted::PreparedUncommitted;
pub use internal_files::InternalFiles;
pub use limits::{
    MAX_COMMIT_METADATA_BYTES, MAX_CONTENT_TYPE_BYTES, MAX_MESSAGE_BYTES, MAX_PAGE_BYTES,
    MAX_PULL_DESCRIPTION_BYTES, MAX_PULL_TITLE_BYTES, MAX_REPOSITORY_METADATA_BYTES,
    MAX_USER_METADATA_BYTES, PageRoom,
};
pub use model::{
    DiffQuery, Difference, DifferenceKind, ListRequest, LogQuery, MultipartUpload, Object,
    ObjectOrPrefix, ObjectTarget, UploadOptions, WriteOptions,
};
pub use pull_records::{PullRequest, PullStatus};
pub use pulls::{NewPullRequest, PullFilter, PullRequestUpdate};
pub use reader::Reader;
pub use retention::GcRules;
pub use sample::LAKES;
pub use snapshot::Snapshot;
pub use symlinks::MAX_NESTED_DIRECTORIES;
pub use tasks::{
    Conflicts, DescribeFailure, Description, Failure, Progress, TaskKind, TaskOperation, TaskStatus,
};

pub use constants::MAX_PATH_BYTES;
pub use upload::{check_path, check_path_length};

// Types of lower layers that `api` and `gateway` use, re-exported so that they depend on this crate only.
pub use block::{ByteStream, CompletedPart, PartInfo, StoreInfo, from_bytes};
pub use graveler::{
    Branch, BranchId, BranchProtection, CherryPickParams, Commit, CommitId, CommitParams,
    CreateRepository, EventKind, Finding, Kind, MergeBase, MergeOutcome, MergeParams,
    MergeStrategy, MetaRangeId, NamespaceProblem, Operation, RefName, ReferenceProblem,
    ReflogEntry, RefsDump, Rejection, Repository, RepositoryId, RepositoryState, ResetScope,
    RevertParams, Tag, TagId, UndoOutcome, UndoParams,
};
