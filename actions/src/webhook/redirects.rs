//! Redirects: only those to the same server are followed, because headers may contain secrets.

use reqwest::Response;
use reqwest::header::LOCATION;
use reqwest::redirect::{Action, Attempt};
use url::Url;

use super::masking::Masker;

/// Maximum number of redirects.
const MAX_REDIRECTS: usize = 10;
/// Maximum length of a redirect target's host name in a hint.
const MAX_HOST_CHARS: usize = 255;

pub(super) fn follow(attempt: Attempt<'_>) -> Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("stopped after {MAX_REDIRECTS} redirects"));
    }
    let stays = attempt
        .previous()
        .first()
        .is_none_or(|first| is_same_server(first, attempt.url()));
    if stays {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Reports whether a secret meant for one URL may be sent to the other: same host and port, or an
/// upgrade from `http` to `https` on the same host.
pub(super) fn is_same_server(from: &Url, to: &Url) -> bool {
    let secured = from.scheme() == "http" && to.scheme() == "https" && to.port().is_none();
    from.host() == to.host() && (from.origin() == to.origin() || secured)
}

/// Hint for a redirect to another server. Such redirects are not followed, because requests may
/// contain secrets.
pub(super) fn hint_of_redirect(answer: &Response, masker: &Masker) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let to = answer.url().join(location).ok()?;
    if !answer.status().is_redirection() || is_same_server(answer.url(), &to) {
        return None;
    }
    let to: String = to
        .origin()
        .ascii_serialization()
        .chars()
        .take(MAX_HOST_CHARS)
        .collect();
    Some(format!(
        "the response redirects to another server ({}); such redirects are not followed because requests may contain secrets: set 'url' to the final address of the service",
        masker.text(&to)
    ))
}
