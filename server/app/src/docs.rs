//! The documentation of this version: README at `/README.md`, and the pages of `docs/` below `/docs/`.
//!
//! The paths are those of the repository, so that relative links between pages resolve. A link to a
//! file that is not served becomes plain text. Browsers get HTML without scripts and without the raw
//! HTML of a page, all other clients get Markdown.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

use crate::page::{answer, escape, wants_html};

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A page of the documentation.
#[derive(Debug)]
pub(crate) struct Page {
    /// Path below `docs/`.
    pub(crate) path: &'static str,
    /// What the page is about.
    pub(crate) about: &'static str,
    /// The Markdown text.
    text: &'static str,
}

/// Reads pages of `docs/`.
macro_rules! pages {
    ($($path:literal $about:literal;)+) => {
        &[$(Page {
            path: $path,
            about: $about,
            text: include_str!(concat!("../../../docs/", $path)),
        }),+]
    };
}

/// The pages, in the order of the table of contents.
pub(crate) const DOCS: &[Page] = pages! {
    "README.md" "what Weir is, and where to start";
    "get-started/install.md" "installing and starting a server";
    "get-started/first-repository.md" "a first repository";
    "get-started/first-gate.md" "a first gate";
    "guides/clients.md" "the AWS command line, lakectl and Python";
    "guides/write-a-hook.md" "writing a hook in Rust";
    "guides/webhook-gate.md" "writing a webhook gate";
    "guides/airflow.md" "starting Airflow DAGs";
    "guides/protect-a-branch.md" "protecting branches";
    "guides/pull-requests.md" "pull requests";
    "guides/undo.md" "undoing changes of a branch";
    "guides/long-changes.md" "commits and merges as tasks";
    "guides/load-balancer.md" "servers behind a load balancer";
    "guides/open-lakefs.md" "opening an installation of lakeFS";
    "guides/back-up-and-restore.md" "backup, dump and restore";
    "reference/configuration.md" "every key of the configuration";
    "reference/command-line.md" "the options of the command";
    "reference/rest.md" "all operations of the REST API";
    "reference/s3.md" "the operations of S3 that work";
    "reference/repositories.md" "repositories and listings";
    "reference/versioning.md" "branches, commits and merges";
    "reference/hooks.md" "action files, Wasm hooks, webhooks";
    "reference/errors.md" "error messages and hints";
    "reference/limits.md" "every limit";
    "reference/formats.md" "storage formats";
    "concepts/model.md" "repositories, branches and commits";
    "concepts/merges.md" "merges and conflicts";
    "concepts/gates.md" "gates, and which action files judge a change";
    "concepts/glossary.md" "terms";
    "operations/first-start.md" "the first administrator, keys and sessions";
    "operations/connections.md" "limits of connections, slow clients";
    "operations/monitoring.md" "health, metrics and logs";
    "operations/upgrades.md" "several servers, upgrades";
    "operations/garbage-collection.md" "garbage collection";
};

const README: &str = include_str!("../../../README.md");
/// The table of contents.
const SUMMARY: &str = include_str!("../../../docs/SUMMARY.md");

/// Adds the routes of the documentation.
pub(crate) fn routes(router: Router) -> Router {
    router
        .route("/README.md", get(readme))
        .route("/docs", get(folder))
        .route("/docs/", get(first_page))
        .route("/docs/{*path}", get(page))
}

/// Handles `/README.md`.
async fn readme(headers: HeaderMap) -> Response {
    respond("README.md", &headers)
}

/// Handles `/docs`: relative links need the final slash.
async fn folder() -> Response {
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static("/docs/"));
    response
}

/// Handles `/docs/`.
async fn first_page(headers: HeaderMap) -> Response {
    respond("docs/README.md", &headers)
}

/// Handles `/docs/PATH`.
async fn page(Path(path): Path<String>, headers: HeaderMap) -> Response {
    respond(&format!("docs/{path}"), &headers)
}

