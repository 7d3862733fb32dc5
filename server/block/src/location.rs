//! Addresses of objects: `scheme://namespace/key`.

use std::fmt;

/// A complete object address such as `local://lake/data/x`. It is not checked on creation.
///
/// The store checks the scheme, and that the path does not lead outside the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(String);

impl Location {
    /// Returns the address of `key` below `namespace`, a URI with or without trailing slash.
    #[must_use]
    pub fn below(namespace: &str, key: &str) -> Self {
        Self(format!("{}/{key}", namespace.trim_end_matches('/')))
    }

    /// Wraps a complete address.
    #[must_use]
    pub fn full(address: &str) -> Self {
        Self(address.to_owned())
    }

    /// Returns the address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Removes trailing slashes from a namespace.
pub(crate) fn trim_slashes(namespace: &str) -> String {
    namespace.trim_end_matches('/').to_owned()
}
