//! The first administrator of an installation. The server creates the administrator at start if its keys are configured
//! or the server is a quickstart. Otherwise a caller on this machine, or one with the setup token, creates it through
//! the API. This module also logs how to get access.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use auth::Auth;
use base::{IdGenerator as _, SystemClock, SystemIds};

use crate::config::Config;
use crate::quickstart::{self, AdminKeys};

/// Length of a generated setup token.
const SETUP_TOKEN_CHARS: usize = 32;

/// State found or created at start.
pub(crate) struct FirstStart {
    /// Whether there is an administrator.
    is_set_up: bool,
    /// Set for a quickstart whose keys are not in the configuration.
    quickstart: Option<AdminKeys>,
    /// Whether the installation accepts keys that are publicly documented.
    published_keys: bool,
    /// The setup token, if this start generated one.
    random_token: Option<String>,
    /// The folder from `--data`, or the default folder of a quickstart.
    data: Option<PathBuf>,
}

/// Generates a setup token if none is configured, and returns it.
pub(crate) fn ensure_setup_token(config: &mut Config) -> Option<String> {
    if config.installation.setup_token.is_some() {
        return None;
    }
    let token = SystemIds::new(Arc::new(SystemClock)).nanoid(SETUP_TOKEN_CHARS);
    config.installation.setup_token = Some(token.clone());
    config.installation.setup_token_is_generated = true;
    Some(token)
}

impl FirstStart {
    /// Creates the administrator with the configured or the quickstart's keys, unless one exists.
    ///
    /// # Errors
    /// If records, or the file with the quickstart's keys, cannot be read or written.
    pub(crate) async fn set_up(
        auth: &Auth,
        config: &Config,
        random_token: Option<String>,
    ) -> anyhow::Result<Self> {
        let installation = &config.installation;
        let given = installation
            .access_key_id
            .clone()
            .zip(installation.secret_access_key.clone());
        let data = config
            .data
            .as_ref()
            .filter(|_| config.quickstart && given.is_none());
        let mut made = false;
        if !is_set_up(auth).await? {
            let key = match data {
                Some(data) => {
                    let (keys, new) = quickstart::keys(auth, data)?;
                    made = new;
                    Some((keys.access_key_id, keys.secret_access_key))
                }
                None => given,
            };
            make_administrator(auth, installation.user_name.as_deref(), key).await?;
        }
        let quickstart = match data {
            Some(data) => Some(quickstart::opened(auth, data, made).await?),
            None => None,
        };
        Ok(Self {
            is_set_up: is_set_up(auth).await?,
            quickstart,
            published_keys: quickstart::published_keys_open(auth).await?,
            random_token,
            data: config.data.clone(),
        })
    }

    /// Logs the address, how to get access, and security warnings.
    pub(crate) fn announce(&self, address: SocketAddr) {
        tracing::info!(
            "Weir {} listens on http://{address}",
            env!("CARGO_PKG_VERSION")
        );
        if let Some(data) = &self.data {
            tracing::info!("data folder: {}", absolute(data).display());
        }
        match &self.quickstart {
            // Printed, not logged: logs are stored, and other people read them.
            Some(AdminKeys::New(keys, path)) => print_keys(keys, path),
            Some(AdminKeys::Kept(keys, path)) => tracing::info!(
                "quickstart: the access key is {}; its secret is in {}",
                keys.access_key_id,
                path.display()
            ),
            Some(AdminKeys::Unknown) => tracing::info!(
                "quickstart: this installation was already set up; use its existing keys, which are not stored in the data folder"
            ),
            None => {}
        }
        if self.published_keys {
            tracing::warn!(
                "this installation accepts the published keys of earlier quickstarts: everyone who can connect can read and delete everything. \
                 Serve it on this machine only, and move on: start with a new --data folder, which gets keys of its own, \
                 and dump and restore the repositories (docs/guides/back-up-and-restore.md)"
            );
        }
        if !self.is_set_up {
            announce_setup(&how_to_set_up(address, self.random_token.as_deref()));
        }
    }
}

/// Returns the absolute path of a folder. The log may be read from another working directory.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

async fn is_set_up(auth: &Auth) -> anyhow::Result<bool> {
    let state = auth.setup_state().await;
    Ok(state
        .context("failed to read the set-up state")?
        .initialized)
}

async fn make_administrator(
    auth: &Auth,
    name: Option<&str>,
    key: Option<(String, String)>,
) -> anyhow::Result<()> {
    let Some(name) = name else {
        return Ok(());
    };
    let Some(key) = key else {
        // A generated key would be useless, because nobody would see its secret.
        tracing::warn!(
            "installation.user_name without access_key_id and secret_access_key does not create an administrator: set all three, or set up the server through its API"
        );
        return Ok(());
    };
    match auth.setup(name, Some(key)).await {
        // Another server on the same database may have created it.
        Ok(_) | Err(auth::Error::AlreadyExists(_)) => Ok(()),
        Err(short @ auth::Error::ShortSecret) => anyhow::bail!(
            "installation.{short}: choose a longer one, for example with `openssl rand -hex 20`"
        ),
        Err(id @ auth::Error::KeyIdCharacters) => anyhow::bail!("installation.{id}"),
        Err(e) => Err(e).context("failed to create the first administrator"),
    }
}

