//! Trees, event and config in memory, for a hook's own tests.
//!
//! One world a thread, set by [`crate::testing::World::enter`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Change, ChangeKind, Entry, Event, Finding, Level, Report, Result, Span, TreeError};

/// Paths and their objects.
pub(crate) type Tree = BTreeMap<String, Object>;

/// What the running hook sees.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ambient {
    pub(crate) event: Event,
    pub(crate) config: String,
    pub(crate) candidate: Option<Arc<Tree>>,
    pub(crate) base: Option<Arc<Tree>>,
    pub(crate) source: Option<Arc<Tree>>,
}

thread_local! {
    pub(crate) static AMBIENT: RefCell<Ambient> = RefCell::default();
}

fn ambient<T>(f: impl FnOnce(&Ambient) -> T) -> T {
    AMBIENT.with_borrow(f)
}

/// An object. Its bytes never change while the hook runs.
#[derive(Debug, Clone)]
pub struct Object {
    entry: Entry,
    content_type: Option<String>,
    metadata: Vec<(String, String)>,
    modified_ms: u64,
    bytes: Bytes,
}

impl Object {
    /// An object in memory.
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

    /// The same with a content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The same with metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self.metadata.sort();
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.entry.path
    }

    /// Its entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.entry.size_bytes
    }

    /// When it was written, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn modified_ms(&self) -> u64 {
        self.modified_ms
    }

    /// What it says it is.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        self.content_type.clone()
    }

    /// User metadata in order of key.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        self.metadata.clone()
    }

    /// Exactly the bytes of a span.
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`].
    pub fn read(&self, at: Span) -> Result<Vec<u8>> {
        let end = at.offset.saturating_add(u64::from(at.length));
        if end > self.size_bytes() {
            return Err(TreeError::OutOfRange.into());
        }
        let start = usize::try_from(at.offset).map_err(|_| TreeError::OutOfRange)?;
        Ok(self.bytes[start..start + at.length as usize].to_vec())
    }

    /// The bytes of each span, in the order asked.
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`].
    pub fn read_many(&self, at: &[Span]) -> Result<Vec<Vec<u8>>> {
        at.iter().map(|span| self.read(*span)).collect()
    }

    /// The last bytes, or the whole object if it is shorter.
    ///
    /// # Errors
    /// None natively.
    pub fn read_tail(&self, length: u32) -> Result<Vec<u8>> {
        let start = self.bytes.len().saturating_sub(length as usize);
        Ok(self.bytes[start..].to_vec())
    }

    /// The bytes from an offset on, piece by piece.
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`].
    pub fn scan(&self, from_offset: u64) -> Result<Chunks> {
        let start = usize::try_from(from_offset)
            .ok()
            .filter(|s| *s <= self.bytes.len());
        let start = start.ok_or(TreeError::OutOfRange)?;
        Ok(Chunks(self.bytes.slice(start..)))
    }
}

/// Consecutive bytes of an object.
#[derive(Debug)]
pub struct Chunks(Bytes);

impl Chunks {
    /// Up to `max` bytes, at least one; none at the end.
    ///
    /// # Errors
    /// None natively.
    pub fn next(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let length = self.0.len().min(max.max(1) as usize);
        Ok(Some(self.0.split_to(length).to_vec()))
    }
}

/// A tree.
#[derive(Debug, Clone)]
pub struct Snapshot(Arc<Tree>);

impl Snapshot {
    /// Equal ids mean equal trees.
    #[must_use]
    pub fn tree_id(&self) -> String {
        let ids = self
            .0
            .iter()
            .map(|(path, object)| format!("{path}={}", object.entry.content_id));
        ids.collect::<Vec<_>>().join(";")
    }

    /// The entry at a path, none if there is none.
    ///
    /// # Errors
    /// None natively.
    pub fn stat(&self, path: &str) -> Result<Option<Entry>> {
        Ok(self.0.get(path).map(|o| o.entry.clone()))
    }

    /// The object at a path, none if there is none.
    ///
    /// # Errors
    /// None natively.
    pub fn open(&self, path: &str) -> Result<Option<Object>> {
        Ok(self.0.get(path).cloned())
    }

    /// Objects below a prefix, after a path.
    ///
    /// # Errors
    /// None natively.
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

/// Entries in order of path.
#[derive(Debug)]
pub struct Listing(std::vec::IntoIter<Entry>);

impl Listing {
    /// Up to `max` entries; none at the end.
    ///
    /// # Errors
    /// None natively.
    pub fn next(&mut self, max: u32) -> Result<Vec<Entry>> {
        Ok(self.0.by_ref().take(max as usize).collect())
    }
}

/// Differences in order of path.
#[derive(Debug)]
pub struct Changes(std::vec::IntoIter<Change>);

impl Changes {
    /// Up to `max` changes; none at the end.
    ///
    /// # Errors
    /// None natively.
    pub fn next(&mut self, max: u32) -> Result<Vec<Change>> {
        Ok(self.0.by_ref().take(max as usize).collect())
    }
}

/// The tree as it will be if the change goes ahead.
#[must_use]
pub fn candidate() -> Option<Snapshot> {
    ambient(|a| a.candidate.clone()).map(Snapshot)
}

/// The tree before.
#[must_use]
pub fn base() -> Option<Snapshot> {
    ambient(|a| a.base.clone()).map(Snapshot)
}

/// The incoming side of a merge.
#[must_use]
pub fn source() -> Option<Snapshot> {
    ambient(|a| a.source.clone()).map(Snapshot)
}

/// What becomes of the base: differences below a prefix, after a path.
///
/// # Errors
/// None natively.
pub fn diff(prefix: &str, after: Option<&str>) -> Result<Changes> {
    let (before, after_change) = ambient(|a| {
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

/// The change at a path, none if both sides have the same bytes there.
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

/// How many bytes one call may ask for in all.
#[must_use]
pub fn max_read() -> u32 {
    1 << 20
}

/// What happened.
#[must_use]
pub fn event() -> Event {
    ambient(|a| a.event.clone())
}

/// Writes a line to the hook's log: natively nowhere.
pub fn log(_level: Level, _message: &str) {}

pub(crate) fn config() -> String {
    ambient(|a| {
        if a.config.is_empty() {
            "null".to_owned()
        } else {
            a.config.clone()
        }
    })
}

pub(crate) fn submit(report: &mut Report, finding: Finding) {
    report.kept.findings.push(finding);
}

pub(crate) fn metric(report: &mut Report, name: &str, value: f64, unit: &str) {
    report.kept.metrics.retain(|(n, _, _)| n != name);
    report
        .kept
        .metrics
        .push((name.to_owned(), value, unit.to_owned()));
}

pub(crate) fn summary(report: &mut Report, markdown: &str) {
    report.kept.summary = Some(markdown.to_owned());
}
