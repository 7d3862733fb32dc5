//! Installs programs that the checks need, from the crate registry into the tools folder.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::{cargo, run, say, tools_dir};

/// Returns the folder that contains the program `name`. Installs it first if it is missing.
pub(crate) fn installed(name: &str, version: &str) -> Result<PathBuf> {
    let at = tools_dir().join(format!("{name}-{version}"));
    let folder = at.join("bin");
    if folder.join(name).is_file() {
        return Ok(folder);
    }
    say(&format!(
        "Installing {name} {version} in {}. This takes a few minutes, once.",
        at.display()
    ));
    let build = at.join("build");
    run(cargo()
        .args([
            "install",
            name,
            "--locked",
            "--no-track",
            "--version",
            version,
        ])
        // Build without optimization, because compiling takes longer than running.
        .args(["--debug", "--config", "profile.dev.debug=false", "--root"])
        .arg(&at)
        .env("CARGO_TARGET_DIR", &build))
    .with_context(|| format!("failed to install {name}"))?;
    std::fs::remove_dir_all(&build)?;
    Ok(folder)
}
