//! Runs the shell examples of the README and of the book (`docs/`) in bash and zsh against a real
//! server, and compares their output with what the pages show.
//!
//! [`blocks`] describes how blocks are marked, [`output`] how shown output is compared. Every page
//! runs on a separate server, and then all pages run on one server in the order of the book. Every
//! command must succeed, except the last one of a block `sh run fails`, which must fail. JSON output
//! must end with a line break. An `output` block must follow each block that prints something. If the commands of
//! a block print nothing, the text after the block must say "prints nothing". If a block `sh run alone` prints keys, the other blocks use them.
//!
//! Placeholders of the pages ([`Placeholders`]) are replaced by the values of the test.

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use system_tests::{Backend, Museum, Setup, TestServer, hooks};

use self::blocks::{Block, blocks};
use self::shell::{BASH, CommandResult, Shell, ZSH, run};

#[path = "docs/airflow.rs"]
mod airflow;
#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/output.rs"]
mod output;
#[path = "docs/shell.rs"]
mod shell;

/// A page with examples.
#[derive(Debug)]
struct Page {
    /// Path relative to the root of the project.
    file: String,
    text: String,
}

impl Page {
    /// Starts the server that the page needs: without an administrator if an example creates it, on lakeFS's
    /// installation if an example reads that.
    fn server(&self) -> TestServer {
        let run = blocks(&self.text).run;
        if self.needs_museum() {
            // lakeFS uses PostgreSQL.
            Museum::open(Backend::Postgres).server
        } else if run.iter().any(|block| block.alone) {
            TestServer::start_with(Backend::Sqlite, Setup::Open)
        } else {
            TestServer::start(Backend::Sqlite)
        }
    }

    fn needs_museum(&self) -> bool {
        blocks(&self.text).run.iter().any(|block| block.museum)
    }
}

/// Returns the README and all pages of the book that have examples, in order.
fn pages() -> Vec<Page> {
    let summary = text_of("docs/SUMMARY.md");
    let listed = summary
        .split("](")
        .skip(1)
        .filter_map(|link| link.split(')').next())
        .map(|target| format!("docs/{target}"));
    std::iter::once("README.md".to_owned())
        .chain(listed)
        .map(|file| Page {
            text: text_of(&file),
            file,
        })
        .filter(|page| {
            let found = blocks(&page.text);
            !found.run.is_empty() || !found.mistakes.is_empty()
        })
        .collect()
}

/// Texts of the pages that stand for values of the test: address, keys, and ports of other servers.
#[derive(Debug)]
struct Placeholders(Vec<(&'static str, String)>);

impl Placeholders {
    fn new(server: &TestServer, airflow_port: u16) -> Self {
        let mut found = Self(vec![
            ("127.0.0.1:8000", {
                let (host, port) = server.address();
                format!("{host}:{port}")
            }),
            // Webhooks that a page starts, and Airflow.
            ("9000", free_port().to_string()),
            ("8080", airflow_port.to_string()),
        ]);
        let (key, secret) = server.keys();
        found.set_keys(key, secret);
        found
    }

    fn set_keys(&mut self, key: &str, secret: &str) {
        self.0
            .retain(|(name, _)| !matches!(*name, "KEY" | "SECRET"));
        self.0.push(("KEY", key.to_owned()));
        self.0.push(("SECRET", secret.to_owned()));
    }

    /// Replaces placeholders, if they are whole words, by their values.
    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = replace_words(&text, name, value);
        }
        text
    }

    /// Replaces values by their placeholders.
    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = replace_words(&text, value, name);
        }
        text
    }
}

fn replace_words(text: &str, from: &str, to: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let behind = &rest[at + from.len()..];
        let before = rest[..at]
            .chars()
            .next_back()
            .or(result.chars().next_back());
        let is_whole = !before.is_some_and(is_word) && !behind.starts_with(is_word);
        result.push_str(&rest[..at]);
        result.push_str(if is_whole { to } else { from });
        rest = behind;
    }
    result + rest
}

