//! Derives a separate key for each purpose from `auth.encrypt.secret_key`.
//!
//! With separate keys, a key that leaks from one purpose, or a weakness of one algorithm, does not endanger the
//! other purposes. The key that encrypts stored secrets is not derived here: it uses lakeFS's derivation
//! ([`crate::secrets`]), so that lakeFS can read the stored secrets.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;

/// Minimum length of the secret key of a new installation.
pub const MIN_SECRET_KEY_BYTES: usize = 16;

/// Purpose of the key that signs callbacks of hook runs.
pub const HOOK_RUNS: &str = "weir/v1/hook-runs";

/// Purpose of the key that authenticates compiled hooks on disk.
pub const COMPILED_CODE: &str = "weir/v1/compiled-code";

/// Purpose of the key that signs session tokens.
const SESSIONS: &str = "weir/v1/sessions";

const KEY_BYTES: usize = 32;

/// Derives the key for a purpose: HKDF-SHA256 of the secret key, with the purpose as HKDF's `info` input.
#[must_use]
pub fn derive(secret_key: &str, purpose: &str) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    Hkdf::<Sha256>::new(None, secret_key.as_bytes())
        .expand(purpose.as_bytes(), &mut key)
        .expect("32 bytes are a valid output length");
    key
}

/// The key that signs session tokens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Returns the secret key itself, as in lakeFS. Used by installations without the marker that says that keys are
    /// derived.
    pub(crate) fn of_lakefs(secret_key: &str) -> Self {
        Self(secret_key.as_bytes().to_vec())
    }

    /// Derives a key that is used only for sessions.
    pub(crate) fn derived(secret_key: &str) -> Self {
        Self(derive(secret_key, SESSIONS).to_vec())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_a_different_key() {
        let key = "a long random secret key";
        let (sessions, runs) = (derive(key, SESSIONS), derive(key, HOOK_RUNS));
        assert_ne!(sessions, runs);
        let code = derive(key, COMPILED_CODE);
        assert!(![sessions, runs].contains(&code));
        assert_ne!(derive("another secret key!", SESSIONS), sessions);
        assert_ne!(SigningKey::derived(key), SigningKey::of_lakefs(key));
        assert!(!format!("{:?}", SigningKey::of_lakefs(key)).contains(key));
    }

    /// Changing the derivation would invalidate every session, so it requires a new value of the marker in
    /// `service/signing.rs`.
    #[test]
    fn derivation_is_stable() {
        assert_eq!(
            hex::encode(derive("a long random secret key", SESSIONS)),
            "01a5154aafd1af2a40a47dc3f6af82f49a67bec984b443b7188e2f001d4787f9"
        );
    }
}
