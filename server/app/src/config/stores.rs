//! Configuration of storage: metadata, objects, the committed format, and how long undo data is
//! kept.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::source::{self, Error, Source};

/// The metadata store.
#[derive(Clone)]
pub enum Database {
    Sqlite {
        path: PathBuf,
        sync_writes: bool,
        max_readers: u32,
    },
    Postgres {
        connection_string: String,
        max_open_connections: u32,
        max_idle_connections: u32,
        connection_max_lifetime: Duration,
        scan_page_size: usize,
    },
    Memory,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => f
                .debug_struct("Sqlite")
                .field("path", path)
                .finish_non_exhaustive(),
            Self::Postgres { .. } => f
                .debug_struct("Postgres")
                .field("connection_string", &"[redacted]")
                .finish_non_exhaustive(),
            Self::Memory => f.write_str("Memory"),
        }
    }
}

/// The object store.
#[derive(Debug, Clone)]
pub enum Blockstore {
    Local {
        path: PathBuf,
        default_namespace_prefix: String,
        import_enabled: bool,
        allowed_external_prefixes: Vec<String>,
    },
    Memory,
}

/// The committed format and its caches.
#[derive(Debug, Clone)]
pub struct Committed {
    pub block_storage_prefix: String,
    pub min_range_size_bytes: u64,
    pub max_range_size_bytes: u64,
    pub range_raggedness_entries: f64,
    pub sstable_cache_bytes: u64,
    pub commit_cache_entries: u64,
}

/// How long undo data is kept.
#[derive(Debug, Clone)]
pub struct Undo {
    /// Uncommitted changes that a reset or the deletion of a branch discarded.
    pub keep_staged: Duration,
    /// Reflog entries of branches and tags.
    pub keep_reflog: Duration,
}

const MIB: u64 = 1 << 20;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn database(source: &Source) -> Result<Database, Error> {
    let kind = source.required(
        "database.type",
        "choose `sqlite` or `postgres`, or start with --data DIR",
    )?;
    match kind.as_str() {
        "sqlite" => Ok(Database::Sqlite {
            path: source
                .path("database.sqlite.path")?
                .unwrap_or_else(|| source::expand_home("~/weir/metadata/weir.db")),
            sync_writes: source.bool_or("database.sqlite.sync_writes", true)?,
            max_readers: source.number_or("database.sqlite.max_readers", 8, 1..=256)?,
        }),
        "local" => {
            let dir = source
                .path("database.local.path")?
                .unwrap_or_else(|| source::expand_home("~/lakefs/metadata"));
            if dir.join("MANIFEST").exists() {
                return Err(source.unusable(
                    "database.type",
                    &format!(
                        "with database.local.path {}: that folder contains lakeFS's Badger database, which Weir cannot open; \
                         move the installation to PostgreSQL with lakeFS first, or name an empty folder",
                        dir.display()
                    ),
                ));
            }
            let sync_writes = source.bool_or("database.local.sync_writes", true)?;
            Ok(Database::Sqlite {
                path: dir.join("weir.db"),
                sync_writes,
                max_readers: 8,
            })
        }
        "postgres" => Ok(Database::Postgres {
            connection_string: source.required(
                "database.postgres.connection_string",
                &format!(
                    "database.type is postgres ({}); set it to postgres://USER:PASSWORD@HOST:5432/DATABASE",
                    source.origin("database.type")
                ),
            )?,
            max_open_connections: source.number_or(
                "database.postgres.max_open_connections",
                25,
                1..=10_000,
            )?,
            max_idle_connections: source.number_or(
                "database.postgres.max_idle_connections",
                25,
                0..=10_000,
            )?,
            connection_max_lifetime: source.duration_or(
                "database.postgres.connection_max_lifetime",
                Duration::from_secs(300),
            )?,
            scan_page_size: source.number_or(
                "database.postgres.scan_page_size",
                1000,
                1..=100_000,
            )?,
        }),
        "mem" => Ok(Database::Memory),
        "dynamodb" | "cosmosdb" | "redis" => Err(source.unusable(
            "database.type",
            "is not supported yet: use `sqlite` or `postgres`",
        )),
        _ => Err(source.unusable(
            "database.type",
            "is not one of `sqlite`, `postgres`, `local`, `mem`",
        )),
    }
}

pub(super) fn blockstore(source: &Source) -> Result<Blockstore, Error> {
    let kind = source.required(
        "blockstore.type",
        "choose `local`, or start with --data DIR",
    )?;
    match kind.as_str() {
        "local" => Ok(Blockstore::Local {
            path: source
                .path("blockstore.local.path")?
                .unwrap_or_else(|| source::expand_home("~/lakefs/data/block")),
            default_namespace_prefix: without_final_slash(
                source.text_or("blockstore.default_namespace_prefix", "local://")?,
            ),
            import_enabled: source.bool_or("blockstore.local.import_enabled", false)?,
            allowed_external_prefixes: source
                .list("blockstore.local.allowed_external_prefixes")?
                .unwrap_or_default(),
        }),
        "mem" => Ok(Blockstore::Memory),
        "s3" | "gs" | "azure" => {
            Err(source.unusable("blockstore.type", "is not supported yet: use `local`"))
        }
        _ => Err(source.unusable("blockstore.type", "is neither `local` nor `mem`")),
    }
}

/// Removes final slashes of a prefix, except those of the scheme: clients append a slash and a name.
fn without_final_slash(prefix: String) -> String {
    match prefix.split_once("://") {
        Some((scheme, path)) => format!("{scheme}://{}", path.trim_end_matches('/')),
        None => prefix,
    }
}

pub(super) fn undo(source: &Source) -> Result<Undo, Error> {
    Ok(Undo {
        keep_staged: source.duration_or("graveler.undo.keep_staged", DAY)?,
        keep_reflog: source.duration_or("graveler.undo.keep_reflog", 90 * DAY)?,
    })
}

pub(super) fn committed(source: &Source) -> Result<Committed, Error> {
    let max_range_size_bytes = source.number_or(
        "committed.permanent.max_range_size_bytes",
        20 * MIB,
        1..=1024 * MIB,
    )?;
    let prefix = source.text_or("committed.block_storage_prefix", "_lakefs")?;
    if prefix.is_empty() || prefix.contains("..") || prefix.starts_with('/') {
        return Err(source.unusable(
            "committed.block_storage_prefix",
            "must be a plain folder name, such as _lakefs",
        ));
    }
    Ok(Committed {
        block_storage_prefix: prefix,
        min_range_size_bytes: source.number_or(
            "committed.permanent.min_range_size_bytes",
            0,
            0..=max_range_size_bytes,
        )?,
        max_range_size_bytes,
        range_raggedness_entries: source.number_or(
            "committed.permanent.range_raggedness_entries",
            50_000.0,
            1.0..=1e12,
        )?,
        sstable_cache_bytes: source.number_or(
            "committed.sstable.memory.cache_size_bytes",
            256 * MIB,
            MIB..=1024 * 1024 * MIB,
        )?,
        commit_cache_entries: source.number_or(
            "graveler.commit_cache.size",
            50_000,
            0..=100_000_000,
        )?,
    })
}
