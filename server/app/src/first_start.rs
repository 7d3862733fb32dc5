//! The first administrator of an installation: made at the start where its keys are known by then, else
//! through the API, by whoever is on this machine or has the setup token. And what is said of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use auth::Auth;
use base::{IdGenerator as _, SystemClock, SystemIds};

use crate::config::Config;
use crate::quickstart::{self, Opened};

/// Characters of a setup token that nobody configured.
const SETUP_TOKEN_CHARS: usize = 32;

/// What was found or made at the start.
pub(crate) struct FirstStart {
    /// None: there is no administrator yet.
    is_set_up: bool,
    /// Of a quickstart whose keys the configuration does not give.
    quickstart: Option<Opened>,
    published_keys: bool,
    /// The setup token, if this start made it up.
    random_token: Option<String>,
    /// The folder of `--data`, or of a quickstart without it.
    data: Option<PathBuf>,
}

/// Gives a server without a configured setup token a random one. Returns it.
pub(crate) fn ensure_setup_token(config: &mut Config) -> Option<String> {
    if config.installation.setup_token.is_some() {
        return None;
    }
    let token = SystemIds::new(Arc::new(SystemClock)).nanoid(SETUP_TOKEN_CHARS);
    config.installation.setup_token = Some(token.clone());
    Some(token)
}

impl FirstStart {
    /// Makes the administrator whose keys the configuration gives, or a quickstart's, unless there is one.
    ///
    /// # Errors
    /// When records or the file of a quickstart's keys can't be read or written.
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

    /// Says where the server listens, how to get in, and what is not safe.
    pub(crate) fn announce(&self, address: SocketAddr) {
        tracing::info!(
            "Weir {} listens on http://{address}",
            env!("CARGO_PKG_VERSION")
        );
        if let Some(data) = &self.data {
            tracing::info!("data folder: {}", shown(data).display());
        }
        match &self.quickstart {
            // Not logged: logs are kept, and read by others.
            Some(Opened::New(keys, path)) => print_keys(keys, path),
            Some(Opened::Kept(keys, path)) => tracing::info!(
                "quickstart: access key {}; its secret is in {}",
                keys.access_key_id,
                path.display()
            ),
            Some(Opened::Others) => tracing::info!(
                "quickstart: this installation was set up before; its own keys are in use, and no file of the folder holds them"
            ),
            None => {}
        }
        if self.published_keys {
            tracing::warn!(
                "published keys open this installation, those of earlier quickstarts: everybody who reaches it can read and delete all of it. \
                 Serve it on this machine only, and move on: start with a new --data folder, which gets keys of its own, \
                 and dump and restore the repositories (docs/dump-restore.md)"
            );
        }
        if !self.is_set_up {
            tracing::warn!("{}", how_to_set_up(address, self.random_token.as_deref()));
        }
    }
}

/// A folder as people find it, wherever they stand: the start log may be read elsewhere.
fn shown(folder: &Path) -> PathBuf {
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
        // Nobody would ever see the secret of a key that is made here.
        tracing::warn!(
            "installation.user_name without access_key_id and secret_access_key makes no administrator: give all three, or set the server up through its API"
        );
        return Ok(());
    };
    match auth.setup(name, Some(key)).await {
        // Another server on the same database may have come first.
        Ok(_) | Err(auth::Error::AlreadyExists(_)) => Ok(()),
        Err(e) => Err(e).context("failed to make the first administrator"),
    }
}

/// How the first administrator is made: until then nobody can do anything. `token`: unless it is configured.
fn how_to_set_up(address: SocketAddr, token: Option<&str>) -> String {
    // An address that stands for all of the machine's is none to connect to.
    let host: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    let url = SocketAddr::new(host, address.port());
    let header = match token {
        Some(token) => format!("-H 'X-Weir-Setup-Token: {token}'"),
        None => {
            "-H 'X-Weir-Setup-Token: TOKEN', with the token of installation.setup_token".to_owned()
        }
    };
    format!(
        "no administrator yet: POST /api/v1/setup_lakefs makes the first caller one, and answers with the access key: \
         curl -H 'content-type: application/json' -d '{{\"username\": \"admin\"}}' http://{url}/api/v1/setup_lakefs \
         (from another machine, or through a proxy, add {header})"
    )
}

#[expect(
    clippy::print_stdout,
    reason = "for the person who starts a quickstart, and not for the log"
)]
fn print_keys(keys: &quickstart::Keys, path: &Path) {
    println!(
        "quickstart: keys of this installation, kept in {}\n  access key id:     {}\n  secret access key: {}",
        path.display(),
        keys.access_key_id,
        keys.secret_access_key
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{how_to_set_up, shown};

    #[test]
    fn the_data_folder_is_shown_with_its_whole_path() {
        assert_eq!(shown(Path::new("/data")), Path::new("/data"));
        let shown = shown(Path::new("lake"));
        assert!(shown.is_absolute() && shown.ends_with("lake"), "{shown:?}");
    }

    #[test]
    fn the_start_log_has_the_token_unless_it_is_configured() {
        let said = how_to_set_up("0.0.0.0:8000".parse().unwrap(), Some("t0ken"));
        assert!(
            said.contains("http://127.0.0.1:8000/") && said.contains("X-Weir-Setup-Token: t0ken"),
            "{said}"
        );
        let said = how_to_set_up("[::]:80".parse().unwrap(), None);
        assert!(
            said.contains("http://[::1]:80/") && said.contains("installation.setup_token"),
            "{said}"
        );
    }
}
