//! Builds hooks as components: `target/hooks/NAME.wasm`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::setup::{WASM_TARGET, wasm_target};
use crate::shell::{cargo, root, run, say, target_dir};

/// The crates in `example-hooks/`.
pub(crate) const EXAMPLES: &[&str] = &["parquet-guard", "format-allow-list", "commit-metadata"];

/// Builds the example hooks with these crate names and returns the folder with their components.
pub(crate) fn build(names: &[&str]) -> Result<PathBuf> {
    wasm_target()?;
    let mut build = cargo();
    build.args(["build", "--profile", "hook", "--target", WASM_TARGET]);
    for name in names {
        build.args(["--package", name]);
    }
    run(&mut build).context("failed to build the example hooks")?;
    let out = target_dir().join("hooks");
    std::fs::create_dir_all(&out)?;
    for name in names {
        let file = format!("{}.wasm", name.replace('-', "_"));
        let built = target_dir().join(WASM_TARGET).join("hook").join(&file);
        let size = std::fs::copy(&built, out.join(&file))
            .with_context(|| format!("failed to copy {}", built.display()))?;
        say(&format!("{file}: {size} bytes"));
    }
    Ok(out)
}

/// Rebuilds the committed guests with which the host is tested.
pub(crate) fn fixtures() -> Result<()> {
    wasm_target()?;
    let guests = root().join("actions/tests/guests");
    let target = target_dir().join("guests");
    run(cargo()
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            WASM_TARGET,
            "--manifest-path",
        ])
        .arg(guests.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target))?;
    let built = target.join(WASM_TARGET).join("release");
    for entry in std::fs::read_dir(&built)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "wasm") {
            let name = path.file_name().expect("read from a folder");
            std::fs::copy(&path, root().join("actions/tests/fixtures").join(name))?;
            say(&format!("{}", name.to_string_lossy()));
        }
    }
    Ok(())
}
