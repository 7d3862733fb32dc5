//! The auth service: its state, its start, the installation id and usage counts.

mod login;
mod setup;
mod signing;
mod users;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime, from_timestamp_or_epoch, joined, to_timestamp};
use bytes::Bytes;
use kv::{Predicate, Store, first_entries};
use prost::Message as _;
use tokio::sync::OnceCell;

use crate::keys::SigningKey;
use crate::records::{
    AUTH_PARTITION, BASIC_PARTITION, CREDENTIALS_PREFIX, CredentialData, INSTALLATION_ID_KEY,
    UserData,
};
use crate::usage::{self, MonthlyUsage, Usage};
use crate::{Error, Principal, Result, secrets};

/// Maximum length of user names, access key ids and secrets, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Settings of the auth service.
#[derive(Clone)]
pub struct Options {
    /// `auth.encrypt.secret_key`.
    pub secret_key: String,
    /// Lifetime of a session token.
    pub login_duration: Duration,
    /// Whether access keys are cached for `cache_ttl`.
    pub cache_enabled: bool,
    /// Maximum number of cached access keys.
    pub cache_size: u64,
    pub cache_ttl: Duration,
    /// `installation.fixed_id`, if given.
    pub fixed_installation_id: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("secret_key", &"[redacted]")
            .field("login_duration", &self.login_duration)
            .finish_non_exhaustive()
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub username: String,
    pub creation_date: OffsetDateTime,
    pub friendly_name: String,
    pub email: String,
    pub source: String,
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub issued: OffsetDateTime,
}

/// A new access key with its secret, which is shown only once.
#[derive(Clone, PartialEq, Eq)]
pub struct CreatedCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub issued: OffsetDateTime,
}

impl std::fmt::Debug for CreatedCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// The progress of the installation's setup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupState {
    /// Whether there is an administrator.
    pub initialized: bool,
    /// Whether the communication preferences have not been answered yet.
    pub comm_prefs_missing: bool,
}

/// Secret and owner of an access key.
#[derive(Clone)]
struct KnownKey {
    secret: Arc<str>,
    principal: Principal,
}

/// The auth service. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    kv: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    options: Options,
    /// Cache by access key id; `None` if caching is off.
    keys: Option<moka::sync::Cache<String, KnownKey>>,
    usage: Usage,
    /// The key that signs sessions, once it has been determined.
    signing: OnceCell<SigningKey>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Creates the service without accessing the store.
    #[must_use]
    pub fn new(
        kv: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Self {
        let keys = options.cache_enabled.then(|| {
            moka::sync::Cache::builder()
                .max_capacity(options.cache_size)
                .time_to_live(options.cache_ttl)
                .build()
        });
        Self {
            inner: Arc::new(Inner {
                kv,
                clock,
                ids,
                options,
                keys,
                usage: Usage::default(),
                signing: OnceCell::new(),
            }),
        }
    }

    /// Prepares the store and checks the configuration against it.
    ///
    /// Checks that the secret key decrypts a stored credential, so that a wrong key fails the start instead of every
    /// request. For an installation without an administrator, checks the length of the secret key and records that
    /// signing keys are derived.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if the signing method is unknown or the secret key is too short; [`Error::Secret`] if the
    /// secret key is wrong; any error of the store.
    pub async fn start(&self) -> Result<()> {
        self.installation_id().await?;
        self.check_secret_key().await?;
        self.prepare_signing().await
    }

    async fn check_secret_key(&self) -> Result<()> {
        let prefix = CREDENTIALS_PREFIX.as_bytes();
        let stored = first_entries(self.inner.kv.as_ref(), BASIC_PARTITION, prefix, 1).await?;
        let Some(stored) = stored.first() else {
            return Ok(());
        };
        let stored = CredentialData::decode(stored.value.as_ref()).map_err(|_| Error::Secret)?;
        self.decrypt(stored.secret_access_key_encrypted).await?;
        Ok(())
    }

    /// Decrypts on the blocking pool, because deriving the key takes about a millisecond of CPU time.
    async fn decrypt(&self, stored: Vec<u8>) -> Result<String> {
        let secret_key = self.inner.options.secret_key.clone();
        joined(tokio::task::spawn_blocking(move || {
            secrets::open(&secret_key, &stored)
        }))
        .await
    }

    /// Returns the record of an access key.
    fn sealed_credential(
        &self,
        (access_key_id, secret): (&str, &str),
        username: &str,
        issued: OffsetDateTime,
    ) -> CredentialData {
        let Inner { options, ids, .. } = &*self.inner;
        CredentialData {
            access_key_id: access_key_id.to_owned(),
            secret_access_key_encrypted: secrets::seal(
                &options.secret_key,
                secret.as_bytes(),
                ids.as_ref(),
            ),
            issued_date: Some(to_timestamp(issued)),
            user_id: username.as_bytes().to_vec(),
        }
    }

    /// Returns the installation's id. The first call creates it.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn installation_id(&self) -> Result<String> {
        if let Some(id) = &self.inner.options.fixed_installation_id {
            return Ok(id.clone());
        }
        let kv = &self.inner.kv;
        let new = Bytes::from(self.inner.ids.uuid());
        if kv.get(AUTH_PARTITION, INSTALLATION_ID_KEY).await?.is_none() {
            match kv
                .set_if(AUTH_PARTITION, INSTALLATION_ID_KEY, new, Predicate::Absent)
                .await
            {
                Ok(()) | Err(kv::Error::PredicateFailed { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let id = kv.get(AUTH_PARTITION, INSTALLATION_ID_KEY).await?;
        Ok(id
            .map(|v| String::from_utf8_lossy(&v.value).into_owned())
            .unwrap_or_default())
    }

    /// Counts an API or gateway request, in memory only.
    pub fn count_request(&self) {
        self.inner.usage.count();
    }

    /// Adds the counted requests to the stored count of the current month.
    ///
    /// # Errors
    /// Any error of the store. The count is then kept for the next call.
    pub async fn flush_usage(&self) -> Result<()> {
        let id = self.installation_id().await?;
        self.inner
            .usage
            .flush(self.inner.kv.as_ref(), &id, self.inner.clock.now())
            .await
    }

    /// Returns the requests per month, oldest first, after storing the counted requests.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn usage(&self) -> Result<Vec<MonthlyUsage>> {
        self.flush_usage().await?;
        usage::reports(self.inner.kv.as_ref(), &self.installation_id().await?).await
    }
}

fn user_of(record: &[u8]) -> Result<User> {
    let data = UserData::decode(record).map_err(|e| {
        let what = format!("the stored record of the administrator is damaged: {e}");
        Error::Records(what.into())
    })?;
    Ok(User {
        creation_date: from_timestamp_or_epoch(data.created_at.as_ref()),
        username: data.username,
        friendly_name: data.friendly_name,
        email: data.email,
        source: data.source,
    })
}

fn principal(user: &User) -> Principal {
    let committer = if user.email.is_empty() {
        &user.username
    } else {
        &user.email
    };
    Principal {
        username: user.username.clone(),
        committer: committer.clone(),
    }
}

fn rfc3339_seconds(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0)
        .expect("zero is a valid nanosecond")
        .format(&time::format_description::well_known::Rfc3339)
        .expect("the clock is within the years of RFC 3339")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
