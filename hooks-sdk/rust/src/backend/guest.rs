//! The host's side of the contract, in the SDK's words.

use crate::{
    Change, ChangeKind, Entry, Event, Finding, Level, Report, Result, Severity, Span, TreeError,
};

/// Bindings of the imported interfaces; exports are bound in the hook's own crate.
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

/// An object. Its bytes never change while the hook runs.
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
        self.handle.modified_ms()
    }

    /// What it says it is.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        self.handle.content_type()
    }

    /// User metadata in order of key.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        self.handle.metadata()
    }

    /// Exactly the bytes of a span.
    ///
    /// # Errors
    /// Why there are none.
    pub fn read(&self, at: Span) -> Result<Vec<u8>> {
        Ok(self.handle.read(wit::tree::Span {
            offset: at.offset,
            length: at.length,
        })?)
    }

    /// The bytes of each span, in the order asked, fetched together.
    ///
    /// # Errors
    /// Why there are none.
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

    /// The last bytes, or the whole object if it is shorter.
    ///
    /// # Errors
    /// Why there are none.
    pub fn read_tail(&self, length: u32) -> Result<Vec<u8>> {
        Ok(self.handle.read_tail(length)?)
    }

    /// The bytes from an offset on, piece by piece.
    ///
    /// # Errors
    /// Why there are none.
    pub fn scan(&self, from_offset: u64) -> Result<Chunks> {
        Ok(Chunks(self.handle.scan(from_offset)?))
    }
}

/// Consecutive bytes of an object.
#[derive(Debug)]
pub struct Chunks(wit::tree::Chunks);

impl Chunks {
    /// Up to `max` bytes, at least one; none at the end.
    ///
    /// # Errors
    /// Why there are none.
    pub fn next(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        Ok(self.0.next(max)?)
    }
}

/// A tree.
#[derive(Debug)]
pub struct Snapshot(wit::tree::Snapshot);

impl Snapshot {
    /// Equal ids mean equal trees.
    #[must_use]
    pub fn tree_id(&self) -> String {
        self.0.tree_id()
    }

    /// The entry at a path, none if there is none.
    ///
    /// # Errors
    /// Anything but its absence.
    pub fn stat(&self, path: &str) -> Result<Option<Entry>> {
        match self.0.stat(path) {
            Ok(entry) => Ok(Some(entry.into())),
            Err(wit::tree::TreeError::NotFound) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// The object at a path, none if there is none.
    ///
    /// # Errors
    /// Anything but its absence.
    pub fn open(&self, path: &str) -> Result<Option<Object>> {
        match self.0.open(path) {
            Ok(object) => Ok(Some(object.into())),
            Err(wit::tree::TreeError::NotFound) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Objects below a prefix, after a path.
    ///
    /// # Errors
    /// Why there are none.
    pub fn walk(&self, prefix: &str, after: Option<&str>) -> Result<Listing> {
        Ok(Listing(self.0.walk(prefix, after)?))
    }
}

/// Entries in order of path.
#[derive(Debug)]
pub struct Listing(wit::tree::Listing);

impl Listing {
    /// Up to `max` entries; none at the end.
    ///
    /// # Errors
    /// Why there are none.
    pub fn next(&mut self, max: u32) -> Result<Vec<Entry>> {
        Ok(self.0.next(max)?.into_iter().map(Into::into).collect())
    }
}

/// Differences in order of path.
#[derive(Debug)]
pub struct Changes(wit::tree::Changes);

impl Changes {
    /// Up to `max` changes; none at the end.
    ///
    /// # Errors
    /// Why there are none.
    pub fn next(&mut self, max: u32) -> Result<Vec<Change>> {
        Ok(self.0.next(max)?.into_iter().map(Into::into).collect())
    }
}

/// The tree as it will be if the change goes ahead.
#[must_use]
pub fn candidate() -> Option<Snapshot> {
    wit::tree::candidate().map(Snapshot)
}

/// The tree before.
#[must_use]
pub fn base() -> Option<Snapshot> {
    wit::tree::base().map(Snapshot)
}

/// The incoming side of a merge.
#[must_use]
pub fn source() -> Option<Snapshot> {
    wit::tree::source().map(Snapshot)
}

/// What becomes of the base: differences below a prefix, after a path.
///
/// # Errors
/// Why there are none.
pub fn diff(prefix: &str, after: Option<&str>) -> Result<Changes> {
    Ok(Changes(wit::tree::diff(prefix, after)?))
}

/// How many bytes one call may ask for in all.
#[must_use]
pub fn max_read() -> u32 {
    wit::tree::max_read()
}

/// What happened.
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
        merge_source: e::merge_source(),
        actor: e::actor(),
        time_ms: e::time_ms(),
        commit_message: e::commit_message(),
        commit_metadata: e::commit_metadata().into_iter().collect(),
        parents: e::parents(),
    }
}

/// Writes a line to the hook's log.
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

pub(crate) fn submit(_report: &mut Report, finding: Finding) {
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
    // Over the quota the host counts it, and the verdict stands.
    let _over_quota = wit::report::submit(item);
}

pub(crate) fn metric(_report: &mut Report, name: &str, value: f64, unit: &str) {
    wit::report::metric(name, value, unit);
}

pub(crate) fn summary(_report: &mut Report, markdown: &str) {
    wit::report::summary(markdown);
}
