//! The backend for native tests: trees, event and configuration in memory.
//!
//! Each thread has its own trees, event and configuration, set by [`crate::testing::World::enter`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::recorded::Recorded;
use crate::{Change, ChangeKind, Entry, Event, Finding, Level, Result, Span, TreeError};

/// Objects by path.
pub(crate) type Tree = BTreeMap<String, Object>;

/// What the running hook can read: the event, its configuration and the trees.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment {
    pub(crate) event: Event,
    pub(crate) config: String,
    pub(crate) candidate: Option<Arc<Tree>>,
    pub(crate) base: Option<Arc<Tree>>,
    pub(crate) source: Option<Arc<Tree>>,
}

/// The smallest limit that the contract allows. A server may allow more.
const MAX_READ_BYTES: u32 = 1 << 20;

thread_local! {
    pub(crate) static ENVIRONMENT: RefCell<Environment> = RefCell::default();
}

fn environment<T>(f: impl FnOnce(&Environment) -> T) -> T {
    ENVIRONMENT.with_borrow(f)
}

/// An object. Its bytes do not change while the hook runs.
#[derive(Debug, Clone)]
pub struct Object {
    entry: Entry,
    content_type: Option<String>,
    metadata: Vec<(String, String)>,
    modified_ms: u64,
    bytes: Bytes,
}

impl Object {
    /// Creates an object in memory, for tests.
    pub fn from_bytes(path: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let bytes = bytes.into();
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let entry = Entry {
            path: path.into(),
            size_bytes: bytes.len() as u64,
            content_id: format!("{:016x}", hasher.finish()),
        };
        Self {
            entry,
            content_type: None,
            metadata: Vec::new(),
            modified_ms: 0,
            bytes,
        }
    }

