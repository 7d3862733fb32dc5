//! Fixtures for the engine's tests: a repository in memory, driven by text.
//!
//! `put("main", "a=1 b=2")` stages the value `1` under `a` and `2` under `b`; `show("main")` returns
//! the live records in the same form.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, ManualClock, OffsetDateTime, SystemIds};
use block::BlockStore;
use bytes::Bytes;
use kv::Store;
use prost::Message as _;

use crate::records::{BlockedActions, BranchProtectionRules, PROTECTED_BRANCHES, ProtectionRule};
use crate::{
    Branch, BranchId, CherryPickParams, Commit, CommitParams, Condition, CreateRepository, Cursor,
    DiffCursor, DiffKind, Event, EventKind, Graveler, HookOutcome, Hooks, MergeOutcome,
    MergeParams, MergeStrategy, NoHooks, Options, Rejection, Repository, RepositoryId,
    RepositoryState, ResetScope, Result, RevertParams, Tag, TagId, Value,
};

/// A repository record that is not stored anywhere.
pub(crate) fn repository(id: &str) -> Repository {
    Repository {
        id: RepositoryId::trusted(id),
        storage_namespace: format!("mem://{id}"),
        default_branch: BranchId::trusted("main"),
        creation_date: OffsetDateTime::UNIX_EPOCH,
        state: RepositoryState::Active,
        instance_uid: "uid".to_owned(),
        read_only: false,
        storage_id: String::new(),
    }
}

pub(crate) fn branch(name: &str) -> BranchId {
    BranchId::trusted(name)
}

pub(crate) fn value(text: &str) -> Value {
    Value {
        identity: Bytes::copy_from_slice(text.as_bytes()),
        data: Bytes::copy_from_slice(text.as_bytes()),
    }
}

pub(crate) fn new_repository(id: &str) -> CreateRepository {
    CreateRepository {
        id: RepositoryId::trusted(id),
        storage_namespace: format!("mem://{id}"),
        default_branch: branch("main"),
        read_only: false,
        bare: false,
        storage_id: String::new(),
        creator: "tester".to_owned(),
    }
}

pub(crate) fn committing(message: &str) -> CommitParams {
    CommitParams {
        committer: "tester".to_owned(),
        message: message.to_owned(),
        metadata: BTreeMap::new(),
        date: None,
        allow_empty: false,
        force: false,
        source_metarange: None,
    }
}

pub(crate) fn merging() -> MergeParams {
    MergeParams {
        committer: "tester".to_owned(),
        message: String::new(),
        metadata: BTreeMap::new(),
        strategy: MergeStrategy::None,
        squash: false,
        force: false,
        allow_empty: false,
    }
}

pub(crate) fn reverting() -> RevertParams {
    RevertParams {
        committer: "tester".to_owned(),
        parent_number: 0,
        message: String::new(),
        metadata: BTreeMap::new(),
        allow_empty: false,
        force: false,
    }
}

pub(crate) fn picking() -> CherryPickParams {
    CherryPickParams {
        committer: "picker".to_owned(),
        parent_number: 0,
        message: None,
        metadata: None,
        force: false,
    }
}

fn parent_of(what: &str) -> (&str, usize) {
    match what.split_once(" -m ") {
        Some((reference, number)) => (reference, number.parse().unwrap()),
        None => (what, 0),
    }
}

/// An engine with one repository.
#[derive(Debug, Clone)]
pub(crate) struct Lake {
    pub graveler: Graveler,
    pub repo: Repository,
    pub kv: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
}

