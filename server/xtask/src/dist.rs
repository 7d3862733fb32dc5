//! `cargo xtask dist`: what is deployed. A stripped server, its symbols beside it, checksums, a container file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::setup;
use crate::shell::{cargo, command, has, run, say, target_dir};

/// The recipe of the container, copied beside the server.
const CONTAINERFILE: &str = include_str!("dist/Containerfile");

/// Builds for release, and fills `target/dist`.
pub(crate) fn run_it() -> Result<()> {
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
        "{} holds weir, weir.debug (its symbols: a debugger and backtraces find them beside it), SHA256SUMS and Containerfile.\n\
         As a container: docker build -t weir -f {}/Containerfile {}",
        out.display(),
        out.display(),
        out.display()
    ));
    Ok(())
}

/// Fills the folder `out` with what is deployed of the program `built`.
fn package(built: &Path, out: &Path) -> Result<()> {
    match std::fs::remove_dir_all(out) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("can't clear {}", out.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(out)?;
    // Absolute, since the link to the symbols is made from inside the folder.
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

    /// This very test program stands for the server: it has symbols, and a debug build is quickly made.
    #[test]
    fn the_program_is_stripped_and_its_symbols_lie_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("dist");
        let built = std::env::current_exe().unwrap();
        package(&built, &out).unwrap();
        // Again, over what is there.
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
    fn the_container_copies_only_what_is_in_the_folder_and_is_not_root() {
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
