//! Connections that are idle, slow or too many: each is closed, and other clients are served
//! meanwhile.
//!
//! The server's deadlines are short and the tests' timeouts are long, so that a loaded machine
//! makes the tests slower but does not change their results.

mod anonymous;
mod floods;
mod raw;

use std::io::Write as _;
use std::time::Duration;

use system_tests::{ADMIN, MAIN, TestServer};

use raw::{PATIENCE, Raw, frame, get, http2_get, http2_start, metric, until};

/// Settings with short deadlines.
const SHORT: &[(&str, &str)] = &[
    ("WEIR_HTTP_FIRST_BYTE_TIMEOUT", "2s"),
    ("WEIR_HTTP_HEADERS_TIMEOUT", "2s"),
    ("WEIR_HTTP_BODY_TIMEOUT", "2s"),
    ("WEIR_HTTP_RESPONSE_TIMEOUT", "2s"),
    ("WEIR_HTTP_IDLE_TIMEOUT", "3s"),
    ("WEIR_HTTP_MIN_BYTES_PER_SECOND", "1000000"),
];

/// Longer than any test, so that the deadline never applies.
const NEVER: &str = "1h";

/// A request that stays in flight because its body never arrives.
const HALF_A_BODY: &str = "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n\
     Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"access";

fn login(server: &TestServer) -> String {
    let body = format!(
        "{{\"access_key_id\": \"{}\", \"secret_access_key\": \"{}\"}}",
        ADMIN.1, ADMIN.2
    );
    let mut raw = Raw::with(
        server,
        format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    let (status, text) = raw.answer();
    assert_eq!(status, 200, "{text}");
    let (_, rest) = text.split_once("\"token\":\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn connections_without_a_complete_request_are_closed() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let silent = [
        ("nothing", b"".to_vec(), "no_byte"),
        ("half a request line", b"GET /_he".to_vec(), "slow_headers"),
        (
            "half the headers",
            b"GET /_health HTTP/1.1\r\nHost: localhost\r\nX-A".to_vec(),
            "slow_headers",
        ),
        (
            "half a preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\n".to_vec(),
            "slow_headers",
        ),
        (
            "a preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            "slow_headers",
        ),
        (
            "preface and settings of HTTP/2",
            http2_start(),
            "slow_headers",
        ),
        (
            "half the headers of HTTP/2",
            [http2_start(), frame(1, 0, 1, &[0x82])].concat(),
            "slow_headers",
        ),
    ];
    for (name, bytes, reason) in silent {
        let reason = format!("http_connections_closed_total{{reason=\"{reason}\"}}");
        let before = metric(&server, &reason);
        Raw::with(&server, bytes).rest();
        assert!(metric(&server, &reason) > before, "{name}");
    }
}

/// A client that sends a header line from time to time would otherwise never be done.
#[test]
fn trickling_headers_are_refused() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let mut slow = Raw::with(&server, "GET /_health HTTP/1.1\r\nHost: localhost\r\n");
    let response = slow.trickle(b"X-A: b\r\n", Duration::from_millis(100));
    assert_eq!(String::from_utf8_lossy(&response), "");
}

#[test]
fn idle_connections_are_closed_after_a_while() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let mut idle = Raw::open(&server);
    assert_eq!(idle.ask("/_health").0, 200);
    assert!(idle.rest().is_empty());
    let mut idle = Raw::with(
        &server,
        [http2_start(), http2_get(1, "/_health", "")].concat(),
    );
    idle.live_until_ended();
    assert_eq!(get(&server, "/_health").0, 200);
}

#[test]
fn stalled_body_without_credentials_is_refused() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let answer = String::from_utf8(Raw::with(&server, HALF_A_BODY).rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("send the request again"), "{answer}");
}

/// The head of an upload to the repository `slow`, and the start of its body.
fn upload(token: &str, kind: &str, body: &str) -> String {
    format!(
        "POST /api/v1/repositories/slow/branches/main/objects?path=a HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n{body}"
    )
}

#[test]
fn stalled_uploads_are_refused_and_store_nothing() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let repo = block_on(server.repo("slow"));
    let token = login(&server);
    let form = "--B\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nhalf";
    let before_content = "--B\r\nContent-Disposition: form-data; name=\"no";
    for (kind, body) in [
        ("text/plain", "half"),
        ("multipart/form-data; boundary=B", form),
        ("multipart/form-data; boundary=B", before_content),
    ] {
        let answer = Raw::with(&server, upload(&token, kind, body)).rest();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{kind}: {answer}");
    }
    assert_eq!(block_on(repo.get(MAIN, "a")).unwrap(), None);
}

#[test]
fn trickling_upload_is_refused_and_stores_nothing() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let repo = block_on(server.repo("slow"));
    let token = login(&server);
    let mut slow = Raw::with(&server, upload(&token, "text/plain", ""));
    slow.trickle(b"x", Duration::from_millis(100));
    assert_eq!(block_on(repo.get(MAIN, "a")).unwrap(), None);
}

