//! The shell examples of the README and of `docs/`, run as they stand in bash and in zsh against a real server.
//!
//! A block that opens with ` ```sh run ` is run, line by line, all blocks of a file in one shell and in order. Each
//! command must succeed, and what prints nothing must be told: the text behind its block says "prints nothing".
//! `KEY:SECRET` and the usual address stand for the server's. A block `sh run alone` has a shell of its own, before the
//! others; keys that it prints are those of the others from then on.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use system_tests::{ADMIN, Backend, Setup, TestServer};

/// The shells, with the option that keeps a person's own settings away.
const SHELLS: &[(&str, &str)] = &[("bash", "--norc"), ("zsh", "-f")];
/// What examples call the server, and its keys.
const USUAL_ADDRESS: &str = "http://127.0.0.1:8000";
const USUAL_KEYS: &str = "KEY:SECRET";

/// A file with examples, and what it takes for given.
struct Page {
    file: &'static str,
    setup: Setup,
    /// Run before its blocks, with `weir` and `$R` as in docs/versioning.md.
    given: &'static str,
}

const LAKE: &str = r#"weir http://127.0.0.1:8000/api/v1/repositories -d '{"name": "lake", "storage_namespace": "local://lake"}'"#;
const LAKE_WITH_A_CHANGE: &str = r#"weir http://127.0.0.1:8000/api/v1/repositories -d '{"name": "lake", "storage_namespace": "local://lake"}'
echo 1,2 | put main data/a.csv"#;
const LAKE_WITH_A_LOAD: &str = r#"weir http://127.0.0.1:8000/api/v1/repositories -d '{"name": "lake", "storage_namespace": "local://lake"}'
weir $R/branches -d '{"name": "may", "source": "main"}'
echo 1,2 | put may data/may.csv
weir $R/branches/may/commits -d '{"message": "May"}'"#;
const LAKE_WITH_HISTORY: &str = r#"weir http://127.0.0.1:8000/api/v1/repositories -d '{"name": "lake", "storage_namespace": "local://lake"}'
echo 1,2 | put main data/a.csv
weir $R/branches/main/commits -d '{"message": "one"}'
weir $R/tags -d '{"id": "v1", "ref": "main"}'
weir $R/tags/v1 -X DELETE"#;

const PAGES: &[Page] = &[
    Page {
        file: "README.md",
        setup: Setup::Open,
        given: "",
    },
    Page {
        file: "docs/configuration.md",
        setup: Setup::Open,
        given: "",
    },
    Page {
        file: "docs/versioning.md",
        setup: Setup::Done,
        given: LAKE,
    },
    Page {
        file: "docs/repositories.md",
        setup: Setup::Done,
        given: "",
    },
    Page {
        file: "docs/async.md",
        setup: Setup::Done,
        given: LAKE_WITH_A_CHANGE,
    },
    Page {
        file: "docs/branch-protection.md",
        setup: Setup::Done,
        given: LAKE,
    },
    Page {
        file: "docs/dump-restore.md",
        setup: Setup::Done,
        given: LAKE,
    },
    Page {
        file: "docs/pull-requests.md",
        setup: Setup::Done,
        given: LAKE_WITH_A_LOAD,
    },
    Page {
        file: "docs/retention.md",
        setup: Setup::Done,
        given: LAKE,
    },
    Page {
        file: "docs/undo.md",
        setup: Setup::Done,
        given: LAKE_WITH_HISTORY,
    },
];

/// A block of commands.
#[derive(Debug, PartialEq)]
struct Block {
    /// The line of its first command.
    line: usize,
    alone: bool,
    commands: Vec<String>,
    /// The text up to the next block.
    text_behind: String,
}

/// The blocks of a file that are run, and how many others look as if they should be.
fn blocks(text: &str) -> (Vec<Block>, Vec<usize>) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut unmarked = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_end().strip_prefix("```") else {
            // Indented code is for output and for layouts, not for commands to a server.
            if line.starts_with("    ") && line.trim_start().starts_with("curl ") {
                unmarked.push(number + 1);
            }
            if let Some(block) = blocks.last_mut() {
                block.text_behind.push_str(line);
                block.text_behind.push('\n');
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
                text_behind: String::new(),
            }),
            _ if body.iter().any(|l| l.starts_with("curl ")) => unmarked.push(number + 1),
            _ => {}
        }
    }
    (blocks, unmarked)
}

