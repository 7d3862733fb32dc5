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
use http::{StatusCode, Version};
use subtle::ConstantTimeEq as _;

use crate::SharedState;
use crate::forwarding::is_forwarded;
use crate::site::{is_own_local_page, names_this_machine};

/// The header that carries the setup token.
pub const SETUP_TOKEN_HEADER: &str = "x-weir-setup-token";

/// The remote address of a request's connection. The server adds it to every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The token with which callers may create the first administrator.
#[derive(Clone)]
pub struct SetupToken {
    token: String,
    is_configured: bool,
}

impl SetupToken {
    /// Creates a random token, which the start log prints. An empty token matches nothing.
    #[must_use]
    pub fn generated(token: String) -> Self {
        Self {
            token,
            is_configured: false,
        }
    }

    /// Creates a token from the configured value. A configured token is not logged.
    #[must_use]
    pub fn configured(token: String) -> Self {
        Self {
            token,
            is_configured: true,
        }
    }

    fn matches(&self, given: &[u8]) -> bool {
        !self.token.is_empty() && bool::from(self.token.as_bytes().ct_eq(given))
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

impl FromRequestParts<SharedState> for FirstCaller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &SharedState) -> Result<Self, Response> {
        let peer = parts.extensions.get::<Peer>();
        let given = parts.headers.get(SETUP_TOKEN_HEADER);
        // A wrong token is refused even from loopback: a tunnel may forward remote callers without adding headers.
        let token = &api.options.setup_token;
        if given.is_none() && is_on_this_machine(parts, peer) {
            return Ok(Self);
        }
        if given.is_some_and(|given| token.matches(given.as_bytes())) {
            return Ok(Self);
        }
        match api.auth.setup_state().await {
            Ok(state) if state.initialized => Ok(Self),
            Ok(_) => Err(refuse(token, given.is_some())),
            Err(error) => Err(crate::error::Error::from(error).into_response()),
        }
    }
}

/// Whether the request comes from a person or program on this machine: over loopback, addressed to this machine, not
/// forwarded by a proxy, and not sent by a page of another origin in a local browser.
fn is_on_this_machine(parts: &Parts, peer: Option<&Peer>) -> bool {
    let is_loopback = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    is_loopback
        && names_this_machine(&parts.uri, &parts.headers)
        && !was_forwarded(parts)
        && is_own_local_page(&parts.uri, &parts.headers)
}

/// Whether a proxy has marked the request as forwarded, or has sent it as HTTP/1.0. HTTP/1.0 is the default of nginx,
/// and no other client uses it. A proxy that does neither cannot be distinguished from a local client.
fn was_forwarded(request: &Parts) -> bool {
    request.version < Version::HTTP_11 || is_forwarded(&request.headers)
}

/// Parses the headers about a request's origin, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn try_parts(uri: &http::Uri, headers: &http::HeaderMap) {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.uri = uri.clone();
    parts.headers = headers.clone();
    is_on_this_machine(&parts, Some(&Peer(([127, 0, 0, 1], 1).into())));
}

