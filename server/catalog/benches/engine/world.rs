//! The stores of a run, the engine on top of them, and helpers for the measurements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::{Clock, IdGenerator, OffsetDateTime, SystemClock, SystemIds};
use block::BlockStore;
use catalog::{AddressType, Entry};
use graveler::{
    BranchId, Commit, CommitParams, CreateRepository, DiffCursor, Graveler, MergeParams,
    MergeStrategy, NoHooks, Options, Record, Repository, RepositoryId,
};
use kv::testing::CountingStore;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::say;
use crate::store::CountingBlocks;
use crate::target::Target;

/// The number of objects per key prefix. With a million objects, also the number of prefixes.
pub(crate) const PREFIXES: u64 = 1_000;
/// The number of records per staged write.
const WRITE: usize = 1_000;

/// A database for the record store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(crate) fn all() -> [Self; 2] {
        [Self::Sqlite, Self::Postgres]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A database connection that bypasses the engine, for probes.
#[derive(Debug)]
pub(crate) enum Raw {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection, String),
}

impl Raw {
    /// Copies a partition, so that a probe can change it.
    pub(crate) async fn copy_partition(&mut self, from: &str, to: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                sqlx::query(
                    "INSERT INTO kv SELECT ?2, key, value FROM kv WHERE partition_key = ?1",
                )
                .bind(from.as_bytes())
                .bind(to.as_bytes())
                .execute(connection)
                .await?;
            }
            Self::Postgres(connection, table) => {
                let sql = format!(
                    "INSERT INTO {table} (partition_key, key, value) SELECT $2, key, value FROM {table} WHERE partition_key = $1"
                );
                sqlx::query(AssertSqlSafe(sql))
                    .bind(from.as_bytes())
                    .bind(to.as_bytes())
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// Deletes a partition with one range delete.
    pub(crate) async fn delete_partition(&mut self, partition: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                sqlx::query("DELETE FROM kv WHERE partition_key = ?1")
                    .bind(partition.as_bytes())
                    .execute(connection)
                    .await?;
            }
            Self::Postgres(connection, table) => {
                let sql = format!("DELETE FROM {table} WHERE partition_key = $1");
                sqlx::query(AssertSqlSafe(sql))
                    .bind(partition.as_bytes())
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// The number of writing transactions of the PostgreSQL server so far, including this one; none on SQLite.
    pub(crate) async fn transactions(&mut self) -> Result<Option<u64>> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(connection, _) => {
                let sql = "SELECT pg_current_xact_id()::text::bigint";
                let id: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
                Ok(Some(u64::try_from(id)?))
            }
        }
    }
}

