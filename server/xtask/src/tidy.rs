//! Checks house rules that the compiler does not check: dependencies between crates, import cycles, the form of
//! files, and the verdicts of the benchmark document ([`measurements`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell::{cargo, output, root, say};
use crate::{import_cycles, measurements, sources};

/// The crates of this workspace that each crate may depend on (ARCHITECTURE.md, "Dependencies").
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("kv", &["base"]),
    ("block", &["base"]),
    ("graveler", &["kv", "block", "base"]),
    ("catalog", &["graveler", "kv", "block", "base"]),
    ("auth", &["kv", "base"]),
    ("actions", &["catalog", "graveler", "kv", "block", "base"]),
    ("api-types", &[]),
    ("api", &["catalog", "auth", "actions", "api-types", "base"]),
    ("gateway", &["catalog", "auth", "base"]),
    ("client", &["api-types"]),
    (
        "app",
        &[
            "base", "kv", "block", "graveler", "catalog", "auth", "actions", "api", "gateway",
        ],
    ),
    ("xtask", &[]),
    ("hooks-sdk", &["hooks-sdk-macros"]),
    ("hooks-sdk-macros", &[]),
    ("parquet-guard", &["hooks-sdk"]),
    ("format-allow-list", &["hooks-sdk"]),
    ("commit-metadata", &["hooks-sdk"]),
    ("system-tests", &["client", "api-types", "kv", "base"]),
    (
        "fuzz",
        &[
            "base",
            "kv",
            "block",
            "graveler",
            "catalog",
            "auth",
            "actions",
            "api",
            "gateway",
            "app",
            "hooks-sdk",
        ],
    ),
];

/// The allowed top-level names: the folders that the product owner has defined, and files that tools need.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".gitattributes",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "NOTICE",
    "README.md",
    "actions",
    "clippy.toml",
    "deny.toml",
    "docs",
    "example-hooks",
    "hooks-sdk",
    "rustfmt.toml",
    "server",
    "tests",
    "ui",
    "wit",
];

/// Folders of the APIs. They match on errors of `catalog` and `auth` only (decision 0023).
const APIS: &[&str] = &["server/api/src/", "server/gateway/src/"];
/// Crates whose errors the APIs do not know.
const BELOW_SERVICE: &[&str] = &["kv", "block", "graveler"];
/// Folders of the crates that convert the errors of the crates below to their own.
const SERVICES: &[&str] = &["server/catalog/src/", "server/auth/src/"];

/// The crates of the fuzzer and of the system tests. They may enable the features for tests, because no program depends on
/// them.
const TEST_CRATES: &[&str] = &["fuzz", "system-tests"];

/// The source folders of the crates whose files must not have import cycles.
const SOURCES: &[&str] = &[
    "server/base/src",
    "server/kv/src",
    "server/block/src",
    "server/graveler/src",
    "server/catalog/src",
    "server/auth/src",
    "server/api/src",
    "server/gateway/src",
    "server/client/src",
    "server/app/src",
    "server/xtask/src",
    "actions/src",
    "hooks-sdk/rust/src",
    "hooks-sdk/rust-macros/src",
];

/// Maximum number of lines in a Rust file. Generated files may be longer.
const MAX_LINES: usize = 600;

/// Checks all rules and lists all violations.
pub(crate) fn run() -> Result<()> {
    let mut violations = Vec::new();
    dependencies(&mut violations)?;
    files(&mut violations)?;
    measurements::check(&mut violations)?;
    for folder in SOURCES {
        import_cycles::check(folder, &mut violations)?;
    }
    if violations.is_empty() {
        say("tidy: ok");
        return Ok(());
    }
    bail!(
        "tidy found {} violations of the house rules:\n  {}",
        violations.len(),
        violations.join("\n  ")
    );
}

