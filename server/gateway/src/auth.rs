//! Who asks: secrets for the signature layer, and the gate every signed request goes through.
//!
//! What the asker may do depends on the operation: each asks
//! [`Surface::allow`](crate::service::Surface::allow) before it looks at anything.

use async_trait::async_trait;
use auth::Auth;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3Result};

use crate::error::Fault;
use crate::subresource;

/// Looks up secrets, for signatures to be checked with.
pub(crate) struct Keys {
    auth: Auth,
}

impl Keys {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth }
    }
}

#[async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // An unknown key is denied like a known one without permission.
        let (secret, _) = self.auth.secret_of(access_key).await.map_err(fault)?;
        Ok(SecretKey::from(secret))
    }
}

/// Lets signed requests pass whose operation and parameters are all understood.
pub(crate) struct Gate {
    auth: Auth,
}

impl Gate {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth }
    }
}

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let credentials = cx.credentials().ok_or(Fault::AccessDenied)?;
        // The second look at a key that was just looked up: from the cache of the auth service.
        let (_, principal) = self
            .auth
            .secret_of(&credentials.access_key)
            .await
            .map_err(fault)?;
        subresource::check(
            cx.s3_op().name(),
            cx.method(),
            cx.uri().query().unwrap_or_default(),
        )?;
        cx.extensions_mut().insert(principal);
        Ok(())
    }
}

fn fault(error: auth::Error) -> S3Error {
    Fault::from(error).into()
}
