//! Issues and verifies session tokens: JWTs with lakeFS's claims, signed with the installation's [`SigningKey`].
//!
//! Start and expiry are checked against the service's clock instead of the JWT library's.

use base::{IdGenerator, OffsetDateTime};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::keys::SigningKey;
use crate::{Error, Result};

const ISSUER: &str = "auth";
const AUDIENCE: &str = "login";
/// The only algorithm that signs tokens, and the only one that verifies them.
const ALGORITHM: Algorithm = Algorithm::HS256;
/// Longer tokens are rejected without parsing.
const MAX_TOKEN_BYTES: usize = 8192;

/// The claims of a session token, as in lakeFS: `aud` is a string, not a list.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    #[serde(default)]
    jti: String,
    #[serde(default)]
    iss: String,
    sub: String,
    #[serde(default)]
    aud: String,
    #[serde(default)]
    iat: i64,
    exp: i64,
    /// Not set in the tokens that this service issues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
}

/// Issues a token for a user.
pub(crate) fn issue(
    key: &SigningKey,
    username: &str,
    now: OffsetDateTime,
    expires: OffsetDateTime,
    ids: &dyn IdGenerator,
) -> String {
    let claims = Claims {
        jti: ids.uuid(),
        iss: ISSUER.to_owned(),
        sub: username.to_owned(),
        aud: AUDIENCE.to_owned(),
        iat: now.unix_timestamp(),
        exp: expires.unix_timestamp(),
        nbf: None,
    };
    jsonwebtoken::encode(
        &Header::new(ALGORITHM),
        &claims,
        &EncodingKey::from_secret(key.bytes()),
    )
    .expect("claims are plain JSON and the key is symmetric")
}

/// Verifies a token and returns its user name.
///
/// The token must have this service as its issuer and sessions as its audience. Other tokens signed with the same key,
/// such as lakeFS's password-reset tokens, are rejected.
///
/// # Errors
/// [`Error::Unauthenticated`] if the token is invalid for any reason.
pub(crate) fn verify(key: &SigningKey, token: &str, now: OffsetDateTime) -> Result<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Error::Unauthenticated);
    }
    let mut validation = Validation::new(ALGORITHM);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims = ["exp".to_owned()].into();
    let claims =
        jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(key.bytes()), &validation)
            .map_err(|_| Error::Unauthenticated)?
            .claims;
    let is_session = claims.iss == ISSUER && claims.aud == AUDIENCE;
    let now = now.unix_timestamp();
    let is_current = claims.exp > now && claims.nbf.is_none_or(|start| start <= now);
    if !is_session || !is_current || claims.sub.is_empty() {
        return Err(Error::Unauthenticated);
    }
    Ok(claims.sub)
}

/// Verifies a token, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn try_token(token: &str) {
    let key = SigningKey::of_lakefs("key");
    drop(verify(&key, token, OffsetDateTime::UNIX_EPOCH));
}

/// Signs arbitrary claims and verifies the resulting token, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn try_claims(claims: &[u8]) {
    use base64::Engine as _;
    let encode = |part: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims));
    let key = EncodingKey::from_secret(b"key");
    if let Ok(signature) = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256) {
        try_token(&format!("{message}.{signature}"));
    }
}

#[cfg(test)]
mod tests {

    use std::sync::Arc;
    use std::time::Duration;

    use base::{SeededIds, SystemClock};
    use serde_json::{Value, json};

    use super::*;

    fn key(text: &str) -> SigningKey {
        SigningKey::of_lakefs(text)
    }

    fn signed(claims: &Value) -> String {
        let key = EncodingKey::from_secret(b"key");
        jsonwebtoken::encode(&Header::default(), claims, &key).unwrap()
    }

    #[test]
    fn token_is_valid_until_it_expires_and_only_with_its_key() {
        let ids = SeededIds::new(7, Arc::new(SystemClock));
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1000);
        let expires = now + Duration::from_secs(60);
        let token = issue(&key("key"), "admin", now, expires, &ids);
        assert_eq!(verify(&key("key"), &token, now).unwrap(), "admin");
        assert!(verify(&key("key"), &token, expires).is_err());
        assert!(verify(&key("other"), &token, now).is_err());
        assert!(verify(&key("key"), &format!("{token}x"), now).is_err());
        assert!(verify(&key("key"), "", now).is_err());
    }

    #[test]
    fn unsigned_token_is_rejected() {
        // {"alg":"none"} . {"sub":"admin","exp":99999999999}
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImV4cCI6OTk5OTk5OTk5OTl9.";
        assert!(verify(&key("key"), unsigned, OffsetDateTime::UNIX_EPOCH).is_err());
    }

    /// Guards against a bug: tokens signed with HS384 and HS512 were accepted, although no server issues such tokens.
    #[test]
    fn token_signed_with_another_algorithm_is_rejected() {
        let claims = json!({"iss": "auth", "aud": "login", "sub": "admin", "exp": 99, "nbf": 0});
        for (algorithm, expected) in [
            (Algorithm::HS256, true),
            (Algorithm::HS384, false),
            (Algorithm::HS512, false),
        ] {
            let header = Header::new(algorithm);
            let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(b"key"));
            let verified = verify(&key("key"), &token.unwrap(), OffsetDateTime::UNIX_EPOCH);
            assert_eq!(verified.is_ok(), expected, "{algorithm:?}");
        }
    }

    #[test]
    fn token_with_another_issuer_or_audience_is_rejected() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let check = |claims: Value| verify(&key("key"), &signed(&claims), now);
        let whole = json!({"iss": "auth", "aud": "login", "sub": "admin", "exp": 99});
        assert_eq!(check(whole.clone()).unwrap(), "admin");
        for (claim, value) in [
            ("iss", Value::Null),
            ("iss", json!("")),
            ("iss", json!("export")),
            ("aud", Value::Null),
            ("aud", json!("")),
            ("aud", json!("reset_password")),
            ("aud", json!(["login"])),
            ("sub", json!("")),
            ("sub", Value::Null),
            ("exp", Value::Null),
            ("nbf", json!(1)),
            ("nbf", json!("soon")),
        ] {
            let mut claims = whole.clone();
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(claim),
                value => claims.as_object_mut().unwrap().insert(claim.into(), value),
            };
            assert!(check(claims.clone()).is_err(), "{claims}");
        }
    }
}
