//! `cargo xtask quickstart`: builds and starts a server, and demonstrates a repository guarded by a hook.
//!
//! Invariant: it talks only to the server it has started, and that server ends when the quickstart ends for any reason.

mod keys;
mod rest;
mod server;
mod tour;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::keys::Keys;
use self::rest::Rest;
use self::server::Server;
use crate::hooks;
use crate::shell::{cargo, root, run, say, target_dir};

/// Default address.
const LISTEN: &str = "127.0.0.1:8000";
/// Cargo profile that compiles quickly (`Cargo.toml`), and the name of its folder.
const PROFILE: &str = "quickstart";
/// The hook that guards `main`. The other examples are not built.
const HOOK: &str = "parquet-guard";
/// Cost of a first build, as measured in docs/decisions/0018-checks-and-first-start.md. Tests check that the README and
/// the book state the same cost.
const FIRST_BUILD: [&str; 2] = [
    "about 5 minutes on 2 cores",
    "2.3 GB in target/ and 0.4 GB of downloaded crates",
];
/// Timeout of the server's start. A first start on a slow disk takes long.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Interval at which the server process is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The command-line options.
#[derive(Debug, Default)]
struct Options {
    /// Stop after the tour.
    check: bool,
    listen: Option<String>,
    /// An existing server binary.
    weir: Option<PathBuf>,
    /// A folder with built hooks.
    hooks: Option<PathBuf>,
    data: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(&name) = rest.next() {
            let mut value = || {
                rest.next()
                    .map(|v| (*v).to_owned())
                    .with_context(|| format!("{name} needs a value"))
            };
            match name {
                "--check" => options.check = true,
                "--listen" => options.listen = Some(value()?),
                "--weir" => options.weir = Some(value()?.into()),
                "--hooks" => options.hooks = Some(value()?.into()),
                "--data" => options.data = Some(value()?.into()),
                other => bail!(
                    "quickstart: unknown option {other}; the options are --check, --listen HOST:PORT, --weir FILE, --hooks FOLDER, --data FOLDER"
                ),
            }
        }
        Ok(options)
    }

    /// The given folder, or one that is kept, or one for `--check`, which begins with an empty folder each time.
    fn data_folder(&self) -> PathBuf {
        let name = match self.check {
            true => "quickstart-check",
            false => "quickstart-data",
        };
        let given = self.data.clone();
        given.unwrap_or_else(|| target_dir().join(name))
    }
}

/// An event while the server runs.
enum Event {
    /// A signal asks us to stop.
    Signal(i32),
    /// The tour has ended.
    TourEnded(Result<()>),
}

/// Builds and starts a server, and demonstrates a rejected and a successful merge. Then serves until a signal arrives,
/// or stops immediately with `--check`.
pub(crate) fn start(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let listen = options.listen.as_deref().unwrap_or(LISTEN);
    check_address_is_free(listen)?;
    let (weir, components) = programs(&options)?;
    let data = options.data_folder();
    if options.check && options.data.is_none() && data.exists() {
        std::fs::remove_dir_all(&data)
            .context("failed to remove the data of the last quickstart with --check")?;
    }

    let (events, inbox) = channel();
    forward_signals(events.clone())?;
    let mut server = Server::start(&weir, &data, listen)?;
    let result = demonstrate(
        &mut server,
        &data,
        &components,
        events,
        &inbox,
        options.check,
    );
    let stopped = stop(server, &inbox);
    result.and(stopped)
}

/// Fails if another program listens on the address. Called before anything is built.
fn check_address_is_free(listen: &str) -> Result<()> {
    match TcpListener::bind(listen) {
        Ok(free) if !free.local_addr()?.ip().is_loopback() => bail!(
            "--listen {listen}: a quickstart serves this machine only; use a loopback address, such as 127.0.0.1:8001"
        ),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "another program listens on {listen}: stop it, or use another address, as in `cargo xtask quickstart --listen {}`",
            free_address_after(listen)
        ),
        Err(e) => Err(e).with_context(|| {
            format!(
                "failed to listen on {listen}: --listen takes HOST:PORT with an address of this machine"
            )
        }),
    }
}

/// Returns the server binary and the folder of hooks. Builds them unless the options name them.
fn programs(options: &Options) -> Result<(PathBuf, PathBuf)> {
    let built = target_dir().join(PROFILE).join("weir");
    if options.weir.is_none() || options.hooks.is_none() {
        if built.is_file() {
            say("Rebuilding the server and the hook if they have changed.");
        } else {
            let [time, space] = FIRST_BUILD;
            say(&format!(
                "Building the server and one hook. The first build takes {time}, and {space}; later builds take seconds."
            ));
        }
    }
    let components = match &options.hooks {
        Some(folder) => folder.clone(),
        None => hooks::build(&[HOOK])?,
    };
    let weir = match &options.weir {
        Some(file) => file.clone(),
        None => {
            run(cargo().args([
                "build",
                "--locked",
                "--profile",
                PROFILE,
                "--package",
                "app",
                "--bin",
                "weir",
            ]))?;
            built
        }
    };
    Ok((weir, components))
}

fn forward_signals(events: Sender<Event>) -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("failed to install signal handlers")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    });
    Ok(())
}

