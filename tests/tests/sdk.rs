//! The SDK as its users get it: the crates are packaged, and the example in the SDK's README and in the guide is built
//! outside of this workspace against the packages, with the commands of the page, tested, uploaded and run.
//!
//! Dependencies come from cargo's cache. The network is used only if one is missing there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use system_tests::{ADMIN, Backend, MAIN, TestServer, refusal};

/// The published crates, all in one version.
const CRATES: &[&str] = &["hooks-sdk", "hooks-sdk-macros"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of packages and builds. It is kept, so that later runs only build what has changed.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk")
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", failure(command, &output));
}

fn failure(command: &Command, output: &Output) -> String {
    format!(
        "{command:?} failed ({}):\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs cargo without the network and, if that fails, with it.
fn cargo(directory: &Path, target: &Path, arguments: &[&str]) {
    let run = |offline: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command
            .args(arguments)
            .args(offline)
            .current_dir(directory)
            .env("CARGO_TARGET_DIR", target);
        command
    };
    let mut offline = run(&["--offline"]);
    let output = offline.output().unwrap();
    if !output.status.success() {
        let mut online = run(&[]);
        let second = online.output().unwrap();
        assert!(
            second.status.success(),
            "{}\n{}",
            failure(&offline, &output),
            failure(&online, &second)
        );
    }
}

/// Packages the crates and unpacks them. Returns the folder of each.
fn packages() -> Vec<(&'static str, PathBuf)> {
    let target = folder().join("package");
    let mut arguments = vec!["package", "--no-verify", "--allow-dirty", "--quiet"];
    arguments.extend(CRATES.iter().flat_map(|name| ["--package", name]));
    cargo(&root(), &target, &arguments);
    let unpacked = folder().join("unpacked");
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked).unwrap();
    }
    std::fs::create_dir_all(&unpacked).unwrap();
    let package = |name: &&'static str| {
        let archive = target.join(format!("package/{name}-{VERSION}.crate"));
        // `m` sets the current time. With the archive's fixed time, cargo would not notice changes.
        succeed(
            Command::new("tar")
                .arg("xzmf")
                .arg(archive)
                .current_dir(&unpacked),
        );
        (*name, unpacked.join(format!("{name}-{VERSION}")))
    };
    CRATES.iter().map(package).collect()
}

const README: &str = "hooks-sdk/README.md";
const GUIDE: &str = "docs/guides/write-a-hook.md";

fn page(file: &str) -> String {
    let path = root().join(file);
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("failed to read {file}: {e}"))
}

/// The fenced blocks with this info string.
fn blocks<'a>(page: &'a str, info: &str) -> Vec<&'a str> {
    let opening = format!("```{info}\n");
    let found = page.split(&opening).skip(1);
    found
        .filter_map(|rest| Some(rest.split_once("\n```")?.0))
        .collect()
}

/// The first fenced block of this language that contains `text`.
fn block(page: &str, language: &str, text: &str) -> String {
    let found = blocks(page, language);
    let body = found.iter().find(|body| body.contains(text));
    let body = body.unwrap_or_else(|| panic!("the page has no {language} block with {text:?}"));
    (*body).to_owned()
}

/// The commands of the guide that create, test and build a hook, by program.
fn commands_of_the_guide(program: &str) -> Vec<Vec<String>> {
    let page = page(GUIDE);
    let lines = blocks(&page, "sh sdk").into_iter().flat_map(str::lines);
    let words = lines.map(|line| line.split(' ').map(str::to_owned).collect());
    let commands: Vec<Vec<String>> = words.collect();
    let known = |command: &&Vec<String>| ["rustup", "cargo"].contains(&command[0].as_str());
    assert_eq!(
        commands.iter().filter(known).count(),
        commands.len(),
        "{commands:?}: only commands of rustup and cargo are run"
    );
    let mut of_program = commands;
    of_program.retain(|command| command[0] == program);
    of_program
}

