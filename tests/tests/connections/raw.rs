//! Low-level clients that send raw HTTP/1 bytes and HTTP/2 frames, as no library would.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use system_tests::TestServer;

/// How long to wait for a server on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A raw connection.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) fn open(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Opens a connection and sends some bytes.
    pub(crate) fn with(server: &TestServer, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Self::open(server);
        raw.send(bytes);
        raw
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Reports whether the server has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        match self.0.read(&mut [0; 64]) {
            Ok(read) => read == 0,
            Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Reads to the end of the connection; a reset counts as end. Panics if the connection stays
    /// open.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut piece = [0; 64 << 10];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return all,
                Ok(n) => all.extend_from_slice(&piece[..n]),
                Err(e)
                    if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
                {
                    return all;
                }
                Err(e) => panic!("the connection is still open: {e}"),
            }
        }
    }

    /// Sends the same bytes repeatedly until the server closes the connection. Returns what it
    /// received.
    pub(crate) fn trickle(&mut self, bytes: &[u8], pause: Duration) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        self.0.set_read_timeout(Some(pause)).unwrap();
        let mut response = Vec::new();
        let mut piece = [0; 4096];
        loop {
            assert!(Instant::now() < end, "the connection is still open");
            if self.0.write_all(bytes).is_err() {
                return response;
            }
            match self.0.read(&mut piece) {
                Ok(0) => return response,
                Ok(n) => response.extend_from_slice(&piece[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return response,
            }
        }
    }

    /// Sends a request on a connection that stays open. Returns status and body of the response.
    pub(crate) fn ask(&mut self, path: &str) -> (u16, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    /// Reads one response that has a length.
    pub(crate) fn answer(&mut self) -> (u16, String) {
        let mut text = Vec::new();
        let head_end = loop {
            if let Some(at) = text.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_on(&mut text);
        };
        let head = String::from_utf8(text[..head_end].to_vec()).unwrap();
        let status: u16 = head[9..12].parse().unwrap();
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        while text.len() < head_end + length {
            self.read_on(&mut text);
        }
        (status, String::from_utf8(text).unwrap())
    }

    fn read_on(&mut self, text: &mut Vec<u8>) {
        let mut piece = [0; 4096];
        let read = self.0.read(&mut piece).unwrap();
        assert!(read > 0, "ended after {:?}", String::from_utf8_lossy(text));
        text.extend_from_slice(&piece[..read]);
    }
}

/// Sends one request on a new connection. Returns its status and the complete response.
pub(crate) fn get(server: &TestServer, path: &str) -> (u16, String) {
    let mut raw = Raw::with(
        server,
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    );
    let text = String::from_utf8_lossy(&raw.rest()).into_owned();
    let status = text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, text)
}

/// Result of a connection on which a client sent data without end.
#[derive(Debug, Default)]
pub(crate) struct Flooded {
    /// Number of bytes that the client could send, including those in buffers.
    pub(crate) sent: usize,
    /// Everything that the server sent.
    pub(crate) response: Vec<u8>,
}

impl Raw {
    /// Sends pieces until the server closes the connection. If `reads` is set, reads responses
    /// meanwhile; otherwise, only at the end.
    pub(crate) fn flood(mut self, reads: bool, mut piece: impl FnMut() -> Vec<u8>) -> Flooded {
        let mut sending = self.0.try_clone().unwrap();
        let end = Instant::now() + PATIENCE;
        let (sent, response) = std::thread::scope(|scope| {
            let reader = if reads {
                Some(scope.spawn(|| self.rest()))
            } else {
                None
            };
            let mut sent = 0;
            loop {
                assert!(Instant::now() < end, "the connection is still open");
                let piece = piece();
                match sending.write_all(&piece) {
                    Ok(()) => sent += piece.len(),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        panic!("the connection is still open, and reads nothing");
                    }
                    Err(_) => break,
                }
            }
            (sent, reader.map(|reader| reader.join().unwrap()))
        });
        let response = response.unwrap_or_else(|| self.rest());
        Flooded { sent, response }
    }

    /// Sends data that the server may reject early, and returns the response.
    pub(crate) fn send_and_rest(mut self, bytes: &[u8]) -> String {
        let mut sending = self.0.try_clone().unwrap();
        let response = std::thread::scope(|scope| {
            // If writing fails, the response is still available for reading.
            scope.spawn(move || drop(sending.write_all(bytes)));
            self.rest()
        });
        String::from_utf8_lossy(&response).into_owned()
    }
}

/// Returns the value of a line of `/metrics`, or 0 if it does not exist.
pub(crate) fn metric(server: &TestServer, line: &str) -> u64 {
    let (_, text) = get(server, "/metrics");
    let value = text
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    value.unwrap_or(0)
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the start of an HTTP/2 connection: preface and default settings.
pub(crate) fn http2_start() -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &frame(4, 0, 0, b""),
    ]
    .concat()
}

/// Encodes an HTTP/2 frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes a request without a body on a stream.
pub(crate) fn http2_get(stream: u32, path: &str, token: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let authorization = format!("Bearer {token}");
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("authorization", &authorization),
    ] {
        block.extend(field(name, value));
    }
    // END_STREAM and END_HEADERS.
    frame(1, 0x5, stream, &block)
}

/// Encodes a header field as a literal with a new name, without indexing.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        push_length(&mut block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// Encodes an HPACK integer with a 7-bit prefix.
fn push_length(block: &mut Vec<u8>, len: usize) {
    let Some(mut rest) = len.checked_sub(127) else {
        block.push(u8::try_from(len).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

impl Raw {
    /// Reads frames and responds to pings like a live client until the server closes the
    /// connection. Returns the number of received data bytes.
    pub(crate) fn live_until_ended(&mut self) -> usize {
        let mut data = 0;
        let mut header = [0; 9];
        while self.0.read_exact(&mut header).is_ok() {
            let len = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; len as usize];
            if self.0.read_exact(&mut payload).is_err() {
                break;
            }
            let is_ack = header[4] & 1 == 1;
            let reply = match header[3] {
                0 => {
                    data += payload.len();
                    continue;
                }
                4 if !is_ack => frame(4, 1, 0, b""),
                6 if !is_ack => frame(6, 1, 0, &payload),
                _ => continue,
            };
            if self.0.write_all(&reply).is_err() {
                break;
            }
        }
        data
    }
}
