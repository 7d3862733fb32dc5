//! Entry points for the fuzzer in `tests/fuzz`: the parsers of this crate as functions of bytes.

/// Parses a PostgreSQL connection string.
pub fn connection_string(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::postgres::try_connection_string(text);
    }
}
