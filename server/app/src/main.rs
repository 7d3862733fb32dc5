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
    /// Compile the component on standard input. The server starts this for each component.
    #[command(name = app::COMPILE_COMMAND, hide = true)]
    CompileComponent(CompileArgs),
    /// Exit with 0 if the server is healthy and with 1 otherwise. Use it as a container's health check.
    Health(HealthArgs),
}

#[derive(Debug, Args)]
struct CompileArgs {
    cpu_seconds: u64,
    memory_bytes: u64,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Configuration file (YAML with lakeFS's keys). By default, the first that exists of
    /// ./config.yaml, ~/.lakefs/config.yaml, /etc/lakefs/config.yaml and ~/.lakefs.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Store everything in this folder: SQLite database, objects, caches, and a generated secret
    /// key.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Create an administrator with keys in DIR/quickstart-credentials.json, for evaluation on this
    /// machine only. Without --data, DIR is ~/weir.
    #[arg(long)]
    quickstart: bool,
    /// Address to listen on. `:PORT` means all IPv4 addresses of this machine. Default: 127.0.0.1:8000
    /// with --data or --quickstart, otherwise 0.0.0.0:8000, unless the configuration sets another.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Write process id and address as JSON to this file once the server listens. The server
    /// deletes the file when it exits.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Stop when standard input closes, for example because the program at its other end exited.
    #[arg(long)]
    stop_with_stdin: bool,
}

#[derive(Debug, Args)]
struct HealthArgs {
    /// Address of the server.
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:8000")]
    address: String,
}

fn main() -> ExitCode {
    // All files created by this process (database, objects, keys, caches, logs) are accessible only
    // to its user.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let ended = match Cli::parse().command {
        Command::Run(args) => run(args),
        Command::CompileComponent(args) => {
            return actions::wasm::compile_job(args.cpu_seconds, args.memory_bytes);
        }
        Command::Health(args) => app::health::check(&args.address),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&format!("{e:#}")),
    }
}

fn run(args: RunArgs) -> anyhow::Result<()> {
    let overrides = Overrides {
        file: args.config,
        data: args.data,
        quickstart: args.quickstart,
        listen_address: args.listen,
    };
    let config = Config::load(&overrides)?;
    let parent = app::Parent {
        ready_file: args.ready_file,
        stop_with_stdin: args.stop_with_stdin,
    };
    app::run(config, &parent)
}

#[expect(clippy::print_stderr, reason = "the command's own error output")]
fn fail(message: &str) -> ExitCode {
    eprintln!("weir: {message}");
    ExitCode::FAILURE
}
