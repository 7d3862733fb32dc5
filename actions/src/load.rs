//! Loads the action files of a tree.
//!
//! Stored trees are immutable, so the parsed files of a tree are cached by repository and tree id.
//! A parsed file is cached by the path, address and identity of its object. An invalid file in the
//! tree of the change is an error. An invalid file in the tree that the change replaces is ignored, so that a change
//! can repair it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalog::{ListRequest, MetaRangeId, Object, ObjectOrPrefix, Reader, Repository, Snapshot};
use futures::StreamExt as _;
use graveler::Event;
use sha2::{Digest as _, Sha256};

use crate::action_file::{Action, FOLDER, FileError, MAX_FILE_BYTES, MAX_FILES};
use crate::computations::{Computations, ComputeError, Progress, TimeSlice};

/// Maximum total size of the action files of one tree, with aliases expanded.
const MAX_TREE_BYTES: u64 = 16 << 20;
/// Maximum total size of the branch and path patterns in the action files of one tree, in bytes.
/// One event may have to be matched against all of them.
const MAX_TREE_PATTERN_BYTES: u64 = 1 << 20;
/// Capacity of the cache of parsed files, measured by the larger of their file size and their
/// estimated memory use, and by their keys and errors.
const FILE_CACHE_BYTES: u64 = 64 << 20;
/// Capacity of the cache of file sets per stored tree, measured like that of the files.
const SET_CACHE_BYTES: u64 = 64 << 20;
/// Fixed cost of a cache entry, in addition to the size of its files.
const ENTRY_BYTES: u64 = 1 << 10;
/// Maximum size of a component in bytes.
pub(crate) const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// Objects per listing request.
const LIST_PAGE: usize = 1_000;
/// Maximum time for matching the changed paths of one event, including the time that it waits for threads.
const MATCH_TIME: Duration = Duration::from_secs(600);
/// Maximum number of listing requests of one search for action files.
const MAX_PAGES: usize = 1_000;

/// Why the actions of an event cannot be determined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Invalid action files. Contains at least one error.
    #[error("action files are not valid")]
    Invalid(Vec<FileError>),
    /// A storage operation failed.
    #[error("failed to read action files: {0}")]
    Read(#[from] catalog::Error),
    /// Too many changes are waiting for webhooks, no thread was free, or the server is shutting down.
    #[error("{message}")]
    Busy { message: String, hint: &'static str },
}

impl From<ComputeError> for LoadError {
    /// Panics if the computation panicked.
    fn from(error: ComputeError) -> Self {
        let message = match error {
            ComputeError::Busy(_) => error.to_string(),
            ComputeError::Ended(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => "the server is shutting down".to_owned(),
            },
        };
        Self::Busy {
            message,
            hint: "try again",
        }
    }
}

/// A tree from which action files and components are read.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Stored(Snapshot),
    /// A branch including its staged changes.
    Branch {
        repository: Repository,
        branch: String,
    },
}

impl Tree {
    /// The repository of the tree.
    pub(crate) fn repository(&self) -> &Repository {
        match self {
            Self::Stored(snapshot) => snapshot.repository(),
            Self::Branch { repository, .. } => repository,
        }
    }
}

/// An action file that was parsed successfully.
#[derive(Debug)]
pub(crate) struct LoadedFile {
    pub(crate) path: String,
    digest: [u8; 32],
    /// The larger of the file's size and its estimated memory use.
    bytes: u64,
    pub(crate) action: Arc<Action>,
    #[cfg(test)]
    pub(crate) read_on: std::thread::ThreadId,
}

impl LoadedFile {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path && self.digest == other.digest
    }
}

/// The action files of one tree, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    pub(crate) files: Vec<Arc<LoadedFile>>,
    pub(crate) errors: Vec<FileError>,
    /// Sum of [`LoadedFile::bytes`].
    bytes: u64,
    /// Total size of the patterns in the parsed files.
    pub(crate) pattern_bytes: u64,
}

impl FileSet {
    /// Adds a file. Fails if the set becomes too large.
    fn add(&mut self, file: Arc<LoadedFile>) -> Result<(), FileError> {
        let bytes = self.bytes + file.bytes;
        let pattern_bytes = self.pattern_bytes + file.action.pattern_bytes;
        let too_large = if bytes > MAX_TREE_BYTES {
            format!(
                "the action files exceed {MAX_TREE_BYTES} bytes in total, with aliases expanded"
            )
        } else if pattern_bytes > MAX_TREE_PATTERN_BYTES {
            format!(
                "the branch and path patterns in the action files exceed {MAX_TREE_PATTERN_BYTES} bytes in total"
            )
        } else {
            (self.bytes, self.pattern_bytes) = (bytes, pattern_bytes);
            self.files.push(file);
            return Ok(());
        };
        Err(FileError::without_position(&file.path, too_large))
    }

