//! Runs the shell examples of the README and of `docs/` in bash and zsh against a real server.
//!
//! Blocks that start with ` ```sh run ` are run line by line; all blocks of a file share one shell.
//! Every page runs on a separate server, and then all pages run on one server in the README's
//! order. Every command must succeed. JSON output must end with a line break. If a command prints
//! nothing, the text after its block must say "prints nothing". `KEY:SECRET` and the default
//! address are replaced by those of the server. A block `sh run alone` runs before the others in a
//! separate shell; if it prints keys, the other blocks use them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use system_tests::{ADMIN, Backend, Setup, TestServer};

/// The shells, with the option that skips personal settings.
const SHELLS: &[(&str, &str)] = &[("bash", "--norc"), ("zsh", "-f")];
/// Placeholders for address and keys in examples.
const USUAL_ADDRESS: &str = "http://127.0.0.1:8000";
const USUAL_KEYS: &str = "KEY:SECRET";

/// A page with examples.
struct Page {
    file: &'static str,
    /// [`Setup::Open`] if the page's first example creates the administrator.
    setup: Setup,
}

/// In the README's order. Each page creates the repositories that it uses.
const PAGES: &[Page] = &[
    open("README.md"),
    open("docs/configuration.md"),
    page("docs/versioning.md"),
    page("docs/repositories.md"),
    page("docs/undo.md"),
    page("docs/branch-protection.md"),
    page("docs/pull-requests.md"),
    page("docs/retention.md"),
    page("docs/async.md"),
    page("docs/dump-restore.md"),
];

const fn page(file: &'static str) -> Page {
    let setup = Setup::Done;
    Page { file, setup }
}

const fn open(file: &'static str) -> Page {
    let setup = Setup::Open;
    Page { file, setup }
}

/// A block of commands.
#[derive(Debug, PartialEq)]
struct Block {
    /// Line number of its first command.
    line: usize,
    alone: bool,
    commands: Vec<String>,
    /// The text up to the next block.
    text_after: String,
}

/// Returns the blocks to run, and the lines of other blocks that look like commands for a server.
fn blocks(text: &str) -> (Vec<Block>, Vec<usize>) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut unmarked = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_end().strip_prefix("```") else {
            // Indented code is for output and layouts, not for commands to a server.
            if line.starts_with("    ") && line.trim_start().starts_with("curl ") {
                unmarked.push(number + 1);
            }
            if let Some(block) = blocks.last_mut() {
                block.text_after.push_str(line);
                block.text_after.push('\n');
            }
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, l)| l)
            .take_while(|l| !l.starts_with("```"))
            .collect();
        match info {
            "sh run" | "sh run alone" => blocks.push(Block {
                line: number + 2,
                alone: info.ends_with("alone"),
                commands: commands(&body),
                text_after: String::new(),
            }),
            _ if body.iter().any(|l| l.starts_with("curl ")) => unmarked.push(number + 1),
            _ => {}
        }
    }
    (blocks, unmarked)
}

/// Splits lines into commands, joining continuation lines.
fn commands(lines: &[&str]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in lines.iter().filter(|l| !l.trim().is_empty()) {
        if is_open {
            let last = commands.last_mut().expect("an open command exists");
            last.push('\n');
            last.push_str(line);
        } else {
            commands.push((*line).to_owned());
        }
        let last = commands.last().expect("just added");
        is_open = last.ends_with('\\') || last.matches('\'').count() % 2 == 1;
    }
    commands
}

/// Reports whether a command prints nothing by design: assignments, definitions, redirections.
fn is_quiet_by_nature(command: &str) -> bool {
    let name_ends = command
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(command.len());
    let rest = &command[name_ends..];
    rest.starts_with('=')
        || rest.starts_with("()")
        || ["export ", "cd ", "mkdir "]
            .iter()
            .any(|w| command.starts_with(w))
        || (command.starts_with("echo ") && command.contains(" >"))
}

/// Result of a command.
#[derive(Debug)]
struct Ran {
    status: String,
    output: String,
    /// Whether the output ends with a line break.
    ends_line: bool,
}