    /// Sets the content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Adds user metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self.metadata.sort();
        self
    }

    /// Sets the time of the last modification, in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn with_modified_ms(mut self, modified_ms: u64) -> Self {
        self.modified_ms = modified_ms;
        self
    }

    /// The path of the object.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.entry.path
    }

    /// The path, size and content id of the object.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The size of the object in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.entry.size_bytes
    }

    /// The time of the last modification, in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn modified_ms(&self) -> u64 {
        self.modified_ms
    }

    /// The content type, if the object has one.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        self.content_type.clone()
    }

    /// The user metadata, sorted by key.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        self.metadata.clone()
    }

    /// Reads exactly the bytes of a span.
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`], or [`TreeError::Budget`] if the span is longer than [`max_read`].
    pub fn read(&self, at: Span) -> Result<Vec<u8>> {
        check_size(u64::from(at.length))?;
        let end = at.offset.saturating_add(u64::from(at.length));
        if end > self.size_bytes() {
            return Err(TreeError::OutOfRange.into());
        }
        let start = usize::try_from(at.offset).map_err(|_| TreeError::OutOfRange)?;
        Ok(self.bytes[start..start + at.length as usize].to_vec())
    }

    /// Reads exactly the bytes of every span, in the order of `at`.
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`], or [`TreeError::Budget`] if the spans together are longer than [`max_read`].
    pub fn read_many(&self, at: &[Span]) -> Result<Vec<Vec<u8>>> {
        check_size(at.iter().map(|span| u64::from(span.length)).sum())?;
        at.iter().map(|span| self.read(*span)).collect()
    }

    /// Reads the last `length` bytes, or the whole object if it is shorter.
    ///
    /// # Errors
    /// [`TreeError::Budget`] if the result would be longer than [`max_read`].
    pub fn read_tail(&self, length: u32) -> Result<Vec<u8>> {
        let start = self.bytes.len().saturating_sub(length as usize);
        check_size((self.bytes.len() - start) as u64)?;
        Ok(self.bytes[start..].to_vec())
    }

    /// Reads sequentially from an offset to the end of the object. See also [`Object::reader`].
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`] if the offset is greater than the size.
    pub fn scan(&self, from_offset: u64) -> Result<Chunks> {
        let start = usize::try_from(from_offset)
            .ok()
            .filter(|s| *s <= self.bytes.len());
        let start = start.ok_or(TreeError::OutOfRange)?;
        Ok(Chunks(self.bytes.slice(start..)))
    }
}

/// Reads an object sequentially.
#[derive(Debug)]
pub struct Chunks(Bytes);

impl Chunks {
    /// Returns 1 to `max` bytes, or none at the end of the object. `max` must not be 0.
    ///
    /// # Errors
    /// [`TreeError::Other`] if `max` is 0.
    pub fn next(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        let max = at_least_one(max)?;
        if self.0.is_empty() {
            return Ok(None);
        }
        let length = self.0.len().min(max);
        Ok(Some(self.0.split_to(length).to_vec()))
    }
}

/// A tree of objects.
#[derive(Debug, Clone)]
pub struct Snapshot(Arc<Tree>);

impl Snapshot {
    /// Snapshots with equal ids have equal contents.
    #[must_use]
    pub fn tree_id(&self) -> String {
        let ids = self
            .0
            .iter()
            .map(|(path, object)| format!("{path}={}", object.entry.content_id));
        ids.collect::<Vec<_>>().join(";")
    }

    /// The entry at a path, or none if there is no object.
    ///
    /// # Errors
    /// None in native tests.
    pub fn stat(&self, path: &str) -> Result<Option<Entry>> {
        Ok(self.0.get(path).map(|o| o.entry.clone()))
    }

    /// Opens the object at a path. Returns none if there is no object.
    ///
    /// # Errors
    /// None in native tests.
    pub fn open(&self, path: &str) -> Result<Option<Object>> {
        Ok(self.0.get(path).cloned())
    }

    /// Lists the objects whose path starts with `prefix` and is greater than `after`.
    ///
    /// # Errors
    /// None in native tests.
    pub fn walk(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        let wanted = |p: &str| p.starts_with(prefix) && after.is_none_or(|a| p > a);
        let entries = self
            .0
            .iter()
            .filter(|(p, _)| wanted(p))
            .map(|(_, o)| o.entry.clone());
        Ok(Listing(entries.collect::<Vec<_>>().into_iter()))
    }
}

/// A list of entries, in order of path.
#[derive(Debug)]
pub struct Listing(std::vec::IntoIter<Entry>);

impl Listing {
    /// Returns 1 to `max` entries, or an empty list at the end. `max` must not be 0.
    ///
    /// # Errors
    /// [`TreeError::Other`] if `max` is 0.
    pub fn next(&mut self, max: u32) -> Result<Vec<Entry>> {
        Ok(self.0.by_ref().take(at_least_one(max)?).collect())
    }
}

/// A list of changes, in order of path.
#[derive(Debug)]
pub struct Changes(std::vec::IntoIter<Change>);

impl Changes {
    /// Returns 1 to `max` changes, or an empty list at the end. `max` must not be 0.
    ///
    /// # Errors
    /// [`TreeError::Other`] if `max` is 0.
    pub fn next(&mut self, max: u32) -> Result<Vec<Change>> {
        Ok(self.0.by_ref().take(at_least_one(max)?).collect())
    }
}

/// The tree after the change: the result of the merge, or the branch with its staged changes.
#[must_use]
pub fn candidate() -> Option<Snapshot> {
    environment(|a| a.candidate.clone()).map(Snapshot)
}

/// The tree before the change.
#[must_use]
pub fn base() -> Option<Snapshot> {
    environment(|a| a.base.clone()).map(Snapshot)
}

/// The tree of the source of a merge.
#[must_use]
pub fn source() -> Option<Snapshot> {
    environment(|a| a.source.clone()).map(Snapshot)
}

/// Lists the changes from [`base`] to [`candidate`] whose path starts with `prefix` and is greater than `after`.
///
/// # Errors
/// None in native tests.
pub fn diff(prefix: &str, after: Option<&str>) -> Result<Changes> {
    let (before, after_change) = environment(|a| {
        (
            a.base.clone().unwrap_or_default(),
            a.candidate.clone().unwrap_or_default(),
        )
    });
    let wanted = |p: &&String| p.starts_with(prefix) && after.is_none_or(|a| p.as_str() > a);
    let mut paths: Vec<&String> = before
        .keys()
        .chain(after_change.keys())
        .filter(wanted)
        .collect();
    paths.sort();
    paths.dedup();
    let changes = paths
        .into_iter()
        .filter_map(|p| change_at(&before, &after_change, p));
    Ok(Changes(changes.collect::<Vec<_>>().into_iter()))
}

/// The change at a path, or none if both trees have the same bytes there.
pub(crate) fn change_at(before: &Tree, after: &Tree, path: &str) -> Option<Change> {
    let (old, new) = (
        before.get(path).map(|o| o.entry.clone()),
        after.get(path).map(|o| o.entry.clone()),
    );
    let kind = match (&old, &new) {
        (None, Some(_)) => ChangeKind::Added,
        (Some(_), None) => ChangeKind::Removed,
        (Some(a), Some(b)) if a.content_id != b.content_id => ChangeKind::Changed,
        _ => return None,
    };
    Some(Change {
        kind,
        path: path.to_owned(),
        before: old,
        after: new,
    })
}

/// The maximum number of bytes that one call may request in total.
#[must_use]
pub fn max_read() -> u32 {
    MAX_READ_BYTES
}

fn check_size(bytes: u64) -> Result<()> {
    if bytes > u64::from(MAX_READ_BYTES) {
        return Err(TreeError::Budget(format!(
            "one call may request {MAX_READ_BYTES} bytes in native tests (max_read)"
        ))
        .into());
    }
    Ok(())
}

fn at_least_one(max: u32) -> Result<usize> {
    match max {
        0 => Err(TreeError::Other("max must be at least 1".to_owned()).into()),
        max => Ok(max as usize),
    }
}

/// The event that the hook judges.
#[must_use]
pub fn event() -> Event {
    environment(|a| a.event.clone())
}

/// Writes a line to the log of the hook. Does nothing in native tests.
pub fn log(_level: Level, _message: &str) {}

pub(crate) fn config() -> String {
    environment(|a| {
        if a.config.is_empty() {
            "null".to_owned()
        } else {
            a.config.clone()
        }
    })
}

pub(crate) fn submit(recorded: &mut Recorded, finding: Finding) {
    recorded.findings.push(finding);
}

pub(crate) fn metric(recorded: &mut Recorded, name: &str, value: f64, unit: &str) {
    recorded.metrics.retain(|(n, _, _)| n != name);
    recorded
        .metrics
        .push((name.to_owned(), value, unit.to_owned()));
}

pub(crate) fn summary(recorded: &mut Recorded, markdown: &str) {
    recorded.summary = Some(markdown.to_owned());
}
