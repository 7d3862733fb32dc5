//! Redirects. Only those that repeat the request at the same server are followed.
//!
//! For a redirect with status 301, 302 or 303, clients repeat a POST as a GET without a body. The
//! service would respond without having seen the event, so such a redirect fails the hook. Redirects with status
//! 307 and 308 keep method and body. Redirects to another server are not followed, because the
//! request's headers may contain secrets. Redirects that change whether a proxy is used are not
//! followed, because a client checks the addresses of one kind of target only: see `proxies`.

use std::cell::RefCell;
use std::future::Future;

use reqwest::header::LOCATION;
use reqwest::redirect::{Action, Attempt};
use reqwest::{Response, StatusCode};
use url::Url;

use super::masking::Masker;
use super::proxies::Proxies;

/// Maximum number of redirects.
const MAX_REDIRECTS: usize = 10;
/// Maximum length of a redirect target in a hint and in the log.
const MAX_TARGET_CHARS: usize = 255;

tokio::task_local! {
    /// The redirects of the request that this task awaits.
    static FOLLOWED: RefCell<Vec<(StatusCode, Url)>>;
}

/// Awaits a request and returns the redirects that were followed, in order: each with its status
/// and its target.
pub(super) async fn recorded<T>(request: impl Future<Output = T>) -> (T, Vec<(StatusCode, Url)>) {
    let request = async {
        let answer = request.await;
        (answer, FOLLOWED.with(RefCell::take))
    };
    FOLLOWED.scope(RefCell::default(), request).await
}

pub(super) fn follow(attempt: Attempt<'_>, proxies: &Proxies) -> Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("stopped after {MAX_REDIRECTS} redirects"));
    }
    let stays = attempt.previous().first().is_none_or(|first| {
        let to = attempt.url();
        is_same_server(first, to) && proxies.intercept(first) == proxies.intercept(to)
    });
    if drops_body(attempt.status()) || !stays {
        return attempt.stop();
    }
    let step = (attempt.status(), attempt.url().clone());
    // The policy runs in the task that awaits the request, inside `recorded`.
    let _ = FOLLOWED.try_with(|followed| followed.borrow_mut().push(step));
    attempt.follow()
}

/// Reports whether clients repeat a redirected POST as a GET without a body.
pub(super) fn drops_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER
    )
}

/// Reports whether a secret meant for one URL may be sent to the other: same host and port, or an
/// upgrade from `http` to `https` on the same host.
pub(super) fn is_same_server(from: &Url, to: &Url) -> bool {
    let secured = from.scheme() == "http" && to.scheme() == "https" && to.port().is_none();
    from.host() == to.host() && (from.origin() == to.origin() || secured)
}

/// Returns the log line of a redirect that was followed.
pub(super) fn line(status: StatusCode, to: &Url, masker: &Masker) -> String {
    format!("Redirect: {} to {}\n", status.as_u16(), shown(to, masker))
}

/// Hint for a redirect that was not followed.
pub(super) fn hint_of_redirect(
    answer: &Response,
    masker: &Masker,
    proxies: &Proxies,
) -> Option<String> {
    let status = answer.status();
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let to = answer.url().join(location).ok()?;
    if drops_body(status) {
        return Some(format!(
            "the service answered {} with Location {}: name that address in 'url'; a redirect of this kind would drop the request's body, so it is not followed",
            status.as_u16(),
            shown(&to, masker)
        ));
    }
    if !status.is_redirection() {
        return None;
    }
    if is_same_server(answer.url(), &to) {
        let one_proxied = proxies.intercept(answer.url()) != proxies.intercept(&to);
        return one_proxied.then(|| {
            format!(
                "the response redirects to {}, and the server's proxies apply to only one of the two addresses; such redirects are not followed: set 'url' to the final address of the service",
                shown(&to, masker)
            )
        });
    }
    Some(format!(
        "the response redirects to another server ({}); such redirects are not followed because requests may contain secrets: set 'url' to the final address of the service",
        cut(&masker.text(&to.origin().ascii_serialization()))
    ))
}

/// Returns a redirect's target without user, query and fragment, which may contain secrets.
fn shown(to: &Url, masker: &Masker) -> String {
    let text = format!("{}{}", to.origin().ascii_serialization(), to.path());
    cut(&masker.text(&text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TARGET_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
