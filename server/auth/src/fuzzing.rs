//! The parsers of this crate as functions of bytes, for `tests/fuzz`.

use prost::Message as _;

use crate::records::{CredentialData, UserData, instant};

/// A session token, as it comes or with a right signature, or a stored record: the first byte tells which.
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