fn dependencies(violations: &mut Vec<String>) -> Result<()> {
    let metadata =
        output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--offline"]))
            .or_else(|_| output(cargo().args(["metadata", "--format-version=1", "--no-deps"])))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let names: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.iter().copied().collect();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(name) else {
            violations.push(format!(
                "crate {name} is missing in the dependency table; add it to tidy.rs and ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            // Tests may depend on any crate.
            let is_dev = dependency["kind"].as_str() == Some("dev");
            if names.contains(to) && !is_dev && !may.contains(&to) {
                violations.push(format!("{name} must not depend on {to}"));
            }
            let mut features = dependency["features"].as_array().into_iter().flatten();
            let for_tests = features.any(|feature| feature == "testing");
            if for_tests && !is_dev && !TEST_CRATES.contains(&name) {
                violations.push(format!(
                    "{name} must not enable the feature testing of {to}, except in dev-dependencies"
                ));
            }
        }
    }
    Ok(())
}

fn files(violations: &mut Vec<String>) -> Result<()> {
    let Some(listed) = sources::list("tidy")? else {
        return Ok(());
    };
    let mut tops = BTreeSet::new();
    for file in &listed {
        tops.insert(file.split('/').next().unwrap_or(file));
        check_file(file, &root().join(file), violations)?;
    }
    for top in tops {
        if !TOP_LEVEL.contains(&top) {
            violations.push(format!("{top}: not an allowed top-level name"));
        }
    }
    Ok(())
}

fn check_file(file: &str, path: &Path, violations: &mut Vec<String>) -> Result<()> {
    let is_source = [".rs", ".py", ".md", ".toml", ".yaml", ".yml", ".wit", ".sh"]
        .iter()
        .any(|e| file.ends_with(e));
    if !is_source || file.starts_with("tests/compat/") {
        return Ok(());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {file}"))?;
    let is_generated = file.ends_with("generated.rs");
    if file.ends_with(".rs") {
        if !text.starts_with("//!") {
            violations.push(format!(
                "{file}: does not start with //!; say what the file contains, what it does not contain, and its invariant"
            ));
        }
        if !is_generated && text.lines().count() > MAX_LINES {
            violations.push(format!("{file}: has more than {MAX_LINES} lines; split it"));
        }
        check_layers(file, &text, violations);
        let unfinished = ["todo!(", "unimplemented!(", "#[ignore"];
        for (number, line) in text.lines().enumerate() {
            let is_own_list = file.ends_with("xtask/src/tidy.rs");
            if !is_own_list && unfinished.iter().any(|w| line.contains(w)) {
                violations.push(format!("{file}:{}: unfinished code", number + 1));
            }
        }
    }
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) && !file.ends_with(".md") {
            violations.push(format!("{file}:{}: trailing whitespace", number + 1));
        }
    }
    Ok(())
}

/// Checks that the APIs do not name the crates below the services, and that the services do not re-export their errors.
fn check_layers(file: &str, text: &str, violations: &mut Vec<String>) {
    let is_in = |folders: &[&str]| folders.iter().any(|folder| file.starts_with(folder));
    let code = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    if is_in(APIS) {
        for (number, line) in code {
            for name in BELOW_SERVICE.iter().filter(|name| names_crate(line, name)) {
                violations.push(format!(
                    "{file}:{}: names the crate {name}; use what catalog exports, and match on catalog::Error",
                    number + 1
                ));
            }
        }
    } else if is_in(SERVICES) {
        for name in BELOW_SERVICE {
            let start = format!("pub use {name}::");
            let exported = text
                .split(&start)
                .skip(1)
                .filter_map(|rest| rest.split(';').next());
            let mut words = exported.flat_map(|list| list.split([' ', ',', '{', '}', '\n']));
            if words.any(|word| word == "Error") {
                violations.push(format!(
                    "{file}: re-exports the error of {name}; convert it to the error of this crate"
                ));
            }
        }
    }
}

/// Returns whether a line has a path that starts with a crate's name, such as `kv::Error`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[cfg(test)]
mod tests {
    use super::check_layers;

    #[test]
    fn apis_do_not_know_the_errors_of_lower_layers() {
        let count = |file: &str, text: &str| {
            let mut violations = Vec::new();
            check_layers(file, text, &mut violations);
            violations.len()
        };
        let api = "server/api/src/error.rs";
        for named in [
            "kv::Error::SlowDown(_)",
            "use block::Error;",
            "(graveler::Error)",
        ] {
            assert_eq!(count(api, named), 1, "{named}");
            assert_eq!(count("server/app/src/wiring.rs", named), 0, "{named}");
        }
        for other in [
            "catalog::block::X",
            "my_kv::Error",
            "// kv::Error",
            "catalog::Error",
        ] {
            assert_eq!(count(api, other), 0, "{other}");
        }
        let lib = "server/catalog/src/lib.rs";
        assert_eq!(count(lib, "pub use kv::Error as StoreError;"), 1);
        assert_eq!(count(lib, "pub use graveler::{\n    Branch, Error,\n};"), 1);
        assert_eq!(
            count(lib, "pub use graveler::{Branch, Kind};\nuse kv::Error;"),
            0
        );
    }
}
