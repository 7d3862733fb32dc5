//! A whole catalog in memory, for the tests of this crate and of those above it.
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
//! The clock stands still until it is moved, and ids are drawn from a seed, so the
//! same test makes the same repository each time. Helpers panic where a test would
//! unwrap; what is to fail is called on the [`Catalog`] that this derefs to.

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

use kv::Store as _;

use crate::{Catalog, ListRequest, Object, ObjectOrPrefix, ObjectTarget, Reader, UploadOptions};

/// The second at which the clock of a [`TestCatalog`] stands at first: 2024-05-01T00:00:00Z.
pub const START_UNIX_SECS: i64 = 1_714_521_600;
/// Records that [`TestCatalog::records`] reads at most.
const MAX_RECORDS: usize = 100_000;
/// The committer of [`TestCatalog::commit`] and of [`merge_params`].
pub const COMMITTER: &str = "tester";

/// A catalog over memory stores, with its parts in reach.
#[derive(Debug, Clone)]
pub struct TestCatalog {
    /// The service itself; also what this derefs to.
    pub catalog: Catalog,
    /// Stands still until advanced. Commits of one second order by id: advance between them.
    pub clock: Arc<ManualClock>,
    /// Draws from a fixed seed.
    pub ids: Arc<SeededIds>,
    /// Records.
    pub kv: Arc<kv::MemoryStore>,
    /// Bytes; namespaces are `mem://NAME`.
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

    /// An empty installation whose hooks are made from the reader they look through.
    #[must_use]
    pub fn with_hooks(hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>) -> Self {
        Self::with_options(Options::default(), hooks)
    }

    /// As [`Self::with_hooks`], with an engine tuned otherwise.
    #[must_use]
    pub fn with_options(options: Options, hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>) -> Self {
        let start =
            OffsetDateTime::from_unix_timestamp(START_UNIX_SECS).expect("a time of our days");
        let clock = Arc::new(ManualClock::new(start));
        let kv = Arc::new(kv::MemoryStore::new());
        let block = Arc::new(block::MemoryStore::new(Arc::<ManualClock>::clone(&clock)));
        Self::over(1, options, clock, kv, block, hooks)
    }

    /// Another server of the same installation: its stores, its clock, ids of its own; no hooks.
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
            hooks,
        )
    }

    fn over(
        seed: u64,
        options: Options,
        clock: Arc<ManualClock>,
        kv: Arc<kv::MemoryStore>,
        block: Arc<block::MemoryStore>,
        hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>,
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
        let hooks = hooks(&reader);
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

    /// Another server of the same installation, whose records are asked for through `kv`, such as a
    /// store that fails now and then; no hooks.
    #[must_use]
    pub fn through(&self, kv: &Arc<dyn kv::Store>) -> Catalog {
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

    /// Another server of the same installation, whose bytes are asked for through `block`; no hooks.
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

    /// Another server of the same installation, all of which goes by a clock of its own; no hooks.
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

    /// The same installation by another clock.
    #[must_use]
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Catalog {
        let reader: &Reader = &self.catalog;
        Catalog::new(
            reader.clone(),
            Arc::<kv::MemoryStore>::clone(&self.kv),
            Arc::new(NoHooks),
            clock,
            Arc::<SeededIds>::clone(&self.ids),
        )
    }

    /// Creates a repository with the default branch `main` in `mem://NAME`.
    pub async fn repository(&self, name: &str) -> Repository {
        self.create_repository(creation(name))
            .await
            .expect("a new repository in a new namespace")
    }

    /// Uploads text without options.
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
    /// The catalog's.
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
        let object = self.stat(repository, reference, path).await.expect("stat");
        text(self.open(&object, None).await.expect("open")).await
    }

    /// Every path at a reference, in order, with a blank between.
    pub async fn paths(&self, repository: &Repository, reference: &str) -> String {
        let request = ListRequest {
            prefix: String::new(),
            after: String::new(),
            delimiter: String::new(),
            limit: 1000,
        };
        let page = self
            .list_objects(repository, reference, &request)
            .await
            .expect("list");
        assert!(!page.has_more, "a test's repository fits one page");
        page.results
            .iter()
            .map(path_of)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The keys of a partition of records, in order.
    pub async fn records(&self, partition: &str) -> Vec<String> {
        let entries = self
            .kv
            .scan(partition.as_bytes(), b"", MAX_RECORDS)
            .await
            .expect("a store in memory");
        assert!(
            entries.len() < MAX_RECORDS,
            "a test's partition fits one page"
        );
        entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.key).into_owned())
            .collect()
    }

    /// Commits a branch, then moves the clock by a second, so that commits have an order.
    pub async fn commit(&self, repository: &Repository, branch: &str, message: &str) -> Commit {
        let commit = self
            .commit_branch(repository, branch, commit_params(message))
            .await
            .expect("commit");
        self.clock.advance(std::time::Duration::from_secs(1));
        commit
    }
}

/// How to create a repository with the default branch `main` in `mem://NAME`.
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

/// How to commit with a message and nothing else.
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

/// How to merge with the default message and strategy.
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

/// Reads a whole body as text.
pub async fn text(body: block::ByteStream) -> String {
    let pieces: Vec<Bytes> = body.try_collect().await.expect("a body in memory");
    String::from_utf8(pieces.concat()).expect("a text")
}

/// The path of a listing's row.
#[must_use]
pub fn path_of(row: &ObjectOrPrefix) -> String {
    match row {
        ObjectOrPrefix::Object(object) => object.path.clone(),
        ObjectOrPrefix::Prefix(prefix) => prefix.clone(),
    }
}
