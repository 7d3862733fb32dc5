//! `cargo xtask fuzz`: runs libFuzzer, a coverage-guided fuzzer, on each parser.
//!
//! It uses the stable compiler with the flags of `cargo fuzz --sanitizer none`. All crates, including libraries that
//! parse, are built with these flags in a separate folder below the target folder. The corpus that grows there is
//! not committed. After each run, the smallest of its inputs that together reach all of its coverage are written to
//! `tests/fuzz/kept/TARGET`, which is committed. Seeds and inputs of fixed crashes are in `tests/fuzz/corpus/TARGET`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::kept_inputs;
use crate::shell::{cargo, command, output, root, run, say, target_dir};

/// Default fuzzing time per parser.
pub(crate) const SECONDS: u64 = 60;
/// Compiler flags that instrument branches and comparisons.
const FLAGS: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Limits for one input. Exceeding them is a finding. The targets themselves limit the stack.
const LIMITS: [&str; 3] = ["-timeout=25", "-rss_limit_mb=1024", "-max_len=65536"];

/// Runs the command with the arguments `[TARGET] [--seconds N]`.
pub(crate) fn run_command(arguments: &[&str]) -> Result<()> {
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

/// Fuzzes all targets one after the other, or only the target `name`. The error lists the targets that failed.
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
        "{} of {} parsers failed: {}. The inputs are in {}: fix the parser, and move each input to \
         tests/fuzz/corpus/TARGET, so that the replay test covers it",
        failed.len(),
        targets.len(),
        failed.join(", "),
        crashes().display()
    )
}

/// Returns the names of the targets. Each target has a folder of seeds.
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
        bail!(
            "there is no target {name}; the targets are {}",
            targets.join(", ")
        );
    }
    Ok(vec![name.to_owned()])
}

fn folder() -> PathBuf {
    target_dir().join("fuzz")
}

/// The folder of a target's seeds.
fn seeds(target: &str) -> PathBuf {
    root().join("tests/fuzz/corpus").join(target)
}

/// The file of the inputs that are kept for a target.
fn kept(target: &str) -> PathBuf {
    root().join("tests/fuzz/kept").join(target)
}

fn crashes() -> PathBuf {
    folder().join("crashes")
}

/// Builds the fuzzer. Passing the host as `--target` keeps the flags from build scripts and macros.
fn build() -> Result<PathBuf> {
    let versions = output(command("rustc").arg("-vV"))?;
    let host = versions
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` does not print its host")?;
    let folder = folder();
    run(cargo()
        .args(["build", "--package", "fuzz", "--bin", "fuzz"])
        .args(["--features", "libfuzzer", "--target", host])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1"))
    .context("failed to build the fuzzer, which needs a C++ compiler")?;
    Ok(folder.join(host).join("debug/fuzz"))
}

/// Fuzzes one target. After a failed run, each input it has saved is tried again alone: an input that was slow only
/// because the machine was busy is not a finding. A fuzzer that fails without saving an input has not fuzzed anything,
/// which is an error.
fn one(program: &Path, target: &str, seconds: u64) -> Result<()> {
    let grown = folder().join("corpus").join(target);
    std::fs::create_dir_all(&grown)?;
    std::fs::create_dir_all(crashes())?;
    remove_inputs(target)?;
    let unpacked = folder().join("kept").join(target);
    kept_inputs::write_folder(&unpacked, &kept_inputs::read(&kept(target))?)?;
    say(&format!("fuzzing {target} for {seconds} s"));
    let prefix = crashes().join(format!("{target}-"));
    let ended = run(fuzzer(program, target)
        // libFuzzer writes new inputs to the first folder.
        .arg(&grown)
        .args([seeds(target), unpacked])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}", prefix.display()))
        .args(["-verbosity=0", "-print_final_stats=1"]));
    let Err(error) = ended else {
        remove_inputs(target)?;
        return keep(program, target);
    };
    let saved = inputs_of(target)?;
    let last = last_input(target);
    let mut confirmed = Vec::new();
    for input in &saved {
        match run(fuzzer(program, target)
            .env("WEIR_FUZZ_LAST", "/dev/null")
            .arg(input))
        {
            Ok(()) => std::fs::remove_file(input)?,
            Err(_) => confirmed.push(input.display().to_string()),
        }
    }
    if confirmed.is_empty() && saved.iter().all(|input| *input == last) {
        bail!("{error:#}, without an input that fails");
    }
    if confirmed.is_empty() {
        say(&format!(
            "{target}: {error:#}, but not reproducible with the same input"
        ));
        return Ok(());
    }
    bail!("{error:#} with {}", confirmed.join(", "))
}

/// Writes the inputs to keep: a minimized corpus that reaches what the seeds, the inputs kept so far and the new ones
/// reach. The size of the file is limited.
fn keep(program: &Path, target: &str) -> Result<()> {
    let of = |name: &str| folder().join(name).join(target);
    let minimized = of("minimized");
    kept_inputs::write_folder(&minimized, &[])?;
    run(fuzzer(program, target)
        .args(["-merge=1", "-verbosity=0"])
        // libFuzzer copies the inputs that it needs to the first folder.
        .args([minimized.clone(), seeds(target), of("kept"), of("corpus")]))
    .context("failed to minimize the corpus")?;
    remove_inputs(target)?;
    let seeds = kept_inputs::read_folder(&seeds(target))?;
    let found = kept_inputs::read_folder(&minimized)?;
    let inputs = kept_inputs::select(found, &seeds.into_iter().collect());
    let file = kept(target);
    if !inputs.is_empty() {
        kept_inputs::write(&file, &inputs)?;
    }
    say(&format!(
        "{target}: {} inputs are kept in {}",
        inputs.len(),
        file.display()
    ));
    Ok(())
}

/// Returns the command that fuzzes a target. The fuzzer saves each input to a file before trying it, because a stack
/// overflow would leave no time to save it afterwards.
fn fuzzer(program: &Path, target: &str) -> Command {
    let mut fuzzer = command(program);
    fuzzer
        .env("WEIR_FUZZ_TARGET", target)
        .env("WEIR_FUZZ_LAST", last_input(target))
        .args(LIMITS);
    fuzzer
}

/// The file of the input that the fuzzer tries.
fn last_input(target: &str) -> PathBuf {
    crashes().join(format!("{target}-last"))
}

fn remove_inputs(target: &str) -> Result<()> {
    for input in inputs_of(target)? {
        std::fs::remove_file(input)?;
    }
    Ok(())
}

/// Returns the saved inputs of a target.
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
