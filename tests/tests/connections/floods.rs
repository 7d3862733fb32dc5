//! Clients that send cheap data without end, and requests whose request line or headers are too
//! large.
//!
//! The server must recognize each flood and stop it before any deadline. Only floods of frames that
//! legitimate connections also send may last until a deadline. Another client is served meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use system_tests::TestServer;

use super::raw::{Flooded, Raw, field, frame, get, http2_get, http2_start};
use super::{NEVER, SHORT};

/// Settings without effective deadlines.
const PATIENT: &[(&str, &str)] = &[
    ("WEIR_HTTP_FIRST_BYTE_TIMEOUT", NEVER),
    ("WEIR_HTTP_HEADERS_TIMEOUT", NEVER),
    ("WEIR_HTTP_BODY_TIMEOUT", NEVER),
    ("WEIR_HTTP_RESPONSE_TIMEOUT", NEVER),
    ("WEIR_HTTP_IDLE_TIMEOUT", NEVER),
];
/// HTTP/2 frame types.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Flag of a request without a body.
const END_STREAM: u8 = 1;
/// Error code with which a client cancels a stream.
const CANCEL: u32 = 8;

/// Runs a flood while another client requests `/_health`.
fn with_concurrent_client(server: &TestServer, flood: impl FnOnce() -> Flooded) -> Flooded {
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut requests = 0;
            while !has_ended.load(Ordering::Relaxed) || requests == 0 {
                assert_eq!(get(server, "/_health").0, 200);
                requests += 1;
            }
        });
        let flooded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(flood));
        has_ended.store(true, Ordering::Relaxed);
        client.join().unwrap();
        flooded.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Streams that are opened and reset immediately. The server does the work although no stream is
/// open at any time.
#[test]
fn rapid_reset_ends_the_connection() {
    let server = TestServer::start_with_extra_settings(PATIENT);
    let flooded = with_concurrent_client(&server, || {
        let mut stream = 1;
        Raw::with(&server, http2_start()).flood(true, || {
            let mut piece = Vec::new();
            for _ in 0..200 {
                piece.extend(http2_get(stream, "/api/v1/repositories", "none"));
                piece.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
                stream += 2;
            }
            piece
        })
    });
    assert!(flooded.sent > 0);
    assert_eq!(get(&server, "/_health").0, 200);
}

/// Endless header blocks: of empty frames, small frames, and frames full of fields.
#[test]
fn endless_http2_headers_end_the_connection() {
    let server = TestServer::start_with_extra_settings(PATIENT);
    let fields: Vec<u8> = (0..300)
        .flat_map(|n| field(&format!("x-{n}"), "0123456789012345678901234567890"))
        .collect();
    for (name, payload) in [
        ("empty", Vec::new()),
        ("small", field("x", "y")),
        ("full", fields),
    ] {
        let flooded = with_concurrent_client(&server, || {
            let start = [
                http2_start(),
                frame(HEADERS, END_STREAM, 1, &field(":method", "GET")),
            ];
            Raw::with(&server, start.concat()).flood(true, || {
                let one = frame(CONTINUATION, 0, 1, &payload);
                one.repeat((16 << 10) / one.len())
            })
        });
        // Network buffers hold much more than the server reads.
        assert!(flooded.sent < 64 << 20, "{name}: {}", flooded.sent);
    }
    assert_eq!(get(&server, "/_health").0, 200);
}

/// Frames that require a response. The client either reads the responses or ignores them.
#[test]
fn control_frame_floods_end_by_a_deadline() {
    let server = TestServer::start_with_extra_settings(SHORT);
    for (name, one) in [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("empty settings", frame(SETTINGS, 0, 0, b"")),
        ("pings", frame(PING, 0, 0, &[7; 8])),
    ] {
        for reads in [true, false] {
            let flooded = with_concurrent_client(&server, || {
                let piece = one.repeat(500);
                Raw::with(&server, http2_start()).flood(reads, || piece.clone())
            });
            assert!(flooded.sent > 0, "{name}, reads: {reads}");
        }
    }
    assert_eq!(get(&server, "/_health").0, 200);
}

#[test]
fn overlong_request_line_gets_a_response() {
    let server = TestServer::start_with_extra_settings(PATIENT);
    let ask = |target: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Raw::open(&server).send_and_rest(request.as_bytes())
    };
    let long = ask(&format!("/_health?{}", "a".repeat(60_000)));
    assert!(
        long.starts_with("HTTP/1.1 200"),
        "{}",
        &long[..long.len().min(500)]
    );
    let too_long = ask(&format!("/_health?{}", "a".repeat(70_000)));
    assert!(too_long.starts_with("HTTP/1.1 414"), "{too_long}");
    let many_parameters = ask(&format!("/_health?{}", "a&".repeat(2_000)));
    assert!(
        many_parameters.starts_with("HTTP/1.1 414"),
        "{many_parameters}"
    );
    // An endless request line is rejected before all of it has arrived.
    let flooded = with_concurrent_client(&server, || {
        Raw::with(&server, "GET /_health?").flood(true, || vec![b'a'; 16 << 10])
    });
    let response = String::from_utf8_lossy(&flooded.response).into_owned();
    assert!(
        response.starts_with("HTTP/1.1 414") || response.starts_with("HTTP/1.1 431"),
        "{response}"
    );
}

#[test]
fn oversized_headers_get_a_response() {
    let server = TestServer::start_with_extra_settings(PATIENT);
    let ask = |headers: &str| {
        let request = format!(
            "GET /_health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        );
        Raw::open(&server).send_and_rest(request.as_bytes())
    };
    let large = ask(&format!("x-a: {}\r\n", "a".repeat(100 << 10)));
    assert!(large.starts_with("HTTP/1.1 200"), "{large}");
    for (name, headers) in [
        ("one", format!("x-a: {}\r\n", "a".repeat(140 << 10))),
        (
            "some",
            format!("x-a: {}\r\n", "a".repeat(2 << 10)).repeat(70),
        ),
        ("many", "x: y\r\n".repeat(5_000)),
    ] {
        let answer = ask(&headers);
        assert!(answer.starts_with("HTTP/1.1 431"), "{name}: {answer}");
    }
    let flooded = with_concurrent_client(&server, || {
        let start = "GET /_health HTTP/1.1\r\nHost: localhost\r\n";
        Raw::with(&server, start).flood(true, || b"x-a: 0123456789\r\n".repeat(500))
    });
    let response = String::from_utf8_lossy(&flooded.response).into_owned();
    assert!(response.starts_with("HTTP/1.1 431"), "{response}");
    assert_eq!(get(&server, "/_health").0, 200);
}
