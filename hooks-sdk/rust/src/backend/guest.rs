//! The backend for Wasm targets: calls the host and converts its types to those of the SDK.

use crate::recorded::Recorded;
use crate::{Change, ChangeKind, Entry, Event, Finding, Level, Result, Severity, Span, TreeError};

/// The bindings of the imported interfaces. The macros generate the bindings of the exports in the hook's crate.
#[doc(hidden)]
#[expect(clippy::doc_markdown, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package weir:sdk;
            world imports {
                import weir:hooks/event@0.1.0;
                import weir:hooks/tree@0.1.0;
                import weir:hooks/report@0.1.0;
                import weir:hooks/log@0.1.0;
                import weir:hooks/config@0.1.0;
            }
        ",
        world: "weir:sdk/imports",
        generate_all,
    });
}

use bindings::weir::hooks as wit;

impl From<wit::tree::TreeError> for TreeError {
    fn from(e: wit::tree::TreeError) -> Self {
        match e {
            wit::tree::TreeError::NotFound => Self::NotFound,
            wit::tree::TreeError::Denied(why) => Self::Denied(why),
            wit::tree::TreeError::OutOfRange => Self::OutOfRange,
            wit::tree::TreeError::Budget(why) => Self::Budget(why),
            wit::tree::TreeError::Unavailable(why) => Self::Unavailable(why),
            wit::tree::TreeError::Other(why) => Self::Other(why),
        }
    }
}

impl From<wit::tree::TreeError> for crate::Error {
    fn from(e: wit::tree::TreeError) -> Self {
        Self::Tree(e.into())
    }
}

impl From<wit::tree::Entry> for Entry {
    fn from(e: wit::tree::Entry) -> Self {
        Self {
            path: e.path,
            size_bytes: e.size,
            content_id: e.content_id,
        }
    }
}

impl From<wit::tree::Change> for Change {
    fn from(c: wit::tree::Change) -> Self {
        let kind = match c.kind {
            wit::tree::ChangeKind::Added => ChangeKind::Added,
            wit::tree::ChangeKind::Changed => ChangeKind::Changed,
            wit::tree::ChangeKind::Removed => ChangeKind::Removed,
        };
        Self {
            kind,
            path: c.path,
            before: c.before.map(Into::into),
            after: c.after.map(Into::into),
        }
    }
}

/// An object. Its bytes do not change while the hook runs.
#[derive(Debug)]
pub struct Object {
    entry: Entry,
    handle: wit::tree::Object,
}

impl From<wit::tree::Object> for Object {
    fn from(handle: wit::tree::Object) -> Self {
        Self {
            entry: handle.entry().into(),
            handle,
        }
    }
}

impl Object {
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
        self.handle.modified_ms()
    }

    /// The content type, if the object has one.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        self.handle.content_type()
    }

    /// The user metadata, sorted by key.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        self.handle.metadata()
    }

    /// Reads exactly the bytes of a span.
    ///
    /// # Errors
    /// The error of the host.
    pub fn read(&self, at: Span) -> Result<Vec<u8>> {
        Ok(self.handle.read(wit::tree::Span {
            offset: at.offset,
            length: at.length,
        })?)
    }

    /// Reads exactly the bytes of every span, in the order of `at`. The host merges nearby spans and reads the rest in
    /// parallel.
    ///
    /// # Errors
    /// The error of the host.
    pub fn read_many(&self, at: &[Span]) -> Result<Vec<Vec<u8>>> {
        let spans: Vec<_> = at
            .iter()
            .map(|s| wit::tree::Span {
                offset: s.offset,
                length: s.length,
            })
            .collect();
        Ok(self.handle.read_many(&spans)?)
    }

    /// Reads the last `length` bytes, or the whole object if it is shorter.
    ///
    /// # Errors
    /// The error of the host.
    pub fn read_tail(&self, length: u32) -> Result<Vec<u8>> {
        Ok(self.handle.read_tail(length)?)
    }

    /// Reads sequentially from an offset to the end of the object. See also [`Object::reader`].
    ///
    /// # Errors
    /// The error of the host.
    pub fn scan(&self, from_offset: u64) -> Result<Chunks> {
        Ok(Chunks(self.handle.scan(from_offset)?))
    }
}

/// Reads an object sequentially.
#[derive(Debug)]
pub struct Chunks(wit::tree::Chunks);

impl Chunks {
    /// Returns 1 to `max` bytes, or none at the end of the object. `max` must not be 0.
    ///
    /// # Errors
    /// The error of the host.
    pub fn next(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        Ok(self.0.next(max)?)
    }
}

/// A tree of objects.
#[derive(Debug)]
pub struct Snapshot(wit::tree::Snapshot);

impl Snapshot {
    /// Snapshots with equal ids have equal contents.
    #[must_use]
    pub fn tree_id(&self) -> String {
        self.0.tree_id()
    }

