//! Entry points for the fuzzer in `tests/fuzz`: the parsers of this crate as functions of bytes.

/// Resolves the address of an object or a namespace.
pub fn address(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::local::try_address(text);
    }
}

/// Parses the small files that the local store keeps beside the parts of an upload.
pub fn upload_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::local::try_upload_file(text);
    }
}
