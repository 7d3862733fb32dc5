//! Full addresses of objects: `scheme://namespace/key`.

use std::fmt;

use crate::{Error, Result};

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

/// A namespace without slashes at its end.
pub(crate) fn trimmed(namespace: &str) -> String {
    namespace.trim_end_matches('/').to_owned()
}

/// A namespace without the slash at its end.
///
/// # Errors
/// [`Error::InvalidAddress`] if it is nothing but its scheme.
pub(crate) fn named<'a>(scheme: &str, namespace: &'a str) -> Result<&'a str> {
    match namespace.strip_prefix(scheme) {
        Some("" | "/") => Err(Error::invalid(
            namespace,
            format!("it names nothing behind {scheme}"),
        )),
        _ => Ok(namespace.strip_suffix('/').unwrap_or(namespace)),
    }
}

/// The longest address behind its scheme, in bytes: with a store's folder before it, it
/// stays within what file systems take.
const MAX_PATH_BYTES: usize = 3072;
/// The longest segment of an address, in bytes.
const MAX_SEGMENT_BYTES: usize = 255;

/// Checks that `path`, the part of `address` behind the scheme, names one place below the
/// store's: each segment is a plain name.
pub(crate) fn check_segments(address: &str, path: &str) -> Result<()> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Error::invalid(
            address,
            format!("it is longer than {MAX_PATH_BYTES} bytes"),
        ));
    }
    for segment in path.split('/') {
        let reason = match segment {
            "" => "a segment is empty",
            "." | ".." => "a segment is relative",
            _ if segment.len() > MAX_SEGMENT_BYTES => "a segment is longer than 255 bytes",
            _ if segment.contains('\0') => "a segment holds a NUL",
            _ => continue,
        };
        return Err(Error::invalid(address, reason));
    }
    Ok(())
}
