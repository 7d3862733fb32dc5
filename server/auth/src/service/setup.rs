//! Setup of an installation: creates the administrator and stores the communication preferences, once each.

use std::collections::BTreeMap;

use base::to_timestamp;
use bytes::Bytes;
use kv::{Op, Predicate};
use prost::Message as _;

use super::{Auth, CreatedCredentials, MAX_NAME_BYTES, SetupState, rfc3339_seconds};
use crate::records::{
    AUTH_PARTITION, BASIC_PARTITION, COMM_PREFS_KEY, CredentialData, SETUP_MODE_KEY,
    SETUP_TIMESTAMP_KEY, SUPER_ADMIN_KEY, UserData, credential_key,
};
use crate::{Error, MIN_SECRET_BYTES, Result, secrets};

impl Auth {
    /// Returns whether there is an administrator, and whether the communication preferences are stored.
    ///
    /// # Errors
    /// Any error of the store.
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

    /// Generates an access key (id and secret) without storing it.
    #[must_use]
    pub fn new_key(&self) -> (String, String) {
        let ids = self.inner.ids.as_ref();
        (secrets::new_access_key_id(ids), secrets::new_secret(ids))
    }

    /// Creates the administrator with the given access key (id and secret) or a new one.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if the name or key is empty or too long, or the name has control characters;
    /// [`Error::KeyIdCharacters`]; [`Error::ShortSecret`] if the given secret has fewer than [`MIN_SECRET_BYTES`];
    /// [`Error::AlreadyExists`] if there is an administrator.
    pub async fn setup(
        &self,
        username: &str,
        key: Option<(String, String)>,
    ) -> Result<CreatedCredentials> {
        let (access_key_id, secret_access_key) = key.unwrap_or_else(|| self.new_key());
        check_administrator(username, &access_key_id, &secret_access_key)?;
        let now = self.inner.clock.now();
        let user = UserData {
            created_at: Some(to_timestamp(now)),
            username: username.to_owned(),
            source: "internal".to_owned(),
            ..UserData::default()
        };
        let key = (access_key_id.as_str(), secret_access_key.as_str());
        let credential = self.sealed_credential(key, username, now);
        let written = self
            .inner
            .kv
            .batch(setup_writes(&user, &credential, rfc3339_seconds(now)))
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

    /// Stores the communication preferences, each value as given.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if they are already stored; [`Error::NotFound`] if there is no administrator.
    pub async fn set_comm_prefs(&self, prefs: BTreeMap<String, String>) -> Result<()> {
        let state = self.setup_state().await?;
        if !state.initialized {
            return Err(Error::NotFound(
                "the installation's administrator".to_owned(),
            ));
        }
        let already = || Error::AlreadyExists("communication preferences".to_owned());
        if !state.comm_prefs_missing {
            return Err(already());
        }
        // The marker comes first: of two concurrent requests, one must fail before it overwrites the other's preferences.
        let mut ops = vec![Op::Set {
            partition: Bytes::from_static(AUTH_PARTITION),
            key: Bytes::from_static(COMM_PREFS_KEY),
            value: Bytes::from_static(b"true"),
            predicate: Some(Predicate::Absent),
        }];
        ops.extend(prefs.into_iter().map(|(name, value)| Op::Set {
            partition: Bytes::from_static(AUTH_PARTITION),
            key: format!("installation_metadata/{name}").into(),
            value: value.into(),
            predicate: None,
        }));
        match self.inner.kv.batch(ops).await {
            Err(kv::Error::PredicateFailed { .. }) => Err(already()),
            written => Ok(written?),
        }
    }
}

fn check_administrator(username: &str, access_key_id: &str, secret_access_key: &str) -> Result<()> {
    if username.is_empty() {
        return Err(Error::InvalidValue("empty user display name".to_owned()));
    }
    if username.len() > MAX_NAME_BYTES {
        return Err(Error::InvalidValue(format!(
            "the user name must have 1 to {MAX_NAME_BYTES} bytes"
        )));
    }
    if username.chars().any(char::is_control) {
        return Err(Error::InvalidValue(
            "the user name must not have control characters".to_owned(),
        ));
    }
    for (name, value) in [
        ("access_key_id", access_key_id),
        ("secret_access_key", secret_access_key),
    ] {
        if value.is_empty() || value.len() > MAX_NAME_BYTES {
            return Err(Error::InvalidValue(format!(
                "{name} must have 1 to {MAX_NAME_BYTES} bytes"
            )));
        }
    }
    if !access_key_id.chars().all(is_of_key_id) {
        return Err(Error::KeyIdCharacters);
    }
    if secret_access_key.len() < MIN_SECRET_BYTES {
        return Err(Error::ShortSecret);
    }
    Ok(())
}

/// Returns whether an access key id may contain a character. In Basic authentication, `:` ends the id. In S3
/// signatures, `/` and `,` end the id. Headers cannot contain control characters. Some other characters are encoded
/// differently by different clients.
fn is_of_key_id(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '@')
}

/// Returns the writes of a setup. The user comes first, so that two concurrent setups cannot both succeed even if the
/// driver has no transactions.
fn setup_writes(user: &UserData, credential: &CredentialData, date: String) -> Vec<Op> {
    let set = |partition: &'static [u8], key: Vec<u8>, value: Vec<u8>, predicate| Op::Set {
        partition: Bytes::from_static(partition),
        key: key.into(),
        value: value.into(),
        predicate,
    };
    vec![
        set(
            BASIC_PARTITION,
            SUPER_ADMIN_KEY.to_vec(),
            user.encode_to_vec(),
            Some(Predicate::Absent),
        ),
        set(
            BASIC_PARTITION,
            credential_key(&credential.access_key_id),
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
    ]
}
