//! Tests specific to PostgreSQL: the tables, the connection string, batching, cancelled transactions.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use base::{IdGenerator as _, SystemClock, SystemIds};
use bytes::Bytes;
use kv::{Error, PostgresOptions, PostgresStore, Store as _, conformance};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::net::{TcpListener, TcpStream};

/// A table for one test, dropped by [`Table::drop`].
struct Table {
    server: String,
    name: String,
}

impl Table {
    /// Returns `None` and prints a message if no server is configured.
    fn new() -> Option<Self> {
        let Ok(server) = std::env::var("WEIR_TEST_POSTGRES") else {
            eprintln!("skipped: WEIR_TEST_POSTGRES is not set");
            return None;
        };
        let name = format!("kv_test_{}", SystemIds::new(Arc::new(SystemClock)).xid());
        Some(Self { server, name })
    }

    fn options(&self) -> PostgresOptions {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        PostgresOptions {
            connection_string: format!("{}{separator}lakefskv_table={}", self.server, self.name),
            max_open_connections: 10,
            max_idle_connections: 10,
            connection_max_lifetime: Duration::from_secs(300),
            scan_page_size: 1000,
        }
    }

    async fn connection(&self) -> sqlx::PgConnection {
        self.server
            .parse::<PgConnectOptions>()
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    async fn drop(self) {
        let sql = format!("DROP TABLE {} CASCADE", self.name);
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.connection().await)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_store_conforms() {
    let Some(table) = Table::new() else {
        return;
    };
    let store = PostgresStore::connect(table.options()).await.unwrap();
    conformance::run_all(Arc::new(store)).await;
    table.drop().await;
}

/// Small pages make a scan read several pages; a single connection makes requests wait for the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_store_with_one_connection_and_small_pages_conforms() {
    let Some(table) = Table::new() else {
        return;
    };
    let options = PostgresOptions {
        max_open_connections: 1,
        max_idle_connections: 0,
        scan_page_size: 7,
        ..table.options()
    };
    let store = PostgresStore::connect(options).await.unwrap();
    conformance::run_all(Arc::new(store)).await;
    table.drop().await;
}

/// Counts transactions by `xmin`, the number of the transaction that wrote a row.
#[tokio::test]
async fn concurrent_writes_share_transactions() {
    let Some(table) = Table::new() else {
        return;
    };
    let store = PostgresStore::connect(table.options()).await.unwrap();
    let (store, writes) = (&store, 200);
    let concurrent = (0..writes).map(|n| async move {
        let key = format!("k{n:03}");
        let value = Bytes::from_static(b"v");
        store.set(b"group", key.as_bytes(), value).await.unwrap();
    });
    futures::future::join_all(concurrent).await;
    let sql = format!(
        "SELECT count(*), count(DISTINCT xmin::text) FROM {}",
        table.name
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut table.connection().await)
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>(0), writes);
    let shared = row.get::<i64, _>(1);
    assert!(shared <= 20, "{writes} writes took {shared} transactions");
    table.drop().await;
}

/// Several servers may start at the same time with an empty database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_together_create_the_tables_once() {
    let Some(table) = Table::new() else {
        return;
    };
    let starts = (0..4).map(|_| tokio::spawn(PostgresStore::connect(table.options())));
    let mut stores = Vec::new();
    for start in starts {
        stores.push(start.await.unwrap().unwrap());
    }
    stores[0]
        .set(b"p", b"k\0", Bytes::from_static(b"v"))
        .await
        .unwrap();
    assert_eq!(
        stores[3].get(b"p", b"k\0").await.unwrap().unwrap().value,
        "v"
    );

    let name = &table.name;
    let mut connection = table.connection().await;
    let sql = format!(
        "SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = '{name}'::regclass),
                pg_get_partkeydef('{name}'::regclass),
                (SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = '{name}_99'::regclass),
                (SELECT string_agg(partition_key || ' ' || key, ',') FROM {name}_v)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>(0), 100);
    assert_eq!(row.get::<String, _>(1), "HASH (partition_key)");
    assert_eq!(
        row.get::<String, _>(2),
        "FOR VALUES WITH (modulus 100, remainder 99)"
    );
    assert_eq!(
        row.get::<String, _>(3),
        r"p k\000",
        "the view is human-readable"
    );
    table.drop().await;
}

