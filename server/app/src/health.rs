//! `weir health`: checks whether a server responds. Container images contain no other HTTP client.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Timeout for connecting, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Only the status line is needed.
const MAX_ANSWER_BYTES: u64 = 4 << 10;

/// Fails unless the server at `address` (`HOST:PORT`) responds to `/_health` with status 200.
///
/// # Errors
/// The cause, with the address.
pub fn check(address: &str) -> anyhow::Result<()> {
    let status =
        request_status_line(address).with_context(|| format!("no healthy server on {address}"))?;
    if status.split(' ').nth(1) != Some("200") {
        bail!("the server on {address} is not healthy: {status}");
    }
    Ok(())
}

/// Returns the status line of the response.
fn request_status_line(address: &str) -> anyhow::Result<String> {
    let resolved = address
        .to_socket_addrs()
        .context("the address must be HOST:PORT")?
        .next()
        .context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&resolved, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /_health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::check;

    /// Starts a server that responds to one request with `answer`.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /_health HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_status_200_is_healthy() {
        check(&server("HTTP/1.1 200 OK\r\n\r\nalive!")).unwrap();
        let error = check(&server("HTTP/1.1 503 Service Unavailable\r\n\r\n")).unwrap_err();
        assert!(
            error.to_string().contains("503 Service Unavailable"),
            "{error}"
        );
        check(&server("")).unwrap_err();
        check("no port").unwrap_err();
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        check(&free.to_string()).unwrap_err();
    }
}
