//! `cargo xtask quickstart`: from a fresh machine to a guarded repository, seen at work.
//!
//! Invariant: it talks to the server that it started, and to no other. That server ends with it, whatever ends it.

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

/// Where the quickstart serves unless `--listen` says otherwise.
const LISTEN: &str = "127.0.0.1:8000";
/// The profile that compiles quickly (`Cargo.toml`), and the name of its folder.
const PROFILE: &str = "quickstart";
/// The hook that guards `main`; the other examples are not built.
const HOOK: &str = "parquet-guard";
/// What a first build takes on 2 cores: an estimate (docs/decisions/0018-checks-and-first-start.md).
const FIRST_BUILD: &str = "about 6 minutes on 2 cores, and 2 GB in target/";
/// A first start on a slow disk.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the server is looked after.
const LOOK: Duration = Duration::from_millis(50);

/// What the command line says.
#[derive(Debug, Default)]
struct Options {
    /// End after the tour.
    check: bool,
    listen: Option<String>,
    /// A server that is built already.
    weir: Option<PathBuf>,
    /// The folder of hooks that are built already.
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
                    "quickstart: unknown option {other}; there are --check, --listen HOST:PORT, --weir FILE, --hooks FOLDER, --data FOLDER"
                ),
            }
        }
        Ok(options)
    }
}

/// What happens while the server runs.
enum Event {
    /// Somebody told us to stop.
    Signal(i32),
    /// The tour came to its end, with what was printed last.
    TourEnded(Result<()>),
}

/// Sets up, builds, serves, and shows a merge that is refused and one that lands.
/// Goes on serving until it is told to stop, unless `--check`.
pub(crate) fn run_it(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let listen = options.listen.as_deref().unwrap_or(LISTEN);
    must_be_free(listen)?;
    let (weir, components) = programs(&options)?;
    let data = options
        .data
        .clone()
        .unwrap_or_else(|| target_dir().join("quickstart-data"));
    if options.check && options.data.is_none() && data.exists() {
        std::fs::remove_dir_all(&data).context("can't clear the data of the last quickstart")?;
    }

    let (events, inbox) = channel();
    forward_signals(events.clone())?;
    let mut server = Server::start(&weir, &data, listen)?;
    let shown = show(
        &mut server,
        &data,
        &components,
        events,
        &inbox,
        options.check,
    );
    let stopped = stop(server, &inbox);
    shown.and(stopped)
}

/// Fails before anything is built where another program has the address.
fn must_be_free(listen: &str) -> Result<()> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "another program listens on {listen}: stop it, or choose another address, as with `cargo xtask quickstart --listen 127.0.0.1:8001`"
        ),
        Err(e) => Err(e).with_context(|| {
            format!(
                "can't listen on {listen}: --listen takes HOST:PORT, an address of this machine"
            )
        }),
    }
}

/// The server and the folder of hooks, built unless they are given.
fn programs(options: &Options) -> Result<(PathBuf, PathBuf)> {
    let built = target_dir().join(PROFILE).join("weir");
    if options.weir.is_none() || options.hooks.is_none() {
        if built.is_file() {
            say("Building what has changed since the last quickstart.");
        } else {
            say(&format!(
                "Building the server and one hook. The first time this takes {FIRST_BUILD}; later, seconds."
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
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("can't listen for signals")?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    });
    Ok(())
}

/// The tour, and then, unless `check`, serving until a signal.
fn show(
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
            say(&farewell(&url, &keys, &data, &refused));
            Ok(())
        }
    };
    std::thread::spawn(move || {
        // Nobody listens any more where a signal came first.
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

/// Where our own server answers.
fn wait_until_ready(server: &mut Server, inbox: &Receiver<Event>) -> Result<String> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Some(url) = server.url()? {
            return Ok(url);
        }
        if Instant::now() > deadline {
            bail!("the server was not ready after {START_TIMEOUT:?}");
        }
        match inbox.recv_timeout(LOOK) {
            Ok(Event::Signal(signal)) => {
                bail!("stopped by {} while the server started", name_of(signal))
            }
            Ok(Event::TourEnded(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("nobody listens for signals any more"),
        }
    }
}

/// The next event; an error if the server ends by itself first.
fn next_event(server: &mut Server, inbox: &Receiver<Event>) -> Result<Event> {
    loop {
        match inbox.recv_timeout(LOOK) {
            Ok(event) => return Ok(event),
            Err(RecvTimeoutError::Disconnected) => bail!("nobody listens for signals any more"),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = server.ended()? {
                    bail!("the server ended by itself ({status}); what it said is above");
                }
            }
        }
    }
}

/// Lets the server finish what is under way; a second signal ends it at once.
fn stop(mut server: Server, inbox: &Receiver<Event>) -> Result<()> {
    server.tell_to_stop();
    let deadline = Instant::now() + server::STOP_TIMEOUT;
    loop {
        if let Some(status) = server.ended()? {
            // Why it ended by itself was told already.
            return if status.success() {
                Ok(())
            } else {
                bail!("the server ended badly: {status}")
            };
        }
        let again = matches!(inbox.recv_timeout(LOOK), Ok(Event::Signal(_)));
        if again || Instant::now() > deadline {
            bail!("the server was still at work and was killed");
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

/// What to do next: keys, lines to copy, and where the refusal can be read again.
fn farewell(url: &str, keys: &Keys, data: &Path, refused: &tour::Refused) -> String {
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

#[cfg(test)]
mod tests {
    use super::{Options, must_be_free};

    #[test]
    fn options_are_named_or_refused() {
        let options = Options::parse(&["--check", "--listen", "127.0.0.1:9"]).unwrap();
        assert!(options.check);
        assert_eq!(options.listen.as_deref(), Some("127.0.0.1:9"));
        assert!(Options::parse(&["--listen"]).is_err());
        let error = Options::parse(&["--port"]).unwrap_err();
        assert!(error.to_string().contains("--listen HOST:PORT"), "{error}");
    }

    #[test]
    fn a_taken_address_is_told_with_the_remedy() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = must_be_free(&address).unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("--listen"),
            "{error}"
        );
        drop(taken);
        must_be_free(&address).unwrap();
        must_be_free("no address").unwrap_err();
    }
}