impl Lake {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(kv::MemoryStore::default())).await
    }

    pub(crate) async fn on(kv: Arc<dyn Store>) -> Self {
        Self::with(kv, "lake", Options::default()).await
    }

    pub(crate) async fn with(kv: Arc<dyn Store>, name: &str, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(
            OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        ));
        let (graveler, repo) = open(&kv, &clock, name, options).await;
        Self {
            graveler,
            repo,
            kv,
            clock,
        }
    }

    pub(crate) async fn put(&self, on: &str, records: &str) {
        for record in records.split_whitespace() {
            let (key, text) = record.split_once('=').unwrap();
            self.set(on, key, text, Condition::Always).await.unwrap();
        }
    }

    pub(crate) async fn set(
        &self,
        on: &str,
        key: &str,
        text: &str,
        condition: Condition,
    ) -> Result<()> {
        self.graveler
            .set(
                &self.repo,
                &branch(on),
                key.as_bytes(),
                value(text),
                condition,
                false,
            )
            .await
    }

    pub(crate) async fn delete(&self, on: &str, keys: &str) -> Result<()> {
        let keys: Vec<Vec<u8>> = keys
            .split_whitespace()
            .map(|key| key.as_bytes().to_vec())
            .collect();
        self.graveler
            .delete(&self.repo, &branch(on), &keys, false)
            .await
    }

    /// Stores the tree of the staged changes.
    pub(crate) async fn materialize(&self, on: &str) {
        let (engine, on) = (&self.graveler, branch(on));
        let sealed = engine.seal_for_tests(&self.repo, &on).await;
        engine.materialize_for_tests(&self.repo, &on, sealed).await;
    }

    pub(crate) async fn commit(&self, on: &str, message: &str) -> Result<Commit> {
        self.commit_with(on, committing(message), &NoHooks).await
    }

    pub(crate) async fn commit_with(
        &self,
        on: &str,
        params: CommitParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.clock.advance(Duration::from_secs(1));
        self.graveler
            .commit(&self.repo, &branch(on), params, hooks)
            .await
    }

    pub(crate) async fn merge(&self, source: &str, destination: &str) -> Result<MergeOutcome> {
        self.merge_with(source, destination, merging(), &NoHooks)
            .await
    }

    pub(crate) async fn merge_with(
        &self,
        source: &str,
        destination: &str,
        params: MergeParams,
        hooks: &dyn Hooks,
    ) -> Result<MergeOutcome> {
        self.clock.advance(Duration::from_secs(1));
        self.graveler
            .merge(&self.repo, &branch(destination), source, params, hooks)
            .await
    }

    /// Reverts the given commit: `main~1`, or `main -m 2` for a merge.
    pub(crate) async fn revert(&self, on: &str, what: &str) -> Result<Commit> {
        let (reference, parent_number) = parent_of(what);
        let params = RevertParams {
            parent_number,
            ..reverting()
        };
        self.revert_with(on, reference, params, &NoHooks).await
    }

    pub(crate) async fn revert_with(
        &self,
        on: &str,
        reference: &str,
        params: RevertParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.clock.advance(Duration::from_secs(1));
        self.graveler
            .revert(&self.repo, &branch(on), reference, params, hooks)
            .await
    }

    /// Picks the given commit: `dev~1`, or `dev -m 2` for a merge.
    pub(crate) async fn pick(&self, on: &str, what: &str) -> Result<Commit> {
        let (reference, parent_number) = parent_of(what);
        let params = CherryPickParams {
            parent_number,
            ..picking()
        };
        self.pick_with(on, reference, params, &NoHooks).await
    }

    pub(crate) async fn pick_with(
        &self,
        on: &str,
        reference: &str,
        params: CherryPickParams,
        hooks: &dyn Hooks,
    ) -> Result<Commit> {
        self.clock.advance(Duration::from_secs(1));
        self.graveler
            .cherry_pick(&self.repo, &branch(on), reference, params, hooks)
            .await
    }

    /// Resets one key, a prefix (`dir/*`) or everything (`*`).
    pub(crate) async fn reset(&self, on: &str, what: &str) -> Result<()> {
        let scope = match what.strip_suffix('*') {
            Some("") => ResetScope::All,
            Some(prefix) => ResetScope::Prefix(prefix.as_bytes().to_vec()),
            None => ResetScope::Key(what.as_bytes().to_vec()),
        };
        self.graveler
            .reset(&self.repo, &branch(on), scope, false, "tester")
            .await
    }

    pub(crate) async fn hard_reset(&self, on: &str, reference: &str) -> Result<()> {
        self.graveler
            .hard_reset(&self.repo, &branch(on), reference, false, "tester")
            .await
    }

    /// Blocks staged writes and commits on matching branches.
    pub(crate) async fn protect(&mut self, pattern: &str) {
        let rules = BranchProtectionRules {
            rules: vec![ProtectionRule {
                pattern: pattern.to_owned(),
                blocked: Some(BlockedActions { value: vec![0, 1] }),
            }],
        };
        self.kv
            .set(
                self.repo.partition().as_bytes(),
                PROTECTED_BRANCHES,
                Bytes::from(rules.encode_to_vec()),
            )
            .await
            .unwrap();
        // Use a new engine, since this one caches rules for a moment.
        self.graveler = self.graveler.fork_for_tests();
    }

    pub(crate) async fn branch_from(&self, name: &str, source: &str) {
        self.new_branch(name, source).await.unwrap();
    }

    pub(crate) async fn new_branch(&self, name: &str, source: &str) -> Result<Branch> {
        let (repo, name) = (&self.repo, branch(name));
        self.graveler
            .create_branch(repo, &name, source, false, false, "tester", &NoHooks)
            .await
    }

    pub(crate) async fn delete_branch(&self, name: &str) -> Result<()> {
        self.graveler
            .delete_branch(&self.repo, &branch(name), false, "tester", &NoHooks)
            .await
    }

    pub(crate) async fn new_tag(&self, name: &str, source: &str) -> Result<Tag> {
        let (repo, name) = (&self.repo, TagId::trusted(name));
        self.graveler
            .create_tag(repo, &name, source, false, "tester", &NoHooks)
            .await
    }

    pub(crate) async fn delete_tag(&self, name: &str) -> Result<()> {
        self.graveler
            .delete_tag(&self.repo, &TagId::trusted(name), false, "tester", &NoHooks)
            .await
    }

    /// Another server on the same stores, with empty caches.
    pub(crate) fn other_server(&self) -> Self {
        Self {
            graveler: self.graveler.fork_for_tests(),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, reference: &str, key: &str) -> Option<String> {
        let resolved = self.graveler.resolve(&self.repo, reference).await.unwrap();
        let value = self
            .graveler
            .get(&self.repo, &resolved, key.as_bytes())
            .await
            .unwrap()?;
        Some(String::from_utf8(value.data.to_vec()).unwrap())
    }

    pub(crate) async fn show(&self, reference: &str) -> String {
        let resolved = self.graveler.resolve(&self.repo, reference).await.unwrap();
        show(self.graveler.cursor(&self.repo, &resolved).await.unwrap()).await
    }

    pub(crate) async fn head(&self, on: &str) -> Commit {
        let head = self
            .graveler
            .branch(&self.repo, &branch(on))
            .await
            .unwrap()
            .record
            .commit_id;
        self.graveler.get_commit(&self.repo, &head).await.unwrap()
    }

    pub(crate) async fn uncommitted(&self, on: &str) -> String {
        show_diff(
            self.graveler
                .diff_uncommitted(&self.repo, &branch(on))
                .await
                .unwrap(),
        )
        .await
    }

    /// Number of retired tokens that are not emptied yet.
    pub(crate) async fn retired_tokens(&self) -> usize {
        self.kv
            .scan(b"cleanup-tokens", b"", 1_000)
            .await
            .unwrap()
            .entries
            .len()
    }

    /// Waits until all retired tokens are emptied.
    pub(crate) async fn wait_until_emptied(&self) {
        let emptied = async {
            while self.retired_tokens().await > 0 {
                tokio::task::yield_now().await;
            }
        };
        within_a_minute(emptied, "emptying the retired tokens").await;
    }
}

