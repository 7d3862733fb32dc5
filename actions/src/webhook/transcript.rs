//! The log of a request: the request, the response, or why there is no response.
//!
//! Layout and error texts match lakeFS, because people and scripts read them.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use reqwest::{Response, StatusCode, Version};
use url::Url;

use super::headers::{Headers, canonical};
use super::masking::{Masker, SecretSearch};
use crate::action_file::{MAX_TIMEOUT, format_duration};
use crate::env::Expanded;
use crate::output::Output;
use crate::runner::HookFailure;

/// Maximum number of bytes of a response body that are logged.
pub(super) const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The request to send and how to present it in logs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Go's name of the method in error texts, for example `Post`.
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    pub(super) shown_url: &'a str,
    pub(super) search: &'a SecretSearch,
    /// The hook's `timeout`, if it limits this request.
    pub(super) timeout: Option<Duration>,
}

/// Lets `write!` append to a log.
pub(super) struct TextLog<'a>(pub(super) &'a mut Output);

impl std::fmt::Write for TextLog<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.text(text);
        Ok(())
    }
}

pub(super) fn request_head(
    url: &str,
    params: &[(String, Expanded)],
    headers: &Headers,
    payload: &str,
) -> String {
    let mut text = format!("Request:\nPOST {url}\nQuery Params:\n");
    for (name, value) in params {
        let _ = writeln!(text, "{name}: {}", value.text_for_logs());
    }
    text.push_str("Headers:\n");
    for (name, value) in &headers.shown {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = writeln!(text, "Request Body:\n{payload}");
    text
}

/// Formats the response head as on the wire, in Go's order: connection, length, then the others by
/// name.
pub(super) fn response_head(answer: &Response) -> String {
    let headers = answer.headers();
    let mut text = format!(
        "{:?} {}\r\n",
        answer.version(),
        status_line(answer.status())
    );
    let closes = headers
        .get(CONNECTION)
        .map_or(answer.version() == Version::HTTP_10, |v| v == "close");
    if closes {
        text.push_str("Connection: close\r\n");
    }
    let value_text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        let _ = write!(text, "Content-Length: {}\r\n", value_text(length));
    }
    let mut others: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| **name != CONNECTION && **name != CONTENT_LENGTH)
        .map(|(name, value)| (canonical(name.as_str()), value_text(value)))
        .collect();
    others.sort();
    for (name, value) in others {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text
}

fn status_line(status: StatusCode) -> String {
    format!(
        "{} {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("")
    )
}

/// Logs the body up to the limit, with secrets masked even if they span several reads. Returns the
/// start of the body, or why it could not be read.
///
/// # Errors
/// If the body cannot be searched for secrets.
pub(super) async fn read_body(
    answer: Response,
    secrets: &SecretSearch,
    keep_bytes: usize,
    log: &mut Output,
) -> Result<reqwest::Result<Vec<u8>>, HookFailure> {
    // Reads more than is logged, so that a secret that crosses the limit is recognized.
    let most = (MAX_RESPONSE_BYTES + secrets.lookahead().max(1)).max(keep_bytes);
    let mut read = Vec::new();
    let mut body = answer.bytes_stream();
    let ended = loop {
        match body.next().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk[..chunk.len().min(most - read.len())]),
            Some(Err(e)) => break Err(e),
            None => break Ok(()),
        }
        if read.len() == most {
            break Ok(());
        }
    };
    let is_broken_off = ended.is_err();
    let search = move |masker: &Masker| {
        let masked = masker.bytes(&read, MAX_RESPONSE_BYTES, is_broken_off);
        (masked, read)
    };
    let (masked, read) = secrets.run(search).await?;
    log.bytes(&masked);
    let is_cut = read.len() > MAX_RESPONSE_BYTES;
    if is_cut {
        let _ = write!(
            TextLog(log),
            "\n[response truncated at {MAX_RESPONSE_BYTES} bytes]\n"
        );
    }
    Ok(match ended {
        // An error after the logged part is ignored, unless the caller needs the body.
        Err(e) if !is_cut || keep_bytes > 0 => Err(e),
        _ => Ok(read),
    })
}

/// Explains why a request got no response. Never contains the query, which may contain secrets.
pub(super) fn failure(call: Call<'_>, error: &reqwest::Error, when: &str) -> String {
    let Call {
        method,
        url,
        shown_url,
        ..
    } = call;
    let host = url.host_str().unwrap_or_default();
    let reason = if error.is_timeout() {
        format!("context deadline exceeded (Client.Timeout exceeded {when})")
    } else if let Some(kind) = io_kind(error).filter(|_| error.is_connect()) {
        let port = url.port_or_known_default().unwrap_or_default();
        match kind {
            io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {host}:{port}: connect: connection refused")
            }
            _ if root_cause(error).contains("lookup") => {
                format!("dial tcp: lookup {host}: no such host")
            }
            _ => format!("dial tcp {host}:{port}: connect: {}", root_cause(error)),
        }
    } else {
        root_cause(error)
    };
    format!("{method} \"{shown_url}\": {reason}")
}

/// Returns what the author of the action file can do about a request without a response.
pub(super) fn hint_of_failure(call: Call<'_>, error: &reqwest::Error) -> Option<String> {
    if error.is_timeout() {
        let timeout = format_duration(call.timeout?);
        let most = humantime::format_duration(MAX_TIMEOUT);
        return Some(format!(
            "the service did not answer within 'timeout', which is {timeout}: let it answer sooner, or raise 'timeout' (at most {most})"
        ));
    }
    if call.url.scheme() == "https" && is_answer_without_tls(error) {
        return Some(
            "the service answers this port without TLS: write 'http://' in 'url', or the port at which it serves https".to_owned(),
        );
    }
    None
}

/// Reports whether a TLS handshake failed because the response was not TLS.
fn is_answer_without_tls(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidMessage(_)) = cause.downcast_ref() {
            return true;
        }
        // `source` of an I/O error skips the error that it wraps and returns that error's source.
        let inside = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => cause.source(),
        };
    }
    false
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        // reqwest's own message contains the URL with its query.
        Some(_) => "request failed".to_owned(),
        None => cause.to_string(),
    }
}
