//! A component: its bytes and their digest.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a component.
pub(super) type ComponentDigest = [u8; 32];

/// The bytes of a component with their digest. Cheap to clone.
///
/// [`Component::new`] computes the digest, so it always matches the bytes. A digest that a tree or an
/// action file claims is never used instead.
#[derive(Clone, PartialEq, Eq)]
pub struct Component {
    bytes: Bytes,
    digest: ComponentDigest,
}

impl Component {
    /// Computes the digest. This takes up to 0.3 s for the largest component.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes).into();
        #[cfg(test)]
        count::add(digest);
        Self { bytes, digest }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the SHA-256 digest of the bytes as lowercase hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(self.digest)
    }

    pub(super) fn digest(&self) -> ComponentDigest {
        self.digest
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("bytes", &self.bytes.len())
            .field("sha256", &self.sha256())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_bytes() {
        let component = Component::new(Bytes::from_static(b"abc"));
        assert_eq!(
            component.sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}

#[cfg(test)]
pub(crate) mod count {
    //! Counts how often each content is hashed, for tests.

    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};

    use super::{Component, ComponentDigest};

    static COUNTS: LazyLock<Mutex<HashMap<ComponentDigest, usize>>> = LazyLock::new(Mutex::default);

    pub(super) fn add(digest: ComponentDigest) {
        *COUNTS.lock().unwrap().entry(digest).or_default() += 1;
    }

    /// Returns how often this process has hashed the content, without this call's own hash.
    pub(crate) fn of(bytes: &'static [u8]) -> usize {
        let digest = Component::new(bytes.into()).digest;
        COUNTS.lock().unwrap().remove(&digest).unwrap_or_default() - 1
    }
}
