//! Startup and shutdown: error messages, graceful stop, persistence, permissions.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use client::types::LoginInformation;
use client::{Client, Credentials, SetupOptions};
use system_tests::{ADMIN, Backend, MAIN, Repo, Setup, TestServer};

/// Longer than anything in these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn startup_error_names_key_value_and_remedy() {
    let message = TestServer::refuse_to_start(&[("WEIR_DATABASE_TYPE", "oracle")]);
    assert!(
        message.contains("database.type: oracle ($WEIR_DATABASE_TYPE) is not one of `sqlite`"),
        "{message}"
    );
    // lakeFS's names of the same variables work, and Weir's take precedence.
    let message = TestServer::refuse_to_start(&[
        ("LAKEFS_LOGGING_FORMAT", "text"),
        ("LAKEFS_LOGGING_LEVEL", "loud"),
    ]);
    assert!(
        message.contains("logging.level: loud ($LAKEFS_LOGGING_LEVEL)"),
        "{message}"
    );
}

#[test]
fn startup_error_contains_no_secrets() {
    let secrets = [
        ("WEIR_DATABASE_TYPE", "postgres"),
        (
            "WEIR_DATABASE_POSTGRES_CONNECTION_STRING",
            "postgres://weir:hunter2@127.0.0.1:1/weir?no_such_parameter=1&sslmode=disable",
        ),
        ("WEIR_AUTH_ENCRYPT_SECRET_KEY", "swordfish"),
        ("WEIR_INSTALLATION_SECRET_ACCESS_KEY", "open sesame"),
        // The invalid value that prevents the start.
        ("WEIR_LOGGING_LEVEL", "loud"),
    ];
    for count in [secrets.len(), secrets.len() - 1] {
        let message = TestServer::refuse_to_start(&secrets[..count]);
        for secret in ["hunter2", "swordfish", "open sesame"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

/// Guards against a bug: a server that was stopped right after its first response was killed by the signal.
#[test]
fn server_exits_cleanly_when_it_is_stopped_during_its_start() {
    let silent_database = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "postgres://weir@{}/weir?sslmode=disable",
        silent_database.local_addr().unwrap()
    );
    let settings = [
        ("WEIR_DATABASE_TYPE", "postgres"),
        ("WEIR_DATABASE_POSTGRES_CONNECTION_STRING", url.as_str()),
    ];
    let mut connection = None;
    let (status, log) = TestServer::stop_during_start(&settings, || {
        connection = Some(silent_database.accept().unwrap());
    });
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("stopped during the start"), "{log}");
}

/// Reads the head of an HTTP message from a raw connection.
fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_server_finishes_running_requests() {
    let mut server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("lake").await;
    let login = LoginInformation {
        access_key_id: ADMIN.1.to_owned(),
        secret_access_key: ADMIN.2.to_owned(),
    };
    let token = repo.client.login(Some(&login)).await.unwrap().token;

    let mut upload = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    upload.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /api/v1/repositories/lake/branches/main/objects?path=slow HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/octet-stream\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    );
    upload.write_all(head.as_bytes()).unwrap();
    // The server sends 100 when it starts to read the body, so the request is in flight.
    assert!(read_head(&mut upload).starts_with("HTTP/1.1 100"));
    upload.write_all(b"begun").unwrap();
    server.terminate();
    let deadline = Instant::now() + PATIENCE;
    while server.accepts() {
        assert!(
            Instant::now() < deadline,
            "the server must not accept new connections"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    upload.write_all(b"done").unwrap();
    assert!(read_head(&mut upload).starts_with("HTTP/1.1 201"));
    drop(upload);
    server.wait();
    server.restart();
    let repo = Repo {
        client: server.client(),
        name: repo.name,
    };
    assert_eq!(
        repo.get(MAIN, "slow").await.unwrap().as_deref(),
        Some(&b"begundone"[..])
    );
}

#[tokio::test]
async fn setup_survives_a_restart() {
    let mut server = TestServer::start_with(Backend::Sqlite, Setup::Open);
    let nobody = Client::new(&server.url(), Credentials::None).unwrap();
    let setup = client::types::Setup {
        username: ADMIN.0.to_owned(),
        ..client::types::Setup::default()
    };
    let made = nobody
        .setup(&SetupOptions::default(), &setup)
        .await
        .unwrap();
    server.restart();
    let credentials = Credentials::Key {
        access_key_id: made.access_key_id,
        secret_access_key: made.secret_access_key.clone(),
    };
    let user = Client::new(&server.url(), credentials)
        .unwrap()
        .get_current_user()
        .await
        .unwrap();
    assert_eq!(user.user.id, ADMIN.0);
    assert_eq!(
        nobody
            .setup(&SetupOptions::default(), &setup)
            .await
            .unwrap_err()
            .status(),
        Some(409)
    );
    let log = server.log();
    assert!(!log.contains(&made.secret_access_key));
    let advice = "no administrator yet: POST /api/v1/setup_lakefs";
    assert_eq!(
        log.matches(advice).count(),
        1,
        "expected only before setup: {log}"
    );
}

#[tokio::test]
async fn metrics_and_health_need_no_credentials() {
    let server = TestServer::start(Backend::Sqlite);
    server.repo("lake").await;
    let health = reqwest::get(format!("{}/_health", server.url()))
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    let health = reqwest::get(format!("{}/api/v1/healthcheck", server.url()))
        .await
        .unwrap();
    assert_eq!(health.status(), 204);
    let metrics = reqwest::get(format!("{}/metrics", server.url()))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let samples = metrics
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    assert!(
        samples.clone().count() > 0
            && samples.clone().all(|l| l
                .rsplit_once(' ')
                .is_some_and(|(_, v)| v.parse::<f64>().is_ok())),
        "{metrics}"
    );
}

/// Other users of the machine cannot read the database and its journals, objects, keys or caches.
#[tokio::test]
async fn files_of_the_server_are_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("lake").await;
    repo.put(MAIN, "a", "1".to_owned()).await.unwrap();
    repo.commit(MAIN, "one").await.unwrap();
    let mut paths = vec![server.data()];
    let mut names = Vec::new();
    while let Some(path) = paths.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        if metadata.is_dir() {
            let below = std::fs::read_dir(&path).unwrap();
            paths.extend(below.map(|entry| entry.unwrap().path()));
        }
    }
    for name in [
        "weir.db",
        "weir.db-wal",
        "weir.db-shm",
        "secret_key",
        "objects",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}
