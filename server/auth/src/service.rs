//! The service: set-up, authentication, tokens, authorization.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime, Page};
use bytes::Bytes;
use kv::{Op, Predicate, Store};
use prost::Message as _;
use subtle::ConstantTimeEq as _;

use crate::records::{
    AUTH_PARTITION, BASIC_PARTITION, COMM_PREFS_KEY, CREDENTIALS_PREFIX, CredentialData,
    INSTALLATION_ID_KEY, SETUP_MODE_KEY, SETUP_TIMESTAMP_KEY, SUPER_ADMIN_KEY, UserData,
    credential_key, instant, timestamp,
};
use crate::usage::{self, MonthlyUsage, Usage};
use crate::{Error, Permission, Principal, Result, Scope, arn, secrets, tokens};

const SCHEMA_PARTITION: &[u8] = b"kv-internal-metadata";
const SCHEMA_KEY: &[u8] = b"kv/schema/version";
/// The version of the stored layout that this program reads and writes.
const SCHEMA_VERSION: u32 = 4;
/// Access keys and user names are short; longer ones can't be ours.
const MAX_NAME_BYTES: usize = 256;

/// How to run.
#[derive(Clone)]
pub struct Options {
    /// `auth.encrypt.secret_key`.
    pub secret_key: String,
    /// How long a session token holds.
    pub login_duration: Duration,
    /// Whether looked-up keys are kept for `cache_ttl`.
    pub cache_enabled: bool,
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

/// A user as the API shows it.
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

/// A new access key with its secret, shown once.
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

/// Whether the installation was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupState {
    pub initialized: bool,
    pub comm_prefs_missing: bool,
}

