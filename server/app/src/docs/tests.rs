//! Tests of the served documentation.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use pulldown_cmark::{Event, Parser, Tag};
use tower::ServiceExt as _;

use super::{DOCS, options, resolved};

fn routes() -> Router {
    super::routes(Router::new())
}

async fn ask(path: &str, accept: &str) -> (StatusCode, header::HeaderMap, String) {
    let request = Request::get(path).header(header::ACCEPT, accept);
    let response = routes()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status, parts.headers, body)
}

fn all_paths() -> Vec<String> {
    let pages = DOCS.iter().map(|page| format!("/docs/{}", page.path));
    let others = ["/README.md", "/docs/SUMMARY.md", "/docs/"];
    pages.chain(others.map(str::to_owned)).collect()
}

/// Values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let parts = html.split(attribute).skip(1);
    parts.filter_map(|rest| rest.split('"').next()).collect()
}

/// Resolves a link as a browser does.
fn followed(page: &str, link: &str) -> String {
    match link.strip_prefix('/') {
        Some(absolute) => format!("/{absolute}"),
        None => format!("/{}", resolved(&page[1..], link).unwrap()),
    }
}

/// Guards against a bug: each request parsed and rendered its page again.
#[tokio::test]
async fn pages_are_rendered_once() {
    for accept in ["text/html", "*/*"] {
        let render = async || {
            let request = Request::get("/docs/").header(header::ACCEPT, accept);
            let request = request.body(Body::empty()).unwrap();
            let response = routes().oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let (first, second) = (render().await, render().await);
        assert_eq!(first.as_ptr(), second.as_ptr(), "{accept}");
    }
}

/// Guards against a bug: links between pages follow the paths of the repository, but pages were served at others.
#[tokio::test]
async fn every_link_of_every_page_leads_to_a_page() {
    let mut html_of = BTreeMap::new();
    for path in all_paths() {
        let (status, _, html) = ask(&path, "text/html").await;
        assert_eq!(status, 200, "{path}");
        html_of.insert(path, html);
    }
    let mut count = 0;
    for (path, html) in &html_of {
        for link in values(html, " href=\"") {
            if link.starts_with("http://") || link.starts_with("https://") || link == "/" {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => followed(path, file),
            };
            let (status, _, html) = ask(&target, "text/html").await;
            assert_eq!(status, 200, "{path}: {link}");
            let has_anchor = anchor.is_empty() || values(&html, " id=\"").contains(&anchor);
            assert!(has_anchor, "{path}: {link}");
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
}

#[tokio::test]
async fn every_link_of_the_markdown_leads_to_a_page() {
    let mut count = 0;
    for path in all_paths() {
        let (status, headers, text) = ask(&path, "*/*").await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert!(text.starts_with("# "), "{path}");
        for event in Parser::new_ext(&text, options()) {
            let Event::Start(Tag::Link { dest_url, .. }) = event else {
                continue;
            };
            let file = dest_url.split('#').next().unwrap();
            if dest_url.contains("://") || file.is_empty() {
                continue;
            }
            let (status, ..) = ask(&followed(&path, file), "*/*").await;
            assert_eq!(status, 200, "{path}: {dest_url}");
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn links_that_lead_nowhere_become_text() {
    let text = "# A\n\nSee [`notes` of *a*](../../ARCHITECTURE.md#x), [b](limits.md), [c](javascript:alert(1)).\n";
    assert_eq!(
        super::markdown("docs/reference/rest.md", text),
        "# A\n\nSee `notes` of *a*, [b](limits.md), c.\n"
    );
    let html = super::html("docs/reference/rest.md", text);
    assert!(
        html.contains("See <code>notes</code> of <em>a</em>, <a href=\"limits.md\">b</a>, c."),
        "{html}"
    );
}

#[test]
fn raw_html_is_shown_as_text() {
    let text = "# A\n\n<script>alert(1)</script>\n\nand <img src=x onerror=alert(1)> inline\n\n|a|\n|-:|\n|b|\n";
    let html = super::html("README.md", text);
    assert!(
        html.contains("&lt;script&gt;") && html.contains("&lt;img"),
        "{html}"
    );
    for forbidden in ["<script", "<img", "style="] {
        assert!(!html.contains(forbidden), "{html}");
    }
}

#[tokio::test]
async fn pages_run_no_scripts() {
    let (_, headers, html) = ask("/docs/reference/s3.md", "text/html").await;
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::VARY], "accept");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(html.contains("<table>"), "{html}");
}

#[tokio::test]
async fn unknown_page_says_where_the_list_is() {
    for path in [
        "/docs/nope.md",
        "/docs/../Cargo.toml",
        "/docs/decisions/0015-access.md",
    ] {
        let (status, _, body) = ask(path, "*/*").await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("/ lists the documentation"), "{path}: {body}");
    }
    let (status, headers, _) = ask("/docs", "*/*").await;
    assert_eq!(
        (status.as_u16(), &headers[header::LOCATION]),
        (308, &"/docs/".parse().unwrap())
    );
}

/// Every user-facing page must be served, including new ones.
#[test]
fn all_documents_are_listed() {
    let pages = super::SUMMARY
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let is_for_users =
        |page: &&str| !page.starts_with("decisions/") && *page != "operations/benchmarks.md";
    let listed: Vec<&str> = pages.filter(is_for_users).collect();
    let served: Vec<&str> = DOCS.iter().map(|page| page.path).collect();
    assert_eq!(served, listed);
    assert!(DOCS.iter().all(|page| !page.about.is_empty()));
}