/// Waits for background work, and panics if it does not end.
pub(crate) async fn within_a_minute<T>(work: impl Future<Output = T>, what: &str) -> T {
    let result = tokio::time::timeout(Duration::from_secs(60), work).await;
    result.unwrap_or_else(|_| panic!("{what} takes longer than a minute"))
}

/// The KV stores to test on: memory, SQLite in `folder` (which must outlive it), and PostgreSQL if
/// `WEIR_TEST_POSTGRES` is set. Each `name` has its own records.
pub(crate) async fn stores(folder: &tempfile::TempDir, name: &str) -> Vec<Arc<dyn Store>> {
    let sqlite = kv::SqliteOptions {
        path: folder.path().join(format!("{name}.db")),
        sync_writes: false,
        max_readers: 4,
    };
    let mut stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(kv::MemoryStore::default()),
        Arc::new(kv::SqliteStore::open(sqlite).await.unwrap()),
    ];
    if let Ok(given) = std::env::var("WEIR_TEST_POSTGRES") {
        let join = if given.contains('?') { '&' } else { '?' };
        let options = kv::PostgresOptions {
            connection_string: format!("{given}{join}lakefskv_table=kv_{name}"),
            max_open_connections: 10,
            max_idle_connections: 10,
            connection_max_lifetime: Duration::from_secs(300),
            scan_page_size: 1_000,
        };
        stores.push(Arc::new(kv::PostgresStore::connect(options).await.unwrap()));
    }
    stores
}

