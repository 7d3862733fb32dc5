//! The properties of `type: webhook`.

use std::time::Duration;

use super::units::parse_duration;
use super::yaml::{Fault, Node};

/// How long an answer may take, where the file does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest URL, in bytes: servers take no longer ones.
const MAX_URL_BYTES: usize = 8 << 10;
/// The longest that a file may say.
const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// What to call, with variables not yet put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebhookProperties {
    pub(crate) url: url::Url,
    /// As the file has it, without a password.
    pub(crate) shown_url: String,
    pub(crate) timeout: Duration,
    /// In the order of the file; one name may have many values.
    pub(crate) query_params: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
}

impl WebhookProperties {
    pub(super) fn read(node: &Node) -> Result<Self, Fault> {
        let Some(url) = node.get("url") else {
            return Err(Fault::new(node.at, "'url' is required"));
        };
        let text = url.text().unwrap_or_default();
        if text.len() > MAX_URL_BYTES {
            return Err(Fault::new(
                url.at,
                format!("'url' is longer than {MAX_URL_BYTES} bytes"),
            ));
        }
        let parsed = url::Url::parse(text)
            .map_err(|e| Fault::new(url.at, format!("'url' '{text}' is no URL: {e}")))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(Fault::new(
                url.at,
                format!("'url' '{text}' must be http or https"),
            ));
        }
        let timeout = match node.get("timeout") {
            None => DEFAULT_TIMEOUT,
            Some(value) => duration("timeout", value, MAX_TIMEOUT)?,
        };
        Ok(Self {
            shown_url: shown(text, &parsed),
            url: parsed,
            timeout,
            query_params: pairs("query_params", node, true)?,
            headers: pairs("headers", node, false)?,
        })
    }
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
        Some(Duration::ZERO) | None => Err(Fault::new(
            node.at,
            format!("'{name}' '{text}' is no duration; write 10s, 1m30s or 500ms"),
        )),
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
            _ if value.is_null() => out.push((key.text.clone(), String::new())),
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