/// The environment of the measurements.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) objects: u64,
    pub(crate) kv: Arc<CountingStore>,
    pub(crate) block: Arc<CountingBlocks>,
    pub(crate) graveler: Graveler,
    pub(crate) repo: Repository,
    address: String,
    table: String,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn open(database: Database, objects: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let table = format!("bench_engine_{}", std::process::id());
        let (address, store): (String, Arc<dyn kv::Store>) = match database {
            Database::Sqlite => {
                let path = folder.path().join("kv.db");
                let store = kv::SqliteStore::open(kv::SqliteOptions {
                    path: path.clone(),
                    sync_writes: true,
                    max_readers: 8,
                });
                (path.display().to_string(), Arc::new(store.await?))
            }
            Database::Postgres => {
                let address = std::env::var("WEIR_TEST_POSTGRES")
                    .context("run `cargo xtask bench engine`: WEIR_TEST_POSTGRES is not set")?;
                let separator = if address.contains('?') { '&' } else { '?' };
                let store = kv::PostgresStore::connect(kv::PostgresOptions {
                    connection_string: format!("{address}{separator}lakefskv_table={table}"),
                    max_open_connections: 25,
                    max_idle_connections: 25,
                    connection_max_lifetime: Duration::from_secs(300),
                    scan_page_size: 1_000,
                });
                (address, Arc::new(store.await?))
            }
        };
        let kv = Arc::new(CountingStore::new(store));
        let ids: Arc<dyn IdGenerator> = Arc::new(SystemIds::new(Arc::new(SystemClock)));
        let local = block::LocalOptions {
            path: folder.path().join("objects"),
            default_namespace_prefix: "local://".to_owned(),
            import_enabled: false,
            allowed_external_prefixes: Vec::new(),
        };
        let block = Arc::new(CountingBlocks::new(Arc::new(
            block::LocalStore::open(local, ids).await?,
        )));
        let graveler = engine(&kv, &block, Duration::ZERO);
        let repo = repository(&graveler, "bench").await?;
        Ok(Self {
            database,
            objects,
            kv,
            block,
            graveler,
            repo,
            address,
            table,
            _folder: folder,
        })
    }

    /// Another server on the same stores, with empty caches.
    pub(crate) fn cold(&self) -> Graveler {
        engine(&self.kv, &self.block, Duration::from_secs(3600))
    }

    /// Creates an empty repository.
    pub(crate) async fn repository(&self, name: &str) -> Result<Repository> {
        repository(&self.graveler, name).await
    }

    pub(crate) async fn raw(&self) -> Result<Raw> {
        Ok(match self.database {
            Database::Sqlite => Raw::Sqlite(
                sqlx::SqliteConnection::connect(&format!("sqlite://{}", self.address)).await?,
            ),
            Database::Postgres => Raw::Postgres(
                sqlx::PgConnection::connect(&self.address).await?,
                self.table.clone(),
            ),
        })
    }

    /// Prints a row of the table.
    pub(crate) fn row(&self, what: &str, figure: &str, target: &Target) {
        say(&format!(
            "| {} | {what} | {figure} | {} |",
            self.database.name(),
            target.cells()
        ));
    }

    /// Stages objects, many per write.
    pub(crate) async fn stage(
        &self,
        branch: &str,
        numbers: impl Iterator<Item = u64>,
        content: u64,
    ) -> Result<()> {
        let branch = BranchId::trusted(branch);
        let mut numbers = numbers.peekable();
        while numbers.peek().is_some() {
            let records: Vec<Record> = numbers
                .by_ref()
                .take(WRITE)
                .map(|n| Record {
                    key: key(n).into(),
                    value: entry(n, content).to_value(),
                })
                .collect();
            self.graveler
                .set_many(&self.repo, &branch, &records, false)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn branch(&self, name: &str, source: &str) -> Result<()> {
        branch(&self.graveler, &self.repo, name, source).await
    }

    pub(crate) async fn commit(&self, branch: &str) -> Result<Commit> {
        commit(&self.graveler, &self.repo, branch, false).await
    }
}

fn engine(kv: &Arc<CountingStore>, block: &Arc<CountingBlocks>, token_grace: Duration) -> Graveler {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(SystemIds::new(Arc::clone(&clock)));
    let options = Options {
        token_grace,
        ..Options::default()
    };
    let block = Arc::clone(block) as Arc<dyn BlockStore>;
    Graveler::new(
        Arc::clone(kv) as Arc<dyn kv::Store>,
        block,
        clock,
        ids,
        options,
    )
}

async fn repository(graveler: &Graveler, name: &str) -> Result<Repository> {
    Ok(graveler
        .create_repository(CreateRepository {
            id: RepositoryId::trusted(name),
            storage_namespace: format!("local://{name}"),
            default_branch: BranchId::trusted("main"),
            read_only: false,
            bare: false,
            storage_id: String::new(),
            creator: String::new(),
        })
        .await?)
}

pub(crate) async fn branch(
    graveler: &Graveler,
    repo: &Repository,
    name: &str,
    source: &str,
) -> Result<()> {
    let name = BranchId::trusted(name);
    graveler
        .create_branch(repo, &name, source, false, false, "bench", &NoHooks)
        .await?;
    Ok(())
}

pub(crate) async fn commit(
    graveler: &Graveler,
    repo: &Repository,
    branch: &str,
    allow_empty: bool,
) -> Result<Commit> {
    let params = CommitParams {
        committer: "bench".to_owned(),
        message: "bench".to_owned(),
        metadata: BTreeMap::new(),
        date: None,
        allow_empty,
        force: false,
        source_metarange: None,
    };
    let branch = BranchId::trusted(branch);
    Ok(graveler.commit(repo, &branch, params, &NoHooks).await?)
}

pub(crate) async fn merge(
    graveler: &Graveler,
    repo: &Repository,
    source: &str,
    destination: &str,
) -> Result<()> {
    let params = MergeParams {
        committer: "bench".to_owned(),
        message: String::new(),
        metadata: BTreeMap::new(),
        strategy: MergeStrategy::None,
        squash: false,
        force: false,
        allow_empty: false,
    };
    let destination = BranchId::trusted(destination);
    graveler
        .merge(repo, &destination, source, params, &NoHooks)
        .await?;
    Ok(())
}

/// The differences between two references.
pub(crate) async fn diff(
    graveler: &Graveler,
    repo: &Repository,
    left: &str,
    right: &str,
) -> Result<DiffCursor> {
    let left = graveler.resolve(repo, left).await?;
    let right = graveler.resolve(repo, right).await?;
    Ok(graveler.diff(repo, &left, &right).await?)
}

/// The key of an object, below the prefix of its thousand.
pub(crate) fn key(n: u64) -> String {
    format!("data/part-{:04}/object-{:08}.parquet", n / PREFIXES, n)
}

/// The staged entry of an object.
pub(crate) fn entry(n: u64, content: u64) -> Entry {
    let mixed = (n ^ (content << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Entry {
        address: format!("data/{mixed:016x}/{:016x}", mixed.rotate_left(29)),
        address_type: AddressType::Relative,
        last_modified: OffsetDateTime::UNIX_EPOCH,
        size_bytes: i64::try_from(n % 100_000).unwrap_or(0),
        etag: format!("{mixed:016x}{:016x}", mixed.rotate_left(17)),
        metadata: BTreeMap::new(),
        content_type: "application/octet-stream".to_owned(),
    }
}
