//! Parses connection strings in both forms of PostgreSQL's clients, URL and `key=value` pairs, and explains connection
//! errors.
//!
//! Accepts the same parameters as lakeFS: its own `lakefskv_table`, run-time parameters of the PostgreSQL
//! server, and parameters of the Go connection pool, which are ignored. Error messages never
//! contain the connection string, because it contains a password.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::retry::code;
use crate::{Error, Result};

/// Maximum length of a connection string, in bytes.
const MAX_BYTES: usize = 16 << 10;
const DEFAULT_TABLE: &str = "kv";
/// Maximum length of a table name, in bytes. PostgreSQL's limit is 63, and the names of partitions append up to `_99`.
const TABLE_LENGTH: usize = 60;
/// Ignored parameters of the Go driver and its pool. [`PostgresOptions`](super::PostgresOptions) configures the pool.
const IGNORED: [&str; 12] = [
    "connect_timeout",
    "default_query_exec_mode",
    "description_cache_capacity",
    "pool_health_check_period",
    "pool_max_conn_idle_time",
    "pool_max_conn_lifetime",
    "pool_max_conn_lifetime_jitter",
    "pool_max_conns",
    "pool_min_conns",
    "sslsni",
    "statement_cache_capacity",
    "target_session_attrs",
];

/// A parsed connection string.
pub(super) struct Dsn {
    pub(super) options: PgConnectOptions,
    pub(super) table: String,
}

/// Parses a connection string, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(super) fn try_parse(text: &str) {
    if let Ok(dsn) = Dsn::parse(text) {
        drop(dsn.target());
    }
}

impl Dsn {
    /// Parses a URL or `key=value` pairs.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(malformed(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let (options, parameters) =
            if text.starts_with("postgres://") || text.starts_with("postgresql://") {
                let mut url = Url::parse(text)
                    .map_err(|error| malformed(format!("it is not a valid URL ({error})")))?;
                let parameters = url
                    .query_pairs()
                    .map(|(name, value)| (name.into_owned(), value.into_owned()))
                    .collect();
                url.set_query(None);
                let options = PgConnectOptions::from_str(url.as_str())
                    .map_err(|_| malformed("its host, user or password is not valid".into()))?;
                (options, parameters)
            } else {
                (PgConnectOptions::new(), parse_pairs(text)?)
            };
        let mut dsn = Self {
            options: options.disable_statement_logging(),
            table: DEFAULT_TABLE.into(),
        };
        for (name, value) in &parameters {
            dsn = dsn.with(name, value)?;
        }
        Ok(dsn)
    }

    /// Applies a parameter of the connection string.
    fn with(mut self, name: &str, value: &str) -> Result<Self> {
        let options = self.options;
        self.options = match name {
            "lakefskv_table" => {
                self.table = checked_table(value)?;
                options
            }
            "host" if value.starts_with('/') => options.socket(value),
            "host" | "hostaddr" => options.host(value),
            "port" => options.port(
                value
                    .parse()
                    .map_err(|_| malformed("its port is not a number".into()))?,
            ),
            "user" => options.username(value),
            "password" => options.password(value),
            "dbname" | "database" => options.database(value),
            "application_name" => options.application_name(value),
            "sslmode" => options.ssl_mode(
                PgSslMode::from_str(value)
                    .map_err(|_| malformed(format!("its sslmode {value:?} is unknown")))?,
            ),
            "sslrootcert" => options.ssl_root_cert(Path::new(value)),
            "sslcert" => options.ssl_client_cert(Path::new(value)),
            "sslkey" => options.ssl_client_key(Path::new(value)),
            name if IGNORED.contains(&name) => options,
            name if is_parameter(name) => options.options([(name, value)]),
            name => return Err(malformed(format!("its parameter {name:?} is unknown"))),
        };
        Ok(self)
    }

    /// Describes the server, database and user for error messages, without the password.
    fn target(&self) -> String {
        let options = &self.options;
        let server = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let user = options.get_username();
        format!(
            "at {server}, database {}, user {user}",
            options.get_database().unwrap_or(user)
        )
    }

    /// Returns the error for a failed connection or first query.
    pub(super) fn refused(&self, error: sqlx::Error) -> Error {
        let code = code(&error);
        let check = match (&error, code.as_deref()) {
            (_, Some("28P01" | "28000")) => {
                "the server does not accept this user and password; check both, and pg_hba.conf"
            }
            (_, Some("3D000")) => "the database does not exist; create it or correct its name",
            (_, Some("42501")) => {
                "the user may not read the tables; grant access or connect as their owner"
            }
            (_, Some("53300")) => {
                "the server has no free connections; raise its max_connections or lower max_open_connections"
            }
            (_, Some("57P03")) => {
                "the server is starting up or shutting down; try again when it is ready"
            }
            (sqlx::Error::Tls(_), _) => "TLS failed; check sslmode and sslrootcert",
            (sqlx::Error::Io(_), _) => {
                "check that the server is running and that host and port are correct"
            }
            _ => {
                "check that the server is PostgreSQL 12 or later, and check the parameters of the connection string"
            }
        };
        self.failed(check.into(), Some(error))
    }

    /// Returns the error for tables that do not exist and cannot be created.
    pub(super) fn cannot_create_tables(&self, error: sqlx::Error) -> Error {
        let table = &self.table;
        let check = format!(
            "tables {table}, {table}_0 to {table}_99 or view {table}_v do not exist and cannot be created; check that the user may create tables"
        );
        self.failed(check, Some(error))
    }

    /// Returns the error for a server that does not answer.
    pub(super) fn timed_out(&self, waited: Duration) -> Error {
        let check = format!(
            "no answer within {} s; check host, port and firewall",
            waited.as_secs()
        );
        self.failed(check, None)
    }

    fn failed(&self, check: String, source: Option<sqlx::Error>) -> Error {
        Error::Open {
            driver: "postgres",
            target: self.target(),
            check,
            source: source.map(|error| Box::new(error) as Box<_>),
        }
    }
}