/// Runs the tour, then waits for a signal unless `check` is set.
fn demonstrate(
    server: &mut Server,
    data: &Path,
    components: &Path,
    events: Sender<Event>,
    inbox: &Receiver<Event>,
    check: bool,
) -> Result<()> {
    let url = wait_until_ready(server, inbox)?;
    let keys = keys::read(data)?;
    let tour = {
        let (rest, components) = (Rest::new(&url, &keys), components.to_owned());
        let samples = root().join("example-hooks/parquet-guard/testdata");
        let (url, keys, data) = (url.clone(), keys.clone(), data.to_owned());
        move || -> Result<()> {
            let refused = tour::run(&rest, &components, &samples)?;
            say(&next_steps(&url, &keys, &data, &refused));
            Ok(())
        }
    };
    std::thread::spawn(move || {
        // Sending fails if a signal has already ended the receiver.
        let _stopping = events.send(Event::TourEnded(tour()));
    });
    match next_event(server, inbox)? {
        Event::TourEnded(ended) => ended?,
        Event::Signal(signal) => bail!("stopped by {} before the tour ended", name_of(signal)),
    }
    if check {
        return Ok(());
    }
    say("The server runs until you press Ctrl-C.");
    next_event(server, inbox)?;
    Ok(())
}

/// Waits for the server to listen and returns its URL.
fn wait_until_ready(server: &mut Server, inbox: &Receiver<Event>) -> Result<String> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Some(url) = server.url()? {
            return Ok(url);
        }
        if Instant::now() > deadline {
            bail!("the server was not ready after {START_TIMEOUT:?}");
        }
        match inbox.recv_timeout(POLL_INTERVAL) {
            Ok(Event::Signal(signal)) => {
                bail!("stopped by {} while the server started", name_of(signal))
            }
            Ok(Event::TourEnded(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the signal handler has stopped"),
        }
    }
}

/// Returns the next event. Fails if the server exits first.
fn next_event(server: &mut Server, inbox: &Receiver<Event>) -> Result<Event> {
    loop {
        match inbox.recv_timeout(POLL_INTERVAL) {
            Ok(event) => return Ok(event),
            Err(RecvTimeoutError::Disconnected) => bail!("the signal handler has stopped"),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = server.ended()? {
                    bail!("the server exited unexpectedly ({status}); see its output above");
                }
            }
        }
    }
}

/// Stops the server gracefully. A second signal kills it.
fn stop(mut server: Server, inbox: &Receiver<Event>) -> Result<()> {
    server.request_stop();
    let deadline = Instant::now() + server::STOP_TIMEOUT;
    loop {
        if let Some(status) = server.ended()? {
            return if status.success() {
                Ok(())
            } else {
                bail!("the server failed: {status}")
            };
        }
        let again = matches!(inbox.recv_timeout(POLL_INTERVAL), Ok(Event::Signal(_)));
        if again || Instant::now() > deadline {
            bail!("the server did not stop and was killed");
        }
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        _ => "SIGHUP",
    }
}

/// Returns the closing message: the URL of the rejected run, and commands to copy.
fn next_steps(url: &str, keys: &Keys, data: &Path, refused: &tour::Refused) -> String {
    let repository = tour::REPOSITORY;
    let (id, secret) = (&keys.access_key_id, &keys.secret_access_key);
    let run = format!(
        "{url}/api/v1/repositories/{repository}/actions/runs/{}",
        refused.run_id
    );
    format!(
        "
The gate's run can be read at {run}

Weir serves on {url}, its data is in {}.

Copy this into bash or zsh, for the AWS command line, lakectl, Python (`pip install lakefs`) and curl; the exports print nothing:

    export AWS_ACCESS_KEY_ID={id}
    export AWS_SECRET_ACCESS_KEY={secret}
    export LAKECTL_SERVER_ENDPOINT_URL={url}
    export LAKECTL_CREDENTIALS_ACCESS_KEY_ID={id}
    export LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY={secret}
    aws --endpoint-url {url} --region us-east-1 s3 ls s3://{repository}/main/ --recursive
    lakectl log lakefs://{repository}/main
    python3 -c 'import lakefs; print(*(c.message for c in lakefs.repository(\"{repository}\").branch(\"main\").log()), sep=\"\\n\")'
    curl -s -u {id}:{secret} {run}
    curl -s -u {id}:{secret} {run}/hooks/{}/output
",
        data.display(),
        refused.hook_run_id,
    )
}

/// Returns an address with a free port, the next one if possible.
fn free_address_after(listen: &str) -> String {
    let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
    let first = port.unwrap_or(8000_u16).saturating_add(1);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (first..=u16::MAX).find(is_free).unwrap_or(8001);
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::{Options, check_address_is_free};

    /// Guards against a bug: a quickstart with `--check` deleted the data of the last quickstart.
    #[test]
    fn check_has_its_own_data_folder() {
        let folder = |arguments: &[&str]| Options::parse(arguments).unwrap().data_folder();
        assert!(folder(&[]).ends_with("quickstart-data"));
        assert!(folder(&["--check"]).ends_with("quickstart-check"));
        assert!(folder(&["--check", "--data", "mine"]).ends_with("mine"));
    }

    #[test]
    fn addresses_of_other_machines_are_refused_before_building() {
        let error = check_address_is_free("0.0.0.0:0").unwrap_err().to_string();
        assert!(error.contains("a loopback address"), "{error}");
    }

    #[test]
    fn unknown_and_incomplete_options_are_rejected() {
        let options = Options::parse(&["--check", "--listen", "127.0.0.1:9"]).unwrap();
        assert!(options.check);
        assert_eq!(options.listen.as_deref(), Some("127.0.0.1:9"));
        assert!(Options::parse(&["--listen"]).is_err());
        let error = Options::parse(&["--port"]).unwrap_err();
        assert!(error.to_string().contains("--listen HOST:PORT"), "{error}");
    }

    #[test]
    fn error_for_a_used_address_suggests_another() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = check_address_is_free(&address).unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("--listen"),
            "{error}"
        );
        let (_, suggested) = error.split_once("--listen ").unwrap();
        assert_ne!(suggested.trim_end_matches('`'), address);
        drop(taken);
        check_address_is_free(&address).unwrap();
        check_address_is_free("no address").unwrap_err();
    }
}
