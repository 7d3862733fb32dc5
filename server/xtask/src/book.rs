//! `cargo xtask docs`: builds `docs/` as a site with mdBook, and checks the links of the site.
//!
//! [`unlisted`] is a part of `cargo xtask links`: every page must be reachable from the table of contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell::{command, root, run, say, target_dir};
use crate::tool::Tool;

/// mdBook without its server and its file watcher, which would add many dependencies.
const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    features: &["--no-default-features", "--features", "search"],
};

/// The folder of the book, with a trailing `/`.
pub(crate) const BOOK: &str = "docs/";
/// The table of contents.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Builds the site in `target/docs`.
pub(crate) fn build() -> Result<()> {
    let mdbook = MDBOOK.install()?.join(MDBOOK.name);
    let site = std::path::absolute(target_dir().join("docs"))?;
    run(command(mdbook)
        .args(["build", "--dest-dir"])
        .arg(&site)
        .arg(root().join(BOOK)))?;
    let broken = broken_links(&site)?;
    if !broken.is_empty() {
        bail!(
            "{} broken links in the site:\n  {}",
            broken.len(),
            broken.join("\n  ")
        );
    }
    say(&format!("docs: open {}", site.join("index.html").display()));
    Ok(())
}

/// Returns the pages among `files` that the table of contents does not list.
pub(crate) fn unlisted(top: &Path, files: &[&str]) -> Result<Vec<String>> {
    let summary = std::fs::read_to_string(top.join(SUMMARY))
        .with_context(|| format!("failed to read {SUMMARY}"))?;
    let listed: BTreeSet<String> = summary
        .split("](")
        .skip(1)
        .filter_map(|link| link.split(')').next())
        .map(|target| format!("{BOOK}{target}"))
        .collect();
    Ok(files
        .iter()
        .filter(|f| f.starts_with(BOOK) && **f != SUMMARY && !listed.contains(**f))
        .map(|f| format!("{f}: {SUMMARY} does not list this page"))
        .collect())
}

/// Returns the links between pages of the site whose page or heading does not exist.
fn broken_links(site: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    read_pages(site, &mut pages)?;
    let mut broken = Vec::new();
    for (file, html) in &pages {
        for target in values(html, " href=\"") {
            if target.contains(':') {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if path.is_empty() {
                file.clone()
            } else {
                normalized(&file.parent().unwrap_or(site).join(path))
            };
            let has_anchor = |html: &String| values(html, " id=\"").any(|id| id == anchor);
            let is_there = match pages.get(&to) {
                Some(html) => anchor.is_empty() || has_anchor(html),
                None => to.exists(),
            };
            if !is_there {
                let file = file.strip_prefix(site).unwrap_or(file);
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    Ok(broken)
}

fn read_pages(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_pages(&path, pages)?;
        } else if path.extension().is_some_and(|e| e == "html") {
            // mdBook generates these two pages, and one of them has links that are relative to other pages.
            let is_generated = path.ends_with("404.html") || path.ends_with("toc.html");
            if !is_generated {
                let html = std::fs::read_to_string(&path)?;
                pages.insert(path, html);
            }
        }
    }
    Ok(())
}

/// Returns the values of an attribute in HTML that mdBook wrote.
fn values<'a>(html: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    html.split(attribute)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
}

/// Resolves `..` without reading the file system.
fn normalized(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                result.pop();
            }
            std::path::Component::CurDir => {}
            part => result.push(part),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::{broken_links, unlisted};

    #[test]
    fn pages_outside_the_table_of_contents_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        let summary = "# Summary\n\n[Weir](README.md)\n- [A](guides/a.md)\n- [Draft]()\n";
        std::fs::write(dir.path().join("docs/SUMMARY.md"), summary).unwrap();
        let files = [
            "README.md",
            "docs/README.md",
            "docs/SUMMARY.md",
            "docs/guides/a.md",
            "docs/guides/b.md",
        ];
        assert_eq!(
            unlisted(dir.path(), &files).unwrap(),
            ["docs/guides/b.md: docs/SUMMARY.md does not list this page"]
        );
    }

    #[test]
    fn broken_links_of_the_site_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("guides")).unwrap();
        let files = [
            (
                "index.html",
                r##"<h1 id="top">a</h1> <a href="guides/a.html#one">b</a> <a href="guides/a.html#two">c</a> <a href="#top">d</a> <a href="https://example.invalid/x">e</a>"##,
            ),
            (
                "guides/a.html",
                r##"<h1 id="one">a</h1> <a href="../index.html">b</a> <a href="../gone.html">c</a>"##,
            ),
        ];
        for (name, html) in files {
            std::fs::write(dir.path().join(name), html).unwrap();
        }
        assert_eq!(
            broken_links(dir.path()).unwrap(),
            [
                "guides/a.html: ../gone.html",
                "index.html: guides/a.html#two"
            ]
        );
    }
}
