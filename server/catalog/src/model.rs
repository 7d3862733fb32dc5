//! What services are asked and what they answer: plain data, no behaviour beyond conversion.

use std::collections::BTreeMap;

use base::OffsetDateTime;
use graveler::{Repository, Value};

use crate::Entry;

/// An object at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The path in the repository.
    pub path: String,
    /// Its record.
    pub entry: Entry,
    /// 32 bytes: equal identities mean equal content.
    pub identity: bytes::Bytes,
    /// The full URI of its bytes.
    pub physical_address: String,
}

impl Object {
    /// Reads a stored value of a repository in `namespace`.
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
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectOrPrefix {
    /// An object.
    Object(Box<Object>),
    /// Ends in the delimiter.
    Prefix(String),
}

/// What to list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// Only paths that start with it.
    pub prefix: String,
    /// Exclusive; may be a common prefix, which skips all below it.
    pub after: String,
    /// Empty: recursive.
    pub delimiter: String,
    /// The most rows to return.
    pub limit: usize,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    Added,
    Changed,
    Removed,
    /// Both sides changed it since their merge base.
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

/// Which differences.
#[derive(Debug, Clone)]
pub struct DiffQuery {
    /// Only paths that start with it.
    pub prefix: String,
    /// Exclusive; may be a common prefix, which skips all below it.
    pub after: String,
    /// Empty: recursive.
    pub delimiter: String,
    /// The most rows to return.
    pub limit: usize,
}

/// Which commits.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// A commit, as any reference, to continue after (exclusive); empty: from the start.
    pub after: String,
    /// The most commits to return.
    pub amount: usize,
    /// Only commits that changed one of these paths, or something below `prefixes`.
    pub objects: Vec<String>,
    /// Only commits that changed something below one of these, or one of `objects`.
    pub prefixes: Vec<String>,
    /// Stop at the last of `amount` matching commits, without saying whether more follow.
    pub limit: bool,
    /// Follow first parents only.
    pub first_parent: bool,
    /// Leave out commits before this instant and all behind them.
    pub since: Option<OffsetDateTime>,
    /// A reference; the commit itself is included.
    pub stop_at: Option<String>,
}

/// How to store an object.
#[derive(Debug, Clone, Default)]
pub struct UploadOptions {
    /// Empty: `application/octet-stream`.
    pub content_type: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Fail with [`crate::Error::PreconditionFailed`] if there is an object.
    pub if_absent: bool,
    /// Write to a read-only repository.
    pub force: bool,
    /// Hex MD5 that the body must have ([`crate::Error::InvalidValue`] otherwise).
    pub expected_md5: Option<String>,
}

/// Options of deletions.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// Write to a read-only repository.
    pub force: bool,
}

/// The branch and path that an upload writes to.
#[derive(Debug, Clone, Copy)]
pub struct ObjectTarget<'a> {
    pub repository: &'a Repository,
    pub branch: &'a str,
    /// 1 to 1024 bytes.
    pub path: &'a str,
}

/// A multipart upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The block store's id of the upload.
    pub upload_id: String,
    /// `branch/path`, as the gateway's key.
    pub path: String,
    /// The full URI that the bytes will have.
    pub physical_address: String,
    /// User metadata of the object to be.
    pub metadata: BTreeMap<String, String>,
    /// Content type of the object to be.
    pub content_type: String,
    /// When the upload began.
    pub creation_date: OffsetDateTime,
}