fn malformed(check: String) -> Error {
    Error::Open {
        driver: "postgres",
        target: "given by the connection string".into(),
        check,
        source: None,
    }
}

/// Checks that a table name is a plain identifier, because statements contain it unquoted.
fn checked_table(name: &str) -> Result<String> {
    let plain = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts_well = name
        .bytes()
        .next()
        .is_some_and(|first| !first.is_ascii_digit());
    if starts_well && name.len() <= TABLE_LENGTH && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(malformed(format!(
        "lakefskv_table {name:?} must have at most {TABLE_LENGTH} characters of a-z, 0-9 and _, and must not start with a digit"
    )))
}

/// Returns whether this can be the name of a run-time parameter of the server.
fn is_parameter(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| matches!(byte, b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'))
}

/// Parses `key = value` pairs. A value may be quoted with `'`; `\` escapes the next character.
fn parse_pairs(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters
            .next_if(|character| character.is_whitespace())
            .is_some()
        {}
        if characters.peek().is_none() {
            return Ok(pairs);
        }
        let mut name = String::new();
        loop {
            match characters.next() {
                Some('=') => break,
                Some(character) => name.push(character),
                None => {
                    return Err(malformed(
                        "it is neither a postgres:// URL nor a list of key=value pairs".into(),
                    ));
                }
            }
        }
        while characters
            .next_if(|character| character.is_whitespace())
            .is_some()
        {}
        let quoted = characters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match characters.next() {
                Some('\\') => value.extend(characters.next()),
                Some('\'') if quoted => break,
                Some(character) if !quoted && character.is_whitespace() => break,
                Some(character) => value.push(character),
                None if quoted => {
                    return Err(malformed("a quoted value has no closing quote".into()));
                }
                None => break,
            }
        }
        pairs.push((name.trim().to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, target: &str, table: &str, options: Option<&str>) {
        let dsn = Dsn::parse(text).unwrap();
        assert_eq!(dsn.target(), target, "{text}");
        assert_eq!(dsn.table, table, "{text}");
        assert_eq!(dsn.options.get_options(), options, "{text}");
    }

    #[test]
    fn url_and_pairs_are_parsed() {
        check(
            "postgres://weir:p%40ss@db.example:6000/lake?sslmode=disable&lakefskv_table=kv_two&search_path=own&pool_max_conns=9",
            "at db.example:6000, database lake, user weir",
            "kv_two",
            Some("-c search_path=own"),
        );
        check(
            r"host=db.example  port = 6000 user=weir password='a b' dbname='la\'ke' sslmode=require",
            "at db.example:6000, database la'ke, user weir",
            "kv",
            None,
        );
    }

    #[test]
    fn error_for_a_malformed_string_hides_the_password() {
        for text in [
            "postgres://weir:hunter2@db.example:port/lake",
            "postgres://weir:hunter2@db.example/lake?sslmode=maybe",
            "postgres://weir:hunter2@db.example/lake?lakefskv_table=kv;drop",
            "postgres://weir:hunter2@db.example/lake?lakefskv_table=KV",
            "postgres://weir:hunter2@db.example/lake?a%20b=1",
            "password=hunter2 port=many",
            "password=hunter2 host",
            "password='hunter2",
        ] {
            let error = Dsn::parse(text).err().unwrap();
            let message = format!("{error} {error:?}");
            assert!(matches!(error, Error::Open { .. }), "{text}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