/// Explains how to create the first administrator. `token` is `None` if it is configured.
fn how_to_set_up(address: SocketAddr, token: Option<&str>) -> String {
    // An unspecified address cannot be connected to.
    let host: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    let url = SocketAddr::new(host, address.port());
    let token = match token {
        Some(token) => format!("'X-Weir-Setup-Token: {token}'"),
        None => "'X-Weir-Setup-Token: TOKEN' with the value of installation.setup_token".to_owned(),
    };
    let (needed, note) = match host.is_loopback() {
        true => (
            String::new(),
            format!("from another machine, or through a proxy, add -H {token}"),
        ),
        false => (
            format!("-H {token} "),
            "the server does not listen on a loopback address, so every caller needs the token"
                .to_owned(),
        ),
    };
    format!(
        "no administrator yet: POST /api/v1/setup_lakefs creates one and returns its access key: \
         curl {needed}-H 'content-type: application/json' -d '{{\"username\": \"admin\"}}' http://{url}/api/v1/setup_lakefs \
         ({note})"
    )
}

/// Logs how to create the first administrator. If the log level hides all but errors, prints the text instead, so that
/// the operator sees the token.
fn announce_setup(text: &str) {
    if tracing::enabled!(tracing::Level::WARN) {
        tracing::warn!("{text}");
    } else {
        print_setup(text);
    }
}

#[expect(clippy::print_stdout, reason = "the log does not show warnings")]
fn print_setup(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stdout,
    reason = "for the person who starts a quickstart; must not be in the log"
)]
fn print_keys(keys: &quickstart::Keys, path: &Path) {
    println!(
        "quickstart: keys of this installation, stored in {}\n  access key id:     {}\n  secret access key: {}",
        path.display(),
        keys.access_key_id,
        keys.secret_access_key
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{absolute, how_to_set_up};

    /// Guards against a bug: a secret of a few bytes was accepted without a warning.
    #[tokio::test]
    async fn short_secret_of_the_administrator_is_refused() {
        let auth = crate::quickstart::test_auth();
        let key = |secret: &str| Some(("AKIAEXAMPLE".to_owned(), secret.to_owned()));
        let refused = super::make_administrator(&auth, Some("me"), key("short")).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.starts_with("installation.secret_access_key has fewer than 16 bytes"),
            "{refused}"
        );
        super::make_administrator(&auth, Some("me"), key("sixteen bytes, or more"))
            .await
            .unwrap();
    }

    /// Guards against a bug: the server started with a key that could never authenticate.
    #[tokio::test]
    async fn key_id_of_the_administrator_with_other_characters_is_refused() {
        let auth = crate::quickstart::test_auth();
        let key = Some(("AKIA:X".to_owned(), "sixteen bytes, or more".to_owned()));
        let refused = super::make_administrator(&auth, Some("me"), key).await;
        let refused = refused.unwrap_err().to_string();
        assert_eq!(
            refused,
            "installation.access_key_id has a character that is not allowed: use letters and digits of ASCII, `-`, `_`, `.` and `@`"
        );
    }

    #[test]
    fn data_folder_is_logged_with_its_absolute_path() {
        assert_eq!(absolute(Path::new("/data")), Path::new("/data"));
        let shown = absolute(Path::new("lake"));
        assert!(shown.is_absolute() && shown.ends_with("lake"), "{shown:?}");
    }

    #[test]
    fn start_log_contains_only_generated_tokens() {
        let generated = how_to_set_up("0.0.0.0:8000".parse().unwrap(), Some("t0ken"));
        assert!(
            generated.contains("http://127.0.0.1:8000/")
                && generated.contains("X-Weir-Setup-Token: t0ken"),
            "{generated}"
        );
        let configured = how_to_set_up("[::]:80".parse().unwrap(), None);
        assert!(
            configured.contains("http://[::1]:80/")
                && configured.contains("installation.setup_token"),
            "{configured}"
        );
    }

    /// Guards against a bug: with a configured token, the command had a placeholder for it, and failed if it was copied.
    #[test]
    fn local_command_of_the_start_log_needs_no_token() {
        for token in [Some("t0ken"), None] {
            let text = how_to_set_up("127.0.0.1:8000".parse().unwrap(), token);
            let (local, remote) = text.split_once(" (from another machine").unwrap();
            assert!(!local.contains("X-Weir-Setup-Token"), "{text}");
            assert!(remote.contains("X-Weir-Setup-Token"), "{text}");
        }
    }

    /// Guards against a bug: without a loopback address, the printed command had no token and got 401.
    #[test]
    fn command_of_the_start_log_has_the_token_if_it_is_needed() {
        let text = how_to_set_up("10.9.9.9:8000".parse().unwrap(), Some("t0ken"));
        let (command, _) = text.split_once(" (").unwrap();
        assert!(command.contains("-H 'X-Weir-Setup-Token: t0ken'"), "{text}");
        let text = how_to_set_up("0.0.0.0:8000".parse().unwrap(), Some("t0ken"));
        let (command, _) = text.split_once(" (").unwrap();
        assert!(!command.contains("t0ken"), "{text}");
    }
}
