//! The origin and host of browser requests, from `Host`, `Origin` and `Sec-Fetch-Site`.
//!
//! Any web page can send requests to any address that its user can reach. The browser states in these headers where a
//! request comes from, and the scripts of the page cannot change them.

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::uri::{Authority, Uri};

use crate::forwarding::is_forwarded;

/// The host names that a request is addressed to, in lowercase, without port: from its `Host` headers
/// and from its target, if it has an authority. `None` for an invalid host name.
pub fn hosts<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = Option<String>> + 'a {
    let of_target = uri
        .authority()
        .map(|authority| host_name(authority.as_str()));
    let of_headers = headers
        .get_all(HOST)
        .iter()
        .map(|value| value.to_str().ok().and_then(host_name));
    of_target.into_iter().chain(of_headers)
}

/// The host in `host`, `host:port` or `[address]:port`, in lowercase and without a final dot.
#[must_use]
pub fn host_name(authority: &str) -> Option<String> {
    let parsed: Authority = authority.parse().ok()?;
    let host = parsed.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    (!authority.contains('@') && !host.is_empty()).then(|| host.to_owned())
}

/// Whether a host name always refers to the machine itself: `localhost` and loopback addresses. Subdomains of `localhost`
/// do not: some resolvers ask name servers for them.
#[must_use]
pub fn is_loopback_name(host: &str) -> bool {
    if host == "localhost" {
        return true;
    }
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    address
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a proxy says that the client uses HTTPS.
///
/// Clients can lie about it. Therefore only what the client itself sees may depend on it, such as the attributes of its
/// cookie.
#[must_use]
pub fn is_client_using_https(headers: &HeaderMap) -> bool {
    forwarded_scheme(headers).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

fn forwarded_scheme(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("x-forwarded-proto")?.to_str().ok()?;
    // Each proxy of a chain appends its scheme. The first scheme is the client's.
    value.split(',').next().map(str::trim)
}

/// Whether a browser marked the request as sent by another site's page.
#[must_use]
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"cross-site"))
}

/// Whether a request contains at least one host name, and all its host names refer to this machine.
pub(crate) fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut names = hosts(uri, headers).peekable();
    names.peek().is_some() && names.all(|name| name.is_some_and(|name| is_loopback_name(&name)))
}

/// Whether a request may use the session cookie: it comes from a page of this server, or from a client that is not a
/// browser and sends no origin. `Sec-Fetch-Site` and `Origin` must agree, unless a proxy hides the host that the client sees.
pub(crate) fn is_own_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(is_compared) = allowed_site(headers) else {
        return false;
    };
    if is_compared && is_forwarded(headers) && !headers.contains_key("x-forwarded-host") {
        // The browser has compared the origins. The proxy may have changed `Host`, for example by leaving out the port.
        return true;
    }
    // A browser that states `same-origin` has already compared the schemes. The scheme in a header may be wrong,
    // because the last of several proxies may have set it.
    let scheme = match is_compared {
        true => None,
        false => known_scheme(uri, headers),
    };
    let of_header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        // Each proxy of a chain appends its host. The first host is the one that the client sees.
        value.split(',').next().map(str::trim)
    };
    let own: Vec<&str> = uri
        .authority()
        .map(Authority::as_str)
        .into_iter()
        .chain(of_header(HOST.as_str()))
        .chain(of_header("x-forwarded-host"))
        .collect();
    let is_own = |origin| own.iter().any(|own| is_same(origin, own, scheme));
    headers.get_all(ORIGIN).iter().all(is_own)
}

/// Whether a request was sent by a page of this server or by no page. For requests that came without a proxy, and
/// therefore without TLS.
pub(crate) fn is_own_local_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let of_target = uri.authority().map(Authority::as_str);
    let of_headers = headers.get_all(HOST).iter().map(HeaderValue::to_str);
    let own: Vec<&str> = of_target.into_iter().chain(of_headers.flatten()).collect();
    let is_own = |origin| own.iter().all(|own| is_same(origin, own, Some("http")));
    allowed_site(headers).is_some() && headers.get_all(ORIGIN).iter().all(is_own)
}

/// Returns true if the browser states that page and server have the same origin, and false if it states nothing or
/// `none`. Returns `None` for any other value.
fn allowed_site(headers: &HeaderMap) -> Option<bool> {
    let mut is_same_origin = false;
    for site in headers.get_all("sec-fetch-site") {
        match site.as_bytes() {
            b"same-origin" => is_same_origin = true,
            b"none" => {}
            _ => return None,
        }
    }
    Some(is_same_origin)
}

/// The scheme with which a client reached the server, if it is known. A proxy may terminate TLS without adding a header
/// that says so.
fn known_scheme(uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    match forwarded_scheme(headers) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => Some("https"),
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => Some("http"),
        _ => (names_this_machine(uri, headers) && !is_forwarded(headers)).then_some("http"),
    }
}

