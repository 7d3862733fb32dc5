//! Files that the descriptions of the code mention: `ARCHITECTURE.md`, the crates' `README.md`, module documentation.
//!
//! A mention is a code span that ends like a source file. It may leave out the beginning of the path and `src`
//! folders, as `catalog/upload.rs` does. Documentation of a module means its own crate where it names no folder.

use std::path::Path;

use anyhow::{Context as _, Result};

/// How the names of mentioned files end. Other names may be those of users' files.
const ENDINGS: &[&str] = &[".rs", ".py"];

/// What is wrong with the mentions in `files`, which are relative to `top`. `all`: every file of the project.
pub(crate) fn check(top: &Path, files: &[&str], all: &[&str]) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(top.join(file))
            .with_context(|| format!("can't read {file}"))?;
        let is_module = file.ends_with(".rs");
        for (number, line) in text.lines().enumerate() {
            if is_module && !line.starts_with("//!") {
                continue;
            }
            for mention in mentions(line) {
                let of_crate = (is_module && !mention.contains('/')).then(|| crate_of(file, all));
                let known = all.iter().filter(|known| match of_crate {
                    Some(folder) => known.starts_with(folder),
                    None => true,
                });
                if !known.into_iter().any(|known| is_meant(known, mention)) {
                    stale.push(format!("{file}:{}: `{mention}` is no file", number + 1));
                }
            }
        }
    }
    Ok(stale)
}

/// The files that a line mentions.
fn mentions(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter(|span| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        span.chars().all(is_plain) && ENDINGS.iter().any(|ending| span.ends_with(ending))
    })
}

/// The folder of the crate that a file belongs to, with `/` at its end; empty for the project itself.
fn crate_of<'a>(file: &'a str, all: &[&str]) -> &'a str {
    let folders = file.match_indices('/').rev().map(|(at, _)| &file[..=at]);
    let mut crates = folders.filter(|folder| all.contains(&format!("{folder}Cargo.toml").as_str()));
    crates.next().unwrap_or("")
}

/// Whether a mention means a file: by the end of its path, `src` folders left out.
fn is_meant(file: &str, mention: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        let parts = path
            .split('/')
            .filter(|part| !matches!(*part, "src" | ".." | "."));
        parts.map(str::to_owned).collect()
    };
    parts(file).ends_with(&parts(mention))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn files_that_are_gone_are_told_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("one/Cargo.toml", ""),
            (
                "one/src/lib.rs",
                "//! See `walk.rs` and `error.rs`,\n//! `two/error.rs`, `refs.json`, `a b.rs`.\n// Not `this.rs`.\n",
            ),
            ("one/src/walk.rs", ""),
            ("two/Cargo.toml", ""),
            ("two/src/error.rs", ""),
            (
                "README.md",
                "a\n`one/walk.rs` `../two/src/error.rs` `one/gone.py`\n",
            ),
        ];
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let all: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let stale = check(dir.path(), &["README.md", "one/src/lib.rs"], &all).unwrap();
        assert_eq!(
            stale,
            [
                "README.md:2: `one/gone.py` is no file",
                "one/src/lib.rs:1: `error.rs` is no file",
            ]
        );
    }
}