/// Runs commands in one shell, in `folder`.
fn run(shell: (&str, &str), folder: &Path, commands: &[&str]) -> Vec<Ran> {
    // Makes curl fail on error statuses, although examples do not pass that option.
    let mut script = "set -u\ncurl() { command curl --fail-with-body \"$@\"; }\n".to_owned();
    for command in commands {
        writeln!(
            script,
            "printf '\\n@@begin\\n'\n{command}\nprintf '\\n@@end %s\\n' \"$?\""
        )
        .unwrap();
    }
    let file = folder.join("examples");
    std::fs::write(&file, script).unwrap();
    let output = Command::new(shell.0)
        .arg(shell.1)
        .arg(&file)
        .current_dir(folder)
        .env_clear()
        .env("PATH", path())
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| {
            panic!(
                "{} failed to start ({e}): run `cargo xtask test`, which installs it",
                shell.0
            )
        });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let ran: Vec<Ran> = printed
        .split("\n@@begin\n")
        .skip(1)
        .map(|part| {
            let (output, rest) = part.split_once("\n@@end ").unwrap_or((part, "none"));
            Ran {
                status: rest.trim().to_owned(),
                ends_line: output.ends_with('\n'),
                output: output.trim().to_owned(),
            }
        })
        .collect();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        ran.len(),
        commands.len(),
        "{} stopped early:\n{printed}\n{error}",
        shell.0
    );
    assert!(
        error.trim().is_empty(),
        "{} printed errors:\n{error}\n{printed}",
        shell.0
    );
    ran
}

/// Returns a search path that has the tests' Python environment first, for `aws` and `python3`.
fn path() -> std::ffi::OsString {
    let python = std::env::var_os("WEIR_TEST_PYTHON")
        .expect("WEIR_TEST_PYTHON is not set: run `cargo xtask test`");
    let folder = PathBuf::from(python)
        .parent()
        .expect("the program has no folder")
        .to_owned();
    let folders = std::iter::once(folder).chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>(),
    );
    std::env::join_paths(folders).unwrap()
}

/// Returns a string field of a JSON response.
fn field(answer: &str, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(answer).ok()?;
    Some(value[name].as_str()?.to_owned())
}

/// Runs all blocks of the pages on one server and returns the errors. Blocks that are not `alone`
/// share one shell.
fn faults(pages: &[(&str, String)], setup: Setup, shell: (&str, &str)) -> Vec<String> {
    let server = TestServer::start_with(Backend::Sqlite, setup);
    let folder = tempfile::tempdir().unwrap();
    let mut keys = format!("{}:{}", ADMIN.1, ADMIN.2);
    let url = server.url();
    let real = |command: &str, keys: &str| {
        command
            .replace(USUAL_ADDRESS, &url)
            .replace(USUAL_KEYS, keys)
    };
    let mut faults = Vec::new();
    let mut found: Vec<(&str, Block)> = Vec::new();
    for (file, text) in pages {
        let (blocks, unmarked) = blocks(text);
        assert!(!blocks.is_empty(), "{file} has no block `sh run`");
        faults.extend(unmarked.iter().map(|line| {
            format!("{file}:{line}: commands in a block without `sh run` are never run")
        }));
        found.extend(blocks.into_iter().map(|block| (*file, block)));
    }
    let (alone, together): (Vec<_>, Vec<_>) = found.iter().partition(|(_, block)| block.alone);

    let mut done: Vec<&[String]> = Vec::new();
    for (file, block) in alone {
        // The README and the configuration page both show how to create the administrator.
        if done.contains(&block.commands.as_slice()) {
            continue;
        }
        done.push(&block.commands);
        let commands: Vec<String> = block.commands.iter().map(|c| real(c, &keys)).collect();
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let ran = run(shell, folder.path(), &commands);
        let printed = ran.iter().find_map(|r| {
            Some(format!(
                "{}:{}",
                field(&r.output, "access_key_id")?,
                field(&r.output, "secret_access_key")?
            ))
        });
        keys = printed.unwrap_or(keys);
        faults.extend(judge(file, block, &ran, shell));
    }
    let all: Vec<String> = together
        .iter()
        .flat_map(|(_, block)| &block.commands)
        .map(|c| real(c, &keys))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let ran = run(shell, folder.path(), &all);
    let mut rest = ran.as_slice();
    for (file, block) in together {
        let (own, others) = rest.split_at(block.commands.len());
        faults.extend(judge(file, block, own, shell));
        rest = others;
    }
    faults
}

