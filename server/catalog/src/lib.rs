//! The service layer: objects, branches and commits, as REST and S3 both mean them.
//!
//! ```text
//!   Catalog ── derefs to ──> Reader ──> Snapshot      one stored tree
//!      │ hooks, clock, ids      │
//!      └──── graveler ──────────┴──── block           records and trees; bytes
//! ```
//!
//! [`Reader`] only looks; hooks and the read routes are given it. [`Catalog`] is a
//! reader that also changes things. Knows no HTTP, S3 or Wasm.
//!
//! One ordering holds everywhere: bytes are durable before the entry that names
//! them is staged, so a crash leaves an object that garbage collection removes,
//! never an entry without its bytes.

mod catalog;
mod entry;
mod error;
mod limits;
mod listing;
mod log;
mod model;
mod multipart;
mod pending;
mod reader;
mod reflog;
mod repository;
mod retention;
mod snapshot;
pub mod tasks;
pub mod testing;
mod upload;

pub use catalog::Catalog;
pub use entry::{AddressType, DEFAULT_CONTENT_TYPE, Entry};
pub use error::{Error, Result};
pub use limits::{
    MAX_COMMIT_METADATA_BYTES, MAX_MESSAGE_BYTES, MAX_REPOSITORY_METADATA_BYTES,
    MAX_USER_METADATA_BYTES,
};
pub use model::{
    DiffQuery, Difference, DifferenceKind, ListRequest, LogQuery, MultipartUpload, Object,
    ObjectOrPrefix, Upload, UploadOptions, WriteOptions,
};
pub use reader::Reader;
pub use retention::GcRules;
pub use snapshot::Snapshot;
pub use tasks::{DescribeFailure, Failure, Progress, TaskKind, TaskStatus};

// What the shells need of the layers below, so that they depend on this crate alone.
pub use block::{ByteStream, CompletedPart, Error as BlockError, PartInfo, StoreInfo, from_bytes};
pub use graveler::{
    Branch, BranchId, Commit, CommitId, CommitParams, CreateRepository, Error as EngineError,
    EventKind, Finding, Kind, MergeBase, MergeOutcome, MergeParams, MergeStrategy, MetaRangeId,
    Operation, RefName, ReflogEntry, Rejection, Repository, RepositoryId, RepositoryState, Tag,
    TagId, UndoParams, Undone,
};
pub use kv::Error as StoreError;
