//! Determines the key that signs sessions. The first start of a new installation records the method.
//!
//! lakeFS signs with the secret key itself. Installations that lakeFS has set up keep this method, so that their
//! sessions stay valid. New installations store a marker, in a partition that only Weir uses, which says that the
//! key is derived.

use bytes::Bytes;
use kv::Predicate;

use super::Auth;
use crate::keys::{MIN_SECRET_KEY_BYTES, SigningKey};
use crate::records::{BASIC_PARTITION, SIGNING_KEY, SUPER_ADMIN_KEY, WEIR_PARTITION};
use crate::{Error, Result};

/// Value of the marker. The key is HKDF-SHA256 of the secret key with the info `weir/v1/sessions`.
const DERIVED: &[u8] = b"hkdf-sha256/v1";

impl Auth {
    /// Stores the marker at the first start. Rejects a short secret key while it can still be replaced, that is
    /// before an administrator exists, and logs a warning afterwards.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if the secret key is too short or the marker has an unknown value.
    pub(super) async fn prepare_signing(&self) -> Result<()> {
        let length = self.inner.options.secret_key.len();
        let is_short = length < MIN_SECRET_KEY_BYTES;
        if self.has_administrator().await? {
            if let Some(warning) = short_key_warning(length) {
                tracing::warn!("{warning}");
            }
        } else if is_short {
            return Err(Error::InvalidValue(format!(
                "auth.encrypt.secret_key has {length} bytes, but a new installation needs at least {MIN_SECRET_KEY_BYTES}: \
                 create a key with `openssl rand -hex 32` and keep it, because stored access keys cannot be read without it"
            )));
        } else {
            let stored = self
                .inner
                .kv
                .set_if(
                    WEIR_PARTITION,
                    SIGNING_KEY,
                    Bytes::from_static(DERIVED),
                    Predicate::Absent,
                )
                .await;
            match stored {
                // An earlier start or another server has already stored it.
                Ok(()) | Err(kv::Error::PredicateFailed { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.signing_key().await.map(drop)
    }

    /// Returns whether there is an administrator, and therefore credentials encrypted with the secret key.
    async fn has_administrator(&self) -> Result<bool> {
        let administrator = self.inner.kv.get(BASIC_PARTITION, SUPER_ADMIN_KEY).await?;
        Ok(administrator.is_some() || self.setup_state().await?.initialized)
    }

    /// Returns the key that signs the sessions of this installation.
    pub(super) async fn signing_key(&self) -> Result<&SigningKey> {
        self.inner
            .signing
            .get_or_try_init(|| async {
                let secret_key = &self.inner.options.secret_key;
                let marker = self.inner.kv.get(WEIR_PARTITION, SIGNING_KEY).await?;
                match marker.as_ref().map(|marker| marker.value.as_ref()) {
                    None => Ok(SigningKey::of_lakefs(secret_key)),
                    Some(DERIVED) => Ok(SigningKey::derived(secret_key)),
                    Some(other) => Err(Error::InvalidValue(format!(
                        "sessions of this installation are signed with the method {:?}, which this version does not support: use the version that set up the installation, or a newer one",
                        String::from_utf8_lossy(other)
                    ))),
                }
            })
            .await
    }
}

/// Returns the warning that an existing installation logs about a secret key of `bytes` bytes. Returns `None` if the key
/// is long enough.
fn short_key_warning(bytes: usize) -> Option<String> {
    (bytes < MIN_SECRET_KEY_BYTES).then(|| {
        format!(
            "auth.encrypt.secret_key has only {bytes} bytes ({MIN_SECRET_KEY_BYTES} are recommended): anyone with a session token can find the key by brute force; \
             the key cannot be changed in place: dump the repositories and restore them in a new installation with a longer key"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_keys_cause_a_warning() {
        let warning = short_key_warning(MIN_SECRET_KEY_BYTES - 1).unwrap();
        assert!(
            warning.contains("has only 15 bytes (16 are recommended)")
                && warning.contains("new installation"),
            "{warning}"
        );
        assert_eq!(short_key_warning(MIN_SECRET_KEY_BYTES), None);
    }
}