/// Commands, each with the lines that continue it.
fn commands(lines: &[&str]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in lines.iter().filter(|l| !l.trim().is_empty()) {
        if is_open {
            let last = commands.last_mut().expect("it was opened");
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

/// Whether a command is one that nobody expects to print: assignments, definitions, output into files.
fn is_quiet_by_nature(command: &str) -> bool {
    let name_ends = command
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(command.len());
    let behind = &command[name_ends..];
    behind.starts_with('=')
        || behind.starts_with("()")
        || ["export ", "cd ", "mkdir "]
            .iter()
            .any(|w| command.starts_with(w))
        || (command.starts_with("echo ") && command.contains(" >"))
}

/// What running a command gave.
#[derive(Debug)]
struct Ran {
    status: String,
    output: String,
}

/// Runs commands in one shell, in `folder`.
fn run(shell: (&str, &str), folder: &Path, commands: &[&str]) -> Vec<Ran> {
    // Refusals fail, though examples do not ask curl for it.
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
                "{} can't be started ({e}): run `cargo xtask test`, which installs it",
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
        "{} complains:\n{error}\n{printed}",
        shell.0
    );
    ran
}

/// The programs of the tests' Python environment before those of the machine: `aws`, `python3`.
fn path() -> std::ffi::OsString {
    let python = std::env::var_os("WEIR_TEST_PYTHON")
        .expect("WEIR_TEST_PYTHON is not set: run `cargo xtask test`");
    let folder = PathBuf::from(python)
        .parent()
        .expect("a program lies in a folder")
        .to_owned();
    let folders = std::iter::once(folder).chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>(),
    );
    std::env::join_paths(folders).unwrap()
}

/// The value of a text field of a JSON answer.
fn field(answer: &str, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(answer).ok()?;
    Some(value[name].as_str()?.to_owned())
}

/// Runs all blocks of a page in one shell; returns what is wrong with them.
fn faults(page: &Page, text: &str, shell: (&str, &str)) -> Vec<String> {
    let server = TestServer::start_with(Backend::Sqlite, page.setup);
    let folder = tempfile::tempdir().unwrap();
    let mut keys = format!("{}:{}", ADMIN.1, ADMIN.2);
    let url = server.url();
    let real = |command: &str, keys: &str| {
        command
            .replace(USUAL_ADDRESS, &url)
            .replace(USUAL_KEYS, keys)
    };
    let (blocks, unmarked) = blocks(text);
    assert!(!blocks.is_empty(), "{} has no block `sh run`", page.file);
    let mut faults: Vec<String> = unmarked
        .iter()
        .map(|line| {
            format!(
                "{}:{line}: commands in a block without `sh run` are never tried",
                page.file
            )
        })
        .collect();

    let mut judge = |block: &Block, ran: &[Ran]| {
        let mut is_any_silent = false;
        for (command, ran) in block.commands.iter().zip(ran) {
            if ran.status != "0" {
                faults.push(format!(
                    "{}:{}: {}: `{command}` failed ({}): {}",
                    page.file, block.line, shell.0, ran.status, ran.output
                ));
            }
            if command.split_whitespace().any(|word| word.starts_with('#')) {
                faults.push(format!(
                    "{}:{}: `{command}`: zsh at a terminal knows no comments",
                    page.file, block.line
                ));
            }
            is_any_silent |= ran.output.is_empty() && !is_quiet_by_nature(command);
        }
        let is_told = block
            .text_behind
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("print nothing")
            || block
                .text_behind
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains("prints nothing");
        if is_any_silent != is_told {
            let silent: Vec<&String> = block
                .commands
                .iter()
                .zip(ran)
                .filter(|(_, r)| r.output.is_empty())
                .map(|(c, _)| c)
                .collect();
            faults.push(format!(
                "{}:{}: the text behind the block {} \"prints nothing\"; silent: {silent:?}",
                page.file,
                block.line,
                if is_told { "must not say" } else { "must say" },
            ));
        }
    };
    for block in blocks.iter().filter(|b| b.alone) {
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
        judge(block, &ran);
    }
    let mut all = vec![
        real("R=http://127.0.0.1:8000/api/v1/repositories/lake", &keys),
        real(
            "weir() { curl -s -u KEY:SECRET -H content-type:application/json \"$@\"; }",
            &keys,
        ),
        real(
            "put() { curl -s -u KEY:SECRET -F content=@- \"$R/branches/$1/objects?path=$2\"; }",
            &keys,
        ),
    ];
    all.extend(page.given.lines().map(|line| real(line, &keys)));
    let given = all.len();
    let together: Vec<&Block> = blocks.iter().filter(|b| !b.alone).collect();
    all.extend(
        together
            .iter()
            .flat_map(|b| &b.commands)
            .map(|c| real(c, &keys)),
    );
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let ran = run(shell, folder.path(), &all);
    let mut rest = ran.as_slice();
    for (command, ran) in all.iter().zip(&rest[..given]) {
        assert_eq!(
            ran.status, "0",
            "what {} takes for given: `{command}`: {}",
            page.file, ran.output
        );
    }
    rest = &rest[given..];
    for block in together {
        let (own, others) = rest.split_at(block.commands.len());
        judge(block, own);
        rest = others;
    }
    faults
}

fn examples_work(shell: (&str, &str)) {
    let mut all = Vec::new();
    for page in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(page.file);
        all.extend(faults(page, &std::fs::read_to_string(path).unwrap(), shell));
    }
    assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
}

#[test]
fn examples_work_in_bash() {
    examples_work(SHELLS[0]);
}

#[test]
fn examples_work_in_zsh() {
    examples_work(SHELLS[1]);
}

/// A new page with examples is not forgotten, and none loses its marks.
#[test]
fn every_page_with_commands_is_run() {
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
fn blocks_are_read_with_continuations_and_what_is_told_behind() {
    let text = "a\n```sh run\nA='x\ny'\ncurl \\\n  $A\n```\nIt prints\nnothing.\n```\ncurl x\n```\n```sh run alone\nb\n```\n";
    let (found, unmarked) = blocks(text);
    assert_eq!(unmarked, [10]);
    assert_eq!(found[0].commands, ["A='x\ny'", "curl \\\n  $A"]);
    assert_eq!((found[0].line, found[0].alone), (3, false));
    assert_eq!(found[0].text_behind, "It prints\nnothing.\n");
    assert!(found[1].alone);
    for quiet in ["A=b", "weir() { x; }", "export A=b", "echo a > b"] {
        assert!(is_quiet_by_nature(quiet), "{quiet}");
    }
    assert!(!is_quiet_by_nature("curl -X PUT a=b"));
}
