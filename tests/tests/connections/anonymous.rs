//! Request bodies of unauthenticated callers: no operation reads more than 8 KiB.
//!
//! Kernel buffers hide how much of a body was read. The tests therefore use responses: a response
//! that arrives before the client has sent the body, or all of it, did not depend on the rest.

use std::collections::BTreeSet;

use system_tests::TestServer;

use super::NEVER;
use super::raw::Raw;

const MAX_BODY_BYTES: usize = 8 << 10;
/// Maximum number of further bytes that are discarded, so that a refusal reaches its client.
const MAX_LEFTOVER_BYTES: usize = 64 << 10;

/// How a route handles a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Reads it, and rejects a larger one with status 413.
    Read,
    /// Does not read it, and responds with this status.
    Unread(u16),
}

/// All routes that need no credentials.
const ROUTES: &[(&str, &str, Body)] = &[
    ("POST", "/api/v1/setup_comm_prefs", Body::Read),
    ("POST", "/api/v1/setup_lakefs", Body::Read),
    ("POST", "/api/v1/auth/login", Body::Read),
    ("POST", "/api/v1/auth/external/principal/login", Body::Read),
    ("POST", "/api/v1/sts/login", Body::Read),
    ("GET", "/api/v1/setup_lakefs", Body::Unread(200)),
    ("GET", "/api/v1/auth/capabilities", Body::Unread(200)),
    ("GET", "/api/v1/healthcheck", Body::Unread(204)),
    ("GET", "/api/v1/oidc/callback", Body::Unread(501)),
    ("GET", "/_health", Body::Unread(200)),
    ("GET", "/metrics", Body::Unread(200)),
    ("GET", "/", Body::Unread(200)),
    ("GET", "/docs/reference/errors.md", Body::Unread(200)),
    ("POST", "/", Body::Unread(405)),
    ("POST", "/unknown", Body::Unread(404)),
];

/// Requests with missing or wrong credentials.
const REFUSED: &[(&str, &str, &str, u16)] = &[
    ("GET", "/api/v1/config/version", "", 401),
    ("GET", "/api/v1/config", "", 401),
    ("POST", "/api/v1/repositories", "", 401),
    (
        "POST",
        "/api/v1/repositories/r/branches/main/objects?path=a",
        "",
        401,
    ),
    (
        "POST",
        "/api/v1/repositories/r/branches/main/objects?path=a",
        "Authorization: Bearer a.b.c\r\n",
        401,
    ),
    ("PUT", "/r/main/a", "Host: s3.local.lakefs.io\r\n", 403),
    ("POST", "/r?delete", "Host: s3.local.lakefs.io\r\n", 403),
    ("PUT", "/main/a", "Host: r.s3.local.lakefs.io\r\n", 403),
    (
        "PUT",
        "/r/main/a",
        "Authorization: AWS4-HMAC-SHA256 x\r\n",
        400,
    ),
    (
        "PUT",
        "/r/main/a",
        "X-Amz-Date: 20240101T000000Z\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIAJNOBODY/20240101/us-east-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00\r\n",
        403,
    ),
];

fn server() -> TestServer {
    TestServer::start_with_extra_settings(&[
        ("WEIR_HTTP_BODY_TIMEOUT", NEVER),
        ("WEIR_GATEWAYS_S3_DOMAIN_NAME", "s3.local.lakefs.io"),
    ])
}

fn head(method: &str, path: &str, headers: &str) -> String {
    let host = if headers.contains("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    format!("{method} {path} HTTP/1.1\r\n{host}Content-Type: application/json\r\n{headers}")
}

/// Returns the status for a request that announces a body of this length and sends none of it.
fn announced(server: &TestServer, head: &str, length: usize) -> u16 {
    let request = format!("{head}Content-Length: {length}\r\n\r\n");
    Raw::with(server, request).answer().0
}

/// The same for a client that waits for `100 Continue` before it would send the body.
fn announced_with_expect(server: &TestServer, head: &str, length: usize) -> u16 {
    announced(server, &format!("{head}Expect: 100-continue\r\n"), length)
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn table_has_every_route_without_credentials() {
    let contract = include_str!("../../../server/api/openapi.yaml");
    let (mut path, mut method) = ("", String::new());
    let mut open = BTreeSet::new();
    for line in contract.lines() {
        let indent = line.len() - line.trim_start().len();
        let name = line.trim().trim_end_matches(':');
        match indent {
            2 if name.starts_with('/') => path = name,
            4 => method = name.to_uppercase(),
            6 if line.trim() == "security: []" => {
                open.insert(format!("{method} /api/v1{path}"));
            }
            _ => {}
        }
    }
    let known: BTreeSet<_> = ROUTES
        .iter()
        .filter(|(_, path, _)| path.starts_with("/api/v1/"))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(open, known);
}

#[test]
fn anonymous_bodies_are_limited_to_8_kib() {
    let server = server();
    for (method, path, body) in ROUTES {
        let head = head(method, path, "");
        let expected = match body {
            Body::Read => 413,
            Body::Unread(status) => *status,
        };
        // The announced length is enough for a refusal. Reading the body would send status 100
        // first.
        let status = announced_with_expect(&server, &head, MAX_BODY_BYTES + 1);
        assert_eq!(status, expected, "{method} {path}");
        let status = announced(&server, &head, MAX_LEFTOVER_BYTES + 1);
        assert_eq!(status, expected, "{method} {path}");
        // Without an announced length: one byte too much, in a body without end.
        let mut raw = Raw::with(
            &server,
            format!("{head}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"),
        );
        if *body == Body::Read {
            assert_eq!(raw.answer().0, 100, "{method} {path}");
            raw.send(chunk(&[b' '; MAX_BODY_BYTES]));
            raw.send(chunk(b" "));
        }
        assert_eq!(raw.answer().0, expected, "{method} {path}");
    }
}

/// The server discards the rest of a refused body, because the client might otherwise see a broken connection instead
/// of the response.
#[test]
fn drained_part_of_a_refused_body_is_limited() {
    let server = server();
    for (method, path, body) in ROUTES {
        let expected = match body {
            Body::Read => 413,
            Body::Unread(status) => *status,
        };
        let head = head(method, path, "Transfer-Encoding: chunked\r\n\r\n");
        let mut raw = Raw::with(&server, head);
        // More than the server reads and discards together, in a body without end.
        for _ in 0..(MAX_BODY_BYTES + MAX_LEFTOVER_BYTES) / 1024 + 2 {
            raw.send(chunk(&[b' '; 1024]));
        }
        assert_eq!(raw.answer().0, expected, "{method} {path}");
    }
}

#[test]
fn body_of_8_kib_is_accepted() {
    let server = server();
    let document = "{\"access_key_id\": \"nobody\", \"secret_access_key\": \"none\"}";
    let body = format!("{document:MAX_BODY_BYTES$}");
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    let request = head("POST", "/api/v1/auth/login", &length) + &body;
    let (status, response) = Raw::with(&server, request).answer();
    assert_eq!(status, 401, "{response}");
}

#[test]
fn body_is_not_read_without_valid_credentials() {
    let server = server();
    for (method, path, headers, expected) in REFUSED {
        let head = head(method, path, headers);
        for length in [1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 10 << 20] {
            let status = announced_with_expect(&server, &head, length);
            assert_eq!(status, *expected, "{method} {path} {headers}");
        }
        let status = announced(&server, &head, MAX_LEFTOVER_BYTES + 1);
        assert_eq!(status, *expected, "{method} {path} {headers}");
    }
}
