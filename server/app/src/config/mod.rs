//! The server's configuration: lakeFS's keys, one struct per concern, checked at start.
//!
//! Values come, the later winning, from defaults, the YAML file, `LAKEFS_*` and
//! `WEIR_*` variables, the command line. Errors name key, value and remedy; no
//! secret is ever printed.

mod duration;
mod keys;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use source::Error;
use source::Source;

/// What the command line sets.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    pub file: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub quickstart: bool,
    pub listen_address: Option<String>,
}

/// Everything the server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen_address: String,
    /// Known keys, a warning, this machine only.
    pub quickstart: bool,
    pub logging: Logging,
    pub database: Database,
    pub blockstore: Blockstore,
    pub committed: Committed,
    pub undo: Undo,
    pub auth: Auth,
    pub gateway: Gateway,
    pub actions: Actions,
    pub installation: Installation,
    pub usage_flush_interval: Duration,
    /// Told once logging is set up.
    pub warnings: Vec<String>,
}

/// What is logged and where.
#[derive(Debug, Clone)]
pub struct Logging {
    pub json: bool,
    pub level: String,
    /// `-` standard output, `=` standard error, else a file.
    pub output: String,
}

/// Where records live.
#[derive(Clone)]
pub enum Database {
    Sqlite {
        path: PathBuf,
        sync_writes: bool,
        max_readers: u32,
    },
    Postgres {
        connection_string: String,
        max_open_connections: u32,
        max_idle_connections: u32,
        connection_max_lifetime: Duration,
        scan_page_size: usize,
    },
    Memory,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => f
                .debug_struct("Sqlite")
                .field("path", path)
                .finish_non_exhaustive(),
            Self::Postgres { .. } => f
                .debug_struct("Postgres")
                .field("connection_string", &"[redacted]")
                .finish_non_exhaustive(),
            Self::Memory => f.write_str("Memory"),
        }
    }
}

/// Where objects live.
#[derive(Debug, Clone)]
pub enum Blockstore {
    Local {
        path: PathBuf,
        default_namespace_prefix: String,
        import_enabled: bool,
        allowed_external_prefixes: Vec<String>,
    },
    Memory,
}

/// The committed format and its caches.
#[derive(Debug, Clone)]
pub struct Committed {
    pub block_storage_prefix: String,
    pub min_range_size_bytes: u64,
    pub max_range_size_bytes: u64,
    pub range_raggedness_entries: f64,
    pub sstable_cache_bytes: u64,
    pub commit_cache_entries: u64,
}

/// How long what was undone by mistake can be brought back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// Uncommitted changes that a reset or a branch's deletion threw away.
    pub keep_staged: Duration,
    /// What was done to branches and tags.
    pub keep_reflog: Duration,
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
}

/// The first administrator, made at start where the installation was never set up.
#[derive(Clone, Default)]
pub struct Installation {
    pub fixed_id: Option<String>,
    pub user_name: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installation")
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// The keys of a quickstart, which are lakeFS's: published, for one machine only.
pub const QUICKSTART_ACCESS_KEY_ID: &str = "AKIAIOSFOLQUICKSTART";
/// See [`QUICKSTART_ACCESS_KEY_ID`].
pub const QUICKSTART_SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// Reads the configuration of this process: file, environment, command line.
    ///
    /// # Errors
    /// Names the key, its value and what to do.
    pub fn load(overrides: &Overrides) -> Result<Self, Error> {
        let mut source = Source::default();
        if let Some(path) = config_file(overrides) {
            let text = std::fs::read_to_string(&path).map_err(|e| {
                Error(format!(
                    "can't read the configuration file {}: {e}",
                    path.display()
                ))
            })?;
            source.add_yaml(&text, &path.display().to_string())?;
        }
        // Variables that are not text are not ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        source.add_environment(variables);
        Self::from_source(source, overrides)
    }

