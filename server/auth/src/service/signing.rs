//! Which key sessions are signed with: noted once, at the first start of a new installation.
//!
//! lakeFS signs with the secret key itself. Installations that it set up go on doing so, so that
//! their sessions hold; new ones note in a partition of Weir's own that the key is derived.

use bytes::Bytes;
use kv::Predicate;

use super::Auth;
use crate::keys::{MIN_SECRET_KEY_BYTES, SigningKey};
use crate::records::{BASIC_PARTITION, SIGNING_KEY, SUPER_ADMIN_KEY, WEIR_PARTITION};
use crate::{Error, Result};

/// The value of the note: HKDF-SHA256 of the secret key, labelled `weir/v1/sessions`.
const DERIVED: &[u8] = b"hkdf-sha256/v1";

impl Auth {
    /// Notes at the first start how keys are derived. A secret key that is too short is refused while
    /// it can still be replaced, and warned of later.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a short key, or a derivation of a newer version.
    pub(super) async fn prepare_signing(&self) -> Result<()> {
        let length = self.inner.options.secret_key.len();
        let is_short = length < MIN_SECRET_KEY_BYTES;
        if self.is_begun().await? {
            if let Some(warning) = warning_of_short_key(length) {
                tracing::warn!("{warning}");
            }
        } else if is_short {
            return Err(Error::InvalidValue(format!(
                "auth.encrypt.secret_key has {length} bytes, a new installation needs at least {MIN_SECRET_KEY_BYTES}: \
                 make one with `openssl rand -hex 32`, and keep it: stored access keys can't be read without it"
            )));
        } else {
            let noted = self
                .inner
                .kv
                .set_if(
                    WEIR_PARTITION,
                    SIGNING_KEY,
                    Bytes::from_static(DERIVED),
                    Predicate::Absent,
                )
                .await;
            match noted {
                // An earlier start noted it, or another server's at the same time.
                Ok(()) | Err(kv::Error::PredicateFailed { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.signing_key().await.map(drop)
    }

    /// Whether there is an administrator, and so credentials that the secret key has encrypted.
    async fn is_begun(&self) -> Result<bool> {
        let administrator = self.inner.kv.get(BASIC_PARTITION, SUPER_ADMIN_KEY).await?;
        Ok(administrator.is_some() || self.setup_state().await?.initialized)
    }

    /// What sessions of this installation are signed with.
    pub(super) async fn signing_key(&self) -> Result<&SigningKey> {
        self.inner
            .signing
            .get_or_try_init(|| async {
                let secret_key = &self.inner.options.secret_key;
                let noted = self.inner.kv.get(WEIR_PARTITION, SIGNING_KEY).await?;
                match noted.as_ref().map(|noted| noted.value.as_ref()) {
                    None => Ok(SigningKey::of_lakefs(secret_key)),
                    Some(DERIVED) => Ok(SigningKey::derived(secret_key)),
                    Some(other) => Err(Error::InvalidValue(format!(
                        "sessions of this installation are signed by the method {:?}, which this version does not know: use the version that set it up, or a newer one",
                        String::from_utf8_lossy(other)
                    ))),
                }
            })
            .await
    }
}

/// What an existing installation is told about a secret key of this many bytes; nothing if it is long enough.
fn warning_of_short_key(bytes: usize) -> Option<String> {
    (bytes < MIN_SECRET_KEY_BYTES).then(|| {
        format!(
            "auth.encrypt.secret_key has {bytes} bytes, fewer than {MIN_SECRET_KEY_BYTES}: anyone with a session token can find it out by trying keys; \
             it can't be changed in place: dump the repositories and restore them in a new installation with a longer key"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_keys_are_warned_of() {
        let warning = warning_of_short_key(MIN_SECRET_KEY_BYTES - 1).unwrap();
        assert!(
            warning.contains("has 15 bytes, fewer than 16") && warning.contains("new installation"),
            "{warning}"
        );
        assert_eq!(warning_of_short_key(MIN_SECRET_KEY_BYTES), None);
    }
}
