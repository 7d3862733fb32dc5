//! The properties of `type: webhook`.

use std::time::Duration;

use super::suspicious::{warn, warn_unknown_keys};
use super::units::{format_duration, parse_duration};
use super::yaml::{Diagnostic, Node};

/// Default timeout for a webhook's response.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum length of a URL in bytes. Servers usually do not accept longer ones.
const MAX_URL_BYTES: usize = 8 << 10;
/// Maximum timeout. A longer one in an action file is reduced to it.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);

pub(super) const KEYS: [&str; 4] = ["url", "timeout", "query_params", "headers"];

/// Headers that describe the connection or the length of the body. The client sets them itself. With
/// values from an action file, a service and a proxy could disagree about where the request ends.
/// `Host` is included, as in Go's client and in browsers: it follows from the URL, which is checked
/// against the permitted targets.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Prefix of headers for proxies. The client sets them itself too.
const PROXY_PREFIX: &str = "proxy-";

/// Reports whether the client sets a header itself and never sends an action file's value.
pub(crate) fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OWN_HEADERS.contains(&name.as_str()) || name.starts_with(PROXY_PREFIX)
}

/// Warns of headers that are not sent.
fn warn_of_own_headers(node: &Node, warnings: &mut Vec<Diagnostic>) {
    let headers = node.get("headers").and_then(Node::map);
    for (key, _) in headers.unwrap_or_default() {
        if is_own_header(&key.text) {
            let reason = format!(
                "header '{}' is not sent: the server sets the headers of the connection itself",
                base::glob::quoted(&key.text)
            );
            warn(warnings, Diagnostic::new(key.at, reason));
        }
    }
}

/// Hint for a URL that cannot be called.
pub(crate) const WHOLE_URL: &str =
    "write the whole URL, with its scheme: https://hooks.example.com/gate";

/// The request to send. Variables are not yet expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebhookProperties {
    pub(crate) target: Target,
    /// The URL from the action file, with the password masked.
    pub(crate) shown_url: String,
    pub(crate) timeout: Duration,
    /// In the order of the file. A name may have several values.
    pub(crate) query_params: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
}

/// The destination of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Url(url::Url),
    /// The reason why the URL cannot be called. lakeFS accepts any string as a URL and fails when
    /// the hook runs.
    Unusable(String),
}

impl WebhookProperties {
    pub(super) fn read(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Self, Diagnostic> {
        warn_unknown_keys("properties.", node, &KEYS, warnings);
        let Some(url) = node.get("url") else {
            return Err(Diagnostic::new(node.at, "'url' is required"));
        };
        let Some(text) = url.string() else {
            return Err(Diagnostic::new(url.at, "'url' must be a string"));
        };
        if text.len() > MAX_URL_BYTES {
            return Err(Diagnostic::new(
                url.at,
                format!("'url' is longer than {MAX_URL_BYTES} bytes"),
            ));
        }
        let (target, shown_url) = read_target(text);
        if let Target::Unusable(why) = &target {
            let reason = format!("'url' '{shown_url}' cannot be called: {why}; {WHOLE_URL}");
            warn(warnings, Diagnostic::new(url.at, reason));
        }
        warn_of_own_headers(node, warnings);
        Ok(Self {
            target,
            shown_url,
            timeout: read_timeout(node, warnings)?,
            query_params: pairs("query_params", node, true)?,
            headers: pairs("headers", node, false)?,
        })
    }
}

pub(super) fn read_target(text: &str) -> (Target, String) {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            let shown = shown(text, &url);
            (Target::Url(url), shown)
        }
        Ok(url) => {
            let why = format!("unsupported protocol scheme \"{}\"", url.scheme());
            (Target::Unusable(why), shown(text, &url))
        }
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            let why = "unsupported protocol scheme \"\"".to_owned();
            (Target::Unusable(why), text.to_owned())
        }
        // The text is not quoted: a URL that does not parse may contain a password, which cannot be
        // masked reliably.
        Err(e) => (Target::Unusable(e.to_string()), "(malformed)".to_owned()),
    }
}

