//! Encrypts stored secrets, in lakeFS's format: `salt(8) || nonce(24) || NaCl secretbox`. The key is derived with scrypt
//! from `auth.encrypt.secret_key`.

use base::IdGenerator;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};

use crate::{Error, Result};

const SALT_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// log2 of scrypt's N (512). The format fixes N, r and p.
const SCRYPT_LOG_N: u8 = 9;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;

/// Encrypts `plain` with a new salt and nonce.
pub(crate) fn seal(secret_key: &str, plain: &[u8], ids: &dyn IdGenerator) -> Vec<u8> {
    let mut out = vec![0; SALT_BYTES + NONCE_BYTES];
    ids.random_bytes(&mut out);
    let (salt, nonce) = out.split_at(SALT_BYTES);
    let sealed = cipher(secret_key, salt)
        .encrypt(Nonce::from_slice(nonce), plain)
        .expect("encrypting in memory cannot fail");
    out.extend_from_slice(&sealed);
    out
}

/// Decrypts a secret that [`seal`] or lakeFS has encrypted.
pub(crate) fn open(secret_key: &str, stored: &[u8]) -> Result<String> {
    if stored.len() < SALT_BYTES + NONCE_BYTES {
        return Err(Error::Secret);
    }
    let (salt, rest) = stored.split_at(SALT_BYTES);
    let (nonce, sealed) = rest.split_at(NONCE_BYTES);
    let plain = cipher(secret_key, salt)
        .decrypt(Nonce::from_slice(nonce), sealed)
        .map_err(|_| Error::Secret)?;
    String::from_utf8(plain).map_err(|_| Error::Secret)
}

fn cipher(secret_key: &str, salt: &[u8]) -> XSalsa20Poly1305 {
    let params = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, KEY_BYTES)
        .expect("the constants are within scrypt's limits");
    let mut key = [0; KEY_BYTES];
    scrypt::scrypt(secret_key.as_bytes(), salt, &params, &mut key)
        .expect("32 bytes are a valid output length");
    XSalsa20Poly1305::new((&key).into())
}

/// Generates an access key id: `AKIAJ`, 14 characters of `A-Z2-7`, `Q`.
pub(crate) fn new_access_key_id(ids: &dyn IdGenerator) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut random = [0; 14];
    ids.random_bytes(&mut random);
    let middle: String = random
        .iter()
        .map(|b| char::from(ALPHABET[usize::from(b % 32)]))
        .collect();
    format!("AKIAJ{middle}Q")
}

/// Generates a secret: 30 random bytes in base64, which are 40 characters.
pub(crate) fn new_secret(ids: &dyn IdGenerator) -> String {
    use base64::Engine as _;
    let mut random = [0; 30];
    ids.random_bytes(&mut random);
    base64::engine::general_purpose::STANDARD.encode(random)
}

#[cfg(test)]
mod tests {

    use std::sync::Arc;

    use base::{SeededIds, SystemClock};

    use super::*;

    /// A credential that lakeFS 1.84 encrypted with the key `some_random_secret`.
    const STORED_BY_LAKEFS: &str = "70e17fc8a390e7eebd4c98bf92fdddb14f0b46c4f2bd447bd6ec61ed08535450d60592c44c0bee321825acb2d2dbb591ea12b556ba0c468299b92d676a5f3362f4867dcd2e051b93002d9ab977eb232dd533b8be1af81a3b";

    #[test]
    fn secret_encrypted_by_lakefs_is_decrypted() {
        let stored = hex::decode(STORED_BY_LAKEFS).unwrap();
        assert_eq!(
            open("some_random_secret", &stored).unwrap(),
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        );
    }

    #[test]
    fn wrong_key_and_damaged_bytes_are_rejected() {
        let mut stored = hex::decode(STORED_BY_LAKEFS).unwrap();
        assert!(matches!(open("another", &stored), Err(Error::Secret)));
        let last = stored.len() - 1;
        stored[last] ^= 1;
        assert!(matches!(
            open("some_random_secret", &stored),
            Err(Error::Secret)
        ));
        assert!(matches!(
            open("some_random_secret", &stored[..20]),
            Err(Error::Secret)
        ));
    }

    #[test]
    fn encryption_differs_each_time_and_round_trips() {
        let ids = SeededIds::new(1, Arc::new(SystemClock));
        let (a, b) = (seal("k", b"secret", &ids), seal("k", b"secret", &ids));
        assert_ne!(a, b);
        assert_eq!(open("k", &a).unwrap(), "secret");
        assert_eq!(open("k", &b).unwrap(), "secret");
    }

    #[test]
    fn keys_have_the_format_that_clients_check() {
        let ids = SeededIds::new(1, Arc::new(SystemClock));
        let id = new_access_key_id(&ids);
        assert_eq!(id.len(), 20);
        assert!(id.starts_with("AKIAJ") && id.ends_with('Q'), "{id}");
        assert_eq!(new_secret(&ids).len(), 40);
    }
}
