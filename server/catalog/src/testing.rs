//! A complete in-memory catalog for the tests of this crate and of the crates above it.
//!
//! ```no_run
//! # async fn example() {
//! let lake = catalog::testing::TestCatalog::new();
//! let repository = lake.repository("lake").await;
//! lake.put(&repository, "main", "a.txt", "hello").await;
//! lake.commit(&repository, "main", "first").await;
//! assert_eq!(lake.read(&repository, "main", "a.txt").await, "hello");
//! # }
//! ```
//!
//! The clock stands still until a test advances it, and ids come from a seed, so a test creates the
//! same repository each time. Helpers panic on errors. To test for an error, call the methods of the
//! [`Catalog`] that `TestCatalog` dereferences to.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use base::{Clock, IdGenerator as _, ManualClock, OffsetDateTime, SeededIds};
use bytes::Bytes;
use futures::TryStreamExt as _;
use graveler::{
    BranchId, Commit, CommitParams, CreateRepository, Graveler, Hooks, MergeParams, MergeStrategy,
    NoHooks, Options, Repository, RepositoryId,
};

use block::BlockStore as _;
use kv::Store as _;

use crate::{
    Catalog, InternalFiles, ListRequest, Object, ObjectOrPrefix, ObjectTarget, Reader,
    UploadOptions,
};

/// The initial time of a [`TestCatalog`]'s clock: 2024-05-01T00:00:00Z.
pub const START_UNIX_SECS: i64 = 1_714_521_600;
/// The maximum number of records that [`TestCatalog::records`] reads.
const MAX_RECORDS: usize = 100_000;
/// The committer of [`TestCatalog::commit`] and of [`merge_params`].
pub const COMMITTER: &str = "tester";

/// A catalog on in-memory stores, with access to its parts.
#[derive(Debug, Clone)]
pub struct TestCatalog {
    /// The service. `TestCatalog` dereferences to it.
    pub catalog: Catalog,
    /// Stands still until advanced. Commits with equal times are ordered by id: advance it between commits.
    pub clock: Arc<ManualClock>,
    /// Generates ids from a fixed seed.
    pub ids: Arc<SeededIds>,
    /// The record store.
    pub kv: Arc<kv::MemoryStore>,
    /// The block store. Namespaces are `mem://NAME`.
    pub block: Arc<block::MemoryStore>,
}

impl Deref for TestCatalog {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

impl Default for TestCatalog {
    fn default() -> Self {
        Self::new()
    }
}

impl TestCatalog {
    /// An empty installation without hooks.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hooks(|_| Arc::new(NoHooks))
    }

    /// An empty installation. `hooks` creates its hooks from the reader.
    #[must_use]
    pub fn with_hooks(hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>) -> Self {
        Self::with_recording_hooks(|reader, _| hooks(reader))
    }

    /// An empty installation whose hooks write internal files.
    #[must_use]
    pub fn with_recording_hooks(
        hooks: impl FnOnce(&Reader, &InternalFiles) -> Arc<dyn Hooks>,
    ) -> Self {
        Self::with_options(Options::default(), hooks)
    }

    /// Like [`Self::with_recording_hooks`], with other options for the engine.
    #[must_use]
    pub fn with_options(
        options: Options,
        hooks: impl FnOnce(&Reader, &InternalFiles) -> Arc<dyn Hooks>,
    ) -> Self {
        let start = OffsetDateTime::from_unix_timestamp(START_UNIX_SECS).expect("a valid time");
        let clock = Arc::new(ManualClock::new(start));
        let kv = Arc::new(kv::MemoryStore::new());
        let block = Arc::new(block::MemoryStore::new(Arc::<ManualClock>::clone(&clock)));
        Self::over(1, options, clock, kv, block, hooks)
    }

    /// Another server of the same installation, with the same stores and clock but its own ids; no hooks.
    #[must_use]
    pub fn another_server(&self) -> Self {
        self.another_server_with_hooks(|_| Arc::new(NoHooks))
    }

    /// Another server of the same installation, with hooks.
    #[must_use]
    pub fn another_server_with_hooks(&self, hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>) -> Self {
        let mut seed = [0; 8];
        self.ids.random_bytes(&mut seed);
        Self::over(
            u64::from_le_bytes(seed),
            Options::default(),
            Arc::clone(&self.clock),
            Arc::clone(&self.kv),
            Arc::clone(&self.block),
            |reader, _| hooks(reader),
        )
    }

