//! Users and their access keys.

use base::{Page, from_timestamp_or_epoch};
use kv::first_entries;
use prost::Message as _;

use super::{Auth, CreatedCredentials, Credentials, User, user_of};
use crate::records::{
    BASIC_PARTITION, CREDENTIALS_PREFIX, CredentialData, SUPER_ADMIN_KEY, credential_key,
};
use crate::{Error, Result};

impl Auth {
    /// Returns a user by name.
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

    /// Lists the users in order of name. The only user is the administrator.
    ///
    /// # Errors
    /// Any error of the store.
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

    /// Returns an access key of the administrator, without its secret.
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
            issued: from_timestamp_or_epoch(data.issued_date.as_ref()),
        })
    }

    /// Creates an access key for the administrator. In this mode there is only one user with one key.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if there is a key already; [`Error::NotFound`] for other users.
    pub async fn create_credentials(&self, username: &str) -> Result<CreatedCredentials> {
        let user = self.user(username).await?;
        let (kv, prefix) = (self.inner.kv.as_ref(), CREDENTIALS_PREFIX.as_bytes());
        let existing = first_entries(kv, BASIC_PARTITION, prefix, 1).await?;
        if !existing.is_empty() {
            return Err(Error::InvalidValue(
                "exceeded number of allowed credentials: invalid request".to_owned(),
            ));
        }
        let (access_key_id, secret_access_key) = self.new_key();
        let now = self.inner.clock.now();
        let key = (access_key_id.as_str(), secret_access_key.as_str());
        let data = self.sealed_credential(key, &user.username, now);
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
}