    /// The entry at a path, or none if there is no object.
    ///
    /// # Errors
    /// Any error of the host except [`TreeError::NotFound`].
    pub fn stat(&self, path: &str) -> Result<Option<Entry>> {
        match self.0.stat(path) {
            Ok(entry) => Ok(Some(entry.into())),
            Err(wit::tree::TreeError::NotFound) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Opens the object at a path. Returns none if there is no object.
    ///
    /// # Errors
    /// Any error of the host except [`TreeError::NotFound`].
    pub fn open(&self, path: &str) -> Result<Option<Object>> {
        match self.0.open(path) {
            Ok(object) => Ok(Some(object.into())),
            Err(wit::tree::TreeError::NotFound) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Lists the objects whose path starts with `prefix` and is greater than `after`.
    ///
    /// # Errors
    /// The error of the host.
    pub fn walk(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        Ok(Listing(self.0.walk(prefix, after)?))
    }
}

/// A list of entries, in order of path.
#[derive(Debug)]
pub struct Listing(wit::tree::Listing);

impl Listing {
    /// Returns 1 to `max` entries, or an empty list at the end. `max` must not be 0.
    ///
    /// # Errors
    /// The error of the host.
    pub fn next(&mut self, max: u32) -> Result<Vec<Entry>> {
        Ok(self.0.next(max)?.into_iter().map(Into::into).collect())
    }
}

/// A list of changes, in order of path.
#[derive(Debug)]
pub struct Changes(wit::tree::Changes);

impl Changes {
    /// Returns 1 to `max` changes, or an empty list at the end. `max` must not be 0.
    ///
    /// # Errors
    /// The error of the host.
    pub fn next(&mut self, max: u32) -> Result<Vec<Change>> {
        Ok(self.0.next(max)?.into_iter().map(Into::into).collect())
    }
}

/// The tree after the change: the result of the merge, or the branch with its staged changes.
#[must_use]
pub fn candidate() -> Option<Snapshot> {
    wit::tree::candidate().map(Snapshot)
}

/// The tree before the change.
#[must_use]
pub fn base() -> Option<Snapshot> {
    wit::tree::base().map(Snapshot)
}

/// The tree of the source of a merge.
#[must_use]
pub fn source() -> Option<Snapshot> {
    wit::tree::source().map(Snapshot)
}

/// Lists the changes from [`base`] to [`candidate`] whose path starts with `prefix` and is greater than `after`.
///
/// # Errors
/// The error of the host.
pub fn diff(prefix: &str, after: Option<&str>) -> Result<Changes> {
    Ok(Changes(wit::tree::diff(prefix, after)?))
}

/// The maximum number of bytes that one call may request in total.
#[must_use]
pub fn max_read() -> u32 {
    wit::tree::max_read()
}

/// The event that the hook judges.
#[must_use]
pub fn event() -> Event {
    use wit::event as e;
    Event {
        kind: e::kind(),
        run_id: e::run_id(),
        action: e::action(),
        hook: e::hook(),
        repository: e::repository(),
        branch: e::branch(),
        tag: e::tag(),
        merge_source: e::merge_source(),
        actor: e::actor(),
        time_ms: e::time_ms(),
        commit_id: e::commit_id(),
        commit_message: e::commit_message(),
        commit_metadata: e::commit_metadata().into_iter().collect(),
        parents: e::parents(),
    }
}

/// Writes a line to the log of the hook.
pub fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => wit::log::Level::Trace,
        Level::Debug => wit::log::Level::Debug,
        Level::Info => wit::log::Level::Info,
        Level::Warn => wit::log::Level::Warn,
        Level::Error => wit::log::Level::Error,
    };
    wit::log::write(level, message, &[]);
}

pub(crate) fn config() -> String {
    wit::config::all()
}

pub(crate) fn submit(_recorded: &mut Recorded, finding: Finding) {
    let severity = match finding.severity {
        Severity::Info => wit::report::Severity::Info,
        Severity::Warning => wit::report::Severity::Warning,
        Severity::Error => wit::report::Severity::Error,
    };
    let item = wit::report::Finding::new(severity, &finding.rule, &finding.message);
    if let Some(path) = &finding.path {
        item.at_path(path);
    }
    match (finding.row, &finding.column) {
        (Some(row), column) => item.at_row(row, column.as_deref()),
        (None, Some(column)) => item.at_column(column),
        (None, None) => {}
    }
    for (name, value) in &finding.properties {
        item.property(name, value);
    }
    // The error can be ignored: the host counts findings beyond its limit, and `Report` has already counted error
    // findings, so the verdict does not change.
    let _over_limit = wit::report::submit(item);
}

pub(crate) fn metric(_recorded: &mut Recorded, name: &str, value: f64, unit: &str) {
    wit::report::metric(name, value, unit);
}

pub(crate) fn summary(_recorded: &mut Recorded, markdown: &str) {
    wit::report::summary(markdown);
}