    fn over(
        seed: u64,
        options: Options,
        clock: Arc<ManualClock>,
        kv: Arc<kv::MemoryStore>,
        block: Arc<block::MemoryStore>,
        hooks: impl FnOnce(&Reader, &InternalFiles) -> Arc<dyn Hooks>,
    ) -> Self {
        let ids = Arc::new(SeededIds::new(seed, Arc::<ManualClock>::clone(&clock)));
        let graveler = Graveler::new(
            Arc::<kv::MemoryStore>::clone(&kv),
            Arc::<block::MemoryStore>::clone(&block),
            Arc::<ManualClock>::clone(&clock),
            Arc::<SeededIds>::clone(&ids),
            options,
        );
        let reader = Reader::new(graveler, Arc::<block::MemoryStore>::clone(&block));
        let files = InternalFiles::new(Arc::<block::MemoryStore>::clone(&block));
        let hooks = hooks(&reader, &files);
        let catalog = Catalog::new(
            reader,
            Arc::<kv::MemoryStore>::clone(&kv),
            hooks,
            Arc::<ManualClock>::clone(&clock),
            Arc::<SeededIds>::clone(&ids),
        );
        Self {
            catalog,
            clock,
            ids,
            kv,
            block,
        }
    }

    /// Another server of the same installation that accesses records through `kv`, for example a store that
    /// injects failures; no hooks.
    #[must_use]
    pub fn with_store(&self, kv: &Arc<dyn kv::Store>) -> Catalog {
        let graveler = Graveler::new(
            Arc::clone(kv),
            Arc::<block::MemoryStore>::clone(&self.block),
            Arc::<ManualClock>::clone(&self.clock),
            Arc::<SeededIds>::clone(&self.ids),
            Options::default(),
        );
        Catalog::new(
            Reader::new(graveler, Arc::<block::MemoryStore>::clone(&self.block)),
            Arc::clone(kv),
            Arc::new(NoHooks),
            Arc::<ManualClock>::clone(&self.clock),
            Arc::<SeededIds>::clone(&self.ids),
        )
    }

    /// Another server of the same installation that accesses bytes through `block`; no hooks.
    #[must_use]
    pub fn over_blocks(&self, block: &Arc<dyn block::BlockStore>) -> Catalog {
        let graveler = Graveler::new(
            Arc::<kv::MemoryStore>::clone(&self.kv),
            Arc::clone(block),
            Arc::<ManualClock>::clone(&self.clock),
            Arc::<SeededIds>::clone(&self.ids),
            Options::default(),
        );
        Catalog::new(
            Reader::new(graveler, Arc::clone(block)),
            Arc::<kv::MemoryStore>::clone(&self.kv),
            Arc::new(NoHooks),
            Arc::<ManualClock>::clone(&self.clock),
            Arc::<SeededIds>::clone(&self.ids),
        )
    }

    /// Another server of the same installation with its own clock in the catalog and the engine; no hooks.
    #[must_use]
    pub fn another_server_by(&self, clock: &Arc<dyn Clock>) -> Catalog {
        let graveler = Graveler::new(
            Arc::<kv::MemoryStore>::clone(&self.kv),
            Arc::<block::MemoryStore>::clone(&self.block),
            Arc::clone(clock),
            Arc::<SeededIds>::clone(&self.ids),
            Options::default(),
        );
        Catalog::new(
            Reader::new(graveler, Arc::<block::MemoryStore>::clone(&self.block)),
            Arc::<kv::MemoryStore>::clone(&self.kv),
            Arc::new(NoHooks),
            Arc::clone(clock),
            Arc::<SeededIds>::clone(&self.ids),
        )
    }

    /// Another server of the same installation with its own clock in the catalog only; no hooks.
    #[must_use]
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Catalog {
        Catalog::new(
            self.catalog.reader().clone(),
            Arc::<kv::MemoryStore>::clone(&self.kv),
            Arc::new(NoHooks),
            clock,
            Arc::<SeededIds>::clone(&self.ids),
        )
    }

    /// Writes internal files of this installation.
    #[must_use]
    pub fn internal_files(&self) -> InternalFiles {
        InternalFiles::new(Arc::<block::MemoryStore>::clone(&self.block))
    }

    /// Creates a repository with the default branch `main` in `mem://NAME`.
    pub async fn repository(&self, name: &str) -> Repository {
        self.create_repository(creation(name))
            .await
            .expect("a new repository in a new namespace")
    }

