//! The headers of a webhook request.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::action_file::is_own_header;
use crate::env::Expanded;
use crate::runner::HookFailure;

/// Headers in the form that is sent and the form that is logged.
pub(super) struct Headers {
    pub(super) to_send: HeaderMap,
    pub(super) shown: Vec<(String, String)>,
}

impl Headers {
    /// Combines the action file's headers and the nesting headers. The action file can replace the
    /// user agent, but no other nesting header. Leaves out headers that the client sets itself.
    ///
    /// # Errors
    /// If a name or a value cannot be sent.
    pub(super) fn new(
        pairs: Vec<(String, Expanded)>,
        nesting_headers: &HeaderMap,
    ) -> Result<Self, HookFailure> {
        let mut to_send = HeaderMap::new();
        to_send.extend(
            nesting_headers
                .get(USER_AGENT)
                .map(|agent| (USER_AGENT, agent.clone())),
        );
        to_send.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut shown = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        for (name, value) in pairs {
            let quoted = base::glob::quoted(&name);
            let key: HeaderName = name
                .parse()
                .map_err(|_| HookFailure::new(format!("header name {quoted:?} is not valid")))?;
            if is_own_header(key.as_str()) {
                continue;
            }
            let mut sent: HeaderValue = value.text.parse().map_err(|_| {
                HookFailure::new(format!("the value of header {quoted:?} is not valid"))
            })?;
            sent.set_sensitive(value.secret);
            to_send.insert(&key, sent);
            let name = canonical(key.as_str());
            shown.retain(|(n, _)| *n != name);
            shown.push((name, value.text_for_logs().to_owned()));
        }
        shown.sort();
        for (name, value) in nesting_headers
            .iter()
            .filter(|(name, _)| **name != USER_AGENT)
        {
            to_send.insert(name, value.clone());
        }
        Ok(Self { to_send, shown })
    }
}

/// Converts `x-own-header` to `X-Own-Header`.
pub(super) fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            };
            upper = c == '-';
            c
        })
        .collect()
}
