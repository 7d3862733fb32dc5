//! Entry points for the fuzzer in `tests/fuzz`: the parsers of this crate as functions of bytes.

use base::from_timestamp_or_epoch;
use prost::Message as _;

use crate::records::{CredentialData, UserData};

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
                let _created = from_timestamp_or_epoch(user.created_at.as_ref());
            }
        }
        _ => {
            if let Ok(credential) = CredentialData::decode(rest) {
                let _issued = from_timestamp_or_epoch(credential.issued_date.as_ref());
            }
        }
    }
}
