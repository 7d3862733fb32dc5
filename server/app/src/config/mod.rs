//! The server's configuration: lakeFS's keys, one struct per concern, validated at start.
//!
//! Sources in ascending precedence: defaults, the YAML file, `LAKEFS_*` variables, `WEIR_*`
//! variables, the command line. Every error names the key, its value and a remedy. Secrets are
//! never printed.

mod duration;
mod embedded;
mod http;
mod keys;
mod services;
mod size;
mod source;
mod stores;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use self::embedded::embedded_defaults;
pub use self::http::{Http, IpNetwork};
pub use self::services::{Actions, Auth, Gateway, Installation, Logging};
use self::services::{actions, auth, gateway, installation, logging};
pub use self::source::Error;
use self::source::Source;
pub use self::stores::{Blockstore, Committed, Database, Undo};
use self::stores::{blockstore, committed, database, undo};

/// Options from the command line.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    pub file: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub quickstart: bool,
    pub listen_address: Option<String>,
}

/// The complete configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen_address: String,
    /// Quickstart mode: keys are in a file of the data folder, and only this machine has access.
    pub quickstart: bool,
    /// The data folder, if one was given.
    pub data: Option<PathBuf>,
    pub logging: Logging,
    pub database: Database,
    pub blockstore: Blockstore,
    pub committed: Committed,
    pub undo: Undo,
    pub auth: Auth,
    pub gateway: Gateway,
    pub http: Http,
    pub actions: Actions,
    pub installation: Installation,
    pub usage_flush_interval: Duration,
    /// Logged once logging is set up.
    pub warnings: Vec<String>,
}

impl Config {
    /// Loads the configuration of this process from file, environment and command line.
    ///
    /// # Errors
    /// Names the key, its value and a remedy.
    pub fn load(overrides: &Overrides) -> Result<Self, Error> {
        let mut source = Source::default();
        if let Some(path) = config_file(overrides) {
            let text = std::fs::read_to_string(&path).map_err(|e| {
                Error(format!(
                    "failed to read the configuration file {}: {e}",
                    path.display()
                ))
            })?;
            source.add_yaml(&text, &path.display().to_string())?;
        }
        // No variable of the server has a name or value that is not valid Unicode.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        source.add_environment(variables);
        source
            .warnings
            .extend(unread_config_file(overrides, default_file()));
        Self::from_source(source, overrides)
    }

    /// Parses a configuration from YAML only, for tests and tools.
    ///
    /// # Errors
    /// Like [`Config::load`].
    pub fn from_yaml(text: &str, overrides: &Overrides) -> Result<Self, Error> {
        let mut source = Source::default();
        source.add_yaml(text, "config.yaml")?;
        Self::from_source(source, overrides)
    }

    fn from_source(mut source: Source, overrides: &Overrides) -> Result<Self, Error> {
        let data = overrides
            .data
            .clone()
            .or_else(|| overrides.quickstart.then(|| source::expand_home("~/weir")));
        if let Some(dir) = &data {
            embedded_defaults(&mut source, dir)?;
        }
        if data.is_some() {
            // A data folder is meant for local use. Listening on other addresses must be requested
            // explicitly.
            source.set_default("listen_address", "127.0.0.1:8000");
        }
        if overrides.quickstart {
            source.set_default("installation.user_name", "quickstart");
        }
        if let Some(address) = &overrides.listen_address {
            source.set("listen_address", address, "--listen");
        }
        if overrides.quickstart {
            refuse_quickstart_on_the_network(&source)?;
        }
        Self::check(source, overrides.quickstart, data)
    }

    fn check(mut source: Source, quickstart: bool, data: Option<PathBuf>) -> Result<Self, Error> {
        if source.bool_or("tls.enabled", false)? {
            return Err(source.unusable(
                "tls.enabled",
                "is not supported yet: let a proxy in front of Weir terminate TLS, and set it to false",
            ));
        }
        warn_of_keys_without_effect(&mut source);
        Ok(Self {
            listen_address: listen_address(&source)?,
            quickstart,
            data,
            logging: logging(&mut source)?,
            database: database(&source)?,
            blockstore: blockstore(&source)?,
            committed: committed(&source)?,
            undo: undo(&source)?,
            auth: auth(&source)?,
            gateway: gateway(&source)?,
            http: http::http(&source)?,
            actions: actions(&source)?,
            installation: installation(&source)?,
            usage_flush_interval: source
                .duration_or("usage_report.flush_interval", Duration::from_secs(300))?,
            warnings: source.warnings,
        })
    }
}

