//! Entry points for the fuzzer in `tests/fuzz`: the parsers of this crate as functions of bytes.

/// Resolves the address of an object or a namespace.
pub fn address(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::local::try_address(text);
    }
}
