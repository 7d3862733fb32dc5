//! The project's commands. `cargo xtask` lists them; CI runs the same commands.

mod bench;
mod book;
mod check;
mod codegen;
mod dist;
mod fuzz;
mod hooks;
mod import_cycles;
mod kept_inputs;
mod links;
mod measurements;
mod mentions;
mod postgres;
mod quickstart;
mod setup;
mod shell;
mod sources;
mod test;
mod tidy;
mod tool;

use std::process::ExitCode;

const MENU: &str = "\
usage: cargo xtask COMMAND

  quickstart             build a server and serve a sample repository on 127.0.0.1:8000, with a Wasm hook that
                         guards its branch main
      --check            run the demonstration with new data in target/quickstart-check, then stop
      --listen HOST:PORT listen on this address
      --data FOLDER      store the data in FOLDER instead of target/quickstart-data
      --weir FILE        use this server instead of building one
      --hooks FOLDER     use these hooks instead of building them
  test [FILTER]          install what tests need, run all checks and all tests
                         (FILTER: run only Rust tests whose name contains FILTER, without checks)
  soak [FILTER]          run property tests, simulation and crash tests for long: 10,000 cases of each property,
                         20,000 seeds, 360 kills; then fuzz each parser for 60 s (takes over two hours)
  fuzz [TARGET] [--seconds N]
                         fuzz every parser of untrusted input, or only TARGET, with libFuzzer
                         (60 s each; the first build takes about 10 minutes and needs a C++ compiler)
  check                  run all checks: house rules, links, documentation site, formatting, unused dependencies,
                         licenses, advisories, clippy, doc comments
  tidy                   check the house rules that the compiler does not check
  docs                   build the documentation as a site in target/docs, and check its links
                         (the first time, this installs mdBook in target/tools, which takes some minutes)
  links                  check links between Markdown files, the book's table of contents, and the files that docs of
                         the code mention
  hooks [--fixtures]     build the example hooks as components (--fixtures: and rebuild the test guests)
  codegen                generate wire types, client, request checks and docs/reference/rest.md from
                         server/api/openapi.yaml
  bench NAME             run a benchmark with a release build: serve, hooks, start, attacks, compare,
                         instructions or engine
  dist                   build a release in target/dist: stripped server, debug symbols, checksums, container file
  setup                  install the tools that these commands need
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [.., "--help" | "-h"] | ["help"] => {
            shell::say(MENU);
            return ExitCode::SUCCESS;
        }
        ["quickstart", rest @ ..] => quickstart::start(rest),
        ["test"] => test::run_all(None),
        ["test", filter] => test::run_all(Some(filter)),
        ["soak"] => test::soak(None),
        ["soak", filter] => test::soak(Some(filter)),
        ["fuzz", rest @ ..] => fuzz::run_command(rest),
        ["check"] => check::run_all(),
        ["tidy"] => tidy::run(),
        ["hooks"] => hooks::build(hooks::EXAMPLES).map(|_| ()),
        ["hooks", "--fixtures"] => hooks::build(hooks::EXAMPLES).and_then(|_| hooks::fixtures()),
        ["codegen"] => codegen::run(&shell::root()),
        ["bench", rest @ ..] => bench::run_command(rest),
        ["dist"] => dist::build_release(),
        ["docs"] => book::build(),
        ["links"] => links::run(),
        ["setup"] => setup::install_all(),
        _ => {
            shell::say(MENU);
            return if arguments.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            shell::say(&format!("xtask: {e:#}"));
            ExitCode::FAILURE
        }
    }
}