/// A restart of the database server breaks all connections. Reads are retried on new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_survive_broken_connections() {
    let Some(table) = Table::new() else {
        return;
    };
    let options = table.options();
    let marked = format!(
        "{}&application_name={}",
        options.connection_string, table.name
    );
    let store = PostgresStore::connect(PostgresOptions {
        connection_string: marked,
        ..options
    })
    .await
    .unwrap();
    store
        .set(b"p", b"k", Bytes::from_static(b"v"))
        .await
        .unwrap();
    let mut connection = table.connection().await;
    for _ in 0..5 {
        store.get(b"p", b"k").await.unwrap();
        let killed = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        )
        .bind(&table.name)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert!(!killed.is_empty(), "a connection was terminated");
        assert_eq!(store.get(b"p", b"k").await.unwrap().unwrap().value, "v");
    }
    store.close().await;
    table.drop().await;
}

#[tokio::test]
async fn error_for_an_unreachable_server_hides_the_password() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = PostgresOptions {
        connection_string: format!("postgres://weir:hunter2@127.0.0.1:{port}/lake"),
        max_open_connections: 1,
        max_idle_connections: 1,
        connection_max_lifetime: Duration::from_secs(1),
        scan_page_size: 1,
    };
    assert!(!format!("{options:?}").contains("hunter2"));
    let error = PostgresStore::connect(options).await.unwrap_err();
    let message = format!("{error} {error:?}");
    assert!(matches!(error, Error::Open { .. }), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    for word in [
        &port.to_string(),
        "database lake",
        "user weir",
        "check that the server is running",
    ] {
        assert!(message.contains(word), "{word} is missing in {message}");
    }
}

#[tokio::test]
async fn error_for_an_unknown_database_says_so() {
    let Some(table) = Table::new() else {
        return;
    };
    let options = table.options();
    let elsewhere = format!("{}&dbname=no_such_database", options.connection_string);
    let error = PostgresStore::connect(PostgresOptions {
        connection_string: elsewhere,
        ..options
    })
    .await
    .unwrap_err();
    assert!(
        error.to_string().contains("the database does not exist"),
        "{error}"
    );
}

/// Polls a future up to `polls` times and drops it if it has not finished by then.
async fn cancel_after<T>(polls: usize, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match call.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Starts a proxy to the server. Its replies never arrive immediately, because they pass through a task of
/// this runtime.
async fn slow_server(server: &str) -> String {
    let options: PgConnectOptions = server.parse().unwrap();
    let address = format!("{}:{}", options.get_host(), options.get_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = server.replace(&address, &listener.local_addr().unwrap().to_string());
    assert_ne!(slow, server, "the connection string names host and port");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move {
                let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    slow
}

/// Regression test: if the caller was cancelled during BEGIN, the pool reused the connection with the open
/// transaction. The next write on it was acknowledged, but invisible to others and lost when the connection closed.
#[tokio::test]
async fn cancelled_transaction_does_not_stay_open() {
    let Some(table) = Table::new() else { return };
    let other = PostgresStore::connect(table.options()).await.unwrap();
    let slow = Table {
        server: slow_server(&table.server).await,
        name: table.name.clone(),
    };
    let options = PostgresOptions {
        max_open_connections: 1,
        max_idle_connections: 1,
        ..slow.options()
    };
    let store = PostgresStore::connect(options).await.unwrap();
    for polls in 1.. {
        // Make sure that the pool has an idle connection.
        let alone = store.set(b"alone", b"before", Bytes::new()).await;
        alone.unwrap();
        let ops = ["a", "b"].map(|key| kv::Op::Set {
            partition: Bytes::from_static(b"batch"),
            key: Bytes::from(format!("{polls}/{key}")),
            value: Bytes::new(),
            predicate: Some(kv::Predicate::Absent),
        });
        let ended = cancel_after(polls, store.batch(ops.to_vec())).await;
        let key = polls.to_string();
        let alone = store.set(b"alone", key.as_bytes(), Bytes::new()).await;
        alone.unwrap();
        let seen = other.get(b"alone", key.as_bytes()).await.unwrap();
        assert!(seen.is_some(), "cancelled at poll {polls}");
        if let Some(done) = ended {
            done.unwrap();
            assert!(polls > 3, "the batch takes several round trips");
            break;
        }
    }
    store.close().await;
    other.close().await;
    table.drop().await;
}
