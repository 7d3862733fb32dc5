//! Reads the fenced blocks of a page: commands to run, files to save, and output to compare.
//!
//! | info string | meaning |
//! |---|---|
//! | `sh run` | commands, run in the page's shell |
//! | `sh run fails` | the same; the last command must fail, for example because the server refuses the request |
//! | `sh run alone` | commands, run before all others in a shell of their own |
//! | `sh run museum` | commands, run on the installation that lakeFS made |
//! | `sh sdk` | commands, run by `sdk.rs` with the hook of the page |
//! | `LANGUAGE save=FILE` | the content of a file that later commands use |
//! | `output` | what the commands of the block before it print |
//!
//! Blocks with other info strings are not run. They must not look like commands or like a server's output.

/// A block that is run.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    /// Line number of its first command.
    pub(super) line: usize,
    pub(super) alone: bool,
    /// Whether it needs the installation that lakeFS made.
    pub(super) museum: bool,
    /// Whether the last command must fail.
    pub(super) fails: bool,
    pub(super) commands: Vec<String>,
    /// The content of the `output` block that follows, if there is one.
    pub(super) shown: Option<String>,
    /// The text up to the next block that is run.
    pub(super) text_behind: String,
}

impl Block {
    /// Reports whether the page shows what the block prints, or says that it prints nothing. Commands
    /// that print nothing by design need no such sentence.
    pub(super) fn explains_output(&self) -> bool {
        let text: Vec<&str> = self.text_behind.split_whitespace().collect();
        let text = text.join(" ");
        self.shown.is_some()
            || text.contains("print nothing")
            || text.contains("prints nothing")
            || self.commands.iter().all(|c| is_quiet_by_nature(c))
    }
}

/// The blocks of a page.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) run: Vec<Block>,
    /// Line numbers and reasons of blocks that must be marked differently.
    pub(super) mistakes: Vec<(usize, &'static str)>,
}

const NEVER_RUN: &str = "commands in a block without `sh run` or `sh sdk` are never tried";
const NEVER_COMPARED: &str = "output in a block without `output` is never compared";
const WITHOUT_COMMANDS: &str = "an `output` block must follow its commands, once";

/// Returns the blocks of a page.
pub(super) fn blocks(text: &str) -> Blocks {
    let mut found = Blocks::default();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_end().strip_prefix("```") else {
            // Indented code is for layouts, not for commands to a server.
            if line.starts_with("    ") && line.trim_start().starts_with("curl ") {
                found.mistakes.push((number + 1, NEVER_RUN));
            }
            if let Some(block) = found.run.last_mut() {
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
        let words: Vec<&str> = info.split_whitespace().collect();
        match words.as_slice() {
            ["sh", "run", modes @ ..] => found.run.push(Block {
                line: number + 2,
                alone: modes.contains(&"alone"),
                museum: modes.contains(&"museum"),
                fails: modes.contains(&"fails"),
                commands: commands(&body),
                shown: None,
                text_behind: String::new(),
            }),
            ["output"] => match found.run.last_mut() {
                Some(block) if block.shown.is_none() => block.shown = Some(body.join("\n")),
                _ => found.mistakes.push((number + 1, WITHOUT_COMMANDS)),
            },
            [_, save] if save.starts_with("save=") => found.run.push(Block {
                line: number + 2,
                alone: false,
                museum: false,
                fails: false,
                commands: vec![save_command(&save["save=".len()..], &body)],
                shown: None,
                text_behind: String::new(),
            }),
            ["sh", "sdk"] => {}
            ["sh", ..] => found.mistakes.push((number + 1, NEVER_RUN)),
            _ if body.iter().any(|l| l.starts_with("curl ")) => {
                found.mistakes.push((number + 1, NEVER_RUN));
            }
            [] | ["json" | "text"] if body.first().is_some_and(|l| l.starts_with('{')) => {
                found.mistakes.push((number + 1, NEVER_COMPARED));
            }
            _ => {}
        }
    }
    found
}

/// Returns a command that writes a file.
fn save_command(file: &str, body: &[&str]) -> String {
    format!("cat > {file} <<'@@file'\n{}\n@@file", body.join("\n"))
}

/// Splits lines into commands, joining continuation lines.
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

/// Reports whether a command prints nothing by design: assignments, definitions, redirections,
/// programs in the background.
fn is_quiet_by_nature(command: &str) -> bool {
    let name_ends = command
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(command.len());
    let behind = &command[name_ends..];
    behind.starts_with('=')
        || behind.starts_with("()")
        || command.ends_with(" &")
        || ["export ", "cd ", "mkdir ", "kill ", "cat > ", "for "]
            .iter()
            .any(|w| command.starts_with(w))
        || (command.starts_with("echo ") && command.contains(" >"))
}

#[test]
fn blocks_have_continuations_and_following_text() {
    let text = "a\n```sh run\nA='x\ny'\ncurl \\\n  $A\n```\nIt prints\nnothing.\n```\ncurl x\n```\n```sh run alone\nb\n```\n";
    let found = blocks(text);
    assert_eq!(found.mistakes, [(10, NEVER_RUN)]);
    let run = found.run;
    assert_eq!(run[0].commands, ["A='x\ny'", "curl \\\n  $A"]);
    assert_eq!((run[0].line, run[0].alone, run[0].fails), (3, false, false));
    assert_eq!(run[0].text_behind, "It prints\nnothing.\n");
    assert!(run[1].alone);
    for quiet in [
        "A=b",
        "weir() { x; }",
        "export A=b",
        "echo a > b",
        "python3 gate.py > log &",
    ] {
        assert!(is_quiet_by_nature(quiet), "{quiet}");
    }
    assert!(!is_quiet_by_nature("curl -X PUT a=b"));
}

#[test]
fn output_must_be_shown_or_excluded() {
    for (page, expected) in [
        ("```sh run\ncurl x\n```\ntext\n", false),
        ("```sh run\ncurl x\n```\ntext\n```output\nx\n```\n", true),
        ("```sh run\ncurl x\n```\nThis prints\nnothing.\n", true),
        ("```sh run\nA=b\n```\n", true),
        ("```sh run\nA=b\ncurl x\n```\n", false),
        ("```yaml save=a.yaml\na: b\n```\n", true),
    ] {
        assert_eq!(blocks(page).run[0].explains_output(), expected, "{page}");
    }
}

#[test]
fn commands_are_run_by_some_test() {
    let text = "```sh\ncargo test\n```\n```sh sdk\ncargo test\n```\n```sh run museum\na\n```\n";
    let found = blocks(text);
    assert_eq!(found.mistakes, [(1, NEVER_RUN)]);
    assert!(found.run.len() == 1 && found.run[0].museum);
}

#[test]
fn output_belongs_to_the_commands_before_it() {
    let text = "```output\nx\n```\n```sh run fails\na\n```\nprints\n```output\n{}\n```\n```json\n{\n```\n```yaml save=a.yaml\nb: c\n```\n";
    let found = blocks(text);
    assert_eq!(
        found.mistakes,
        [(1, WITHOUT_COMMANDS), (11, NEVER_COMPARED)]
    );
    assert_eq!(found.run[0].shown.as_deref(), Some("{}"));
    assert!(found.run[0].fails);
    assert_eq!(
        found.run[1].commands,
        ["cat > a.yaml <<'@@file'\nb: c\n@@file"]
    );
}