/// The SDK's test runs the README's files with the guide's commands. A test of `xtask` compares the files.
#[test]
fn guide_has_the_commands_of_the_readme() {
    let (readme, guide) = (page(README), page(GUIDE));
    let build_commands = |page: &str, info: &str| -> Vec<String> {
        let lines = blocks(page, info).into_iter().flat_map(str::lines);
        let known = lines.filter(|l| l.starts_with("cargo ") || l.starts_with("rustup "));
        known.map(str::to_owned).collect()
    };
    assert_eq!(
        build_commands(&guide, "sh sdk"),
        build_commands(&readme, "sh")
    );
}

/// Writes the files of the README to the crate in `directory`.
fn write_hook(directory: &Path, readme: &str, packages: &[(&str, PathBuf)]) {
    let mut manifest = block(readme, "toml", "[package]");
    manifest.push_str("\n\n[patch.crates-io]\n");
    for (name, path) in packages {
        manifest.push_str(&format!("{name} = {{ path = {path:?} }}\n"));
    }
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(
        directory.join("src/lib.rs"),
        block(readme, "rust", "#[object_gate("),
    )
    .unwrap();
    std::fs::write(
        directory.join("csv-gate.yaml"),
        block(readme, "yaml", "csv_columns.wasm"),
    )
    .unwrap();
    // Use the versions that are in cargo's cache.
    std::fs::copy(root().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_the_readme_builds_outside_of_the_workspace_and_guards_a_branch() {
    let readme = page(README);
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("csv-columns");
    let directory = directory.as_path();
    let target = folder().join("hook");

    let packages = packages();
    let contract = std::fs::read(root().join("wit/since-v0.1.0/hooks.wit")).unwrap();
    for (name, path) in &packages {
        let packaged = std::fs::read(path.join("wit/hooks.wit")).unwrap();
        assert!(
            packaged == contract,
            "the contract in {name} differs from wit/"
        );
        assert!(path.join("LICENSE").is_file(), "{name} contains no license");
    }

    // `cargo xtask test` has installed the target.
    let target_of_hooks = [["rustup", "target", "add", "wasm32-wasip2"]];
    assert_eq!(commands_of_the_guide("rustup"), target_of_hooks);
    for command in commands_of_the_guide("cargo") {
        let mut arguments: Vec<&str> = command.iter().skip(1).map(String::as_str).collect();
        arguments.push("--quiet");
        if arguments.contains(&"new") {
            // Without a repository, which would be a side effect in the temporary folder.
            arguments.extend(["--vcs", "none"]);
            cargo(parent.path(), &target, &arguments);
            write_hook(directory, &readme, &packages);
        } else {
            cargo(directory, &target, &arguments);
        }
    }
    // Copy the component to where the commands of the README look for it.
    let component = "wasm32-wasip2/release/csv_columns.wasm";
    let place = directory.join("target").join(component);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::copy(target.join(component), place).unwrap();

    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("lake").await;
    let commands = block(&readme, "sh", "curl")
        .replace("http://127.0.0.1:8000", &server.url())
        .replace("KEY:SECRET", &format!("{}:{}", ADMIN.1, ADMIN.2));
    succeed(
        Command::new("bash")
            .args(["-e", "-c", &commands])
            .current_dir(directory),
    );

    repo.put(MAIN, "data/a.csv", "id,name\n1,ada\n")
        .await
        .unwrap();
    repo.commit(MAIN, "complete").await.unwrap();
    repo.put(MAIN, "data/a.csv", "id,name\n1,ada\n,bob\n")
        .await
        .unwrap();
    let (status, error) = refusal(repo.commit(MAIN, "incomplete").await);
    assert_eq!(status, 412, "{error:?}");
    let findings = serde_json::to_value(&error.findings).unwrap();
    let promised: serde_json::Value =
        serde_json::from_str(&block(&readme, "json", "empty-value")).unwrap();
    for (name, value) in promised.as_object().unwrap() {
        assert_eq!(&findings[0][name], value, "{name} in {findings}");
    }
}