/// Opens an engine on shared stores, like one more server.
pub(crate) async fn open(
    kv: &Arc<dyn Store>,
    clock: &Arc<ManualClock>,
    name: &str,
    options: Options,
) -> (Graveler, Repository) {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let ids = Arc::new(SystemIds::new(Arc::clone(&clock)));
    let block = Arc::new(block::MemoryStore::new(Arc::clone(&clock)));
    let graveler = Graveler::new(Arc::clone(kv), block, clock, ids, options);
    let repo = loop {
        // Stores that fail on purpose may need several attempts.
        match graveler.create_repository(new_repository(name)).await {
            Ok(repo) => break repo,
            Err(crate::Error::Kv(_)) => {}
            Err(crate::Error::NotUnique { .. }) => {
                if let Ok(repo) = graveler.repository(&RepositoryId::trusted(name)).await {
                    break repo;
                }
            }
            Err(other) => panic!("{other}"),
        }
    };
    (graveler, repo)
}

pub(crate) async fn show(mut cursor: Box<dyn Cursor>) -> String {
    let mut shown = Vec::new();
    while let Some(record) = cursor.next().await.unwrap() {
        shown.push(format!(
            "{}={}",
            record.key.escape_ascii(),
            record.value.data.escape_ascii()
        ));
    }
    assert!(
        cursor.next().await.unwrap().is_none(),
        "a cursor must stay at the end"
    );
    shown.join(" ")
}

/// Formats differences: `+` added, `~` changed, `-` removed, `!` conflict.
pub(crate) async fn show_diff(mut diff: DiffCursor) -> String {
    let mut shown = Vec::new();
    while let Some(diff) = diff.next().await.unwrap() {
        let sign = match diff.kind {
            DiffKind::Added => '+',
            DiffKind::Changed => '~',
            DiffKind::Removed => '-',
            DiffKind::Conflict => '!',
        };
        let side = |value: &Option<Value>| {
            value
                .as_ref()
                .map(|v| v.data.escape_ascii().to_string())
                .unwrap_or_default()
        };
        shown.push(format!(
            "{sign}{}:{}>{}",
            diff.key.escape_ascii(),
            side(&diff.left),
            side(&diff.right)
        ));
    }
    shown.join(" ")
}

/// Hooks that record their events, and refuse events of the kind `refuse`.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub events: Mutex<Vec<Event>>,
    pub refuse: Option<EventKind>,
}

impl Recorder {
    pub(crate) fn refusing(kind: EventKind) -> Self {
        Self {
            refuse: Some(kind),
            ..Self::default()
        }
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

#[async_trait]
impl Hooks for Recorder {
    async fn before(&self, event: &Event) -> std::result::Result<HookOutcome, Box<Rejection>> {
        self.events.lock().unwrap().push(event.clone());
        if self.refuse == Some(event.kind()) {
            return Err(Box::new(Rejection {
                run_id: event.run_id.clone(),
                kind: event.kind(),
                message: "not today".to_owned(),
                hint: None,
                invalid_actions: false,
                findings: Vec::new(),
            }));
        }
        Ok(HookOutcome::ran())
    }

    async fn after(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

impl Graveler {
    /// Another server on the same stores, with empty caches.
    pub(crate) fn fork_for_tests(&self) -> Self {
        self.on_store_for_tests(self.refs.kv_for_tests())
    }

    /// Another server on the same objects, with its records in `kv`.
    pub(crate) fn on_store_for_tests(&self, kv: &Arc<dyn Store>) -> Self {
        self.with_stores_for_tests(kv, Arc::clone(&self.block))
    }

    /// Another server on the same records, with its objects in `block`.
    pub(crate) fn on_blocks_for_tests(&self, block: Arc<dyn BlockStore>) -> Self {
        self.with_stores_for_tests(self.refs.kv_for_tests(), block)
    }

    fn with_stores_for_tests(&self, kv: &Arc<dyn Store>, block: Arc<dyn BlockStore>) -> Self {
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        Self::new(Arc::clone(kv), block, clock, ids, Options::default())
    }
}
