//! Checks of addresses, which become paths of files.

use crate::{Error, Result};

/// Removes one trailing slash from a namespace and checks that it has a name.
///
/// # Errors
/// [`Error::InvalidAddress`] if it is only a scheme.
pub(crate) fn require_name<'a>(scheme: &str, namespace: &'a str) -> Result<&'a str> {
    match namespace.strip_prefix(scheme) {
        Some("" | "/") => Err(Error::invalid(
            namespace,
            format!("the name after {scheme} is missing"),
        )),
        _ => Ok(namespace.strip_suffix('/').unwrap_or(namespace)),
    }
}

/// Maximum length of an address after the scheme, in bytes. Together with the store's folder it stays
/// within the path limit of file systems.
const MAX_PATH_BYTES: usize = 3072;
/// Maximum length of a segment, in bytes.
const MAX_SEGMENT_BYTES: usize = 255;

/// Checks that every segment of `path` is a plain name. `path` is the part of `address` after the scheme.
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
            _ if segment.contains('\0') => "a segment contains a NUL byte",
            _ => continue,
        };
        return Err(Error::invalid(address, reason));
    }
    Ok(())
}
