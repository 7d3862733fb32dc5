//! Access: the first administrator, a quickstart's keys and cross-site protection, hooks that call
//! back, webhook targets.

use std::sync::{Arc, Mutex};

use client::types::Setup as SetupBody;
use client::{Client, Credentials, SetupOptions};
use serde_json::Value;
use system_tests::{Backend, MAIN, Setup, TestServer, refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn short_secret_key_is_rejected_with_a_remedy() {
    let message = TestServer::refuse_to_start(&[("WEIR_AUTH_ENCRYPT_SECRET_KEY", "swordfish")]);
    assert!(
        message.contains(
            "auth.encrypt.secret_key has 9 bytes, but a new installation needs at least 16"
        ) && message.contains("openssl rand -hex 32")
            && !message.contains("swordfish"),
        "{message}"
    );
}

/// A caller that sends a token expects it to be checked. A wrong token is rejected even where none
/// is required.
#[tokio::test]
async fn wrong_setup_token_is_rejected_even_locally() {
    let server = TestServer::start_with(Backend::Sqlite, Setup::Open);
    let http = ::client::http_builder().build().unwrap();
    let ask = async |token: Option<&str>| {
        let mut request = http
            .post(format!("{}/api/v1/setup_lakefs", server.url()))
            .json(&serde_json::json!({"username": "ada"}));
        if let Some(token) = token {
            request = request.header("x-weir-setup-token", token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for wrong in ["not the token of the log", "x"] {
        let (status, message) = ask(Some(wrong)).await;
        assert!(
            status == 403 && message.contains("wrong setup token"),
            "{wrong:?}: {status} {message}"
        );
    }
    // The failed attempts did not create an administrator.
    assert_eq!(ask(None).await.0, 200);
    assert_eq!(ask(Some("not the token of the log")).await.0, 409);
}

/// Regression test: the first caller of a new server became its administrator, from any machine.
#[tokio::test]
async fn setup_through_a_proxy_needs_the_logged_token() {
    let server = TestServer::start_with(Backend::Sqlite, Setup::Open);
    let http = ::client::http_builder().build().unwrap();
    let ask = async |token: Option<&str>| {
        let mut request = http
            .post(format!("{}/api/v1/setup_lakefs", server.url()))
            .header("x-forwarded-for", "203.0.113.9")
            .json(&serde_json::json!({"username": "eve"}));
        if let Some(token) = token {
            request = request.header("x-weir-setup-token", token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, message) = ask(None).await;
    assert!(status == 401 && message.contains("start log"), "{message}");
    assert_eq!(ask(Some("not the token of the log")).await.0, 403);
    let log = server.log();
    let (_, token) = log.split_once("X-Weir-Setup-Token: ").unwrap();
    let token = token.split('\'').next().unwrap();
    assert!(token.len() >= 32, "{token}");
    assert_eq!(ask(Some(token)).await.0, 200);
    assert_eq!(ask(Some(token)).await.0, 409);
}

#[tokio::test]
async fn configured_setup_token_is_not_logged() {
    const TOKEN: &str = "a-token-of-the-configuration";
    let server = TestServer::start_with_settings(&[("WEIR_INSTALLATION_SETUP_TOKEN", TOKEN)]);
    let log = server.log();
    assert!(
        log.contains("installation.setup_token") && !log.contains(TOKEN),
        "{log}"
    );
    // Local callers do not need the token.
    let nobody = Client::new(&server.url(), Credentials::None).unwrap();
    let body = SetupBody {
        username: "admin".to_owned(),
        ..SetupBody::default()
    };
    nobody.setup(&SetupOptions::default(), &body).await.unwrap();
}

/// Regression test: the token was logged only as a warning, so a server that logs only errors never showed it.
#[tokio::test]
async fn setup_token_is_printed_if_the_log_has_only_errors() {
    let server = TestServer::start_with_settings(&[("WEIR_LOGGING_LEVEL", "error")]);
    let log = server.log();
    let (_, token) = log.split_once("X-Weir-Setup-Token: ").expect(&log);
    let nobody = Client::new(&server.url(), Credentials::None).unwrap();
    let body = SetupBody {
        username: "admin".to_owned(),
        ..SetupBody::default()
    };
    let token = SetupOptions {
        x_weir_setup_token: token.split('\'').next().map(str::to_owned),
    };
    nobody.setup(&token, &body).await.unwrap();
}

/// The keys in the file of a quickstart: id and secret.
fn quickstart_keys(server: &TestServer) -> (String, String) {
    let file = server.data().join("quickstart-credentials.json");
    let keys: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    (text("access_key_id"), text("secret_access_key"))
}

/// The status of a request for the user with these keys.
async fn user_status(server: &TestServer, id: &str, secret: &str) -> u16 {
    let request = ::client::http_builder()
        .build()
        .unwrap()
        .get(format!("{}/api/v1/user", server.url()));
    let answer = request.basic_auth(id, Some(secret)).send().await.unwrap();
    answer.status().as_u16()
}

/// Published keys would open every quickstart to every page and program that knows them.
#[tokio::test]
async fn quickstart_keys_are_random_and_stored_in_a_private_file() {
    let server = TestServer::start_quickstart();
    let file = server.data().join("quickstart-credentials.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let (id, secret) = quickstart_keys(&server);
    assert!(id.starts_with("AKIAJ") && secret.len() == 40, "{id}");
    assert_eq!(user_status(&server, &id, &secret).await, 200);
    let published = (
        "AKIAIOSFOLQUICKSTART",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    );
    assert_eq!(user_status(&server, published.0, published.1).await, 401);
}

#[tokio::test]
async fn quickstart_keeps_its_keys_and_prints_them_once() {
    let mut server = TestServer::start_quickstart();
    let (id, secret) = quickstart_keys(&server);
    let folder = format!("data folder: {}", server.data().display());
    assert_eq!(server.log().matches(&folder).count(), 1);
    // The log file of a test also contains the server's standard output.
    assert_eq!(server.log().matches(&secret).count(), 1);
    server.restart();
    assert_eq!(quickstart_keys(&server), (id.clone(), secret.clone()));
    assert_eq!(user_status(&server, &id, &secret).await, 200);
    assert_eq!(server.log().matches(&secret).count(), 1);
}

/// Returns status and text of the response to a request with these headers.
async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = ::client::http_builder()
        .build()
        .unwrap()
        .get(format!("{}{path}", server.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// One path of each part of the server.
const PATHS: [&str; 5] = [
    "/api/v1/config",
    "/api/v1/setup_lakefs",
    "/_health",
    "/metrics",
    "/",
];

/// DNS rebinding: a page points its domain to this machine and can then read responses as same-origin.
#[tokio::test]
async fn quickstart_rejects_other_host_names() {
    let server = TestServer::start_quickstart();
    for path in PATHS {
        let (status, message) = get(&server, path, &[("host", "rebound.example:8000")]).await;
        assert!(
            status == 403 && message.contains("host rebound.example is not this machine"),
            "{path}: {message}"
        );
    }
    let (status, _) = get(&server, "/_health", &[("host", "localhost:8000")]).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn quickstart_rejects_requests_of_other_sites() {
    let server = TestServer::start_quickstart();
    for path in PATHS {
        let (status, message) = get(&server, path, &[("sec-fetch-site", "cross-site")]).await;
        assert!(
            status == 403 && message.contains("page of another site"),
            "{path}: {message}"
        );
    }
}

/// S3 clients use the repository as host name.
#[tokio::test]
async fn quickstart_accepts_the_host_names_of_s3() {
    let server = TestServer::start_quickstart();
    let signed = [
        ("host", "lake.s3.local.lakefs.io"),
        ("authorization", "AWS4-HMAC-SHA256 x"),
    ];
    let (_, message) = get(&server, "/", &signed).await;
    assert!(!message.contains("this machine only"), "{message}");
}

/// It cannot know all of its host names.
#[tokio::test]
async fn server_that_is_no_quickstart_accepts_all_host_names() {
    let server = TestServer::start(Backend::Sqlite);
    let (status, _) = get(&server, "/_health", &[("host", "lake.example")]).await;
    assert_eq!(status, 200);
}

#[test]
fn published_keys_cause_a_warning() {
    let server = TestServer::start_with_settings(&[
        ("WEIR_INSTALLATION_USER_NAME", "quickstart"),
        ("WEIR_INSTALLATION_ACCESS_KEY_ID", "AKIAIOSFOLQUICKSTART"),
        (
            "WEIR_INSTALLATION_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
    ]);
    let log = server.log();
    assert!(
        log.contains("this installation accepts the published keys of earlier quickstarts")
            && log.contains("--data folder"),
        "{log}"
    );
}

/// Reads one request and returns its headers, with names in lowercase.
async fn read_request(stream: &mut TcpStream) -> Vec<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(end) = head {
            let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let headers: Vec<_> = text
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return headers;
            }
        }
        assert_ne!(
            stream.read_buf(&mut bytes).await.unwrap(),
            0,
            "the request is incomplete"
        );
    }
}

/// Status and text of the responses to the service's commits, in order of arrival.
type Answers = Arc<Mutex<Vec<(u16, String)>>>;

/// Starts a service that commits to the next branch (`d1`, `d2`, ...) whenever it is called, before
/// it responds. It copies the header `passed_on` from the call to the commit request, by which the
/// server recognizes nested runs.
async fn callback_service(server: &TestServer, passed_on: &'static str) -> (String, Answers) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let commits = format!("{}/api/v1/repositories/nested/branches", server.url());
    let answers = Answers::default();
    let recorded = Arc::clone(&answers);
    tokio::spawn(async move {
        for level in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (url, recorded) = (format!("{commits}/d{level}/commits"), Arc::clone(&recorded));
            tokio::spawn(async move {
                let headers = read_request(&mut stream).await;
                let header = headers
                    .into_iter()
                    .find(|(name, _)| name == passed_on)
                    .unwrap();
                let answer = ::client::http_builder()
                    .build()
                    .unwrap()
                    .post(url)
                    .basic_auth(system_tests::ADMIN.1, Some(system_tests::ADMIN.2))
                    .header(header.0, header.1)
                    .json(&serde_json::json!({"message": "by a hook", "allow_empty": true}))
                    .send()
                    .await
                    .unwrap();
                let status = answer.status().as_u16();
                let text = answer.text().await.unwrap();
                recorded.lock().unwrap().push((status, text));
                let done = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(done).await.unwrap();
            });
        }
    });
    (url, answers)
}

/// The service of the webhook makes commits that trigger the same webhook.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recursive_webhook_stops_at_depth_three() {
    for passed_on in ["x-weir-run-token", "user-agent"] {
        let server = TestServer::start(Backend::Sqlite);
        let repo = server.repo("nested").await;
        let (url, answers) = callback_service(&server, passed_on).await;
        let file = format!(
            "name: nested\non:\n  pre-commit:\n    branches: ['d*']\nhooks:\n  - id: call_back\n    type: webhook\n    properties:\n      url: {url}\n"
        );
        repo.put(MAIN, "_lakefs_actions/nested.yaml", file)
            .await
            .unwrap();
        repo.commit(MAIN, "a hook that calls back").await.unwrap();
        for level in 0..=5 {
            repo.branch(&format!("d{level}"), MAIN).await.unwrap();
        }
        repo.put("d0", "a", "b").await.unwrap();
        repo.commit("d0", "by a client").await.unwrap();
        // The deepest commit gets its response first.
        let answers = answers.lock().unwrap().clone();
        let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [412, 201, 201, 201], "{passed_on}: {answers:?}");
        assert!(
            answers[0].1.contains("hooks are nested too deep")
                && answers[0].1.contains("4 levels deep, and at most 3"),
            "{}",
            answers[0].1
        );
        // The refused commit did not move its branch. The commit of the level above it did.
        let head = repo.head(MAIN).await.unwrap();
        assert_eq!(repo.head("d4").await.unwrap(), head);
        assert_ne!(repo.head("d3").await.unwrap(), head);
    }
}

#[tokio::test]
async fn refusal_names_the_denied_webhook_target() {
    let server = TestServer::start_with_settings(&[
        ("WEIR_INSTALLATION_USER_NAME", system_tests::ADMIN.0),
        ("WEIR_INSTALLATION_ACCESS_KEY_ID", system_tests::ADMIN.1),
        ("WEIR_INSTALLATION_SECRET_ACCESS_KEY", system_tests::ADMIN.2),
        ("WEIR_ACTIONS_WEBHOOK_DENY", "127.0.0.0/8,::1"),
    ]);
    let repo = server.repo("denied").await;
    for (number, url, says) in [
        (0, "http://localhost:9/x", "actions.webhook.deny"),
        (1, "http://[fd00:ec2::23]/x", "metadata service"),
        (2, "http://168.63.129.16/x", "metadata service"),
        (3, "http://[64:ff9b::a9fe:a9fe]/x", "metadata service"),
    ] {
        let branch = format!("b{number}");
        repo.branch(&branch, MAIN).await.unwrap();
        let file = format!(
            "name: denied\non:\n  pre-commit:\nhooks:\n  - id: call\n    type: webhook\n    properties:\n      url: '{url}'\n"
        );
        repo.put(&branch, "_lakefs_actions/denied.yaml", file)
            .await
            .unwrap();
        let (status, error) = refusal(repo.commit(&branch, "denied").await);
        assert!(
            status == 412 && error.message.contains(says),
            "{url}: {}",
            error.message
        );
    }
}