/// With a plain body, and with a chunked one.
#[test]
fn stalled_uploads_of_s3_are_refused_and_store_nothing() {
    let server = TestServer::start_with_extra_settings(SHORT);
    let repo = block_on(server.repo("slow"));
    let printed = server.python("clients/slow_s3.py", &["slow"]);
    assert_eq!(
        printed.matches("400 RequestTimeout").count(),
        2,
        "{printed}"
    );
    assert_eq!(block_on(repo.get(MAIN, "s3")).unwrap(), None);
}

#[test]
fn responses_that_are_not_read_are_aborted() {
    let mut settings = SHORT.to_vec();
    settings.push(("WEIR_HTTP_BODY_TIMEOUT", NEVER));
    let server = TestServer::start_with_extra_settings(&settings);
    let repo = block_on(server.repo("slow"));
    let size = 48 << 20;
    block_on(repo.put(MAIN, "large", vec![b'x'; size])).unwrap();
    let token = login(&server);
    let path = "/api/v1/repositories/slow/refs/main/objects?path=large";
    let slow_readers = || {
        metric(
            &server,
            "http_connections_closed_total{reason=\"slow_reader\"}",
        )
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    // A client that reads gets the complete response.
    let whole = Raw::with(&server, &request).rest();
    assert!(whole.len() > size);
    let mut raw = Raw::with(&server, &request);
    until("HTTP/1 is cut off", || slow_readers() == 1);
    assert!(raw.rest().len() < size, "the response must be incomplete");

    // The client never extends the stream's window, but responds to pings all the time.
    let mut raw = Raw::with(
        &server,
        [http2_start(), http2_get(1, path, &token)].concat(),
    );
    let taken = raw.live_until_ended();
    assert!(taken > 0 && taken < size, "{taken}");
    assert_eq!(slow_readers(), 2);
}

#[test]
fn idle_connection_outlives_request_deadlines() {
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("WEIR_HTTP_IDLE_TIMEOUT", NEVER),
        ("WEIR_HTTP_HTTP2_PING_INTERVAL", "1s"),
        ("WEIR_HTTP_HTTP2_PING_TIMEOUT", "1s"),
    ]);
    let server = TestServer::start_with_extra_settings(&settings);
    let mut raw = Raw::open(&server);
    let mut http2 = Raw::with(
        &server,
        [http2_start(), http2_get(1, "/_health", "")].concat(),
    );
    for _ in 0..2 {
        assert_eq!(raw.ask("/_health").0, 200);
        // Longer than all of these deadlines.
        std::thread::sleep(Duration::from_secs(3));
    }
    assert_eq!(raw.ask("/_health").0, 200);
    // An HTTP/2 client that does not respond to pings is disconnected, regardless of the idle
    // timeout.
    http2.rest();
}

