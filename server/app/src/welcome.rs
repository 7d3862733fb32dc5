//! The page at the server's root: the version, links to the documentation, and the next commands.
//!
//! Browsers get HTML, all other clients plain text. The page contains no scripts, and nothing from
//! the request except its scheme and a host name that has been validated. `docs.rs` serves the documentation itself.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Uri, header};

use crate::docs::DOCS;
use crate::page::{answer, escape, wants_html};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Shown if the request has no usable host.
const USUAL_HOST: &str = "127.0.0.1:8000";
/// Longer host names are not shown.
const MAX_HOST_BYTES: usize = 255;

/// Handles `/`.
pub(crate) async fn page(target: Uri, headers: HeaderMap) -> Response {
    let url = server_url(&target, &headers);
    let mut response = if wants_html(&headers) {
        answer("text/html; charset=utf-8", html(&url))
    } else {
        answer("text/plain; charset=utf-8", text(&url))
    };
    let vary = HeaderValue::from_static("accept, host, x-forwarded-host, x-forwarded-proto");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// The address of this server as the client knows it, also behind a proxy.
fn server_url(target: &Uri, headers: &HeaderMap) -> String {
    let scheme = match api::is_client_using_https(headers) {
        true => "https",
        false => "http",
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Each proxy of a chain appends its host. The client talks to the first one.
    let forwarded = header("x-forwarded-host").and_then(|hosts| hosts.split(',').next());
    // HTTP/2 has the host in the request target.
    let authority = target.authority().map(|authority| authority.as_str());
    let candidates = [forwarded, authority, header("host")];
    let host = candidates.into_iter().flatten().find_map(shown_host);
    format!("{scheme}://{}", host.unwrap_or(USUAL_HOST))
}

/// Returns a host that is safe to display: a name or an address, optionally with a port.
fn shown_host(host: &str) -> Option<&str> {
    let host = host.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    (!host.is_empty() && host.len() <= MAX_HOST_BYTES && host.chars().all(is_plain)).then_some(host)
}

/// The next steps: an explanation and a command each.
fn commands(url: &str) -> [(&'static str, String); 3] {
    [
        (
            "Create the first administrator. The response shows its keys only once. Skip this step if keys were configured at the start. \
             From another machine, or through a proxy, add -H 'X-Weir-Setup-Token: TOKEN'. The server's start log prints the token. If installation.setup_token is set, use that token.",
            format!(
                "curl -H 'content-type: application/json' -d '{{\"username\": \"admin\"}}' {url}/api/v1/setup_lakefs"
            ),
        ),
        (
            "Create a repository with a branch main. Replace KEY and SECRET by those keys.",
            format!(
                "curl -u KEY:SECRET -H 'content-type: application/json' -d '{{\"name\": \"lake\", \"storage_namespace\": \"local://lake\"}}' {url}/api/v1/repositories"
            ),
        ),
        (
            "Write to main through S3. Pass the same keys to `aws configure`.",
            format!("aws --endpoint-url {url} --region us-east-1 s3 cp FILE s3://lake/main/FILE"),
        ),
    ]
}

fn text(url: &str) -> String {
    let mut out = format!(
        "Weir {VERSION}: git for data lakes. This server implements the REST and S3 APIs of lakeFS.\n\nDocumentation:\n"
    );
    out.push_str(&format!("  {url}/README.md  the overview\n"));
    for page in DOCS {
        let (path, about) = (page.path, page.about);
        out.push_str(&format!("  {url}/docs/{path}  {about}\n"));
    }
    out.push_str(&format!("  {url}/openapi.json  the REST API\n\nNext:\n"));
    for (number, (why, command)) in commands(url).iter().enumerate() {
        out.push_str(&format!("  {}. {why}\n     {command}\n", number + 1));
    }
    out
}

fn html(url: &str) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Weir</title>\n<h1>Weir {VERSION}</h1>\n\
         <p>Git for data lakes. This server implements the REST and S3 APIs of lakeFS.</p>\n<h2>Documentation</h2>\n<ul>\n"
    );
    out.push_str("<li><a href=\"/README.md\">Overview</a></li>\n");
    for page in DOCS {
        let (path, about) = (page.path, page.about);
        out.push_str(&format!(
            "<li><a href=\"/docs/{path}\">{path}</a>: {about}</li>\n"
        ));
    }
    out.push_str("<li><a href=\"/openapi.json\">openapi.json</a>: the REST API</li>\n</ul>\n<h2>Next</h2>\n<ol>\n");
    for (why, command) in commands(url) {
        out.push_str(&format!(
            "<li>{}<pre>{}</pre></li>\n",
            escape(why),
            escape(&command)
        ));
    }
    out.push_str("</ol>\n</html>\n");
    out
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri, header};
    use http_body_util::BodyExt as _;

    use super::{page, server_url};

    async fn ask(accept: &str, host: &[u8]) -> (HeaderMap, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        headers.insert(header::HOST, HeaderValue::from_bytes(host).unwrap());
        let response = page(Uri::from_static("/"), headers).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn browsers_get_a_page_without_scripts() {
        let (headers, page) = ask(
            "text/html,application/xhtml+xml;q=0.9",
            b"lake.example:8000",
        )
        .await;
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(
            page.contains(concat!("Weir ", env!("CARGO_PKG_VERSION"))),
            "{page}"
        );
        assert_eq!(page.matches("<pre>").count(), 3, "{page}");
        assert!(
            page.contains("http://lake.example:8000/api/v1/setup_lakefs"),
            "{page}"
        );
        for forbidden in ["<script", "style", "onload", "javascript:"] {
            assert!(!page.contains(forbidden), "{page}");
        }
    }

    #[tokio::test]
    async fn other_clients_get_plain_text() {
        for accept in ["*/*", "application/json"] {
            let (headers, text) = ask(accept, b"127.0.0.1:8001").await;
            assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
            assert!(!text.contains('<'), "{text}");
            assert!(
                text.contains("http://127.0.0.1:8001/docs/reference/hooks.md"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn invalid_host_is_not_shown() {
        for host in [
            &b"\"><script>alert(1)</script>"[..],
            b"a;rm -rf ~",
            b"$(id)",
            b"\xff",
            b"",
            b"user@host",
        ] {
            for accept in ["text/html", "*/*"] {
                let (_, page) = ask(accept, host).await;
                assert!(
                    page.contains("http://127.0.0.1:8000/api/v1/setup_lakefs"),
                    "{page}"
                );
                assert!(
                    !page.contains("alert(1)") && !page.contains("rm -rf") && !page.contains("$("),
                    "{page}"
                );
            }
        }
    }

    /// Guards against a bug: URLs always began with `http`, and named the wrong host in HTTP/2 and behind a proxy.
    #[test]
    fn commands_use_the_address_that_the_client_used() {
        for (target, headers, expected) in [
            ("/", &[("host", "lake.test:80")][..], "http://lake.test:80"),
            ("http://lake.test/", &[], "http://lake.test"),
            (
                "/",
                &[
                    ("host", "10.0.0.1:8000"),
                    ("x-forwarded-host", "lake.test, inner.test"),
                    ("x-forwarded-proto", "https"),
                ],
                "https://lake.test",
            ),
            (
                "/",
                &[("host", "lake.test"), ("x-forwarded-host", "<script>")],
                "http://lake.test",
            ),
            ("/", &[], "http://127.0.0.1:8000"),
        ] {
            let headers = headers.iter().map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            let url = server_url(&Uri::from_static(target), &headers.collect());
            assert_eq!(url, expected);
        }
    }

    /// Guards against a bug: the page did not mention the token, without which the command fails on other machines.
    #[tokio::test]
    async fn remote_setup_is_explained() {
        for accept in ["text/html", "*/*"] {
            let (_, page) = ask(accept, b"lake.test").await;
            assert!(page.contains("X-Weir-Setup-Token: TOKEN"), "{page}");
        }
    }
}
