//! Authentication: looks up secrets for s3s and checks every signed request before its operation runs.
//!
//! Authorization depends on the operation: each calls
//! [`S3Api::allow`](crate::service::S3Api::allow) before it reads anything.

use async_trait::async_trait;
use auth::{Auth, ConnectionTrust};
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};

use crate::error::S3Error;
use crate::subresource;

/// Looks up the secret of an access key, with which s3s verifies signatures.
pub(crate) struct SecretKeys {
    auth: Auth,
}

impl SecretKeys {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth }
    }
}

#[async_trait]
impl S3Auth for SecretKeys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // An unknown key gets the same error as a known key without permission.
        let (secret, _) = self.auth.secret_of(access_key).await.map_err(to_s3_error)?;
        Ok(SecretKey::from(secret))
    }
}

/// Accepts signed requests whose operation and parameters the gateway supports.
pub(crate) struct AccessCheck {
    auth: Auth,
}

impl AccessCheck {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth }
    }
}

#[async_trait]
impl S3Access for AccessCheck {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let credentials = cx.credentials().ok_or(S3Error::AccessDenied)?;
        // s3s has just looked up this key, so the auth service answers from its cache.
        let (_, principal) = self
            .auth
            .secret_of(&credentials.access_key)
            .await
            .map_err(to_s3_error)?;
        if let Some(connection) = cx.extensions_mut().get::<ConnectionTrust>() {
            connection.set_known();
        }
        subresource::check(
            cx.s3_op().name(),
            cx.method(),
            cx.uri().query().unwrap_or_default(),
        )?;
        cx.extensions_mut().insert(principal);
        Ok(())
    }
}

fn to_s3_error(error: auth::Error) -> s3s::S3Error {
    S3Error::from(error).into()
}