fn refuse(token: &SetupToken, is_wrong: bool) -> Response {
    let (status, message) = if is_wrong {
        (StatusCode::FORBIDDEN, "wrong setup token")
    } else {
        (StatusCode::UNAUTHORIZED, "setup token required")
    };
    let hint = if token.is_configured {
        "send the token of the server's configuration (installation.setup_token) in the header X-Weir-Setup-Token, \
         or create the first administrator on the server's own machine and not through a proxy"
    } else {
        "send the setup token, which the server's start log prints, in the header X-Weir-Setup-Token, \
         or create the first administrator on the server's own machine and not through a proxy"
    };
    let error = types::Error {
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
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
            ("X-Scheme", "https"),
            (
                "x-amzn-trace-id",
                "Root=1-5759e988-bd862e3fe1be46a994272793",
            ),
            ("CF-Connecting-IP", "203.0.113.9"),
            ("x-original-forwarded-for", "203.0.113.9"),
            ("x-envoy-external-address", "203.0.113.9"),
            // DNS rebinding: a name that temporarily resolves to this machine.
            ("host", "rebound.evil.example:8000"),
            ("host", "demo.localhost:8000"),
            ("origin", "http://evil.example"),
            ("origin", "null"),
            // Another program on this machine, another scheme, another name of this machine.
            ("origin", "http://127.0.0.1:9000"),
            ("origin", "http://127.0.0.1"),
            ("origin", "https://127.0.0.1:8000"),
            ("origin", "http://localhost:8000"),
            ("sec-fetch-site", "Same-Origin"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!admitted("127.0.0.1:5000", &[HOST, header]), "{header:?}");
        }
    }

    /// Guards against a bug: a request without a host name counted as addressed to this machine.
    #[test]
    fn callers_without_a_host_are_not_admitted() {
        assert!(admitted("127.0.0.1:5000", &[HOST]));
        assert!(!admitted("127.0.0.1:5000", &[]));
    }

    /// Guards against a bug: a request was accepted if only one of the two headers named this server.
    #[test]
    fn origin_and_sec_fetch_site_must_agree() {
        let own = ("origin", "http://127.0.0.1:8000");
        let foreign = ("origin", "http://evil.example");
        for (origin, site, expected) in [
            (own, "same-origin", true),
            (own, "cross-site", false),
            (foreign, "same-origin", false),
            (foreign, "none", false),
        ] {
            let headers = [HOST, origin, ("sec-fetch-site", site)];
            assert_eq!(
                admitted("127.0.0.1:5000", &headers),
                expected,
                "{headers:?}"
            );
        }
    }

    /// Guards against a bug: requests through a proxy on this machine with these settings looked local, because the
    /// proxy passes on the host that the client chose.
    #[test]
    fn documented_proxy_is_not_admitted() {
        let page = include_str!("../../../docs/guides/load-balancer.md");
        let (_, block) = page.split_once("```nginx").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let mut headers = Vec::new();
        for line in block.lines() {
            let Some(header) = line.trim().strip_prefix("proxy_set_header ") else {
                continue;
            };
            let (name, value) = header.trim_end_matches(';').split_once(' ').unwrap();
            let value = match value {
                // nginx sends no header with an empty value.
                "\"\"" => continue,
                "$http_host" => "localhost",
                "$remote_addr" | "$proxy_add_x_forwarded_for" => "203.0.113.9",
                "$scheme" => "https",
                other => panic!("unknown value {other}"),
            };
            headers.push((name, value));
        }
        assert!(headers.contains(&("Host", "localhost")), "{headers:?}");
        assert!(!admitted("127.0.0.1:5000", &headers));
        let only_host = [("Host", "localhost")];
        assert!(admitted("127.0.0.1:5000", &only_host), "the headers decide");
    }

    /// nginx forwards requests like this one unless its configuration names another version or header.
    #[test]
    fn requests_of_http_1_0_are_not_admitted() {
        for (version, expected) in [
            (Version::HTTP_09, false),
            (Version::HTTP_10, false),
            (Version::HTTP_11, true),
            (Version::HTTP_2, true),
        ] {
            let request = Request::post("/api/v1/setup_lakefs").version(version);
            let request = request.header(HOST.0, HOST.1).header("connection", "close");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let peer = Peer("127.0.0.1:5000".parse().unwrap());
            let is_local = is_on_this_machine(&parts, Some(&peer));
            assert_eq!(is_local, expected, "{version:?}");
        }
    }

    #[tokio::test]
    async fn refusal_has_a_message_and_a_hint_about_the_token() {
        let generated = SetupToken::generated("t".to_owned());
        let configured = SetupToken::configured("t".to_owned());
        for (token, is_wrong, status, message, says) in [
            (&generated, false, 401, "setup token required", "start log"),
            (&generated, true, 403, "wrong setup token", "start log"),
            (
                &configured,
                false,
                401,
                "setup token required",
                "installation.setup_token",
            ),
            (
                &configured,
                true,
                403,
                "wrong setup token",
                "installation.setup_token",
            ),
        ] {
            let response = refuse(token, is_wrong);
            assert_eq!(response.status(), status);
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            let error: types::Error = serde_json::from_slice(&body.unwrap()).unwrap();
            assert_eq!(error.message, message);
            let hint = error.hint.unwrap();
            assert!(
                hint.contains("X-Weir-Setup-Token") && hint.contains(says),
                "{hint}"
            );
        }
    }

    #[test]
    fn setup_token_matches_only_itself() {
        let token = SetupToken::configured("a token of sixteen".to_owned());
        assert!(token.matches(b"a token of sixteen"));
        for wrong in [
            &b""[..],
            b"a token",
            b"a token of sixteeN",
            b"a token of sixteen ",
        ] {
            assert!(!token.matches(wrong));
        }
        assert!(!SetupToken::generated(String::new()).matches(b""));
        assert!(!format!("{token:?}").contains("sixteen"));
    }
}
