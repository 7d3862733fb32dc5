//! The parsers of this crate as functions of bytes, for `tests/fuzz`.

/// The address of an object, or of a namespace.
pub fn address(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::local::try_address(text);
    }
}
