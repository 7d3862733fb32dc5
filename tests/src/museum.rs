//! The lakeFS installation in `compat/museum`, opened by Weir with either database.
//!
//! Each [`Museum`] is a separate copy. The PostgreSQL dump is restored with PostgreSQL's client, as
//! an operator would do it; for SQLite its rows are imported.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use kv::{Op, SqliteOptions, SqliteStore, Store as _};

use crate::environment::{here, required};
use crate::server::{Backend, TestServer};

/// The keys of the administrator that lakeFS created.
const KEYS: (&str, &str) = (
    "AKIAIOSFDNN7EXAMPLEQ",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
);
/// The key with which lakeFS encrypted secrets.
const ENCRYPTION_SECRET: &str = "some_random_secret";
/// Maximum number of rows read from one partition. No partition of the museum has more.
const PARTITION_ROWS: usize = 10_000;

/// Records by partition and key.
pub type Records = BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>;

/// A server on a copy of lakeFS's installation.
#[derive(Debug)]
pub struct Museum {
    pub server: TestServer,
    database: Database,
}

#[derive(Debug)]
enum Database {
    Sqlite(PathBuf),
    /// The connection string.
    Postgres(String),
}

impl Museum {
    /// Copies the installation and starts a server on it.
    ///
    /// # Panics
    /// If the installation cannot be copied, or the server does not start.
    #[must_use]
    pub fn open(backend: Backend) -> Self {
        let mut database = None;
        let server = TestServer::start_prepared(KEYS, |dir| {
            let blocks = dir.join("blocks");
            unpack(&blocks);
            let copied = match backend {
                Backend::Sqlite => Database::import(dir.join("museum.db")),
                Backend::Postgres => Database::restore(),
            };
            let mut settings = copied.settings();
            database = Some(copied);
            let blocks = blocks
                .to_str()
                .expect("the path of a temporary folder is not UTF-8");
            settings.extend([
                ("WEIR_BLOCKSTORE_LOCAL_PATH", blocks.to_owned()),
                ("WEIR_AUTH_ENCRYPT_SECRET_KEY", ENCRYPTION_SECRET.to_owned()),
            ]);
            settings
        });
        Self {
            server,
            database: database.expect("the server has no database"),
        }
    }

    /// Returns the current records of the partitions that lakeFS wrote. The server may be running.
    ///
    /// # Panics
    /// If the database cannot be read.
    #[must_use]
    pub fn records(&self) -> Records {
        match &self.database {
            Database::Postgres(at) => {
                let copy = "COPY (SELECT partition_key, key, value FROM kv) TO STDOUT";
                parse_copied(&psql(at, &["--command", copy]))
            }
            Database::Sqlite(path) => block_on(scan(path.clone())),
        }
    }

    /// Returns the records as lakeFS left them.
    ///
    /// # Panics
    /// If the dump cannot be read.
    #[must_use]
    pub fn records_of_lakefs() -> Records {
        let dump =
            std::fs::read_to_string(file("kv.sql")).expect("failed to read the museum's dump");
        let records = parse_copied(&dump);
        assert!(!records.is_empty(), "the dump has no rows");
        records
    }
}

impl Database {
    fn import(path: PathBuf) -> Self {
        let set = |((partition, key), value): ((Vec<u8>, Vec<u8>), Vec<u8>)| Op::Set {
            partition: partition.into(),
            key: key.into(),
            value: value.into(),
            predicate: None,
        };
        let rows: Vec<Op> = Museum::records_of_lakefs().into_iter().map(set).collect();
        let file = path.clone();
        block_on(async move {
            let store = open_sqlite(file).await;
            store.batch(rows).await.expect("failed to import the rows");
            store.close().await;
        });
        Self::Sqlite(path)
    }

    fn restore() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let given = required("WEIR_TEST_POSTGRES");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("museum_{}_{number}", std::process::id());
        psql(&given, &["--command", &format!("CREATE DATABASE {name}")]);
        let (server, parameters) = given.split_once('?').unwrap_or((&given, ""));
        let (server, _) = server
            .rsplit_once('/')
            .expect("the connection string has no database");
        let own = format!("{server}/{name}?{parameters}");
        let own = own.trim_end_matches('?').to_owned();
        let dump = file("kv.sql");
        psql(
            &own,
            &["--file", dump.to_str().expect("the path is not UTF-8")],
        );
        Self::Postgres(own)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Sqlite(path) => vec![
                ("WEIR_DATABASE_TYPE", "sqlite".to_owned()),
                ("WEIR_DATABASE_SQLITE_PATH", path.display().to_string()),
            ],
            Self::Postgres(at) => vec![
                ("WEIR_DATABASE_TYPE", "postgres".to_owned()),
                ("WEIR_DATABASE_POSTGRES_CONNECTION_STRING", at.clone()),
            ],
        }
    }
}

fn file(name: &str) -> PathBuf {
    here().join("compat/museum").join(name)
}

fn unpack(into: &Path) {
    std::fs::create_dir_all(into).expect("failed to create the server's folder");
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(file("objects.tar.gz"))
        .arg("-C")
        .arg(into)
        .status();
    assert!(
        unpacked.expect("failed to run tar").success(),
        "failed to unpack the museum's objects"
    );
}

/// Runs PostgreSQL's client and returns its output. Stops at the first error.
fn psql(at: &str, arguments: &[&str]) -> String {
    let output = Command::new(required("WEIR_TEST_PSQL"))
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
        .args(arguments)
        .arg(at)
        .output()
        .expect("failed to start psql");
    assert!(output.status.success(), "psql {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("the output of psql is not UTF-8")
}

/// Parses the rows of `COPY`'s text format: three hexadecimal columns. Skips all other lines.
fn parse_copied(text: &str) -> Records {
    let column = |hex: &str| -> Vec<u8> {
        let digits = hex
            .strip_prefix("\\\\x")
            .expect("a column is not hexadecimal");
        let byte =
            |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("a column is not hexadecimal");
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    text.lines()
        .filter(|line| line.starts_with("\\\\x"))
        .map(|line| {
            let columns: Vec<_> = line.split('\t').map(column).collect();
            let [partition, key, value] =
                <[Vec<u8>; 3]>::try_from(columns).expect("a row does not have three columns");
            ((partition, key), value)
        })
        .collect()
}

async fn open_sqlite(path: PathBuf) -> SqliteStore {
    let options = SqliteOptions {
        path,
        sync_writes: false,
        max_readers: 1,
    };
    SqliteStore::open(options)
        .await
        .expect("failed to open the database file")
}

async fn scan(path: PathBuf) -> Records {
    let store = open_sqlite(path).await;
    let mut found = Records::new();
    let mut partitions: Vec<_> = Museum::records_of_lakefs()
        .into_keys()
        .map(|(partition, _)| partition)
        .collect();
    partitions.dedup();
    for partition in partitions {
        let entries = kv::first_entries(&store, &partition, b"", PARTITION_ROWS).await;
        let entries = entries.expect("failed to read the database file");
        found.extend(
            entries
                .into_iter()
                .map(|e| ((partition.clone(), e.key.to_vec()), e.value.to_vec())),
        );
    }
    store.close().await;
    found
}

/// Runs a future to completion on a separate thread, so that asynchronous callers can use it too.
fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("failed to create a runtime")
            .block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join()).expect("the work panicked")
}