/// A looked-up key: its secret and owner.
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
    /// By access key id; none where caching is off.
    keys: Option<moka::sync::Cache<String, KnownKey>>,
    usage: Usage,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Puts the service together; reads nothing.
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
            }),
        }
    }

    /// Checks that the stored layout is one this program knows, and marks a new store with it.
    /// Checks that the secret key opens what is stored, so that a wrong one is told at the start
    /// and not by every request.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] naming both versions; [`Error::Secret`].
    pub async fn start(&self) -> Result<()> {
        let kv = &self.inner.kv;
        let version = Bytes::from(SCHEMA_VERSION.to_string());
        match kv.get(SCHEMA_PARTITION, SCHEMA_KEY).await? {
            None => match kv
                .set_if(SCHEMA_PARTITION, SCHEMA_KEY, version, Predicate::Absent)
                .await
            {
                Ok(()) | Err(kv::Error::PredicateFailed { .. }) => {}
                Err(e) => return Err(e.into()),
            },
            Some(found) if found.value == version => {}
            Some(found) => {
                return Err(Error::InvalidValue(format!(
                    "the database has layout version {}, this program reads version {SCHEMA_VERSION}: \
                     migrate it with the lakeFS release that wrote it, or use a newer Weir",
                    String::from_utf8_lossy(&found.value)
                )));
            }
        }
        self.installation_id().await?;
        self.check_secret_key().await
    }

    async fn check_secret_key(&self) -> Result<()> {
        let prefix = CREDENTIALS_PREFIX.as_bytes();
        let stored = self.inner.kv.scan(BASIC_PARTITION, prefix, 1).await?;
        let Some(stored) = stored.first().filter(|e| e.key.starts_with(prefix)) else {
            return Ok(());
        };
        let stored = CredentialData::decode(stored.value.as_ref()).map_err(|_| Error::Secret)?;
        self.unseal(stored.secret_access_key_encrypted).await?;
        Ok(())
    }

    /// Decrypts on the blocking pool: deriving the key takes a core for a millisecond.
    async fn unseal(&self, stored: Vec<u8>) -> Result<String> {
        let secret_key = self.inner.options.secret_key.clone();
        tokio::task::spawn_blocking(move || secrets::open(&secret_key, &stored))
            .await
            .expect("decrypting does not panic, and nobody cancels it")
    }

    /// The installation's id; the first to ask makes it.
    ///
    /// # Errors
    /// Whatever the store gives.
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

    // ---- set-up

    /// Whether there is an administrator, and whether the contact form was answered.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub async fn setup_state(&self) -> Result<SetupState> {
        let keys = [
            Bytes::from_static(SETUP_TIMESTAMP_KEY),
            Bytes::from_static(COMM_PREFS_KEY),
        ];
        let found = self.inner.kv.get_many(AUTH_PARTITION, &keys).await?;
        let prefs_set = found[1]
            .as_ref()
            .is_some_and(|v| v.value.as_ref() == b"true");
        Ok(SetupState {
            initialized: found[0].is_some(),
            comm_prefs_missing: !prefs_set,
        })
    }

    /// Makes the administrator, with a given key (id, secret) or a new one. Once.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for an empty or overlong name or key, [`Error::AlreadyExists`] if it was done.
    pub async fn setup(
        &self,
        username: &str,
        key: Option<(String, String)>,
    ) -> Result<CreatedCredentials> {
        if username.is_empty() || username.len() > MAX_NAME_BYTES {
            return Err(Error::InvalidValue(format!(
                "the user name must have 1 to {MAX_NAME_BYTES} bytes"
            )));
        }
        let ids = self.inner.ids.as_ref();
        let (access_key_id, secret_access_key) =
            key.unwrap_or_else(|| (secrets::new_access_key_id(ids), secrets::new_secret(ids)));
        for (name, value) in [
            ("access_key_id", &access_key_id),
            ("secret_access_key", &secret_access_key),
        ] {
            if value.is_empty() || value.len() > MAX_NAME_BYTES {
                return Err(Error::InvalidValue(format!(
                    "{name} must have 1 to {MAX_NAME_BYTES} bytes"
                )));
            }
        }
        let now = self.inner.clock.now();
        let user = UserData {
            created_at: Some(timestamp(now)),
            username: username.to_owned(),
            source: "internal".to_owned(),
            ..UserData::default()
        };
        let credential = CredentialData {
            access_key_id: access_key_id.clone(),
            secret_access_key_encrypted: secrets::seal(
                &self.inner.options.secret_key,
                secret_access_key.as_bytes(),
                ids,
            ),
            issued_date: Some(timestamp(now)),
            user_id: username.as_bytes().to_vec(),
        };
        let date = rfc3339_seconds(now);
        let set = |partition: &'static [u8], key: Vec<u8>, value: Vec<u8>, predicate| Op::Set {
            partition: Bytes::from_static(partition),
            key: key.into(),
            value: value.into(),
            predicate,
        };
        // In one transaction where the driver has them; elsewhere the user comes first, so that two
        // set-ups at once can't both succeed.
        let written = self
            .inner
            .kv
            .batch(vec![
                set(
                    BASIC_PARTITION,
                    SUPER_ADMIN_KEY.to_vec(),
                    user.encode_to_vec(),
                    Some(Predicate::Absent),
                ),
                set(
                    BASIC_PARTITION,
                    credential_key(&access_key_id),
                    credential.encode_to_vec(),
                    None,
                ),
                set(
                    AUTH_PARTITION,
                    SETUP_MODE_KEY.to_vec(),
                    date.clone().into_bytes(),
                    None,
                ),
                set(
                    AUTH_PARTITION,
                    SETUP_TIMESTAMP_KEY.to_vec(),
                    date.into_bytes(),
                    None,
                ),
            ])
            .await;
        match written {
            Ok(()) => Ok(CreatedCredentials {
                access_key_id,
                secret_access_key,
                issued: now,
            }),
            Err(kv::Error::PredicateFailed { .. }) => {
                Err(Error::AlreadyExists("the administrator".to_owned()))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Stores the answers of the contact form, once. Values are kept in base64, `true` and `false` as they are.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if they were stored before, [`Error::NotFound`] before set-up.
    pub async fn set_comm_prefs(&self, prefs: BTreeMap<String, String>) -> Result<()> {
        let state = self.setup_state().await?;
        if !state.initialized {
            return Err(Error::NotFound(
                "the installation's administrator".to_owned(),
            ));
        }
        if !state.comm_prefs_missing {
            return Err(Error::AlreadyExists("communication preferences".to_owned()));
        }
        let mut ops: Vec<Op> = prefs
            .into_iter()
            .map(|(name, value)| Op::Set {
                partition: Bytes::from_static(AUTH_PARTITION),
                key: format!("installation_metadata/{name}").into(),
                value: value.into(),
                predicate: None,
            })
            .collect();
        ops.push(Op::Set {
            partition: Bytes::from_static(AUTH_PARTITION),
            key: Bytes::from_static(COMM_PREFS_KEY),
            value: Bytes::from_static(b"true"),
            predicate: None,
        });
        Ok(self.inner.kv.batch(ops).await?)
    }

    // ---- authentication

    /// Checks an access key and its secret.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], whichever of the two is wrong.
    pub async fn authenticate_key(&self, access_key_id: &str, secret: &str) -> Result<Principal> {
        let known = self.known_key(access_key_id).await?;
        if bool::from(known.secret.as_bytes().ct_eq(secret.as_bytes())) {
            Ok(known.principal)
        } else {
            Err(Error::Unauthenticated)
        }
    }

    /// Checks a session token; its user must still exist.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`].
    pub async fn authenticate_token(&self, jwt: &str) -> Result<Principal> {
        let username = tokens::verify(&self.inner.options.secret_key, jwt, self.inner.clock.now())?;
        match self.user(&username).await {
            Ok(user) => Ok(principal(&user)),
            Err(Error::NotFound(_)) => Err(Error::Unauthenticated),
            Err(e) => Err(e),
        }
    }

    /// The secret and owner of an access key, for signature checks.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if there is no such key.
    pub async fn secret_of(&self, access_key_id: &str) -> Result<(String, Principal)> {
        let known = self.known_key(access_key_id).await?;
        Ok((known.secret.to_string(), known.principal))
    }

    /// Exchanges an access key for a session token and the instant it expires.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`].
    pub async fn login(
        &self,
        access_key_id: &str,
        secret: &str,
    ) -> Result<(String, OffsetDateTime)> {
        let principal = self.authenticate_key(access_key_id, secret).await?;
        let now = self.inner.clock.now();
        let expires = now + self.inner.options.login_duration;
        let token = tokens::issue(
            &self.inner.options.secret_key,
            &principal.username,
            now,
            expires,
            self.inner.ids.as_ref(),
        );
        Ok((token, expires))
    }

    async fn known_key(&self, access_key_id: &str) -> Result<KnownKey> {
        if access_key_id.is_empty() || access_key_id.len() > MAX_NAME_BYTES {
            return Err(Error::Unauthenticated);
        }
        if let Some(known) = self.inner.keys.as_ref().and_then(|c| c.get(access_key_id)) {
            return Ok(known);
        }
        let key = credential_key(access_key_id);
        let found = self
            .inner
            .kv
            .get_many(
                BASIC_PARTITION,
                &[key.into(), Bytes::from_static(SUPER_ADMIN_KEY)],
            )
            .await?;
        let (Some(credential), Some(user)) = (&found[0], &found[1]) else {
            return Err(Error::Unauthenticated);
        };
        let credential =
            CredentialData::decode(credential.value.as_ref()).map_err(|_| Error::Secret)?;
        let user = user_of(&user.value)?;
        if credential.user_id != user.username.as_bytes() {
            return Err(Error::Unauthenticated);
        }
        let secret = self.unseal(credential.secret_access_key_encrypted).await?;
        let known = KnownKey {
            secret: secret.into(),
            principal: principal(&user),
        };
        if let Some(cache) = &self.inner.keys {
            cache.insert(access_key_id.to_owned(), known.clone());
        }
        Ok(known)
    }

    // ---- authorization

    /// Allows, or refuses with [`Error::Forbidden`]. All permissions are needed.
    ///
    /// In the single-administrator mode the administrator may do everything, and there is nobody else.
    ///
    /// # Errors
    /// [`Error::Forbidden`] naming the first permission that is missing.
    #[expect(clippy::unused_async, reason = "policies will be read from the store")]
    pub async fn authorize(&self, principal: &Principal, permissions: &[Permission]) -> Result<()> {
        if principal.username.is_empty() {
            let missing = permissions.first().map_or("any", |p| p.action);
            return Err(Error::Forbidden(missing.to_owned()));
        }
        Ok(())
    }

    /// Where the principal may do an action: for listings that show what one may see.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if there is no resource that it may do it on.
    pub async fn scope(&self, principal: &Principal, action: &'static str) -> Result<Scope> {
        self.authorize(principal, &[Permission::new(action, arn::all())])
            .await?;
        Ok(Scope::Everything)
    }

    // ---- users and keys

    /// A user by name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user(&self, username: &str) -> Result<User> {
        let found = self.inner.kv.get(BASIC_PARTITION, SUPER_ADMIN_KEY).await?;
        match found.map(|v| user_of(&v.value)).transpose()? {
            Some(user) if user.username == username => Ok(user),
            _ => Err(Error::NotFound("user".to_owned())),
        }
    }

    /// Users by name: the administrator, if there is one.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub async fn list_users(&self, prefix: &str, after: &str, limit: usize) -> Result<Page<User>> {
        let found = self.inner.kv.get(BASIC_PARTITION, SUPER_ADMIN_KEY).await?;
        let user = found.map(|v| user_of(&v.value)).transpose()?;
        let results = user
            .into_iter()
            .filter(|u| u.username.starts_with(prefix) && u.username.as_str() > after)
            .take(limit)
            .collect();
        Ok(Page {
            results,
            has_more: false,
            next_offset: String::new(),
        })
    }

    /// One of the administrator's keys, without its secret.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn credentials(&self, username: &str, access_key_id: &str) -> Result<Credentials> {
        self.user(username).await?;
        let found = self
            .inner
            .kv
            .get(BASIC_PARTITION, &credential_key(access_key_id))
            .await?;
        let found = found.ok_or_else(|| Error::NotFound("credentials".to_owned()))?;
        let data = CredentialData::decode(found.value.as_ref()).map_err(|_| Error::Secret)?;
        Ok(Credentials {
            access_key_id: data.access_key_id,
            issued: instant(data.issued_date.as_ref()),
        })
    }

    /// A key for the administrator, if there is none: this mode has one user with one key.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] when there is a key, [`Error::NotFound`] for another user.
    pub async fn create_credentials(&self, username: &str) -> Result<CreatedCredentials> {
        let user = self.user(username).await?;
        let existing = self
            .inner
            .kv
            .scan(BASIC_PARTITION, CREDENTIALS_PREFIX.as_bytes(), 1)
            .await?;
        if existing
            .first()
            .is_some_and(|e| e.key.starts_with(CREDENTIALS_PREFIX.as_bytes()))
        {
            return Err(Error::InvalidValue(
                "exceeded number of allowed credentials: invalid request".to_owned(),
            ));
        }
        let ids = self.inner.ids.as_ref();
        let (access_key_id, secret_access_key) =
            (secrets::new_access_key_id(ids), secrets::new_secret(ids));
        let now = self.inner.clock.now();
        let data = CredentialData {
            access_key_id: access_key_id.clone(),
            secret_access_key_encrypted: secrets::seal(
                &self.inner.options.secret_key,
                secret_access_key.as_bytes(),
                ids,
            ),
            issued_date: Some(timestamp(now)),
            user_id: user.username.into_bytes(),
        };
        self.inner
            .kv
            .set(
                BASIC_PARTITION,
                &credential_key(&access_key_id),
                data.encode_to_vec().into(),
            )
            .await?;
        Ok(CreatedCredentials {
            access_key_id,
            secret_access_key,
            issued: now,
        })
    }

    // ---- usage

    /// Counts one request of the API or the gateway. Costs no round trip.
    pub fn count_request(&self) {
        self.inner.usage.count();
    }

    /// Adds the counted requests to the stored month.
    ///
    /// # Errors
    /// Whatever the store gives; the count is kept for the next time.
    pub async fn flush_usage(&self) -> Result<()> {
        let id = self.installation_id().await?;
        self.inner
            .usage
            .flush(self.inner.kv.as_ref(), &id, self.inner.clock.now())
            .await
    }

    /// Requests by month, oldest first, those not yet stored included.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub async fn usage(&self) -> Result<Vec<MonthlyUsage>> {
        self.flush_usage().await?;
        usage::reports(self.inner.kv.as_ref(), &self.installation_id().await?).await
    }
}

fn user_of(record: &[u8]) -> Result<User> {
    let data = UserData::decode(record).map_err(|e| {
        Error::InvalidValue(format!("the stored administrator's record is damaged: {e}"))
    })?;
    Ok(User {
        creation_date: instant(data.created_at.as_ref()),
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
        .expect("years of the present era are valid in RFC 3339")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
