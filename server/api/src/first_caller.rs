//! Decides who may create the first administrator: local callers, and callers with the setup token.
//!
//! Set-up cannot require credentials, because none exist yet. Without this check, the first caller of a new server
//! would own it: a scanner on the network, or a web page in a browser on the same machine.

use std::fmt;
use std::net::SocketAddr;

use api_types as types;
use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::ApiState;
use crate::site::{host_name, hosts, is_loopback_name};

/// The header that carries the setup token.
pub const SETUP_TOKEN_HEADER: &str = "x-weir-setup-token";

/// The remote address of a request's connection. The server adds it to every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The token with which remote callers may create the first administrator.
#[derive(Clone)]
pub struct SetupToken(String);

impl SetupToken {
    /// Creates a token. An empty token matches nothing.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(token)
    }

    fn matches(&self, given: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

impl fmt::Debug for SetupToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupToken([redacted])")
    }
}

/// Proof that the caller may create the first administrator, or that one already exists and set-up fails anyway.
#[derive(Debug)]
pub(crate) struct FirstCaller;

impl FromRequestParts<ApiState> for FirstCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Response> {
        let peer = parts.extensions.get::<Peer>();
        let given = parts.headers.get(SETUP_TOKEN_HEADER);
        // A wrong token is refused even from loopback: a tunnel may forward remote callers without adding headers.
        if given.is_none() && is_on_this_machine(parts, peer) {
            return Ok(Self);
        }
        if given.is_some_and(|given| api.options.setup_token.matches(given.as_bytes())) {
            return Ok(Self);
        }
        match api.auth.setup_state().await {
            Ok(state) if state.initialized => Ok(Self),
            Ok(_) => Err(refuse(given.is_some())),
            Err(error) => Err(crate::error::Error::from(error).into_response()),
        }
    }
}

/// Whether the request comes from a person or program on this machine: over loopback, not forwarded by a
/// proxy, and not sent by a web page of another site in a local browser.
fn is_on_this_machine(parts: &Parts, peer: Option<&Peer>) -> bool {
    let headers = &parts.headers;
    let is_loopback = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    let mut names = hosts(&parts.uri, headers);
    let names_this_machine = names.all(|name| name.is_some_and(|name| is_loopback_name(&name)));
    is_loopback && names_this_machine && !is_forwarded(headers) && !is_from_other_page(headers)
}

/// Whether a proxy has added a header that marks the request as forwarded.
fn is_forwarded(headers: &HeaderMap) -> bool {
    const NAMES: &[&str] = &[
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "cdn-loop",
    ];
    const PREFIXES: &[&str] = &["x-forwarded", "x-original-", "x-envoy-"];
    headers.keys().any(|name| {
        let name = name.as_str();
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Whether a browser sent the request from a page of another site.
fn is_from_other_page(headers: &HeaderMap) -> bool {
    let is_fetched_elsewhere = headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let origins = headers.get_all(http::header::ORIGIN).iter();
    let mut origins = origins.map(|origin| {
        let (_, authority) = origin.to_str().ok()?.split_once("://")?;
        host_name(authority)
    });
    is_fetched_elsewhere || origins.any(|name| !name.is_some_and(|name| is_loopback_name(&name)))
}

/// Parses the headers about a request's origin, for [`crate::fuzzing`].
pub(crate) fn try_parts(uri: &http::Uri, headers: &HeaderMap) {
    hosts(uri, headers).count();
    is_forwarded(headers);
    is_from_other_page(headers);
}

fn refuse(with_token: bool) -> Response {
    let (status, message) = if with_token {
        (StatusCode::FORBIDDEN, "wrong setup token")
    } else {
        (StatusCode::UNAUTHORIZED, "setup token required")
    };
    let error = types::Error {
        message: message.to_owned(),
        hint: Some(
            "send the setup token in the header X-Weir-Setup-Token, or create the first administrator on the server's own machine; \
             the server's start log prints the token, unless its configuration sets installation.setup_token"
                .to_owned(),
        ),
        ..types::Error::default()
    };
    (status, Json(error)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn admitted(peer: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::post("/api/v1/setup_lakefs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let peer = peer.parse().ok().map(Peer);
        is_on_this_machine(&parts, peer.as_ref())
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:8000");

    #[test]
    fn local_callers_are_admitted() {
        for peer in [
            "127.0.0.1:5000",
            "127.8.8.8:1",
            "[::1]:5000",
            "[::ffff:127.0.0.1]:9",
        ] {
            assert!(admitted(peer, &[HOST]), "{peer}");
        }
        assert!(admitted(
            "127.0.0.1:5000",
            &[
                ("host", "localhost:8000"),
                ("origin", "http://localhost:8000"),
                ("sec-fetch-site", "same-origin")
            ]
        ));
    }

    #[test]
    fn remote_forwarded_and_cross_site_callers_are_not_admitted() {
        for peer in ["10.0.0.7:5000", "172.17.0.1:5000", "[fe80::1]:9", "unknown"] {
            assert!(!admitted(peer, &[HOST]), "{peer}");
        }
        for header in [
            ("forwarded", "for=203.0.113.9"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("X-Real-IP", "203.0.113.9"),
            ("Via", "1.1 proxy"),
            ("CF-Connecting-IP", "203.0.113.9"),
            ("x-original-forwarded-for", "203.0.113.9"),
            ("x-envoy-external-address", "203.0.113.9"),
            // DNS rebinding: a name that temporarily resolves to this machine.
            ("host", "rebound.evil.example:8000"),
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!admitted("127.0.0.1:5000", &[HOST, header]), "{header:?}");
        }
    }

    #[tokio::test]
    async fn refusal_has_a_message_and_a_hint_about_the_token() {
        for (with_token, status, message) in [
            (false, 401, "setup token required"),
            (true, 403, "wrong setup token"),
        ] {
            let response = refuse(with_token);
            assert_eq!(response.status(), status);
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            let error: types::Error = serde_json::from_slice(&body.unwrap()).unwrap();
            assert_eq!(error.message, message);
            let hint = error.hint.unwrap();
            assert!(
                hint.contains("X-Weir-Setup-Token") && hint.contains("start log"),
                "{hint}"
            );
        }
    }

    #[test]
    fn setup_token_matches_only_itself() {
        let token = SetupToken::new("a token of sixteen".to_owned());
        assert!(token.matches(b"a token of sixteen"));
        for wrong in [
            &b""[..],
            b"a token",
            b"a token of sixteeN",
            b"a token of sixteen ",
        ] {
            assert!(!token.matches(wrong));
        }
        assert!(!SetupToken::new(String::new()).matches(b""));
        assert!(!format!("{token:?}").contains("sixteen"));
    }
}