    /// Uploads text with default options.
    pub async fn put(
        &self,
        repository: &Repository,
        branch: &str,
        path: &str,
        body: &str,
    ) -> Object {
        self.put_with(repository, branch, path, body, UploadOptions::default())
            .await
            .expect("upload")
    }

    /// Uploads text with options.
    ///
    /// # Errors
    /// Any error of the catalog.
    pub async fn put_with(
        &self,
        repository: &Repository,
        branch: &str,
        path: &str,
        body: &str,
        options: UploadOptions,
    ) -> crate::Result<Object> {
        let to = ObjectTarget {
            repository,
            branch,
            path,
        };
        self.upload(
            to,
            block::from_bytes(Bytes::copy_from_slice(body.as_bytes())),
            options,
        )
        .await
    }

    /// Reads a whole object as text.
    pub async fn read(&self, repository: &Repository, reference: &str, path: &str) -> String {
        let object = self
            .reader()
            .stat(repository, reference, path)
            .await
            .expect("stat");
        text(
            self.reader()
                .open(repository, &object, None)
                .await
                .expect("open"),
        )
        .await
    }

    /// Replaces the bytes of an object in the block store, without a change of its entry.
    pub async fn replace_bytes(&self, object: &Object, bytes: &'static [u8]) {
        let at = block::Location::full(&object.physical_address);
        let bytes = block::from_bytes(Bytes::from_static(bytes));
        let put = self.block.put(&at, bytes).await;
        put.expect("a put in memory");
    }

    /// All paths at a reference, in order, separated by spaces.
    pub async fn paths(&self, repository: &Repository, reference: &str) -> String {
        let request = ListRequest {
            prefix: String::new(),
            after: String::new(),
            delimiter: String::new(),
            limit: 1000,
        };
        let page = self
            .reader()
            .list_objects(repository, reference, &request)
            .await
            .expect("list");
        assert!(
            !page.has_more,
            "the repository has more objects than one page"
        );
        page.results
            .iter()
            .map(path_of)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The keys of a partition of the record store, in order.
    pub async fn records(&self, partition: &str) -> Vec<String> {
        let page = self
            .kv
            .scan(partition.as_bytes(), b"", MAX_RECORDS)
            .await
            .expect("a store in memory");
        assert_eq!(
            page.next, None,
            "the partition has more records than fit on a page"
        );
        page.entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.key).into_owned())
            .collect()
    }

    /// Commits a branch, then advances the clock by a second, so that commits are ordered by time.
    pub async fn commit(&self, repository: &Repository, branch: &str, message: &str) -> Commit {
        let commit = self
            .commit_branch(repository, branch, commit_params(message))
            .await
            .expect("commit");
        self.clock.advance(std::time::Duration::from_secs(1));
        commit
    }
}

/// A request for a repository with the default branch `main` in `mem://NAME`.
#[must_use]
pub fn creation(name: &str) -> CreateRepository {
    CreateRepository {
        id: RepositoryId::trusted(name),
        storage_namespace: format!("mem://{name}"),
        default_branch: BranchId::trusted("main"),
        read_only: false,
        bare: false,
        storage_id: String::new(),
        creator: "tester".to_owned(),
    }
}

/// Commit parameters with a message and no options.
#[must_use]
pub fn commit_params(message: &str) -> CommitParams {
    CommitParams {
        committer: COMMITTER.to_owned(),
        message: message.to_owned(),
        metadata: BTreeMap::new(),
        date: None,
        allow_empty: false,
        force: false,
        source_metarange: None,
    }
}

/// Merge parameters with the default message and strategy.
#[must_use]
pub fn merge_params() -> MergeParams {
    MergeParams {
        committer: COMMITTER.to_owned(),
        message: String::new(),
        metadata: BTreeMap::new(),
        strategy: MergeStrategy::None,
        squash: false,
        force: false,
        allow_empty: false,
    }
}

/// Reads a body to its end as text.
pub async fn text(body: block::ByteStream) -> String {
    let pieces: Vec<Bytes> = body.try_collect().await.expect("a body in memory");
    String::from_utf8(pieces.concat()).expect("a text")
}

/// The path of a listing row.
#[must_use]
pub fn path_of(row: &ObjectOrPrefix) -> String {
    match row {
        ObjectOrPrefix::Object(object) => object.path.clone(),
        ObjectOrPrefix::Prefix(prefix) => prefix.clone(),
    }
}
