//! The `weir` command: parses arguments, loads configuration, runs the server.

use std::path::PathBuf;
use std::process::ExitCode;

use app::config::{Config, Overrides};
use clap::{Args, Parser, Subcommand};

/// Git for data lakes, with CI/CD built in.
#[derive(Debug, Parser)]
#[command(name = "weir", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: REST API and S3 gateway on one port.
    Run(RunArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Configuration file (YAML, lakeFS's keys). Default: ./config.yaml, ~/.lakefs/config.yaml,
    /// /etc/lakefs/config.yaml, ~/.lakefs.yaml, the first that exists.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in this folder: SQLite database, objects, caches, a generated secret key.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Start with an administrator key in DIR/quickstart-credentials.json, for trying out on this machine only.
    #[arg(long)]
    quickstart: bool,
    /// Address to listen on.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

fn main() -> ExitCode {
    let Cli {
        command: Command::Run(args),
    } = Cli::parse();
    let overrides = Overrides {
        file: args.config,
        data: args.data,
        quickstart: args.quickstart,
        listen_address: args.listen,
    };
    let config = match Config::load(&overrides) {
        Ok(config) => config,
        Err(e) => return fail(&e.to_string()),
    };
    match app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&format!("{e:#}")),
    }
}

#[expect(clippy::print_stderr, reason = "the command's own error output")]
fn fail(message: &str) -> ExitCode {
    eprintln!("weir: {message}");
    ExitCode::FAILURE
}
