//! `cargo xtask dist`: builds a release: a stripped server, its debug symbols, checksums and a container file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::setup;
use crate::shell::{cargo, command, has, run, say, target_dir};

/// The container file, which is copied next to the server.
const CONTAINERFILE: &str = include_str!("dist/Containerfile");

/// Builds the release in `target/dist`.
pub(crate) fn build_release() -> Result<()> {
    if !has("objcopy") {
        setup::debian(&["binutils"])?;
    }
    run(cargo().args([
        "build",
        "--release",
        "--locked",
        "--package",
        "app",
        "--bin",
        "weir",
    ]))?;
    let out = target_dir().join("dist");
    package(&target_dir().join("release/weir"), &out)?;
    say(&format!(
        "{} contains weir, weir.debug (debug symbols, which debuggers and backtraces find next to weir), SHA256SUMS and Containerfile.\n\
         To build a container: docker build -t weir -f {}/Containerfile {}",
        out.display(),
        out.display(),
        out.display()
    ));
    Ok(())
}

/// Packages the program `built` in the folder `out`.
fn package(built: &Path, out: &Path) -> Result<()> {
    match std::fs::remove_dir_all(out) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("failed to clear {}", out.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(out)?;
    // Use absolute paths, because objcopy runs inside the folder.
    let out = out.canonicalize()?;
    let built = built
        .canonicalize()
        .with_context(|| format!("there is no {}", built.display()))?;
    run(inside(&out, "objcopy")
        .arg("--only-keep-debug")
        .arg(&built)
        .arg("weir.debug"))?;
    run(inside(&out, "objcopy")
        .args(["--strip-all", "--add-gnu-debuglink=weir.debug"])
        .arg(&built)
        .arg("weir"))?;
    std::fs::write(out.join("Containerfile"), CONTAINERFILE)?;
    let sums = crate::shell::output(inside(&out, "sha256sum").args([
        "Containerfile",
        "weir",
        "weir.debug",
    ]))?;
    std::fs::write(out.join("SHA256SUMS"), sums)?;
    for name in ["weir", "weir.debug"] {
        let size = std::fs::metadata(out.join(name))?.len();
        say(&format!("{name}: {} MiB", size >> 20));
    }
    Ok(())
}

fn inside(folder: &Path, program: &str) -> std::process::Command {
    let mut command = command(PathBuf::from(program));
    command.current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{CONTAINERFILE, package};

    /// Packages this test program instead of the server. It has symbols and is already built.
    #[test]
    fn program_is_stripped_and_its_symbols_are_in_a_separate_file() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("dist");
        let built = std::env::current_exe().unwrap();
        package(&built, &out).unwrap();
        // Packaging replaces an existing folder.
        package(&built, &out).unwrap();

        let size = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&out.join("weir")) < size(&built) / 2);
        let sections = |name: &str| {
            let shown = Command::new("objdump")
                .arg("-h")
                .arg(out.join(name))
                .output()
                .unwrap();
            String::from_utf8(shown.stdout).unwrap()
        };
        assert!(
            !sections("weir").contains(".debug_line")
                && sections("weir").contains(".gnu_debuglink")
        );
        assert!(sections("weir.debug").contains(".debug_line"));
        let lists = Command::new(out.join("weir"))
            .arg("--list")
            .output()
            .unwrap();
        assert!(lists.status.success(), "the stripped program does not run");
        let checked = Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&out)
            .output()
            .unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }

    #[test]
    fn container_copies_only_the_server_and_does_not_run_as_root() {
        let copied: Vec<&str> = CONTAINERFILE
            .lines()
            .filter_map(|l| l.strip_prefix("COPY "))
            .map(|l| l.split_whitespace().rev().nth(1).unwrap())
            .collect();
        assert_eq!(copied, ["weir"]);
        let position = |start: &str| {
            CONTAINERFILE
                .lines()
                .position(|l| l.starts_with(start))
                .unwrap_or_else(|| panic!("no line {start}"))
        };
        assert!(position("USER 65532") < position("ENTRYPOINT"));
        for needed in ["VOLUME", "EXPOSE 8000", "HEALTHCHECK"] {
            position(needed);
        }
    }
}