/// Reads the response timeout. As in lakeFS, a value that is not a string is ignored, and a value
/// that is not positive selects the default. A timeout above [`MAX_TIMEOUT`] is reduced to it, with a
/// warning.
pub(super) fn read_timeout(
    node: &Node,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Duration, Diagnostic> {
    let Some(value) = node.get("timeout") else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let default = format_duration(DEFAULT_TIMEOUT);
    let Some(text) = value.string() else {
        let reason = format!(
            "'timeout' is not a string and is ignored, so {default} applies; write 10s, 1m30s or 500ms"
        );
        warn(warnings, Diagnostic::new(value.at, reason));
        return Ok(DEFAULT_TIMEOUT);
    };
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    match parse_duration(magnitude) {
        _ if text.is_empty() => Ok(DEFAULT_TIMEOUT),
        Some(duration) if sign > 0 && !duration.is_zero() => {
            Ok(at_most("timeout", value, duration, MAX_TIMEOUT, warnings))
        }
        Some(_) => {
            let reason = format!("'timeout' '{text}' is not positive, so {default} applies");
            warn(warnings, Diagnostic::new(value.at, reason));
            Ok(DEFAULT_TIMEOUT)
        }
        None => Err(invalid_duration("timeout", value, text, MAX_TIMEOUT)),
    }
}

fn invalid_duration(name: &str, node: &Node, text: &str, max: Duration) -> Diagnostic {
    let quoted = base::glob::quoted(text);
    let max = humantime::format_duration(max);
    let reason = format!(
        "'{name}' '{quoted}' is not a duration above zero and up to {max}; write 10s, 1m30s or 500ms"
    );
    Diagnostic::new(node.at, reason)
}

fn shown(text: &str, url: &url::Url) -> String {
    if url.password().is_none() {
        return text.to_owned();
    }
    let mut masked = url.clone();
    match masked.set_password(Some("xxxxx")) {
        Ok(()) => masked.into(),
        Err(()) => String::new(),
    }
}

/// Reads a positive duration. A duration above `max` is reduced to `max`, with a warning.
pub(super) fn duration(
    name: &str,
    node: &Node,
    max: Duration,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Duration, Diagnostic> {
    let text = node.text().unwrap_or_default();
    match parse_duration(text) {
        Some(Duration::ZERO) | None => Err(invalid_duration(name, node, text, max)),
        Some(duration) => Ok(at_most(name, node, duration, max, warnings)),
    }
}

fn at_most(
    name: &str,
    node: &Node,
    duration: Duration,
    max: Duration,
    warnings: &mut Vec<Diagnostic>,
) -> Duration {
    if duration > max {
        let quoted = base::glob::quoted(node.text().unwrap_or_default());
        let max = humantime::format_duration(max);
        let reason = format!("'{name}' '{quoted}' is longer than {max}, so {max} applies");
        warn(warnings, Diagnostic::new(node.at, reason));
    }
    duration.min(max)
}

/// Reads a map of strings as pairs. If `lists` is true, values may be lists of strings.
fn pairs(name: &str, node: &Node, lists: bool) -> Result<Vec<(String, String)>, Diagnostic> {
    let Some(map) = node.get(name) else {
        return Ok(Vec::new());
    };
    let Some(map) = map.map() else {
        return Err(Diagnostic::new(map.at, format!("'{name}' must be a map")));
    };
    let mut out = Vec::new();
    for (key, value) in map {
        match value.list() {
            Some(items) if lists => {
                for item in items {
                    let text = item.text().ok_or_else(|| {
                        Diagnostic::new(
                            item.at,
                            format!("'{name}.{}' must be a list of strings", key.text),
                        )
                    })?;
                    out.push((key.text.clone(), text.to_owned()));
                }
            }
            // A key without a value is not sent.
            _ if value.is_null() => {}
            _ => {
                let text = value.text().ok_or_else(|| {
                    Diagnostic::new(value.at, format!("'{name}.{}' must be a string", key.text))
                })?;
                out.push((key.text.clone(), text.to_owned()));
            }
        }
    }
    Ok(out)
}
