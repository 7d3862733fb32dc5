//! Installs the tools that the commands need, or says what to install.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell::{command, has, output, root, run, say, tools_dir};

/// The compilation target of hooks.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Installs all tools.
pub(crate) fn install_all() -> Result<()> {
    wasm_target()?;
    postgres_binaries()?;
    python()?;
    zsh()?;
    Ok(())
}

/// Installs the compilation target of hooks.
pub(crate) fn wasm_target() -> Result<()> {
    let how = format!(
        "hooks are built for {WASM_TARGET}: install rustup (https://rustup.rs), then run `rustup target add {WASM_TARGET}`"
    );
    if !has("rustup") {
        let sysroot = output(command("rustc").args(["--print", "sysroot"])).context(how.clone())?;
        let installed = PathBuf::from(sysroot.trim())
            .join("lib/rustlib")
            .join(WASM_TARGET)
            .is_dir();
        return if installed { Ok(()) } else { bail!(how) };
    }
    let installed =
        output(command("rustup").args(["target", "list", "--installed"])).context(how.clone())?;
    if installed.lines().any(|l| l.trim() == WASM_TARGET) {
        return Ok(());
    }
    run(command("rustup").args(["target", "add", WASM_TARGET])).context(how)
}

/// Returns the folder with `initdb` and `pg_ctl`. Installs PostgreSQL if necessary.
pub(crate) fn postgres_binaries() -> Result<PathBuf> {
    if let Some(found) = find_postgres() {
        return Ok(found);
    }
    debian(&["postgresql"])?;
    find_postgres()
        .context("PostgreSQL was installed, but there is no initdb below /usr/lib/postgresql")
}

fn find_postgres() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .filter(|p| p.join("initdb").is_file() && p.join("postgres").is_file())
        .collect();
    versions.sort_by_key(|bin| version_of(bin));
    let installed = versions.pop();
    installed.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .find(|d| d.join("initdb").is_file() && d.join("pg_ctl").is_file())
    })
}

/// Returns the version number of a folder such as `/usr/lib/postgresql/17/bin`, for comparison.
fn version_of(bin: &Path) -> Vec<u32> {
    let version = bin.parent().and_then(Path::file_name);
    let version = version.unwrap_or_default().to_string_lossy();
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

/// Installs Debian packages if running as root. Otherwise the error says how to install them.
pub(crate) fn debian(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let is_root = output(command("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0");
    if !has("apt-get") || !is_root {
        bail!("please install: {list} (on Debian: `sudo apt-get install {list}`)");
    }
    // Retry, because package mirrors sometimes fail temporarily.
    let mut last = Ok(());
    for _ in 0..3 {
        last = run(command("apt-get").args(["-q", "update"])).and_then(|()| {
            run(command("apt-get")
                .args(["-q", "install", "-y", "--no-install-recommends"])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"))
        });
        if last.is_ok() {
            break;
        }
        say("apt-get failed; trying again");
    }
    last.with_context(|| format!("please install: {list}"))
}

/// Installs zsh. The examples in the documentation run in bash and zsh.
pub(crate) fn zsh() -> Result<()> {
    if has("zsh") {
        return Ok(());
    }
    debian(&["zsh"])
}

/// Creates a Python environment with the clients for the system tests and returns its interpreter.
pub(crate) fn python() -> Result<PathBuf> {
    let requirements = root().join("tests/clients/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .context("failed to read tests/clients/requirements.txt")?;
    let venv = tools_dir().join("python");
    let interpreter = venv.join("bin/python");
    let stamp = venv.join("installed.txt");
    if interpreter.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|s| s == wanted) {
        return Ok(interpreter);
    }
    if !has("python3") {
        debian(&["python3", "python3-venv"])?;
    }
    std::fs::create_dir_all(tools_dir())?;
    let made = run(command("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv));
    if made.is_err() {
        debian(&["python3-venv"])?;
        run(command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv))?;
    }
    run(command(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--retries", "5", "-r"])
        .arg(&requirements))
    .context("failed to install the Python clients for the system tests")?;
    std::fs::write(&stamp, wanted)?;
    Ok(interpreter)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::version_of;

    #[test]
    fn versions_are_compared_as_numbers() {
        let of = |version| version_of(&Path::new("/usr/lib/postgresql").join(version).join("bin"));
        assert!(of("9.6") < of("17"));
        assert!(of("17") < of("17.1"));
    }
}
