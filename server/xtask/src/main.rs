//! The menu of commands: `cargo xtask` lists them. CI calls the same ones.

mod bench;
mod check;
mod codegen;
mod dist;
mod fuzz;
mod hooks;
mod links;
mod mentions;
mod postgres;
mod quickstart;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

const MENU: &str = "\
usage: cargo xtask COMMAND

  quickstart             set up, build, and serve on 127.0.0.1:8000 a sample repository whose main is
                         guarded by a Wasm hook
      --check            show it at work, then stop
      --listen HOST:PORT serve there
      --data FOLDER      keep the data there, not in target/quickstart-data
      --weir FILE        start this server, and --hooks FOLDER: use these hooks; with both nothing is built
  test [FILTER]          set up everything, run all of check, and pass every test
                         (FILTER: only Rust tests of that name, without check)
  soak [FILTER]          the long run of the tests that try cases, seeds and crashes: 10,000 cases of each property,
                         20,000 seeds of the simulation, 300 kills and more; then each parser fuzzed for 60 s
                         (two hours and more)
  fuzz [TARGET] [--seconds N]
                         feed every parser of untrusted input, or one, with what libFuzzer makes of its seeds
                         (60 s each; the first build takes about 10 minutes and needs a C++ compiler)
  check                  house rules, links, formatting, licences and advisories, clippy, doc comments
  tidy                   the house rules that the compiler does not check
  links                  links between Markdown files
  hooks [--fixtures]     build the example hooks to components (--fixtures: the test guests as well)
  codegen                regenerate wire types and client from server/api/openapi.yaml
  bench NAME             serve | hooks | start | engine: measure with a release build
  dist                   build for release: target/dist with a stripped server, its symbols, checksums, a container file
  setup                  install what the commands above need
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["quickstart", rest @ ..] => quickstart::run_it(rest),
        ["test"] => test::run_all(None),
        ["test", filter] => test::run_all(Some(filter)),
        ["soak"] => test::soak(None),
        ["soak", filter] => test::soak(Some(filter)),
        ["fuzz", rest @ ..] => fuzz::run_named(rest),
        ["check"] => check::run_all(),
        ["tidy"] => tidy::run(),
        ["hooks"] => hooks::build(hooks::EXAMPLES).map(|_| ()),
        ["hooks", "--fixtures"] => hooks::build(hooks::EXAMPLES).and_then(|_| hooks::fixtures()),
        ["codegen"] => codegen::run(&shell::root()),
        ["bench", rest @ ..] => bench::run_named(rest),
        ["dist"] => dist::run_it(),
        ["links"] => links::run(),
        ["setup"] => setup::everything(),
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
