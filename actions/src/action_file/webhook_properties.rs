//! The properties of `type: webhook`.

use std::time::Duration;

use super::suspicious::{warn, warn_unknown_keys};
use super::units::{format_duration, parse_duration};
use super::yaml::{Fault, Node};

/// How long an answer may take, where the file does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest URL, in bytes: servers take no longer ones.
const MAX_URL_BYTES: usize = 8 << 10;
/// The longest that a file may say.
const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);

const KEYS: [&str; 4] = ["url", "timeout", "query_params", "headers"];

/// What to do about a URL that cannot be called.
pub(crate) const WHOLE_URL: &str =
    "write the whole URL, with its scheme: https://hooks.example.com/gate";

/// What to call, with variables not yet put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebhookProperties {
    pub(crate) target: Target,
    /// The URL as the file has it, without a password.
    pub(crate) shown_url: String,
    pub(crate) timeout: Duration,
    /// In the order of the file; one name may have many values.
    pub(crate) query_params: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
}

/// Where a webhook goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Url(url::Url),
    /// lakeFS accepts every text as URL and fails when the hook runs: the reason.
    Unusable(String),
}

impl WebhookProperties {
    pub(super) fn read(node: &Node, warnings: &mut Vec<Fault>) -> Result<Self, Fault> {
        warn_unknown_keys("properties.", node, &KEYS, warnings);
        let Some(url) = node.get("url") else {
            return Err(Fault::new(node.at, "'url' is required"));
        };
        let Some(text) = url.string() else {
            return Err(Fault::new(url.at, "'url' must be text"));
        };
        if text.len() > MAX_URL_BYTES {
            return Err(Fault::new(
                url.at,
                format!("'url' is longer than {MAX_URL_BYTES} bytes"),
            ));
        }
        let (target, shown_url) = read_target(text);
        if let Target::Unusable(why) = &target {
            let reason = format!("'url' '{shown_url}' cannot be called: {why}; {WHOLE_URL}");
            warn(warnings, Fault::new(url.at, reason));
        }
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
        // Not quoted: what does not parse may hold a password that nobody can mask.
        Err(e) => (Target::Unusable(e.to_string()), "(malformed)".to_owned()),
    }
}

/// How long an answer may take. As in lakeFS only text counts, and what is not above zero is no limit of the file's.
pub(super) fn read_timeout(node: &Node, warnings: &mut Vec<Fault>) -> Result<Duration, Fault> {
    let Some(value) = node.get("timeout") else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let default = format_duration(DEFAULT_TIMEOUT);
    let Some(text) = value.string() else {
        let reason = format!(
            "'timeout' is no text and is ignored, so {default} applies; write 10s, 1m30s or 500ms"
        );
        warn(warnings, Fault::new(value.at, reason));
        return Ok(DEFAULT_TIMEOUT);
    };
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    match parse_duration(magnitude) {
        _ if text.is_empty() => Ok(DEFAULT_TIMEOUT),
        Some(duration) if sign > 0 && !duration.is_zero() => Ok(duration.min(MAX_TIMEOUT)),
        Some(_) => {
            let reason = format!("'timeout' '{text}' is not above zero, so {default} applies");
            warn(warnings, Fault::new(value.at, reason));
            Ok(DEFAULT_TIMEOUT)
        }
        None => Err(no_duration("timeout", value, text)),
    }
}

fn no_duration(name: &str, node: &Node, text: &str) -> Fault {
    let reason = format!("'{name}' '{text}' is no duration; write 10s, 1m30s or 500ms");
    Fault::new(node.at, reason)
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

/// A positive duration of at most `max`.
pub(super) fn duration(name: &str, node: &Node, max: Duration) -> Result<Duration, Fault> {
    let text = node.text().unwrap_or_default();
    match parse_duration(text) {
        Some(Duration::ZERO) | None => Err(no_duration(name, node, text)),
        Some(duration) => Ok(duration.min(max)),
    }
}

/// A map of texts (or, with `lists`, of lists of texts), flattened.
fn pairs(name: &str, node: &Node, lists: bool) -> Result<Vec<(String, String)>, Fault> {
    let Some(map) = node.get(name) else {
        return Ok(Vec::new());
    };
    let Some(map) = map.map() else {
        return Err(Fault::new(map.at, format!("'{name}' must be a map")));
    };
    let mut out = Vec::new();
    for (key, value) in map {
        match value.list() {
            Some(items) if lists => {
                for item in items {
                    let text = item.text().ok_or_else(|| {
                        Fault::new(
                            item.at,
                            format!("'{name}.{}' must be a list of texts", key.text),
                        )
                    })?;
                    out.push((key.text.clone(), text.to_owned()));
                }
            }
            // Nothing is sent for what has no value.
            _ if value.is_null() => {}
            _ => {
                let text = value.text().ok_or_else(|| {
                    Fault::new(value.at, format!("'{name}.{}' must be text", key.text))
                })?;
                out.push((key.text.clone(), text.to_owned()));
            }
        }
    }
    Ok(out)
}