/// Returns a port that was free a moment ago, different for each call. It is below the range from which Linux takes ports
/// for outgoing connections and for servers that name none, so nothing else takes it before the page's server starts.
fn free_port() -> u16 {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 5_000).unwrap();
    std::iter::repeat_with(|| 20_000 + (first + CALLS.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .take(10_000)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("one of 10,000 ports is free")
}

/// Returns a string field of a JSON response.
fn field(answer: &str, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(answer).ok()?;
    Some(value[name].as_str()?.to_owned())
}

/// Returns a new folder for commands. Its `target/hooks` has the compiled example hooks.
fn working_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("target")).unwrap();
    let hooks = std::path::absolute(hooks()).unwrap();
    std::os::unix::fs::symlink(hooks, folder.path().join("target/hooks")).unwrap();
    folder
}

/// Runs all blocks of the pages on one server and returns the errors. Blocks that are not `alone`
/// share one shell.
fn run_pages(pages: &[&Page], server: &TestServer, shell: Shell) -> Vec<String> {
    let folder = working_folder();
    let mut values = Placeholders::new(server, airflow::start());
    let mut errors = Vec::new();
    let mut found: Vec<(&str, Block)> = Vec::new();
    for page in pages {
        let read = blocks(&page.text);
        let at = |(line, why): &(usize, &str)| format!("{}:{line}: {why}", page.file);
        errors.extend(read.mistakes.iter().map(at));
        found.extend(
            read.run
                .into_iter()
                .map(|block| (page.file.as_str(), block)),
        );
    }
    let (alone, together): (Vec<_>, Vec<_>) = found.iter().partition(|(_, block)| block.alone);

    let mut done: Vec<&[String]> = Vec::new();
    for (file, block) in alone {
        // More than one page shows how to create the administrator.
        if done.contains(&block.commands.as_slice()) {
            continue;
        }
        done.push(&block.commands);
        let ran = run_filled(&block.commands, &values, folder.path(), shell);
        let keys = ran.iter().find_map(|r| {
            let key = field(&r.output, "access_key_id")?;
            Some((key, field(&r.output, "secret_access_key")?))
        });
        if let Some((key, secret)) = keys {
            values.set_keys(&key, &secret);
        }
        errors.extend(check_block(file, block, &ran, &values, shell));
    }
    let all: Vec<String> = together
        .iter()
        .flat_map(|(_, block)| block.commands.clone())
        .collect();
    let ran = run_filled(&all, &values, folder.path(), shell);
    let mut rest = ran.as_slice();
    for (file, block) in together {
        let (own, others) = rest.split_at(block.commands.len());
        errors.extend(check_block(file, block, own, &values, shell));
        rest = others;
    }
    errors
}

fn run_filled(
    commands: &[String],
    values: &Placeholders,
    folder: &Path,
    shell: Shell,
) -> Vec<CommandResult> {
    let filled: Vec<String> = commands.iter().map(|c| values.fill(c)).collect();
    let filled: Vec<&str> = filled.iter().map(String::as_str).collect();
    run(shell, folder, &filled)
}

/// Returns the errors of a block that was run.
fn check_block(
    file: &str,
    block: &Block,
    ran: &[CommandResult],
    values: &Placeholders,
    shell: Shell,
) -> Vec<String> {
    let at = format!("{file}:{}: {}", block.line, shell.0);
    let mut errors = Vec::new();
    for (number, (command, ran)) in block.commands.iter().zip(ran).enumerate() {
        let must_fail = block.fails && number + 1 == block.commands.len();
        if (ran.status != "0") != must_fail {
            errors.push(format!(
                "{at}: `{command}` ended with {}: {}",
                ran.status, ran.output
            ));
        }
        let is_file = command.starts_with("cat > ");
        if !is_file && command.split_whitespace().any(|word| word.starts_with('#')) {
            errors.push(format!(
                "{at}: `{command}`: interactive zsh does not support comments"
            ));
        }
        if ran.output.starts_with('{') && !ran.ends_line {
            errors.push(format!(
                "{at}: `{command}`: the output has no line break at its end; pass `-w '\\n'` to curl"
            ));
        }
    }
    match &block.shown {
        Some(shown) => errors.extend(compare(&at, shown, ran, values)),
        None => errors.extend(check_silence(&at, block, ran, values)),
    }
    errors
}