/// Whether an origin (`https://host:port`) matches an authority (`host` or `host:port`) and a scheme, if one is given.
fn is_same(origin: &HeaderValue, authority: &str, own_scheme: Option<&str>) -> bool {
    let parse = |origin: &HeaderValue| {
        let (scheme, rest) = origin.to_str().ok()?.split_once("://")?;
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let port_of = |authority: &str| {
            let parsed: Authority = authority.parse().ok()?;
            Some(parsed.port_u16().unwrap_or(default))
        };
        let same_host = host_name(rest)? == host_name(authority)?;
        let same_scheme = own_scheme.is_none_or(|own| own == scheme);
        Some(same_scheme && same_host && port_of(rest)? == port_of(authority)?)
    };
    parse(origin).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn loopback_names() {
        for host in [
            "localhost",
            "localhost:8000",
            "LOCALHOST.:80",
            "127.0.0.1:8000",
            "127.9.9.9",
            "[::1]:8000",
            "[::ffff:127.0.0.1]",
        ] {
            let name = host_name(host).unwrap();
            assert!(is_loopback_name(&name), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "demo.localhost",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
        ] {
            let name = host_name(host).unwrap();
            assert!(!is_loopback_name(&name), "{host}");
        }
        for host in [
            "",
            "localhost@evil.example",
            "evil.example@localhost",
            "a b",
        ] {
            assert_eq!(host_name(host), None, "{host}");
        }
    }

    #[test]
    fn all_hosts_of_a_request_are_returned() {
        let uri = Uri::from_static("http://evil.example/api");
        let given = headers(&[("host", "localhost"), ("host", "a b")]);
        let found: Vec<_> = hosts(&uri, &given).collect();
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(found, [name("evil.example"), name("localhost"), None]);
        assert_eq!(hosts(&Uri::from_static("/"), &headers(&[])).count(), 0);
    }

    #[test]
    fn own_pages_and_other_clients_may_use_the_cookie() {
        let host = ("host", "weir.example:8000");
        for given in [
            vec![host],
            vec![host, ("origin", "http://weir.example:8000")],
            vec![host, ("origin", "http://WEIR.example:8000")],
            vec![
                host,
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://weir.example:8000"),
            ],
            vec![host, ("sec-fetch-site", "none")],
            // A proxy that changes the host, and does not say which one the client sees.
            vec![
                host,
                ("x-forwarded-for", "203.0.113.9"),
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://lake.example"),
            ],
            // A proxy that terminates TLS and adds no header that says so.
            vec![host, ("origin", "https://weir.example:8000")],
            vec![
                host,
                ("x-forwarded-proto", "https"),
                ("origin", "https://weir.example:8000"),
            ],
            // The inner of two proxies receives the request without TLS, and says so in its header.
            vec![
                host,
                ("x-forwarded-proto", "http"),
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://weir.example:8000"),
            ],
            vec![
                ("host", "localhost:8443"),
                ("x-forwarded-for", "203.0.113.9"),
                ("origin", "https://localhost:8443"),
            ],
            vec![("host", "weir.example"), ("origin", "https://weir.example")],
            vec![
                ("host", "weir.example:443"),
                ("origin", "https://weir.example"),
            ],
            vec![
                ("host", "weir.example"),
                ("origin", "http://weir.example:80"),
            ],
            vec![
                ("host", "backend:8000"),
                ("x-forwarded-host", "weir.example"),
                ("origin", "https://weir.example"),
            ],
            vec![
                ("host", "backend:8000"),
                ("x-forwarded-host", "weir.example, inner.example"),
                ("origin", "https://weir.example"),
            ],
        ] {
            assert!(
                is_own_page(&Uri::from_static("/"), &headers(&given)),
                "{given:?}"
            );
        }
        // In HTTP/2 the host is part of the target.
        let target = Uri::from_static("https://weir.example/api");
        assert!(is_own_page(
            &target,
            &headers(&[("origin", "https://weir.example")])
        ));
    }

    #[test]
    fn pages_of_other_sites_may_not_use_the_cookie() {
        let host = ("host", "weir.example:8000");
        for given in [
            vec![host, ("origin", "http://evil.example")],
            vec![host, ("origin", "http://weir.example")],
            vec![host, ("origin", "http://weir.example:8001")],
            vec![host, ("origin", "https://weir.example.evil.example:8000")],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "")],
            vec![host, ("origin", "chrome-extension://abcdef")],
            vec![
                host,
                ("origin", "http://weir.example:8000"),
                ("origin", "http://evil.example"),
            ],
            vec![
                host,
                ("origin", "http://weir.example:8000"),
                ("sec-fetch-site", "cross-site"),
            ],
            vec![
                host,
                ("x-forwarded-host", "weir.example, inner.example"),
                ("origin", "https://inner.example"),
            ],
            vec![host, ("sec-fetch-site", "same-site")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![
                host,
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            // Headers that contradict each other.
            vec![
                host,
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://lake.example"),
            ],
            vec![
                host,
                ("x-forwarded-proto", "http"),
                ("origin", "https://weir.example:8000"),
            ],
            vec![
                host,
                ("x-forwarded-proto", "https"),
                ("origin", "http://weir.example:8000"),
            ],
            vec![
                ("host", "127.0.0.1:8000"),
                ("origin", "https://127.0.0.1:8000"),
            ],
            vec![("origin", "http://weir.example:8000")],
        ] {
            assert!(
                !is_own_page(&Uri::from_static("/"), &headers(&given)),
                "{given:?}"
            );
        }
    }

    #[test]
    fn cross_site_requests_are_detected_by_sec_fetch_site() {
        assert!(is_cross_site(&headers(&[("sec-fetch-site", "cross-site")])));
        assert!(is_cross_site(&headers(&[
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "Cross-Site")
        ])));
        assert!(!is_cross_site(&headers(&[("sec-fetch-site", "same-site")])));
        assert!(!is_cross_site(&headers(&[])));
    }

    #[test]
    fn first_proxy_says_whether_the_client_uses_https() {
        for (value, expected) in [
            ("https", true),
            ("HTTPS , http", true),
            ("http", false),
            ("http, https", false),
            ("", false),
        ] {
            let headers = headers(&[("x-forwarded-proto", value)]);
            assert_eq!(is_client_using_https(&headers), expected, "{headers:?}");
        }
        assert!(!is_client_using_https(&headers(&[])));
    }
}
