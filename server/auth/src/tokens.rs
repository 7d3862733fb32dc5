//! Session tokens: JWTs signed with `auth.encrypt.secret_key`.
//!
//! Expiry is judged by the service's clock, not by the library's.

use base::{IdGenerator, OffsetDateTime};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const ISSUER: &str = "auth";
const AUDIENCE: &str = "login";
/// Longer tokens are not ours.
const MAX_TOKEN_BYTES: usize = 8192;

/// `aud` is a plain string, not a list: lakeFS's form.
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
}

/// Makes a token for a user.
pub(crate) fn issue(
    secret_key: &str,
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
    };
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(secret_key.as_bytes()),
    )
    .expect("claims are plain JSON and the key is symmetric")
}

/// The user name in a valid token.
///
/// # Errors
/// [`Error::Unauthenticated`], whatever is wrong with it.
pub(crate) fn verify(secret_key: &str, token: &str, now: OffsetDateTime) -> Result<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Error::Unauthenticated);
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims = ["exp".to_owned()].into();
    let claims = jsonwebtoken::decode::<Claims>(
        token,
        &DecodingKey::from_secret(secret_key.as_bytes()),
        &validation,
    )
    .map_err(|_| Error::Unauthenticated)?
    .claims;
    let audience_fits = claims.aud.is_empty() || claims.aud == AUDIENCE;
    if !audience_fits || claims.exp <= now.unix_timestamp() || claims.sub.is_empty() {
        return Err(Error::Unauthenticated);
    }
    Ok(claims.sub)
}

/// Verifies a token, for [`crate::fuzzing`].
pub(crate) fn try_token(token: &str) {
    drop(verify("key", token, OffsetDateTime::UNIX_EPOCH));
}

/// Signs claims, whatever they are, and verifies the token that they make.
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

    use super::*;

    #[test]
    fn a_token_holds_until_it_expires_and_only_under_its_key() {
        let ids = SeededIds::new(7, Arc::new(SystemClock));
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1000);
        let token = issue("key", "admin", now, now + Duration::from_secs(60), &ids);
        assert_eq!(verify("key", &token, now).unwrap(), "admin");
        assert!(verify("key", &token, now + Duration::from_secs(60)).is_err());
        assert!(verify("other", &token, now).is_err());
        assert!(verify("key", &format!("{token}x"), now).is_err());
        assert!(verify("key", "", now).is_err());
    }

    #[test]
    fn a_token_without_signature_or_for_another_audience_is_refused() {
        let now = OffsetDateTime::UNIX_EPOCH;
        // {"alg":"none"} . {"sub":"admin","exp":99999999999}
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImV4cCI6OTk5OTk5OTk5OTl9.";
        assert!(verify("key", unsigned, now).is_err());
        let claims = Claims {
            jti: String::new(),
            iss: ISSUER.into(),
            sub: "admin".into(),
            aud: "reset".into(),
            iat: 0,
            exp: 99,
        };
        let other = jsonwebtoken::encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(b"key"),
        )
        .unwrap();
        assert!(verify("key", &other, now).is_err());
    }
}