    pub(crate) fn has(&self, file: &LoadedFile) -> bool {
        self.files.iter().any(|other| other.is_same(file))
    }
}

/// Side of the change that an action comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The change itself: the branch with its staged changes, or the source of a merge.
    Change,
    /// The tree that the change lands on.
    Destination,
}

/// An action that matches an event, and the tree from which its components are loaded.
#[derive(Debug, Clone)]
pub(crate) struct MatchedAction {
    pub(crate) action: Arc<Action>,
    pub(crate) file: Arc<LoadedFile>,
    pub(crate) origin: Origin,
    pub(crate) tree: Tree,
}

impl MatchedAction {
    pub(crate) fn new(file: &Arc<LoadedFile>, origin: Origin, tree: &Tree) -> Self {
        Self {
            action: Arc::clone(&file.action),
            file: Arc::clone(file),
            origin,
            tree: tree.clone(),
        }
    }

    /// Reports whether both are the same file of the same side of the change.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.origin == other.origin && self.file.path == other.file.path
    }
}

/// Loads and caches action files and components. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    reader: Reader,
    files: moka::sync::Cache<FileKey, Result<Arc<LoadedFile>, FileError>>,
    sets: moka::sync::Cache<(String, String), Arc<FileSet>>,
    pub(crate) computations: Computations,
    /// [`MAX_PAGES`], or less in tests.
    pub(crate) max_pages: usize,
    /// [`MATCH_TIME`], or less in tests.
    pub(crate) match_time: Duration,
}

/// Identifies the bytes of an object: equal keys imply equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileKey {
    path: String,
    physical_address: String,
    identity: Bytes,
}

impl FileKey {
    pub(crate) fn of(object: &Object) -> Self {
        Self {
            path: object.path.clone(),
            physical_address: object.physical_address.clone(),
            identity: object.identity.clone(),
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.path.len() + self.physical_address.len() + self.identity.len()
    }

    /// Returns a key for tests.
    #[cfg(test)]
    pub(crate) fn of_path(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            physical_address: String::new(),
            identity: Bytes::new(),
        }
    }
}