fn respond(path: &str, headers: &HeaderMap) -> Response {
    let Some(source) = SOURCES.get(path) else {
        return not_found(path);
    };
    let mut response = if wants_html(headers) {
        let page = source.html.get_or_init(|| html(path, source.text).into());
        answer(HTML, page.clone())
    } else {
        let page = source
            .markdown
            .get_or_init(|| markdown(path, source.text).into());
        answer(TEXT, page.clone())
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    response.extensions_mut().insert(api::SharedBody);
    response
}

fn not_found(path: &str) -> Response {
    // A page of the repository that is not part of this server, for example a decision.
    let text = if path.starts_with("docs/decisions/") {
        "the pages below docs/decisions are only in the source tree; / lists the documentation of this server\n"
    } else {
        "no such page; / lists the documentation of this server\n"
    };
    let mut response = answer(TEXT, text.to_owned());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// A served page. Each form is rendered at its first request.
struct Source {
    /// The Markdown text.
    text: &'static str,
    html: OnceLock<Bytes>,
    markdown: OnceLock<Bytes>,
}

/// All served pages, by their path in the repository.
static SOURCES: LazyLock<BTreeMap<String, Source>> = LazyLock::new(|| {
    let pages = DOCS
        .iter()
        .map(|page| (format!("docs/{}", page.path), page.text));
    let others = [("README.md", README), ("docs/SUMMARY.md", SUMMARY)];
    let others = others.map(|(path, text)| (path.to_owned(), text));
    pages
        .chain(others)
        .map(|(path, text)| {
            let source = Source {
                text,
                html: OnceLock::new(),
                markdown: OnceLock::new(),
            };
            (path, source)
        })
        .collect()
});

/// Returns whether the link `target` of the page `path` leads to a served page or to another site.
fn is_served_or_external(path: &str, target: &str) -> bool {
    if target.starts_with("https://") || target.starts_with("http://") {
        return true;
    }
    let file = target.split_once('#').map_or(target, |(file, _)| file);
    file.is_empty() || resolved(path, file).is_some_and(|file| SOURCES.contains_key(&file))
}

/// Resolves a link relative to the folder of the page `path`.
fn resolved(path: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH
}

/// Returns the page's Markdown. Links that lead nowhere are replaced by their text.
fn markdown(path: &str, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut dead: Option<(Range<usize>, Option<Range<usize>>)> = None;
    for (event, span) in Parser::new_ext(text, options()).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })
                if !is_served_or_external(path, &dest_url) =>
            {
                dead = Some((span, None));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                if let Some((whole, inner)) = dead.take() {
                    out.push_str(&text[copied..whole.start]);
                    out.push_str(&text[inner.unwrap_or(whole.start..whole.start)]);
                    copied = whole.end;
                }
            }
            _ => {
                if let Some((_, inner)) = &mut dead {
                    let start = inner.as_ref().map_or(span.start, |inner| inner.start);
                    *inner = Some(start..span.end);
                }
            }
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Returns the page as HTML.
fn html(path: &str, text: &str) -> String {
    let title = text.lines().next().unwrap_or_default();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} - Weir</title>\n<p><a href=\"/\">All pages</a></p>\n",
        escape(title.trim_start_matches('#').trim())
    );
    pulldown_cmark::html::push_html(&mut out, safe_events(path, text).into_iter());
    out.push_str("</html>\n");
    out
}

/// Parses a page. Raw HTML becomes text, links that lead nowhere are dropped, and headings get the
/// anchors that links refer to.
fn safe_events<'a>(path: &str, text: &'a str) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    let mut is_dead = false;
    // Where the current heading starts, and its text.
    let mut heading: Option<(usize, String)> = None;
    let mut seen = BTreeMap::new();
    for event in Parser::new_ext(text, options()) {
        let event = match event {
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            // Alignment would need the attribute `style`, which the policy forbids.
            Event::Start(Tag::Table(columns)) => Event::Start(Tag::Table(vec![
                pulldown_cmark::Alignment::None;
                columns.len()
            ])),
            Event::Start(Tag::Link { ref dest_url, .. } | Tag::Image { ref dest_url, .. })
                if !is_served_or_external(path, dest_url) =>
            {
                is_dead = true;
                continue;
            }
            Event::End(TagEnd::Link | TagEnd::Image) if is_dead => {
                is_dead = false;
                continue;
            }
            Event::Start(Tag::Heading { .. }) => {
                heading = Some((events.len(), String::new()));
                event
            }
            other => other,
        };
        if let (Event::Text(part) | Event::Code(part), Some((_, title))) = (&event, &mut heading) {
            title.push_str(part);
        }
        if let Event::End(TagEnd::Heading(_)) = event
            && let Some((at, title)) = heading.take()
            && let Some(Event::Start(Tag::Heading { id, .. })) = events.get_mut(at)
        {
            *id = Some(CowStr::from(anchor(&title, &mut seen)));
        }
        events.push(event);
    }
    events
}

/// Returns the anchor of a heading, as GitHub generates it.
fn anchor(title: &str, seen: &mut BTreeMap<String, usize>) -> String {
    let name: String = title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    let count = seen.entry(name.clone()).or_default();
    *count += 1;
    match *count {
        1 => name,
        n => format!("{name}-{}", n - 1),
    }
}

#[cfg(test)]
mod tests;