/// Compares the output that the page shows.
fn compare(at: &str, shown: &str, ran: &[CommandResult], values: &Placeholders) -> Option<String> {
    let printed: Vec<String> = ran
        .iter()
        .filter(|r| !r.output.is_empty())
        .map(|r| values.hide(&r.output))
        .collect();
    let printed = printed.join("\n");
    (!output::matches(shown, &printed)).then(|| {
        format!("{at}: the page shows other output than the commands printed, which is:\n{printed}")
    })
}

/// Checks a block without shown output: its commands must print nothing.
fn check_silence(
    at: &str,
    block: &Block,
    ran: &[CommandResult],
    values: &Placeholders,
) -> Option<String> {
    if ran.iter().all(|result| result.output.is_empty()) {
        return (!block.explains_output())
            .then(|| format!("{at}: the text after the block must say \"prints nothing\""));
    }
    let printed: Vec<String> = ran
        .iter()
        .map(|result| values.hide(&result.output))
        .collect();
    let printed = printed.join("\n");
    Some(format!(
        "{at}: an `output` block must follow, because the commands print:\n{printed}"
    ))
}

/// Reads a file relative to the root of the project.
fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("failed to read {file}: {e}"))
}

/// Runs each page on a separate server. `WEIR_TEST_PAGE` selects pages by a part of their path.
fn examples_work(shell: Shell) {
    let selected = std::env::var("WEIR_TEST_PAGE").unwrap_or_default();
    let mut pages = pages();
    pages.retain(|page| page.file.contains(&selected));
    assert!(!pages.is_empty(), "no page matches WEIR_TEST_PAGE");
    let mut all = Vec::new();
    for page in &pages {
        all.extend(run_pages(&[page], &page.server(), shell));
    }
    assert!(all.is_empty(), "{} errors:\n{}", all.len(), all.join("\n"));
}

/// Runs all pages that need no installation on one new server in one shell, in the order in which a newcomer reads them.
fn examples_work_one_after_another(shell: Shell) {
    let pages = pages();
    let pages: Vec<&Page> = pages.iter().filter(|page| !page.needs_museum()).collect();
    let server = TestServer::start_with(Backend::Sqlite, Setup::Open);
    let all = run_pages(&pages, &server, shell);
    assert!(all.is_empty(), "{} errors:\n{}", all.len(), all.join("\n"));
}

#[test]
fn examples_work_in_bash() {
    examples_work(BASH);
}

#[test]
fn examples_work_in_zsh() {
    examples_work(ZSH);
}

#[test]
fn examples_work_one_after_another_in_bash() {
    examples_work_one_after_another(BASH);
}

#[test]
fn examples_work_one_after_another_in_zsh() {
    examples_work_one_after_another(ZSH);
}

/// Needs no server.
#[test]
fn pages_show_what_each_block_prints() {
    let mut errors = Vec::new();
    for page in pages() {
        let blocks = blocks(&page.text).run;
        let unexplained = blocks.iter().filter(|block| !block.explains_output());
        errors.extend(unexplained.map(|block| format!("{}:{}", page.file, block.line)));
    }
    assert!(
        errors.is_empty(),
        "an `output` block or the words \"prints nothing\" must follow: {errors:?}"
    );
}

#[test]
fn placeholders_are_replaced_as_whole_words() {
    assert_eq!(
        replace_words("AWS_KEY=KEY KEY:KEYS", "KEY", "AK"),
        "AWS_KEY=AK AK:KEYS"
    );
}
