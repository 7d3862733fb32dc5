//! What runs over the stores: logging, authentication, the S3 gateway, hooks, the first administrator.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::source::{self, Error, Source};

/// What is logged and where.
#[derive(Debug, Clone)]
pub struct Logging {
    pub json: bool,
    pub level: String,
    /// `-` standard output, `=` standard error, else a file.
    pub output: String,
}

/// Authentication.
#[derive(Clone)]
pub struct Auth {
    pub secret_key: String,
    pub login_duration: Duration,
    pub cache_enabled: bool,
    pub cache_size: u64,
    pub cache_ttl: Duration,
    pub login_url: String,
    pub login_failed_message: String,
    pub login_cookie_names: Vec<String>,
    pub logout_url: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("secret_key", &"[redacted]")
            .field("login_duration", &self.login_duration)
            .finish_non_exhaustive()
    }
}

/// The S3 gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub domain_names: Vec<String>,
    pub region: String,
}

/// Hooks.
#[derive(Debug, Clone)]
pub struct Actions {
    pub enabled: bool,
    pub env_enabled: bool,
    pub env_prefix: String,
    /// Whether the gates of the tree that a change lands on judge it as well.
    pub gates_of_both: bool,
    pub cache_dir: PathBuf,
    /// Where webhooks may go.
    pub webhook_targets: actions::WebhookTargets,
}

/// The first administrator, made at start where the installation was never set up.
#[derive(Clone, Default)]
pub struct Installation {
    pub fixed_id: Option<String>,
    pub user_name: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    /// What callers from other machines make the administrator with.
    pub setup_token: Option<String>,
}

/// A setup token that is shorter could be found by trying.
const MIN_SETUP_TOKEN_BYTES: usize = 16;

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installation")
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

pub(super) fn logging(source: &Source) -> Result<Logging, Error> {
    let format = source.text_or("logging.format", "text")?;
    if !["text", "json"].contains(&format.as_str()) {
        return Err(source.unusable("logging.format", "is neither `text` nor `json`"));
    }
    let level = source.text_or("logging.level", "info")?.to_lowercase();
    let level = match level.as_str() {
        "none" | "null" | "panic" => "off",
        "fatal" => "error",
        "warning" => "warn",
        l @ ("trace" | "debug" | "info" | "warn" | "error" | "off") => l,
        _ => {
            return Err(source.unusable(
                "logging.level",
                "is none of trace, debug, info, warn, error, none",
            ));
        }
    };
    let output = source
        .list("logging.output")?
        .and_then(|l| l.into_iter().next())
        .unwrap_or_else(|| "-".to_owned());
    Ok(Logging {
        json: format == "json",
        level: level.to_owned(),
        output,
    })
}

pub(super) fn auth(source: &Source) -> Result<Auth, Error> {
    let mode = source.text_or("auth.ui_config.rbac", "none")?;
    if mode != "none" {
        return Err(source.unusable(
            "auth.ui_config.rbac",
            "is not offered yet: use `none` (one administrator)",
        ));
    }
    let secret_key = source.required(
        "auth.encrypt.secret_key",
        "give a long random text and keep it: stored keys can't be read without it",
    )?;
    Ok(Auth {
        secret_key,
        login_duration: source
            .duration_or("auth.login_duration", Duration::from_secs(168 * 3600))?,
        cache_enabled: source.bool_or("auth.cache.enabled", true)?,
        cache_size: source.number_or("auth.cache.size", 1024, 1..=10_000_000)?,
        cache_ttl: source.duration_or("auth.cache.ttl", Duration::from_secs(20))?,
        login_url: source.text_or("auth.ui_config.login_url", "")?,
        login_failed_message: source.text_or(
            "auth.ui_config.login_failed_message",
            "The credentials don't match.",
        )?,
        login_cookie_names: source
            .list("auth.ui_config.login_cookie_names")?
            .unwrap_or_else(|| vec!["internal_auth_session".to_owned()]),
        logout_url: source.text_or("auth.ui_config.logout_url", "")?,
    })
}

pub(super) fn gateway(source: &Source) -> Result<Gateway, Error> {
    let domain_names = source
        .list("gateways.s3.domain_name")?
        .unwrap_or_else(|| vec!["s3.local.lakefs.io".to_owned()]);
    for (i, a) in domain_names.iter().enumerate() {
        if domain_names
            .iter()
            .enumerate()
            .any(|(j, b)| i != j && (a == b || a.ends_with(&format!(".{b}"))))
        {
            return Err(source.unusable(
                "gateways.s3.domain_name",
                "has a name that ends in another one: hosts could not be told apart",
            ));
        }
    }
    Ok(Gateway {
        domain_names,
        region: source.text_or("gateways.s3.region", "us-east-1")?,
    })
}

pub(super) fn actions(source: &Source) -> Result<Actions, Error> {
    let gates = source.text_or("actions.gates_source", "both")?;
    if !["both", "source"].contains(&gates.as_str()) {
        return Err(source.unusable("actions.gates_source", "is neither `both` nor `source`"));
    }
    Ok(Actions {
        enabled: source.bool_or("actions.enabled", true)?,
        env_enabled: source.bool_or("actions.env.enabled", true)?,
        env_prefix: source.text_or("actions.env.prefix", "LAKEFSACTION_")?,
        gates_of_both: gates == "both",
        cache_dir: source
            .path("actions.cache_dir")?
            .unwrap_or_else(|| source::expand_home("~/weir/cache")),
        webhook_targets: webhook_targets(source)?,
    })
}

fn webhook_targets(source: &Source) -> Result<actions::WebhookTargets, Error> {
    let list = |key| Ok(source.list(key)?.unwrap_or_default());
    let (allow, deny) = (
        list("actions.webhook.allow")?,
        list("actions.webhook.deny")?,
    );
    actions::WebhookTargets::parse(&allow, &deny).map_err(|(list, why)| {
        source.unusable(
            &format!("actions.webhook.{list}"),
            &format!("has an entry that can't be used: {why}"),
        )
    })
}

pub(super) fn installation(source: &Source) -> Result<Installation, Error> {
    let given = Installation {
        fixed_id: source
            .text("installation.fixed_id")?
            .filter(|s| !s.is_empty()),
        user_name: source
            .text("installation.user_name")?
            .filter(|s| !s.is_empty()),
        access_key_id: source
            .text("installation.access_key_id")?
            .filter(|s| !s.is_empty()),
        secret_access_key: source
            .text("installation.secret_access_key")?
            .filter(|s| !s.is_empty()),
        setup_token: source
            .text("installation.setup_token")?
            .filter(|s| !s.is_empty()),
    };
    if let Some(token) = &given.setup_token {
        let is_text = token.bytes().all(|b| b.is_ascii_graphic());
        if token.len() < MIN_SETUP_TOKEN_BYTES || !is_text {
            return Err(source.unusable(
                "installation.setup_token",
                &format!("must have at least {MIN_SETUP_TOKEN_BYTES} visible ASCII characters: make one with `openssl rand -hex 16`"),
            ));
        }
    }
    if given.access_key_id.is_some() != given.secret_access_key.is_some() {
        return Err(Error("installation.access_key_id and installation.secret_access_key go together: give both or none".to_owned()));
    }
    Ok(given)
}
