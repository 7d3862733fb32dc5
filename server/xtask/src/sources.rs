//! Lists the project's files with git. Without git, as in a source archive, the checks of these files are skipped, and
//! a note says so.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::shell::{command, has, output, root, say};

/// Returns the files that git tracks or would add, relative to the project's root. If git cannot list them, prints
/// that `check` is skipped and returns `None`.
///
/// # Errors
/// If the project is a git repository, git is installed, and git fails, for example because the files belong to
/// another user.
pub(crate) fn list(check: &str) -> Result<Option<Vec<String>>> {
    let top = root();
    if let Some(reason) = reason_to_skip(&top, has("git")) {
        say(&format!("NOTE: {check} did NOT check the files: {reason}"));
        return Ok(None);
    }
    list_in(&top).map(Some)
}

fn reason_to_skip(top: &Path, is_git_installed: bool) -> Option<&'static str> {
    if !top.join(".git").exists() {
        Some("the project's folder has no .git, so git cannot list them")
    } else if !is_git_installed {
        Some("git, which lists them, is not installed")
    } else {
        None
    }
}

fn list_in(top: &Path) -> Result<Vec<String>> {
    let mut git = command("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(top);
    let listed = output(&mut git).context("failed to list the project's files")?;
    // A file that was removed but not staged is still listed.
    let existing = listed.lines().filter(|file| top.join(file).is_file());
    Ok(existing.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{list_in, reason_to_skip};

    /// Regression test: when git failed, for example with "dubious ownership", these checks passed without checking any file.
    #[test]
    fn failing_git_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".git"), "gitdir: /nonexistent\n").unwrap();
        assert_eq!(reason_to_skip(dir.path(), true), None);
        let error = list_in(dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("git ls-files"), "{error:#}");
    }

    #[test]
    fn files_are_not_listed_without_git_or_outside_a_repository() {
        let dir = tempfile::tempdir().unwrap();
        assert!(reason_to_skip(dir.path(), true).is_some());
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        assert!(reason_to_skip(dir.path(), false).is_some());
    }
}
