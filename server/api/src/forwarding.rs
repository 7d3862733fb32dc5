//! Recognizes requests that a proxy, load balancer or content delivery network has forwarded, by the headers that such
//! intermediaries add. A proxy that adds no headers cannot be distinguished from a client.

use http::HeaderMap;

/// Headers of proxies. Names are compared without regard to case, and with `_` as `-`.
const NAMES: &[&str] = &[
    "ali-cdn-real-ip",
    "client-ip",
    "front-end-https",
    "incap-client-ip",
    "max-forwards",
    "remote-addr",
    "remote-user",
    "surrogate-capability",
    "true-client-ip",
    "via",
    "x-bluecoat-via",
    "x-cdn",
    "x-cloud-trace-context",
    "x-coming-from",
    "x-edge-location",
    "x-from",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-override-url",
    "x-path-prefix",
    "x-port",
    "x-proto",
    "x-protocol",
    "x-queue-start",
    "x-request-start",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-true-client-ip",
    "x-true-ip",
    "x-url-scheme",
    "x-varnish",
    "x-wap-profile",
];

/// Beginnings of the names of further headers of proxies.
const PREFIXES: &[&str] = &[
    "akamai-",
    "cdn-",
    "cf-",
    "cloudfront-",
    "do-connecting-",
    "eagleeye-",
    "fastly-",
    "fly-",
    "forwarded",
    "l5d-",
    "proxy-",
    "tailscale-",
    "traefik-",
    "wl-proxy-",
    "x-accel-",
    "x-akamai-",
    "x-amz-cf-",
    "x-amzn-",
    "x-appengine-",
    "x-arr-",
    "x-auth-request-",
    "x-azure-",
    "x-backend-",
    "x-client-",
    "x-cluster-",
    "x-connecting-",
    "x-envoy-",
    "x-fastly-",
    "x-forward-",
    "x-forwarded",
    "x-forwarder-",
    "x-gateway-",
    "x-goog-",
    "x-haproxy-",
    "x-heroku-",
    "x-istio-",
    "x-kong-",
    "x-kubernetes-",
    "x-lb-",
    "x-linkerd-",
    "x-nf-",
    "x-nginx-",
    "x-original-",
    "x-originating-",
    "x-proxied",
    "x-proxy",
    "x-real-",
    "x-remote-",
    "x-replaced-",
    "x-serverless-",
    "x-source-ip",
    "x-ssl-",
    "x-sucuri-",
    "x-tls-",
    "x-traefik-",
    "x-vercel-",
    "x-webauth-",
    "x-zuul-",
];

/// Whether a proxy has added one of its headers.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_of_proxy(name.as_str()))
}

/// Whether proxies add a header. `name` is in lowercase.
fn is_of_proxy(name: &str) -> bool {
    let name = name.replace('_', "-");
    // Gateways that pass headers on as CGI variables write `HTTP_X_FORWARDED_FOR`.
    let name = name.strip_prefix("http-").unwrap_or(&name);
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn is_forwarded_by(name: &str) -> bool {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        is_forwarded(&HeaderMap::from_iter([(
            name,
            HeaderValue::from_static("203.0.113.9"),
        )]))
    }

    #[test]
    fn headers_of_proxies_are_recognized() {
        for name in [
            "Forwarded",
            "Forwarded-For",
            "Forwarded-Proto",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "x_forwarded-host",
            "HTTP_X_FORWARDED_FOR",
            "X-Forwarded",
            "X-Forward-For",
            "Via",
            "Client-IP",
            "HTTP-Client-IP",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "X-Real-IP",
            "X-Real-Port",
            "X-Remote-Addr",
            "X-Host",
            "X-Scheme",
            "X-Request-Start",
            "X-Queue-Start",
            "X-Original-URL",
            "X-Original-Forwarded-For",
            "X-Originating-IP",
            "X-ProxyUser-Ip",
            "Proxy-Connection",
            "WL-Proxy-Client-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
            "CF-Ray",
            "CDN-Loop",
            "l5d-client-id",
            "CloudFront-Forwarded-Proto",
            "X-Amz-Cf-Id",
            "X-Amzn-Trace-Id",
            "X-Azure-ClientIP",
            "X-ARR-SSL",
            "X-AppEngine-User-IP",
            "X-Cloud-Trace-Context",
            "X-Envoy-External-Address",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "Front-End-Https",
            "Max-Forwards",
            "X-Vercel-Forwarded-For",
            "X-Nf-Client-Connection-Ip",
            "Tailscale-User-Login",
        ] {
            assert!(is_forwarded_by(name), "{name}");
        }
    }

    #[test]
    fn headers_of_clients_are_not_those_of_proxies() {
        for name in [
            "Host",
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Authorization",
            "Cache-Control",
            "Connection",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "DNT",
            "Expect",
            "Origin",
            "Pragma",
            "Priority",
            "Referer",
            "Sec-Fetch-Site",
            "Sec-CH-UA",
            "TE",
            "Traceparent",
            "Transfer-Encoding",
            "Upgrade-Insecure-Requests",
            "User-Agent",
            "X-Lakefs-Client",
            "X-Requested-With",
            "X-Request-Id",
            "X-Weir-Setup-Token",
        ] {
            assert!(!is_forwarded_by(name), "{name}");
        }
    }
}
