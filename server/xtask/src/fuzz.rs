//! `cargo xtask fuzz`: feeds each parser with inputs that libFuzzer makes, guided by what they reach.
//!
//! Works with the stable compiler, by the same flags as `cargo fuzz --sanitizer none`. Everything is built with
//! them, the libraries that parse as well, into a folder of its own below the target folder; what grows there is
//! not committed. Seeds, and inputs that once were crashes, lie in `tests/fuzz/corpus/TARGET`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{cargo, command, output, root, run, say, target_dir};

/// How long each parser is fuzzed, if nothing else is said.
pub(crate) const SECONDS: u64 = 60;
/// Code that counts which of its branches are taken, and tells what it compares with what.
const FLAGS: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// What one input may take: longer, or more, is a finding. The stack is bounded by the targets themselves.
const LIMITS: [&str; 3] = ["-timeout=25", "-rss_limit_mb=1024", "-max_len=65536"];

/// Reads `[TARGET] [--seconds N]`.
pub(crate) fn run_named(arguments: &[&str]) -> Result<()> {
    let (names, seconds) = match arguments {
        [names @ .., "--seconds", number] => {
            let seconds = number.parse().context("--seconds takes a number")?;
            (names, seconds)
        }
        names => (names, SECONDS),
    };
    match names {
        [] => all(None, seconds),
        [name] if !name.starts_with('-') => all(Some(name), seconds),
        _ => bail!("usage: cargo xtask fuzz [TARGET] [--seconds N]"),
    }
}

/// Fuzzes every target, or the one that is named, one after the other, and tells which failed at the end.
pub(crate) fn all(name: Option<&str>, seconds: u64) -> Result<()> {
    let targets = targets(name)?;
    let program = build()?;
    let mut failed = Vec::new();
    for target in &targets {
        if let Err(error) = one(&program, target, seconds) {
            say(&format!("{target}: {error:#}"));
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        say(&format!("fuzzed {} parsers: nothing found", targets.len()));
        return Ok(());
    }
    bail!(
        "{} of {} parsers failed: {}. Their inputs are in {}: fix the parser, and move each input to \
         tests/fuzz/corpus/TARGET, where the replay test keeps it",
        failed.len(),
        targets.len(),
        failed.join(", "),
        crashes().display()
    )
}

/// The names of the targets: each has a folder of seeds.
fn targets(name: Option<&str>) -> Result<Vec<String>> {
    let folder = root().join("tests/fuzz/corpus");
    let mut targets = Vec::new();
    for entry in folder.read_dir().context("tests/fuzz/corpus is missing")? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    let Some(name) = name else {
        return Ok(targets);
    };
    if !targets.iter().any(|target| target == name) {
        bail!("there is no target {name}: {}", targets.join(", "));
    }
    Ok(vec![name.to_owned()])
}

fn folder() -> PathBuf {
    target_dir().join("fuzz")
}

fn crashes() -> PathBuf {
    folder().join("crashes")
}

/// Builds the fuzzer. The host is named, so that build scripts and macros go without the flags.
fn build() -> Result<PathBuf> {
    let versions = output(command("rustc").arg("-vV"))?;
    let host = versions
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not tell its host")?;
    let folder = folder();
    run(cargo()
        .args(["build", "--package", "fuzz", "--bin", "fuzz"])
        .args(["--features", "libfuzzer", "--target", host])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1"))
    .context("the fuzzer does not build: it needs a C++ compiler")?;
    Ok(folder.join(host).join("debug/fuzz"))
}

/// Fuzzes one target. A run that fails leaves inputs, and each is tried once more by itself: one that was only
/// slow because the machine was busy is no finding.
fn one(program: &Path, target: &str, seconds: u64) -> Result<()> {
    let grown = folder().join("corpus").join(target);
    std::fs::create_dir_all(&grown)?;
    std::fs::create_dir_all(crashes())?;
    forget(target)?;
    say(&format!("fuzzing {target} for {seconds} s"));
    let prefix = crashes().join(format!("{target}-"));
    let ended = run(fuzzer(program, target)
        // New inputs go to the first folder.
        .arg(&grown)
        .arg(root().join("tests/fuzz/corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}", prefix.display()))
        .args(["-verbosity=0", "-print_final_stats=1"]));
    let Err(error) = ended else {
        return forget(target);
    };
    let mut confirmed = Vec::new();
    for input in inputs_of(target)? {
        match run(fuzzer(program, target)
            .env("WEIR_FUZZ_LAST", "/dev/null")
            .arg(&input))
        {
            Ok(()) => std::fs::remove_file(&input)?,
            Err(_) => confirmed.push(input.display().to_string()),
        }
    }
    if confirmed.is_empty() {
        say(&format!(
            "{target}: {error:#}, but not again with the same input"
        ));
        return Ok(());
    }
    bail!("{error:#} with {}", confirmed.join(", "))
}

/// The fuzzer for a target. What it is about to try is in a file: a full stack leaves no time to write it.
fn fuzzer(program: &Path, target: &str) -> Command {
    let mut fuzzer = command(program);
    fuzzer
        .env("WEIR_FUZZ_TARGET", target)
        .env("WEIR_FUZZ_LAST", crashes().join(format!("{target}-last")))
        .args(LIMITS);
    fuzzer
}

fn forget(target: &str) -> Result<()> {
    for input in inputs_of(target)? {
        std::fs::remove_file(input)?;
    }
    Ok(())
}

/// The inputs that runs of a target left.
fn inputs_of(target: &str) -> Result<Vec<PathBuf>> {
    let prefix = format!("{target}-");
    let mut inputs = Vec::new();
    for entry in crashes().read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            inputs.push(entry.path());
        }
    }
    Ok(inputs)
}
