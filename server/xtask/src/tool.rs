//! Programs that the commands need and that cargo installs: `cargo-deny`, `cargo-machete` and mdBook.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::{cargo, run, say, tools_dir};

/// A program on crates.io, in a fixed version.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Name of the crate and of its program.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Arguments that select features.
    pub(crate) features: &'static [&'static str],
}

impl Tool {
    /// Returns the folder of the program. Installs it if necessary.
    pub(crate) fn install(&self) -> Result<PathBuf> {
        let at = tools_dir().join(format!("{}-{}", self.name, self.version));
        let folder = at.join("bin");
        if folder.join(self.name).is_file() {
            return Ok(folder);
        }
        say(&format!(
            "Installing {} {} in {}. This takes a few minutes, once.",
            self.name,
            self.version,
            at.display()
        ));
        let build = at.join("build");
        run(cargo()
            .args(["install", self.name, "--locked", "--no-track"])
            .args(["--version", self.version])
            .args(self.features)
            // Build without optimization, because compiling takes longer than running.
            .args(["--debug", "--config", "profile.dev.debug=false", "--root"])
            .arg(&at)
            .env("CARGO_TARGET_DIR", &build))
        .with_context(|| format!("failed to install {}", self.name))?;
        std::fs::remove_dir_all(&build)?;
        Ok(folder)
    }
}
