//! Requests and results of the service: plain data with conversions, no other behaviour.

use std::collections::BTreeMap;

use base::OffsetDateTime;
use graveler::{Repository, Value};

use crate::Entry;
use crate::error::{Error, WrongSize};

/// An object at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The path in the repository.
    pub path: String,
    /// The object's entry.
    pub entry: Entry,
    /// 32 bytes. Objects with equal size, `ETag`, metadata and content type have equal identities.
    pub identity: bytes::Bytes,
    /// The full URI of its bytes.
    pub physical_address: String,
}

impl Object {
    /// Decodes a stored value of a repository whose storage namespace is `namespace`.
    pub(crate) fn from_value(
        namespace: &str,
        path: String,
        value: &Value,
    ) -> graveler::Result<Self> {
        let entry = Entry::from_value(value)?;
        Ok(Self {
            path,
            identity: value.identity.clone(),
            physical_address: entry.location(namespace).as_str().to_owned(),
            entry,
        })
    }

    /// The size of the object according to its entry. A negative size in a corrupt entry counts as 0.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        u64::try_from(self.entry.size_bytes).unwrap_or(0)
    }

    /// Logs that the store has another number of bytes at the object's physical address, and returns the error. The
    /// error is logged here, because not every caller logs errors of single objects. A hook, for example, gets it as
    /// the failure of its read.
    pub(crate) fn wrong_size(&self, repository: &Repository, stored: u64) -> Error {
        tracing::error!(
            repo.id = %repository.id,
            path = self.path,
            physical_address = self.physical_address,
            "an object has {stored} bytes in the store, but {} according to its entry: restore its bytes from a backup, or upload it again",
            self.size_bytes()
        );
        Error::WrongSize(Box::new(WrongSize {
            repository: repository.id.to_string(),
            path: self.path.clone(),
            stored,
            expected: self.size_bytes(),
        }))
    }
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectOrPrefix {
    /// An object.
    Object(Box<Object>),
    /// A common prefix, including the delimiter at its end.
    Prefix(String),
}

/// Which objects to list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// Only paths that start with it.
    pub prefix: String,
    /// Exclusive. May be a common prefix; the listing then skips everything below it.
    pub after: String,
    /// Empty for a recursive listing.
    pub delimiter: String,
    /// The maximum number of rows to return.
    pub limit: usize,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    Added,
    Changed,
    Removed,
    /// Both sides changed the path since their merge base.
    Conflict,
    /// Something below a common prefix differs.
    PrefixChanged,
}

/// A row of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    /// An object's path or a common prefix.
    pub path: String,
    pub is_prefix: bool,
    /// The entry on the left; none if added or a prefix.
    pub left: Option<Entry>,
    /// The entry on the right; none if removed or a prefix.
    pub right: Option<Entry>,
}

/// Which differences to list.
#[derive(Debug, Clone)]
pub struct DiffQuery {
    /// Only paths that start with it.
    pub prefix: String,
    /// Exclusive. May be a common prefix; the diff then skips everything below it.
    pub after: String,
    /// Empty for a recursive diff.
    pub delimiter: String,
    /// The maximum number of rows to return.
    pub limit: usize,
}

/// Which commits to list.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// A reference to the commit after which the page starts (exclusive). Empty to start at the head.
    pub after: String,
    /// The maximum number of commits to return.
    pub amount: usize,
    /// Only commits that changed one of these paths, or a path below one of `prefixes`.
    pub objects: Vec<String>,
    /// Only commits that changed a path below one of these prefixes, or one of `objects`.
    pub prefixes: Vec<String>,
    /// Stop at `amount` matching commits without finding out whether more follow.
    pub limit: bool,
    /// Follow first parents only.
    pub first_parent: bool,
    /// Leave out commits created before this time, and do not visit their parents.
    pub since: Option<OffsetDateTime>,
    /// A reference at which the log stops; its commit is still included.
    pub stop_at: Option<String>,
}

/// How to store an object.
#[derive(Debug, Clone, Default)]
pub struct UploadOptions {
    /// Empty for `application/octet-stream`.
    pub content_type: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Fail with [`crate::Error::PreconditionFailed`] if the object exists.
    pub if_absent: bool,
    /// Also write to a read-only repository.
    pub force: bool,
    /// Expected MD5 of the body in hex. A mismatch fails with [`crate::Error::Advised`].
    pub expected_md5: Option<String>,
}

/// Options of deletions.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// Also write to a read-only repository.
    pub force: bool,
}

/// The object that a write creates or replaces.
#[derive(Debug, Clone, Copy)]
pub struct ObjectTarget<'a> {
    pub repository: &'a Repository,
    pub branch: &'a str,
    /// 1 to 1024 bytes.
    pub path: &'a str,
}

/// A multipart upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The block store's id of the upload.
    pub upload_id: String,
    /// `branch/path`, which is the key in the S3 API.
    pub path: String,
    /// The full URI at which the bytes will be stored.
    pub physical_address: String,
    /// User metadata of the future object.
    pub metadata: BTreeMap<String, String>,
    /// Content type of the future object.
    pub content_type: String,
    /// When the upload began.
    pub creation_date: OffsetDateTime,
}
