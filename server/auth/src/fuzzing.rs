//! Entry points for the fuzzer in `tests/fuzz`: the parsers of this crate as functions of bytes.

use prost::Message as _;

use crate::records::{CredentialData, UserData, instant};

/// Parses a session token, the claims of a correctly signed token, or a stored record. The first byte selects which.
pub fn session(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => crate::tokens::try_token(&String::from_utf8_lossy(rest)),
        1 => crate::tokens::try_claims(rest),
        2 => {
            if let Ok(user) = UserData::decode(rest) {
                instant(user.created_at.as_ref());
            }
        }
        _ => {
            if let Ok(credential) = CredentialData::decode(rest) {
                instant(credential.issued_date.as_ref());
            }
        }
    }
}