impl Loader {
    pub(crate) fn new(reader: Reader, computations: Computations) -> Self {
        let files = moka::sync::Cache::builder()
            .max_capacity(FILE_CACHE_BYTES)
            .weigher(weight_of_file)
            .build();
        let sets = moka::sync::Cache::builder()
            .max_capacity(SET_CACHE_BYTES)
            .weigher(|_, set: &Arc<FileSet>| weight_of_set(set))
            .build();
        Self {
            reader,
            files,
            sets,
            computations,
            max_pages: MAX_PAGES,
            match_time: MATCH_TIME,
        }
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Returns a stored tree from which action files and components can be read.
    pub(crate) fn tree(&self, repository: &Repository, tree: &MetaRangeId) -> Tree {
        Tree::Stored(self.stored(repository, tree))
    }

    /// Returns the head commit's tree of a branch, or `None` if the branch does not exist.
    pub(crate) async fn head(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<Tree>, LoadError> {
        match self.reader.commit(repository, branch).await {
            Ok(commit) => Ok(Some(self.tree(repository, &commit.meta_range_id))),
            Err(catalog::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn stored(&self, repository: &Repository, tree: &MetaRangeId) -> Snapshot {
        self.reader.snapshot(repository, tree)
    }

    /// Reports whether the object at `path` differs between two trees, or exists in only one of
    /// them.
    pub(crate) async fn differs(
        &self,
        one: &Tree,
        other: &Tree,
        path: &str,
    ) -> Result<bool, LoadError> {
        let identity = |object: Option<Object>| object.map(|object| object.identity);
        Ok(identity(self.stat(one, path).await?) != identity(self.stat(other, path).await?))
    }

    /// Reports whether all objects that an event changes are at the given paths. Returns false for an event that lacks
    /// one of the trees.
    pub(crate) async fn changes_only(
        &self,
        event: &Event,
        paths: &[&str],
    ) -> Result<bool, LoadError> {
        let Some((base, candidate)) = self.compared_trees(event) else {
            return Ok(false);
        };
        let page = base.diff(&candidate, "", "", paths.len() + 1).await?;
        let mut changed = page.results.into_iter().filter_map(|(a, b)| a.or(b));
        let is_given = |object: Object| paths.contains(&object.path.as_str());
        Ok(changed.all(is_given) && !page.has_more)
    }

    /// Reports whether an event changes an object at one of the given paths. Returns true for an event that lacks one of the
    /// trees.
    pub(crate) async fn changes_any(
        &self,
        event: &Event,
        paths: &[&str],
    ) -> Result<bool, LoadError> {
        let Some((base, candidate)) = self.compared_trees(event) else {
            return Ok(true);
        };
        for path in paths {
            // The path itself sorts before all paths that begin with it.
            let page = base.diff(&candidate, path, "", 1).await?;
            let changed = page.results.into_iter().find_map(|(a, b)| a.or(b));
            if changed.is_some_and(|object: Object| object.path == *path) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the trees before and after the change of an event. `None` if the event lacks one of them.
    fn compared_trees(&self, event: &Event) -> Option<(Snapshot, Snapshot)> {
        let stored = |tree| self.stored(&event.repository, tree);
        Some((stored(event.base()?), stored(event.candidate()?)))
    }

    /// Returns the action files of a tree. The set also holds the errors of single files and of the
    /// tree as a whole.
    pub(crate) async fn files(
        &self,
        event: &Event,
        tree: &Tree,
    ) -> Result<Arc<FileSet>, LoadError> {
        let Tree::Stored(snapshot) = tree else {
            return Ok(Arc::new(self.read_files(event, tree).await?));
        };
        let key = (event.repository.partition(), snapshot.tree_id().to_string());
        if let Some(set) = self.sets.get(&key) {
            return Ok(set);
        }
        let set = Arc::new(self.read_files(event, tree).await?);
        self.sets.insert(key, Arc::clone(&set));
        Ok(set)
    }

    async fn read_files(&self, event: &Event, tree: &Tree) -> Result<FileSet, LoadError> {
        let mut set = FileSet::default();
        let objects = match self.list(tree).await? {
            Ok(objects) => objects,
            Err(error) => {
                set.errors.push(error);
                return Ok(set);
            }
        };
        for object in objects {
            if set.files.len() + set.errors.len() >= MAX_FILES {
                set.errors.push(FileError::without_position(
                    &object.path,
                    format!("more than {MAX_FILES} action files"),
                ));
                break;
            }
            match self.file(event, &object).await? {
                Ok(file) => match set.files.iter().find(|f| f.action.name == file.action.name) {
                    Some(other) => {
                        let reason = format!(
                            "name '{}' is already used by {}",
                            file.action.name, other.path
                        );
                        set.errors
                            .push(FileError::without_position(&file.path, reason));
                    }
                    None => {
                        if let Err(too_large) = set.add(file) {
                            set.errors.push(too_large);
                            break;
                        }
                    }
                },
                Err(error) => set.errors.push(error),
            }
        }
        Ok(set)
    }

    async fn file(
        &self,
        event: &Event,
        object: &Object,
    ) -> Result<Result<Arc<LoadedFile>, FileError>, LoadError> {
        let key = FileKey::of(object);
        if let Some(file) = self.files.get(&key) {
            return Ok(file);
        }
        let file = match self.read(&event.repository, object, MAX_FILE_BYTES).await? {
            None => Err(FileError::without_position(
                &object.path,
                format!("larger than {MAX_FILE_BYTES} bytes"),
            )),
            Some(bytes) => {
                let path = object.path.clone();
                self.compute(event, move || parse(path, &bytes)).await?
            }
        };
        self.files.insert(key, file.clone());
        Ok(file)
    }

    /// Runs `work` off the serving threads, in the share of the event's repository. Parsing can be slow,
    /// because aliases let a short file expand to 100,000 values.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        event: &Event,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        let repository = event.repository.partition();
        Ok(self.computations.run(&repository, work).await?)
    }

    /// Like [`Self::compute`], but in time slices.
    pub(crate) async fn compute_in_turns<S: Send + 'static>(
        &self,
        event: &Event,
        state: S,
        step: fn(&mut S, &TimeSlice) -> Progress,
    ) -> Result<S, LoadError> {
        let repository = event.repository.partition();
        let computed = self.computations.run_in_slices(&repository, state, step);
        Ok(computed.await?)
    }

    /// Lists the objects directly inside the folder of action files, whatever their names. The inner
    /// error concerns the tree: its folder has too many rows to list.
    async fn list(&self, tree: &Tree) -> Result<Result<Vec<Object>, FileError>, LoadError> {
        let mut found = Vec::new();
        let mut request = ListRequest {
            prefix: FOLDER.to_owned(),
            after: String::new(),
            delimiter: "/".to_owned(),
            limit: LIST_PAGE,
        };
        for _ in 0..self.max_pages {
            let page = match tree {
                Tree::Stored(snapshot) => snapshot.list(&request).await?,
                Tree::Branch { repository, branch } => {
                    let reader = &self.reader;
                    reader.list_objects(repository, branch, &request).await?
                }
            };
            found.extend(page.results.into_iter().filter_map(|row| match row {
                ObjectOrPrefix::Object(object) => Some(*object).filter(|o| !is_folder_marker(o)),
                ObjectOrPrefix::Prefix(_) => None,
            }));
            // One file beyond the limit is enough to report the error.
            if !page.has_more || found.len() > MAX_FILES {
                return Ok(Ok(found));
            }
            request.after = page.next_offset;
        }
        Ok(Err(FileError::without_position(
            FOLDER,
            "too many objects and folders in the folder of action files",
        )))
    }

    /// Looks up the object at a path of a tree.
    pub(crate) async fn stat(&self, tree: &Tree, path: &str) -> Result<Option<Object>, LoadError> {
        match tree {
            Tree::Stored(snapshot) => Ok(snapshot.stat(path).await?),
            Tree::Branch { repository, branch } => {
                match self.reader.stat(repository, branch, path).await {
                    Ok(object) => Ok(Some(object)),
                    Err(catalog::Error::ObjectNotFound(_)) => Ok(None),
                    Err(e) => Err(e.into()),
                }
            }
        }
    }

    /// Reads an object. Returns `None` if it is larger than `max` bytes.
    pub(crate) async fn read(
        &self,
        repository: &Repository,
        object: &Object,
        max: u64,
    ) -> Result<Option<Bytes>, LoadError> {
        let mut body = self.reader.open(repository, object, None).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|source| {
                catalog::Error::from(block::Error::Storage {
                    operation: "read",
                    location: object.path.clone(),
                    source,
                })
            })?;
            if (bytes.len() + chunk.len()) as u64 > max {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes.freeze()))
    }
}

/// Returns the memory that a parsed file, or its error, takes in the cache.
fn weight_of_file(key: &FileKey, file: &Result<Arc<LoadedFile>, FileError>) -> u32 {
    let bytes = match file {
        Ok(file) => file.bytes,
        Err(error) => error.weight_bytes() as u64,
    };
    weight(bytes + key.size_bytes() as u64)
}

/// Returns the memory that a file set takes in the cache.
fn weight_of_set(set: &FileSet) -> u32 {
    let errors: usize = set.errors.iter().map(FileError::weight_bytes).sum();
    let entries = ENTRY_BYTES * (set.files.len() + set.errors.len()) as u64;
    weight(set.bytes + errors as u64 + entries)
}

fn weight(bytes: u64) -> u32 {
    u32::try_from(bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
}

pub(crate) fn parse(path: String, bytes: &[u8]) -> Result<Arc<LoadedFile>, FileError> {
    let action = Action::parse(&path, bytes)?;
    Ok(Arc::new(LoadedFile {
        path,
        digest: Sha256::digest(bytes).into(),
        bytes: action.weight_bytes.max(bytes.len() as u64),
        action: Arc::new(action),
        #[cfg(test)]
        read_on: std::thread::current().id(),
    }))
}

/// Some clients represent a folder by an empty object with the folder's name.
fn is_folder_marker(object: &Object) -> bool {
    object.path == FOLDER && object.entry.size_bytes == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression test: keys and errors weighed nothing, so the caches could exceed their capacity.
    #[test]
    fn keys_and_errors_have_a_weight() {
        let path = "_lakefs_actions/gate.yaml".repeat(100);
        let error = FileError::without_position("gate", "no ".repeat(1000));
        let key = FileKey::of_path(&path);
        let weight = weight_of_file(&key, &Err(error.clone()));
        assert!(weight as usize >= path.len() + 3_000, "{weight}");
        let set = FileSet {
            errors: vec![error; 10],
            ..FileSet::default()
        };
        let weight = weight_of_set(&set);
        assert!(weight >= 30_000, "{weight}");
    }
}
