//! Checks that the targets of Markdown links (files, folders, headings) exist, and that the files mentioned in
//! descriptions of the code exist ([`mentions`]). Every page below `docs/` must be in the book's table of contents, and
//! must link only to pages of the book, because the site has no other files.
//!
//! Links to other sites are not checked, so that the result does not depend on the network.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pulldown_cmark::{BrokenLink, Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::book::{self, BOOK};
use crate::shell::{root, say};
use crate::{mentions, sources};

/// Folders that are not checked: recordings and third-party texts, and the page of the sample repository, whose links
/// refer to files in that repository.
const UNCHECKED_FOLDERS: &[&str] = &[
    "tests/compat/conformance/",
    "tests/compat/museum/",
    "server/catalog/src/sample/",
];

/// Checks every Markdown file that git lists and the files that descriptions of the code mention, and lists all broken links.
pub(crate) fn run() -> Result<()> {
    let Some(all) = sources::list("links")? else {
        return Ok(());
    };
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let ours = all
        .iter()
        .copied()
        .filter(|f| !UNCHECKED_FOLDERS.iter().any(|folder| f.starts_with(folder)));
    let files: Vec<&str> = ours.clone().filter(|f| f.ends_with(".md")).collect();
    let mut broken = check(&root(), &files)?;
    broken.extend(book::unlisted(&root(), &files)?);
    let describe_code = |file: &&str| {
        let is_page = file.ends_with("README.md") || *file == "ARCHITECTURE.md";
        is_page || file.ends_with(".rs")
    };
    let describing: Vec<&str> = ours.filter(describe_code).collect();
    broken.extend(mentions::check(&root(), &describing, &all)?);
    if broken.is_empty() {
        say(&format!("links: {} files, no broken links", files.len()));
        return Ok(());
    }
    bail!("{} broken links:\n  {}", broken.len(), broken.join("\n  "));
}

/// The links and headings of a file.
#[derive(Debug, Default)]
struct Page {
    /// Link targets with their line numbers.
    links: Vec<(usize, String)>,
    /// References without a definition, with their line numbers.
    undefined: Vec<(usize, String)>,
    /// Anchors of the headings, as GitHub generates them.
    anchors: Vec<String>,
}

/// Returns the broken links of `files`, which are relative to `top`.
fn check(top: &Path, files: &[&str]) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(top.join(file))
            .with_context(|| format!("failed to read {file}"))?;
        pages.insert(PathBuf::from(file), read(&text));
    }
    let mut broken = Vec::new();
    for (file, page) in &pages {
        for (line, name) in &page.undefined {
            broken.push(format!(
                "{}:{line}: [{name}] is not defined",
                file.display()
            ));
        }
        for (line, target) in &page.links {
            if let Some(why) = problem(top, file, target, &pages) {
                broken.push(format!("{}:{line}: {target}: {why}", file.display()));
            }
        }
    }
    Ok(broken)
}

/// Returns why a link is broken, or `None` if it is not.
fn problem(
    top: &Path,
    file: &Path,
    target: &str,
    pages: &BTreeMap<PathBuf, Page>,
) -> Option<String> {
    let has_scheme = target.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if has_scheme {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let named = if path.is_empty() {
        file.to_owned()
    } else {
        let Some(named) = resolved(file, path) else {
            return Some("it is outside the project".to_owned());
        };
        if !top.join(&named).exists() {
            return Some("there is no such file".to_owned());
        }
        if file.starts_with(BOOK) && !named.starts_with(BOOK) {
            return Some("it is not part of the book; name the file instead".to_owned());
        }
        named
    };
    let anchor = anchor?;
    match pages.get(&named) {
        Some(page) if page.anchors.iter().any(|a| a == anchor) => None,
        Some(page) => Some(format!(
            "there is no such heading; the headings are: {}",
            page.anchors.join(", ")
        )),
        None => Some("the target is not a Markdown file and has no headings".to_owned()),
    }
}

/// Resolves a path relative to a file's folder. Returns `None` if the result is outside the project.
fn resolved(file: &Path, path: &str) -> Option<PathBuf> {
    let mut parts: Vec<Component<'_>> = Vec::new();
    let joined = file.parent().unwrap_or(Path::new("")).join(path);
    for part in joined.components() {
        match part {
            Component::Normal(_) => parts.push(part),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.into_iter().collect())
}

fn read(text: &str) -> Page {
    let mut page = Page::default();
    let mut undefined = Vec::new();
    // A single pair of brackets is often plain text. Two pairs, or an empty second pair, are meant as a link.
    let mut unknown = |link: BrokenLink<'_>| {
        if matches!(link.link_type, LinkType::Reference | LinkType::Collapsed) {
            undefined.push((link.span.start, link.reference.to_string()));
        }
        None
    };
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut heading: Option<String> = None;
    let parser = Parser::new_with_broken_link_callback(text, options, Some(&mut unknown));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (event, span) in parser.into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links
                    .push((line_of(text, span.start), dest_url.to_string()));
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let name = slug(&heading.take().unwrap_or_default());
                let count = seen.entry(name.clone()).or_default();
                page.anchors.push(match *count {
                    0 => name,
                    n => format!("{name}-{n}"),
                });
                *count += 1;
            }
            _ => {}
        }
    }
    page.undefined = undefined
        .into_iter()
        .map(|(at, name)| (line_of(text, at), name))
        .collect();
    page
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Returns the anchor that GitHub generates for a heading.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{check, slug};

    #[test]
    fn broken_links_are_reported_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        let files = [
            (
                "README.md",
                "# Top\n[a](docs/a.md) [b](docs/b.md)\n\n[c](docs/a.md#one-two) [d](docs/a.md#three) [e](docs) [f](https://example.invalid/x)\n",
            ),
            (
                "docs/a.md",
                "# One, `two`!\n\n## Top\n\n## Top\n\n[up](../README.md#top) [same](a.md) [here](#top-1) [gone](#top-2) [out](../../etc/passwd) [x][y] [note]\n\n```\n[not](a link)\n```\n",
            ),
        ];
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let broken = check(dir.path(), &["README.md", "docs/a.md"]).unwrap();
        assert_eq!(
            broken,
            [
                "README.md:2: docs/b.md: there is no such file",
                "README.md:4: docs/a.md#three: there is no such heading; the headings are: one-two, top, top-1",
                "docs/a.md:7: [y] is not defined",
                "docs/a.md:7: ../README.md#top: it is not part of the book; name the file instead",
                "docs/a.md:7: #top-2: there is no such heading; the headings are: one-two, top, top-1",
                "docs/a.md:7: ../../etc/passwd: it is outside the project",
            ]
        );
    }

    #[test]
    fn anchors_match_github() {
        assert_eq!(
            slug("`serve`: requests of a day"),
            "serve-requests-of-a-day"
        );
        assert_eq!(slug("Évidence & co_op"), "évidence--co_op");
    }
}