fn config_file(overrides: &Overrides) -> Option<PathBuf> {
    if overrides.file.is_some() {
        return overrides.file.clone();
    }
    if overrides.data.is_some() || overrides.quickstart {
        return None;
    }
    default_file()
}

/// Warns if a configuration file exists but is ignored, because the command line names no file and
/// sets --data or --quickstart.
fn unread_config_file(overrides: &Overrides, default: Option<PathBuf>) -> Option<String> {
    let flag = match overrides {
        Overrides { file: Some(_), .. } => return None,
        Overrides { data: Some(_), .. } => "--data",
        Overrides {
            quickstart: true, ..
        } => "--quickstart",
        _ => return None,
    };
    default.map(|path| {
        format!(
            "the configuration file {path} is ignored because of {flag}: pass --config to use it",
            path = path.display()
        )
    })
}

/// Returns the first existing file among the default locations.
fn default_file() -> Option<PathBuf> {
    [
        "config.yaml",
        "~/.lakefs/config.yaml",
        "/etc/lakefs/config.yaml",
        "~/.lakefs.yaml",
    ]
    .into_iter()
    .map(source::expand_home)
    .find(|p| p.is_file())
}

/// Warns of keys that are accepted but have no effect yet.
fn warn_of_keys_without_effect(source: &mut Source) {
    // Sections with effect, and sections that installations of lakeFS often set and that need no warning.
    const NO_WARNING: &[&str] = &[
        "stats.",
        "security.",
        "email_subscription.",
        "ui.",
        "logging.",
        "database.",
        "blockstore.",
        "graveler.",
        "committed.",
        "auth.",
        "installation.",
        "gateways.",
        "http.",
        "actions.",
        "listen_address",
        "usage_report.",
        "tls.",
    ];
    // Keys below the prefixes above that have no effect.
    const WITHOUT_EFFECT: &[&str] = &[
        "auth.api.",
        "auth.authentication_api.",
        "auth.remote_authenticator.",
        "auth.oidc.",
        "auth.cookie_auth_verification.",
        "gateways.s3.fallback_url",
    ];
    let warnings: Vec<String> = source
        .given_keys()
        .filter(|k| {
            WITHOUT_EFFECT.iter().any(|p| k.starts_with(p))
                || !NO_WARNING.iter().any(|p| k.starts_with(p))
        })
        .map(|k| format!("configuration key {k} has no effect in this version"))
        .collect();
    source.warnings.extend(warnings);
}

/// A quickstart is for evaluation only: its keys are in a file, and connections are not encrypted.
fn refuse_quickstart_on_the_network(source: &Source) -> Result<(), Error> {
    let address = listen_address(source)?;
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    // Only an address or `localhost`: a name such as `127.example.com` can resolve to any address.
    let unbracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_own_address = unbracketed
        .unwrap_or(host)
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback());
    if host == "localhost" || is_own_address {
        return Ok(());
    }
    Err(source.unusable(
        "listen_address",
        "would expose a quickstart to the network: use 127.0.0.1, or start without --quickstart",
    ))
}

fn listen_address(source: &Source) -> Result<String, Error> {
    let address = source.text_or("listen_address", "0.0.0.0:8000")?;
    let address = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address
    };
    if address.contains('/') {
        return Err(source.unusable(
            "listen_address",
            "is not an address to listen on: write HOST:PORT without scheme and path, such as 127.0.0.1:8000",
        ));
    }
    let port_fits = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if port_fits {
        Ok(address)
    } else {
        Err(source.unusable("listen_address", "is not HOST:PORT, such as 0.0.0.0:8000"))
    }
}
