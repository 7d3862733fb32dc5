//! Authenticates callers by access key or session token, and authorizes them.

use base::OffsetDateTime;
use bytes::Bytes;
use prost::Message as _;
use subtle::ConstantTimeEq as _;

use super::{Auth, KnownKey, MAX_NAME_BYTES, principal, user_of};
use crate::records::{BASIC_PARTITION, CredentialData, SUPER_ADMIN_KEY, credential_key};
use crate::{Error, Permission, Principal, Result, Scope, arn, tokens};

impl Auth {
    /// Checks an access key and its secret.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if either is wrong; [`Error::Secret`] if the stored secret cannot be decrypted.
    pub async fn authenticate_key(&self, access_key_id: &str, secret: &str) -> Result<Principal> {
        let known = self.known_key(access_key_id).await?;
        if bool::from(known.secret.as_bytes().ct_eq(secret.as_bytes())) {
            Ok(known.principal)
        } else {
            Err(Error::Unauthenticated)
        }
    }

    /// Checks a session token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the token is invalid or its user no longer exists.
    pub async fn authenticate_token(&self, jwt: &str) -> Result<Principal> {
        let key = self.signing_key().await?;
        let username = tokens::verify(key, jwt, self.inner.clock.now())?;
        match self.user(&username).await {
            Ok(user) => Ok(principal(&user)),
            Err(Error::NotFound(_)) => Err(Error::Unauthenticated),
            Err(e) => Err(e),
        }
    }

    /// Returns the secret and owner of an access key, for signature checks.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if there is no such key; [`Error::Secret`] if the stored secret cannot be decrypted.
    pub async fn secret_of(&self, access_key_id: &str) -> Result<(String, Principal)> {
        let known = self.known_key(access_key_id).await?;
        Ok((known.secret.to_string(), known.principal))
    }

    /// Exchanges an access key for a session token and its expiry time.
    ///
    /// # Errors
    /// Those of [`Self::authenticate_key`].
    pub async fn login(
        &self,
        access_key_id: &str,
        secret: &str,
    ) -> Result<(String, OffsetDateTime)> {
        let principal = self.authenticate_key(access_key_id, secret).await?;
        let now = self.inner.clock.now();
        let expires = now + self.inner.options.login_duration;
        let token = tokens::issue(
            self.signing_key().await?,
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
        let secret = self.decrypt(credential.secret_access_key_encrypted).await?;
        let known = KnownKey {
            secret: secret.into(),
            principal: principal(&user),
        };
        if let Some(cache) = &self.inner.keys {
            cache.insert(access_key_id.to_owned(), known.clone());
        }
        Ok(known)
    }

    /// Checks that the principal has all of the permissions.
    ///
    /// In the single-administrator mode the administrator may do everything, and there are no other users.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the first missing permission.
    #[expect(clippy::unused_async, reason = "policies will be read from the store")]
    pub async fn authorize(&self, principal: &Principal, permissions: &[Permission]) -> Result<()> {
        if principal.username.is_empty() {
            let missing = permissions.first().map_or("any", |p| p.action);
            return Err(Error::Forbidden(missing.to_owned()));
        }
        Ok(())
    }

    /// Returns the resources on which the principal may perform an action. Listings use it as a filter.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if there are none.
    pub async fn scope(&self, principal: &Principal, action: &'static str) -> Result<Scope> {
        self.authorize(principal, &[Permission::new(action, arn::all())])
            .await?;
        Ok(Scope::Everything)
    }
}
