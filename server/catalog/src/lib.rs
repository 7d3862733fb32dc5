//! The service layer: objects, branches, commits, as REST and S3 both mean them.
mod catalog;
mod entry;
mod error;
mod reader;

pub use catalog::{Catalog, MultipartUpload, Upload, UploadOptions, WriteOptions};
pub use entry::{AddressType, Entry};
pub use error::{Error, Result};
pub use reader::{Difference, DifferenceKind, DiffQuery, ListRequest, LogQuery, Object, ObjectOrPrefix, Reader, Snapshot};

pub use graveler::{
    Branch, BranchId, Commit, CommitId, CommitParams, CreateRepository, Finding, MergeBase, MergeOutcome, MergeParams,
    MergeStrategy, MetaRangeId, Rejection, Repository, RepositoryId, Tag, TagId,
};

// What the layers above meet in requests and failures, so that they need not know the crates below.
pub use block::{ByteStream, Error as BlockError, StoreInfo};
pub use graveler::{Error as EngineError, EventKind, Kind};
pub use kv::Error as StoreError;
