//! Checks that the files mentioned in descriptions of the code exist. Descriptions are `ARCHITECTURE.md`, the crates'
//! `README.md` files and module documentation.
//!
//! A mention is a code span with the extension of a source file. It may omit the start of the path and `src` folders,
//! as in `catalog/upload.rs`. In module documentation, a name without a folder refers to a file of the same crate.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Extensions of mentioned files. Other names may refer to users' files.
const ENDINGS: &[&str] = &[".rs", ".py"];

/// Returns the mentions in `files` of files that do not exist. `files` are relative to `top`, and `all` lists every
/// file of the project.
pub(crate) fn check(top: &Path, files: &[&str], all: &[&str]) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(top.join(file))
            .with_context(|| format!("failed to read {file}"))?;
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
                if !known.into_iter().any(|known| refers_to(known, mention)) {
                    stale.push(format!(
                        "{file}:{}: there is no file `{mention}`",
                        number + 1
                    ));
                }
            }
        }
    }
    Ok(stale)
}

/// Returns the files that a line mentions.
fn mentions(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter(|span| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        span.chars().all(is_plain) && ENDINGS.iter().any(|ending| span.ends_with(ending))
    })
}

/// Returns the folder of the crate that a file belongs to, with a trailing `/`. Returns an empty string for files
/// outside crates.
fn crate_of<'a>(file: &'a str, all: &[&str]) -> &'a str {
    let folders = file.match_indices('/').rev().map(|(at, _)| &file[..=at]);
    let mut crates = folders.filter(|folder| all.contains(&format!("{folder}Cargo.toml").as_str()));
    crates.next().unwrap_or("")
}

/// Returns whether a mention refers to a file: the end of the path matches if `src` folders are ignored.
fn refers_to(file: &str, mention: &str) -> bool {
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
    fn missing_files_are_reported_with_their_line() {
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
                "README.md:2: there is no file `one/gone.py`",
                "one/src/lib.rs:1: there is no file `error.rs`",
            ]
        );
    }
}
