//! The service: set-up, authentication, tokens, authorization.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime, Page};
use kv::Store;

use crate::{Permission, Principal, Result};

/// How to run.
#[derive(Clone)]
pub struct Options {
    /// `auth.encrypt.secret_key`.
    pub secret_key: String,
    pub login_duration: Duration,
    /// Whether and how long looked-up credentials are kept.
    pub cache_enabled: bool,
    pub cache_size: u64,
    pub cache_ttl: Duration,
    /// `installation.fixed_id`, if given.
    pub fixed_installation_id: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("secret_key", &"[redacted]").field("login_duration", &self.login_duration).finish_non_exhaustive()
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
        f.debug_struct("CreatedCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Whether the installation was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupState {
    pub initialized: bool,
    pub comm_prefs_missing: bool,
}

/// The auth service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {}

#[expect(unused_variables, clippy::unused_async, reason = "skeleton")]
impl Auth {
    #[must_use]
    pub fn new(kv: Arc<dyn Store>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>, options: Options) -> Self {
        todo!()
    }
    /// Checks or writes the schema version, migrates a single legacy user, makes the installation id.
    pub async fn start(&self) -> Result<()> {
        todo!()
    }
    pub async fn installation_id(&self) -> Result<String> {
        todo!()
    }
    pub async fn setup_state(&self) -> Result<SetupState> {
        todo!()
    }
    /// Makes the administrator, with a given key (id, secret) or a new one.
    pub async fn setup(&self, username: &str, key: Option<(String, String)>) -> Result<CreatedCredentials> {
        todo!()
    }
    /// Stores the answers of the contact form, once.
    pub async fn set_comm_prefs(&self, prefs: BTreeMap<String, String>) -> Result<()> {
        todo!()
    }
    pub async fn authenticate_key(&self, access_key_id: &str, secret: &str) -> Result<Principal> {
        todo!()
    }
    pub async fn authenticate_token(&self, jwt: &str) -> Result<Principal> {
        todo!()
    }
    /// The secret and owner of an access key, for signature checks.
    pub async fn secret_of(&self, access_key_id: &str) -> Result<(String, Principal)> {
        todo!()
    }
    /// A session token and its expiry.
    pub async fn login(&self, access_key_id: &str, secret: &str) -> Result<(String, OffsetDateTime)> {
        todo!()
    }
    /// Allows or [`crate::Error::Forbidden`]. All permissions are needed.
    pub async fn authorize(&self, principal: &Principal, permissions: &[Permission]) -> Result<()> {
        todo!()
    }
    pub async fn user(&self, username: &str) -> Result<User> {
        todo!()
    }
    pub async fn list_users(&self, prefix: &str, after: &str, limit: usize) -> Result<Page<User>> {
        todo!()
    }
    pub async fn list_credentials(&self, username: &str, prefix: &str, after: &str, limit: usize) -> Result<Page<Credentials>> {
        todo!()
    }
    pub async fn credentials(&self, username: &str, access_key_id: &str) -> Result<Credentials> {
        todo!()
    }
    pub async fn create_credentials(&self, username: &str) -> Result<CreatedCredentials> {
        todo!()
    }
    pub async fn delete_credentials(&self, username: &str, access_key_id: &str) -> Result<()> {
        todo!()
    }
}