/// Returns the errors of a block that was run.
fn judge(file: &str, block: &Block, ran: &[Ran], shell: (&str, &str)) -> Vec<String> {
    let at = format!("{file}:{}: {}", block.line, shell.0);
    let mut faults = Vec::new();
    let mut is_any_silent = false;
    for (command, ran) in block.commands.iter().zip(ran) {
        if ran.status != "0" {
            faults.push(format!(
                "{at}: `{command}` failed ({}): {}",
                ran.status, ran.output
            ));
        }
        if command.split_whitespace().any(|word| word.starts_with('#')) {
            faults.push(format!(
                "{at}: `{command}`: interactive zsh does not support comments"
            ));
        }
        if ran.output.starts_with('{') && !ran.ends_line {
            faults.push(format!(
                "{at}: `{command}`: the output has no line break at its end; pass `-w '\\n'` to curl"
            ));
        }
        is_any_silent |= ran.output.is_empty() && !is_quiet_by_nature(command);
    }
    let text: Vec<&str> = block.text_after.split_whitespace().collect();
    let text = text.join(" ");
    let is_told = text.contains("print nothing") || text.contains("prints nothing");
    if is_any_silent != is_told {
        let silent: Vec<&String> = block
            .commands
            .iter()
            .zip(ran)
            .filter(|(_, r)| r.output.is_empty())
            .map(|(c, _)| c)
            .collect();
        faults.push(format!(
            "{at}: the text after the block {} \"prints nothing\"; silent: {silent:?}",
            if is_told { "must not say" } else { "must say" },
        ));
    }
    faults
}

/// Reads a file relative to the tests' crate.
fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(path).unwrap()
}

/// Runs each page on a separate server.
fn examples_work(shell: (&str, &str)) {
    let mut all = Vec::new();
    for page in PAGES {
        let text = (page.file, text_of(page.file));
        all.extend(faults(&[text], page.setup, shell));
    }
    assert!(all.is_empty(), "{} errors:\n{}", all.len(), all.join("\n"));
}

/// Runs all pages on one new server in one shell, in the order in which a newcomer reads them.
fn examples_work_one_after_another(shell: (&str, &str)) {
    let pages: Vec<(&str, String)> = PAGES.iter().map(|p| (p.file, text_of(p.file))).collect();
    let all = faults(&pages, Setup::Open, shell);
    assert!(all.is_empty(), "{} errors:\n{}", all.len(), all.join("\n"));
}

/// Returns the pages that the README lists, in order.
fn listed_pages(readme: &str) -> Vec<String> {
    let row = readme.lines().find(|line| line.starts_with("| [`docs`]"));
    let links = row.expect("the README lists the pages").split("](").skip(1);
    links
        .filter_map(|link| link.split(')').next())
        .filter(|target| target.ends_with(".md"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn examples_work_in_bash() {
    examples_work(SHELLS[0]);
}

#[test]
fn examples_work_in_zsh() {
    examples_work(SHELLS[1]);
}

#[test]
fn examples_work_one_after_another_in_bash() {
    examples_work_one_after_another(SHELLS[0]);
}

#[test]
fn examples_work_one_after_another_in_zsh() {
    examples_work_one_after_another(SHELLS[1]);
}

/// [`PAGES`] has the README's order.
#[test]
fn pages_run_in_the_order_of_the_readme() {
    let listed = listed_pages(&text_of("README.md"));
    let run: Vec<&str> = PAGES.iter().map(|p| p.file).collect();
    let mut expected = vec!["README.md"];
    expected.extend(
        listed
            .iter()
            .map(String::as_str)
            .filter(|file| run.contains(file)),
    );
    assert_eq!(run, expected);
}

/// Every page with commands must be in the table, so that none is forgotten.
#[test]
fn every_page_with_commands_is_in_the_table() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in std::fs::read_dir(top.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|e| e != "md")
            || PAGES.iter().any(|p| p.file == format!("docs/{name}"))
        {
            continue;
        }
        let (blocks, unmarked) = blocks(&std::fs::read_to_string(&path).unwrap());
        assert!(
            blocks.is_empty() && unmarked.is_empty(),
            "docs/{name} has commands, but no row in PAGES"
        );
    }
}

#[test]
fn blocks_have_continuations_and_following_text() {
    let text = "a\n```sh run\nA='x\ny'\ncurl \\\n  $A\n```\nIt prints\nnothing.\n```\ncurl x\n```\n```sh run alone\nb\n```\n";
    let (found, unmarked) = blocks(text);
    assert_eq!(unmarked, [10]);
    assert_eq!(found[0].commands, ["A='x\ny'", "curl \\\n  $A"]);
    assert_eq!((found[0].line, found[0].alone), (3, false));
    assert_eq!(found[0].text_after, "It prints\nnothing.\n");
    assert!(found[1].alone);
    for quiet in ["A=b", "weir() { x; }", "export A=b", "echo a > b"] {
        assert!(is_quiet_by_nature(quiet), "{quiet}");
    }
    assert!(!is_quiet_by_nature("curl -X PUT a=b"));
}
