//! Configuration of services: logging, authentication, the S3 gateway, hooks, and the first
//! administrator.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::source::{self, Error, Source};

/// Log settings.
#[derive(Debug, Clone)]
pub struct Logging {
    pub json: bool,
    pub level: String,
    /// `-` for standard output, `=` for standard error, otherwise a file name. If the value is a list, only the first
    /// entry is used.
    pub output: String,
}

/// Authentication settings.
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

/// S3 gateway settings.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub domain_names: Vec<String>,
    pub region: String,
}

/// Hook settings.
#[derive(Debug, Clone)]
pub struct Actions {
    pub enabled: bool,
    pub env_enabled: bool,
    pub env_prefix: String,
    /// Whether the action files of the destination check a change, in addition to the action files that the change
    /// contains.
    pub gates_of_both: bool,
    pub cache_dir: PathBuf,
    /// Targets that webhooks may call.
    pub webhook_targets: actions::WebhookTargets,
    /// Limits for compiling one component.
    pub compile_cpu_time: Duration,
    pub compile_memory_bytes: u64,
    /// Maximum number of concurrent compilations.
    pub compile_at_once: usize,
}

/// The installation: its id, and how its first administrator is created if it has none.
#[derive(Clone, Default)]
pub struct Installation {
    pub fixed_id: Option<String>,
    pub user_name: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    /// Token with which remote callers may create the administrator.
    pub setup_token: Option<String>,
    /// Whether the token was generated at the start, so that the start log prints it.
    pub setup_token_is_generated: bool,
}

/// Shorter tokens could be guessed.
const MIN_SETUP_TOKEN_BYTES: usize = 16;

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installation")
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

pub(super) fn logging(source: &mut Source) -> Result<Logging, Error> {
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
                "is not one of trace, debug, info, warn, error, none",
            ));
        }
    };
    let mut outputs = source
        .list("logging.output")?
        .unwrap_or_default()
        .into_iter();
    let output = outputs.next().unwrap_or_else(|| "-".to_owned());
    if outputs.len() > 0 {
        source.warnings.push(format!(
            "configuration key logging.output has several outputs, and this version writes to one: it uses {output} and ignores {}",
            outputs.collect::<Vec<_>>().join(", ")
        ));
    }
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
            "is not supported yet: use `none` (one administrator)",
        ));
    }
    let secret_key = source.required(
        "auth.encrypt.secret_key",
        "set it to a long random string and keep it: stored access keys are unreadable without it",
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
                "has a name that is a suffix of another name, which makes host names ambiguous",
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
    let compile_cpu_time =
        source.duration_or("actions.compile.cpu_time", Duration::from_secs(120))?;
    if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&compile_cpu_time) {
        return Err(source.unusable(
            "actions.compile.cpu_time",
            "is not between 1s and 1h: most components take less than a second",
        ));
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
        compile_cpu_time,
        compile_memory_bytes: source.number_or(
            "actions.compile.memory_bytes",
            2 << 30,
            256 << 20..=1 << 40,
        )?,
        compile_at_once: source.number_or("actions.compile.at_once", 4, 1..=64)?,
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
            &format!("has an invalid entry: {why}"),
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
        setup_token_is_generated: false,
    };
    if let Some(token) = &given.setup_token {
        let is_text = token.bytes().all(|b| b.is_ascii_graphic());
        if token.len() < MIN_SETUP_TOKEN_BYTES || !is_text {
            return Err(source.unusable(
                "installation.setup_token",
                &format!("must have at least {MIN_SETUP_TOKEN_BYTES} visible ASCII characters: create one with `openssl rand -hex 16`"),
            ));
        }
    }
    if given.access_key_id.is_some() != given.secret_access_key.is_some() {
        return Err(Error("installation.access_key_id and installation.secret_access_key must be set together: set both or neither".to_owned()));
    }
    Ok(given)
}