    /// Reads a configuration from YAML alone, for tests and tools.
    ///
    /// # Errors
    /// As [`Config::load`].
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
        if overrides.quickstart {
            source.set("installation.user_name", "quickstart", "--quickstart");
            source.set(
                "installation.access_key_id",
                QUICKSTART_ACCESS_KEY_ID,
                "--quickstart",
            );
            source.set(
                "installation.secret_access_key",
                QUICKSTART_SECRET_ACCESS_KEY,
                "--quickstart",
            );
            // Published keys must not open a server to the network.
            source.set_default("listen_address", "127.0.0.1:8000");
        }
        if let Some(address) = &overrides.listen_address {
            source.set("listen_address", address, "--listen");
        }
        if overrides.quickstart {
            refuse_published_keys_on_the_network(&source)?;
        }
        Self::check(source, overrides.quickstart)
    }

    fn check(mut source: Source, quickstart: bool) -> Result<Self, Error> {
        if source.bool_or("tls.enabled", false)? {
            return Err(source.unusable(
                "tls.enabled",
                "is not offered yet: let a proxy in front of Weir terminate TLS, and set it to false",
            ));
        }
        warn_of_keys_without_effect(&mut source);
        Ok(Self {
            listen_address: listen_address(&source)?,
            quickstart,
            logging: logging(&source)?,
            database: database(&source)?,
            blockstore: blockstore(&source)?,
            committed: committed(&source)?,
            undo: undo(&source)?,
            auth: auth(&source)?,
            gateway: gateway(&source)?,
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

/// SQLite, local disk and a secret key of its own below one folder.
fn embedded_defaults(source: &mut Source, dir: &Path) -> Result<(), Error> {
    let below = |name: &str| dir.join(name).display().to_string();
    source.set_default("database.type", "sqlite");
    source.set_default("database.sqlite.path", &below("metadata/weir.db"));
    source.set_default("blockstore.type", "local");
    source.set_default("blockstore.local.path", &below("objects"));
    source.set_default("actions.cache_dir", &below("cache"));
    if source.text("auth.encrypt.secret_key")?.is_none() {
        let key = secret_key_in(dir)?;
        source.set("auth.encrypt.secret_key", &key, "--data");
    }
    Ok(())
}

/// The folder's secret key; made on the first start, readable by its owner only.
///
/// It comes under its name whole and once: a start that is cut short leaves no half of it,
/// and of two first starts at once both get the same.
fn secret_key_in(dir: &Path) -> Result<String, Error> {
    use base::IdGenerator as _;
    let path = dir.join("secret_key");
    let failed = |e: std::io::Error| {
        Error(format!(
            "--data: can't keep the secret key in {}: {e}",
            path.display()
        ))
    };
    if let Some(key) = stored_key(&path)? {
        return Ok(key);
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    let ids = base::SystemIds::new(std::sync::Arc::new(base::SystemClock));
    let key = ids.nanoid(43);
    let draft = dir.join(format!("secret_key.{}", ids.uuid()));
    let named = write_key(&draft, &key)
        .and_then(|()| std::fs::hard_link(&draft, &path))
        .and_then(|()| std::fs::File::open(dir)?.sync_all());
    let removed = std::fs::remove_file(&draft);
    match named {
        Ok(()) => {
            removed.map_err(failed)?;
            Ok(key)
        }
        // Another start came first.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            removed.map_err(failed)?;
            stored_key(&path)?.ok_or_else(|| failed(e))
        }
        Err(e) => Err(failed(e)),
    }
}

fn write_key(path: &Path, key: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()
}

/// The key in a file; none if there is no file.
fn stored_key(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(key) if !key.trim().is_empty() => Ok(Some(key.trim().to_owned())),
        Ok(_) => Err(Error(format!(
            "--data: {} is empty: restore it from a backup, or remove it to start anew (stored keys will not open then)",
            path.display()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error(format!(
            "--data: can't read the secret key in {}: {e}",
            path.display()
        ))),
    }
}

/// Keys of features that another release will bring: accepted, and said to have no effect.
fn warn_of_keys_without_effect(source: &mut Source) {
    const QUIET: &[&str] = &[
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
        "actions.",
        "listen_address",
        "usage_report.",
        "tls.",
    ];
    const LOUD: &[&str] = &[
        "auth.api.",
        "auth.authentication_api.",
        "auth.remote_authenticator.",
        "auth.oidc.",
        "auth.cookie_auth_verification.",
        "gateways.s3.fallback_url",
    ];
    let told: Vec<String> = source
        .given()
        .filter(|k| {
            LOUD.iter().any(|p| k.starts_with(p)) || !QUIET.iter().any(|p| k.starts_with(p))
        })
        .map(|k| format!("configuration key {k} has no effect in this version"))
        .collect();
    source.warnings.extend(told);
}

/// The keys of a quickstart are published: they must not open a server to others.
fn refuse_published_keys_on_the_network(source: &Source) -> Result<(), Error> {
    let address = listen_address(source)?;
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    let is_own = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    if is_own {
        return Ok(());
    }
    Err(source.unusable(
        "listen_address",
        "would open a quickstart, whose keys are published, to the network: use 127.0.0.1, or start without --quickstart",
    ))
}

fn listen_address(source: &Source) -> Result<String, Error> {
    let address = source.text_or("listen_address", "0.0.0.0:8000")?;
    let address = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address
    };
    let port_fits = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if port_fits {
        Ok(address)
    } else {
        Err(source.unusable("listen_address", "is not HOST:PORT, such as 0.0.0.0:8000"))
    }
}

fn logging(source: &Source) -> Result<Logging, Error> {
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

fn database(source: &Source) -> Result<Database, Error> {
    let kind = source.required(
        "database.type",
        "choose `sqlite` or `postgres`, or start with --data DIR",
    )?;
    match kind.as_str() {
        "sqlite" => Ok(Database::Sqlite {
            path: source
                .path("database.sqlite.path")?
                .unwrap_or_else(|| source::expand_home("~/weir/metadata/weir.db")),
            sync_writes: source.bool_or("database.sqlite.sync_writes", true)?,
            max_readers: source.number_or("database.sqlite.max_readers", 8, 1..=256)?,
        }),
        "local" => {
            let dir = source
                .path("database.local.path")?
                .unwrap_or_else(|| source::expand_home("~/lakefs/metadata"));
            if dir.join("MANIFEST").exists() {
                return Err(source.unusable(
                    "database.type",
                    &format!(
                        "with database.local.path {}: that folder holds lakeFS's Badger database, which Weir can't open; \
                         move the installation to PostgreSQL with lakeFS first, or name an empty folder",
                        dir.display()
                    ),
                ));
            }
            let sync_writes = source.bool_or("database.local.sync_writes", true)?;
            Ok(Database::Sqlite {
                path: dir.join("weir.db"),
                sync_writes,
                max_readers: 8,
            })
        }
        "postgres" => Ok(Database::Postgres {
            connection_string: source.required(
                "database.postgres.connection_string",
                "give it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
            )?,
            max_open_connections: source.number_or(
                "database.postgres.max_open_connections",
                25,
                1..=10_000,
            )?,
            max_idle_connections: source.number_or(
                "database.postgres.max_idle_connections",
                25,
                0..=10_000,
            )?,
            connection_max_lifetime: source.duration_or(
                "database.postgres.connection_max_lifetime",
                Duration::from_secs(300),
            )?,
            scan_page_size: source.number_or(
                "database.postgres.scan_page_size",
                1000,
                1..=100_000,
            )?,
        }),
        "mem" => Ok(Database::Memory),
        "dynamodb" | "cosmosdb" | "redis" => Err(source.unusable(
            "database.type",
            "is not offered yet: use `sqlite` or `postgres`",
        )),
        _ => Err(source.unusable(
            "database.type",
            "is none of `sqlite`, `postgres`, `local`, `mem`",
        )),
    }
}

fn blockstore(source: &Source) -> Result<Blockstore, Error> {
    let kind = source.required(
        "blockstore.type",
        "choose `local`, or start with --data DIR",
    )?;
    match kind.as_str() {
        "local" => Ok(Blockstore::Local {
            path: source
                .path("blockstore.local.path")?
                .unwrap_or_else(|| source::expand_home("~/lakefs/data/block")),
            default_namespace_prefix: source
                .text_or("blockstore.default_namespace_prefix", "local://")?,
            import_enabled: source.bool_or("blockstore.local.import_enabled", false)?,
            allowed_external_prefixes: source
                .list("blockstore.local.allowed_external_prefixes")?
                .unwrap_or_default(),
        }),
        "mem" => Ok(Blockstore::Memory),
        "s3" | "gs" | "azure" => {
            Err(source.unusable("blockstore.type", "is not offered yet: use `local`"))
        }
        _ => Err(source.unusable("blockstore.type", "is neither `local` nor `mem`")),
    }
}

fn undo(source: &Source) -> Result<Undo, Error> {
    Ok(Undo {
        keep_staged: source.duration_or("graveler.undo.keep_staged", DAY)?,
        keep_reflog: source.duration_or("graveler.undo.keep_reflog", 90 * DAY)?,
    })
}

fn committed(source: &Source) -> Result<Committed, Error> {
    let max_range_size_bytes = source.number_or(
        "committed.permanent.max_range_size_bytes",
        20 * MIB,
        1..=1024 * MIB,
    )?;
    let prefix = source.text_or("committed.block_storage_prefix", "_lakefs")?;
    if prefix.is_empty() || prefix.contains("..") || prefix.starts_with('/') {
        return Err(source.unusable(
            "committed.block_storage_prefix",
            "must be a plain folder name, such as _lakefs",
        ));
    }
    Ok(Committed {
        block_storage_prefix: prefix,
        min_range_size_bytes: source.number_or(
            "committed.permanent.min_range_size_bytes",
            0,
            0..=max_range_size_bytes,
        )?,
        max_range_size_bytes,
        range_raggedness_entries: source.number_or(
            "committed.permanent.range_raggedness_entries",
            50_000.0,
            1.0..=1e12,
        )?,
        sstable_cache_bytes: source.number_or(
            "committed.sstable.memory.cache_size_bytes",
            256 * MIB,
            MIB..=1024 * 1024 * MIB,
        )?,
        commit_cache_entries: source.number_or(
            "graveler.commit_cache.size",
            50_000,
            0..=100_000_000,
        )?,
    })
}

fn auth(source: &Source) -> Result<Auth, Error> {
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

fn gateway(source: &Source) -> Result<Gateway, Error> {
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

fn actions(source: &Source) -> Result<Actions, Error> {
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
    })
}

fn installation(source: &Source) -> Result<Installation, Error> {
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
    };
    if given.access_key_id.is_some() != given.secret_access_key.is_some() {
        return Err(Error("installation.access_key_id and installation.secret_access_key go together: give both or none".to_owned()));
    }
    Ok(given)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
