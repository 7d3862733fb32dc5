//! Clients of HTTP/2 that send many requests and read no response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::accept::accept;
use crate::config::Http;

/// Frame types.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
/// Flags of a frame of headers.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const STREAMS: u32 = 100;
/// Total budget. Anonymous connections get one eighth of it.
const MEMORY_BYTES: usize = 8 * ANONYMOUS_BYTES;
const ANONYMOUS_BYTES: usize = 400 << 10;
const BODY_BYTES: usize = 50 << 10;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET /` in HPACK's static table, and a host.
fn request(stream: u32) -> Vec<u8> {
    let block = [&[0x82, 0x84, 0x86, 0x01, 4][..], b"lake"].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

async fn server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(async || vec![b'x'; BODY_BYTES]))
        .route("/small", get(async || "small"));
    let limits = Http {
        body_memory_bytes: MEMORY_BYTES,
        ..Http::default()
    };
    let stop = CancellationToken::new();
    tokio::spawn(accept(listener, app, limits, stop, Duration::ZERO));
    address
}

/// Sends [`STREAMS`] requests on a connection whose windows have this size. Returns the connection and how many of the
/// requests got a response without a body.
async fn flood(address: std::net::SocketAddr, window: u8) -> (TcpStream, usize) {
    let mut client = TcpStream::connect(address).await.unwrap();
    // The setting 4 is the window of a stream.
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, window]));
    for n in 0..STREAMS {
        sent.extend(request(2 * n + 1));
    }
    client.write_all(&sent).await.unwrap();
    let (mut answered, mut refused) = (0, 0);
    while answered < STREAMS {
        let (kind, flags) = read_frame(&mut client).await;
        if kind == HEADERS {
            answered += 1;
            refused += usize::from(flags & END_STREAM != 0);
        }
    }
    (client, refused)
}

/// Reads a frame. Returns its type and its flags.
async fn read_frame(client: &mut TcpStream) -> (u8, u8) {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.unwrap();
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; len as usize];
    client.read_exact(&mut payload).await.unwrap();
    (head[3], head[4])
}

async fn get_http1(address: std::net::SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: lake\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    response
}

/// Guards against a bug: responses took memory without a limit.
#[tokio::test]
async fn responses_that_are_not_read_have_limited_memory() {
    // With a window of one byte, HTTP/2 takes a first piece of each response, and keeps what the client does not read.
    for window in [0, 1] {
        let address = server().await;
        let (client, refused) = flood(address, window).await;
        let unread = STREAMS as usize - refused;
        assert!(unread > 1, "a window of {window}: {unread} responses");
        assert!(
            unread * BODY_BYTES <= ANONYMOUS_BYTES,
            "a window of {window}: {unread} responses"
        );
        let other = get_http1(address, "/").await;
        assert!(other.starts_with("HTTP/1.1 503"), "{other}");
        assert!(other.contains("retry-after: 2"), "{other}");
        assert!(
            other.contains("the memory for responses is exhausted"),
            "{other}"
        );
        let small = get_http1(address, "/small").await;
        assert!(small.starts_with("HTTP/1.1 200"), "{small}");

        drop(client);
        let mut response = other;
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !response.starts_with("HTTP/1.1 200") {
            assert!(std::time::Instant::now() < end, "{response}");
            tokio::task::yield_now().await;
            response = get_http1(address, "/").await;
        }
        assert!(response.len() > BODY_BYTES);
    }
}

/// Guards against a bug: the memory of requests while they run was not counted. It is several times as much as that of their
/// responses, and all requests of all connections can run at once.
#[tokio::test]
async fn running_requests_have_limited_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&running);
    let handler = async move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    };
    let app = Router::new().route("/", get(handler));
    let limits = Http {
        body_memory_bytes: MEMORY_BYTES,
        ..Http::default()
    };
    let stop = CancellationToken::new();
    tokio::spawn(accept(listener, app, limits, stop, Duration::ZERO));

    let mut client = TcpStream::connect(address).await.unwrap();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(SETTINGS, 0, 0, &[]));
    for n in 0..STREAMS {
        sent.extend(request(2 * n + 1));
    }
    client.write_all(&sent).await.unwrap();
    let mut refused = 0;
    // All others are refused at once.
    let most = ANONYMOUS_BYTES / ((32 + 12) << 10);
    while refused < STREAMS as usize - most {
        let (kind, _) = read_frame(&mut client).await;
        refused += usize::from(kind == HEADERS);
    }
    assert!((1..=most).contains(&running.load(Ordering::Relaxed)));
}
