//! Full addresses of objects: `scheme://namespace/key`.

use std::fmt;

/// A full object address such as `local://lake/data/x`, checked for its form only.
///
/// The store that opens it refuses a scheme that is not its own and a path that
/// would leave its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(String);

impl Location {
    /// The object `key` below `namespace` (a URI with or without a trailing slash).
    #[must_use]
    pub fn below(namespace: &str, key: &str) -> Self {
        Self(format!("{}/{key}", namespace.trim_end_matches('/')))
    }

    /// A complete address.
    #[must_use]
    pub fn full(address: &str) -> Self {
        Self(address.to_owned())
    }

    /// The address as text.
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
