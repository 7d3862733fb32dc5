//! Keys that are derived from `auth.encrypt.secret_key`: one for each purpose.
//!
//! The key that stored secrets are encrypted with is not among them: its derivation is lakeFS's
//! ([`crate::secrets`]), so that lakeFS can read what is stored. Without separate keys one that
//! leaks from one purpose, or a weakness of one algorithm, would open the others too.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;

/// The shortest secret key that a new installation may begin with.
pub const MIN_SECRET_KEY_BYTES: usize = 16;

/// The purpose of the key that callbacks of hook runs are signed with.
pub const HOOK_RUNS: &str = "weir/v1/hook-runs";

/// The purpose of the key that session tokens are signed with.
const SESSIONS: &str = "weir/v1/sessions";

const KEY_BYTES: usize = 32;

/// The key of one purpose: HKDF-SHA256 of the secret key, labelled with the purpose.
#[must_use]
pub fn derive(secret_key: &str, purpose: &str) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    Hkdf::<Sha256>::new(None, secret_key.as_bytes())
        .expand(purpose.as_bytes(), &mut key)
        .expect("32 bytes are a valid output length");
    key
}

/// What session tokens are signed with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SigningKey(Vec<u8>);

impl SigningKey {
    /// The secret key itself, as in lakeFS: of installations that were set up before keys were derived.
    pub(crate) fn of_lakefs(secret_key: &str) -> Self {
        Self(secret_key.as_bytes().to_vec())
    }

    /// A key for sessions only.
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
    fn each_purpose_has_a_key_of_its_own() {
        let key = "a long random secret key";
        let (sessions, runs) = (derive(key, SESSIONS), derive(key, HOOK_RUNS));
        assert_ne!(sessions, runs);
        assert_ne!(derive("another secret key!", SESSIONS), sessions);
        assert_ne!(SigningKey::derived(key), SigningKey::of_lakefs(key));
        assert!(!format!("{:?}", SigningKey::of_lakefs(key)).contains(key));
    }

    /// Changing the derivation would end every session, and needs another version of the marker.
    #[test]
    fn the_derivation_does_not_change() {
        assert_eq!(
            hex::encode(derive("a long random secret key", SESSIONS)),
            "01a5154aafd1af2a40a47dc3f6af82f49a67bec984b443b7188e2f001d4787f9"
        );
    }
}