/// Opens connections with a request in flight each: the server waits for the bodies.
fn busy(server: &TestServer, connections: usize) -> Vec<Raw> {
    let asks_first = HALF_A_BODY
        .split_once("{")
        .map(|(head, _)| head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"))
        .unwrap();
    (0..connections)
        .map(|_| {
            let mut raw = Raw::with(server, &asks_first);
            assert_eq!(raw.answer().0, 100);
            raw
        })
        .collect()
}

#[test]
fn full_server_still_answers_health_checks() {
    let server = TestServer::start_with_extra_settings(&[
        ("WEIR_HTTP_MAX_CONNECTIONS", "20"),
        ("WEIR_HTTP_BODY_TIMEOUT", NEVER),
    ]);
    let held = busy(&server, 20);
    let (status, text) = get(&server, "/_health");
    assert!(status == 200 && text.contains("alive!"), "{text}");
    let (status, text) = get(&server, "/metrics");
    assert!(
        status == 200 && text.contains("http_connections_open 20"),
        "{text}"
    );
    let (status, text) = get(&server, "/api/v1/repositories");
    let text = text.to_ascii_lowercase();
    assert!(
        status == 503 && text.contains("retry-after: 2") && text.contains("connection: close"),
        "{text}"
    );
    // Clients that send nothing occupy the reserved slots only for seconds.
    let silent: Vec<_> = (0..200).map(|_| Raw::open(&server)).collect();
    until("a slot for /_health", || {
        get_if_open(&server, "/_health") == Some(200)
    });
    drop((held, silent));
    until("the server has room again", || {
        get_if_open(&server, "/api/v1/healthcheck") == Some(204)
    });
}

/// Sends a request on a connection that may be refused.
fn get_if_open(server: &TestServer, path: &str) -> Option<u16> {
    let mut stream = std::net::TcpStream::connect(server.address()).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
    text.get(9..12)?.parse().ok()
}

#[test]
fn idle_connections_are_evicted_for_new_ones() {
    let server = TestServer::start_with_extra_settings(&[
        ("WEIR_HTTP_MAX_CONNECTIONS", "20"),
        ("WEIR_HTTP_BODY_TIMEOUT", NEVER),
        ("WEIR_HTTP_IDLE_TIMEOUT", NEVER),
        ("WEIR_HTTP_FIRST_BYTE_TIMEOUT", NEVER),
        ("WEIR_HTTP_HEADERS_TIMEOUT", NEVER),
    ]);
    // Connections as a slow attack holds them: silent, with an incomplete request, and idle. They
    // are accepted in order of arrival, so the first has been idle for longest.
    let mut first = Raw::open(&server);
    let mut idle = Raw::open(&server);
    assert_eq!(idle.ask("/_health").0, 200);
    let mut held: Vec<_> = (0..18)
        .map(|n| Raw::with(&server, if n % 2 == 0 { "" } else { "GET /_he" }))
        .collect();
    let mut last = None;
    // Only connections that were idle for a second are evicted.
    until("a slot by eviction", || {
        let mut raw = Raw::open(&server);
        let is_served = raw.ask("/api/v1/healthcheck").0 == 204;
        last = Some(raw);
        is_served
    });
    assert!(
        first.rest().is_empty(),
        "the longest idle connection must be evicted"
    );
    held.push(idle);
    let closed = held
        .iter_mut()
        .filter_map(|raw| raw.is_closed().then_some(()));
    assert_eq!(closed.count(), 0, "no other connection may be evicted");
    assert_eq!(
        last.unwrap().ask("/_health").0,
        200,
        "the new connection must stay open"
    );
}

#[test]
fn connections_per_address_are_limited() {
    let server = TestServer::start_with_extra_settings(&[
        ("WEIR_HTTP_MAX_CONNECTIONS", "1000"),
        ("WEIR_HTTP_MAX_CONNECTIONS_PER_ADDRESS", "10"),
        ("WEIR_HTTP_UNCAPPED_ADDRESSES", "192.0.2.0/24"),
        ("WEIR_HTTP_BODY_TIMEOUT", NEVER),
    ]);
    let held = busy(&server, 10);
    assert_eq!(get(&server, "/_health").0, 200);
    assert_eq!(get(&server, "/api/v1/healthcheck").0, 503);
    drop(held);
    until("the address has a free slot again", || {
        get_if_open(&server, "/api/v1/healthcheck") == Some(204)
    });
}

#[test]
fn silent_connections_do_not_block_other_clients() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let server = TestServer::start_with_extra_settings(&[
        ("WEIR_HTTP_MAX_CONNECTIONS", "4000"),
        ("WEIR_HTTP_FIRST_BYTE_TIMEOUT", NEVER),
    ]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits
        .lines()
        .find(|l| l.starts_with("Max open files"))
        .unwrap();
    let fields: Vec<_> = files.split_whitespace().collect();
    assert_eq!(
        fields[3], fields[4],
        "the limit of open files must be raised: {files}"
    );
    // More connections than slots.
    let silent: Vec<_> = (0..5000).map(|_| Raw::open(&server)).collect();
    // They can be evicted after a second.
    until("others are served", || {
        get_if_open(&server, "/api/v1/healthcheck") == Some(204)
    });
    for _ in 0..20 {
        assert_eq!(get(&server, "/_health").0, 200);
        assert_eq!(get(&server, "/api/v1/healthcheck").0, 204);
    }
    assert!(metric(&server, "http_connections_open") <= 4000);
    drop(silent);
}

/// Returns the current memory, and a function that returns the peak since the call, both in MiB.
fn peak_since(server: &TestServer) -> (u64, impl FnOnce() -> u64) {
    let pid = server.pid();
    let read = move |field: &str| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib >> 10
    };
    // Resets the peak to the current value.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    (read("VmRSS"), move || read("VmHWM"))
}

#[test]
fn memory_of_json_bodies_is_bounded() {
    let server = TestServer::start_with_extra_settings(&[]);
    let token = login(&server);
    // Five million numbers would take 160 MiB if they were all decoded.
    let numbers = format!("[{}0]", "0,".repeat((10 << 20) / 2 - 2));
    let (before, peak) = peak_since(&server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let head = format!(
                    "POST /api/v1/repositories HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                     Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    numbers.len()
                );
                let mut raw = Raw::with(&server, head);
                raw.send(&numbers);
                let text = String::from_utf8(raw.rest()).unwrap();
                assert!(text.starts_with("HTTP/1.1 413"), "{text}");
                assert!(text.contains("values"), "{text}");
            });
        }
    });
    let grown = peak().saturating_sub(before);
    assert!(grown < 160, "four bodies of 10 MiB took {grown} MiB");
}
