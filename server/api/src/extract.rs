//! Extractors for handlers: the caller, the path, a JSON body. The module `query` contains the extractors for query
//! parameters.
//!
//! The guard authenticates the caller and validates the body before the handler runs. The extractors for the caller and
//! the body only read the results of the guard.

use std::sync::Arc;

use auth::{Auth, Principal};
use axum::extract::{FromRequestParts, Path as AxumPath};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// The session cookie. Its value is the session token.
pub(crate) const SESSION_COOKIE: &str = "internal_auth_session";

/// Authenticates the caller by the header `Authorization` (basic or bearer) if present, otherwise by the session cookie.
pub(crate) async fn authenticate(auth: &Auth, headers: &HeaderMap) -> Result<Principal> {
    let Some(given) = headers.get(AUTHORIZATION) else {
        let token = session_cookie(headers).ok_or(auth::Error::Unauthenticated)?;
        return Ok(auth.authenticate_token(token).await?);
    };
    let given = given.to_str().map_err(|_| auth::Error::Unauthenticated)?;
    match scheme(given) {
        Some(Scheme::Basic(key, secret)) => Ok(auth.authenticate_key(&key, &secret).await?),
        Some(Scheme::Bearer(token)) => Ok(auth.authenticate_token(token).await?),
        None => Err(auth::Error::Unauthenticated.into()),
    }
}

enum Scheme<'a> {
    Basic(String, String),
    Bearer(&'a str),
}

fn scheme(header: &str) -> Option<Scheme<'_>> {
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Scheme::Bearer(value.trim()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (key, secret) = decoded.split_once(':')?;
    Some(Scheme::Basic(key.to_owned(), secret.to_owned()))
}

/// The session token from the session cookie.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == SESSION_COOKIE && !value.is_empty())
        .map(|(_, value)| value)
}

/// Parses the credentials of a request, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn try_credentials(headers: &HeaderMap) {
    session_cookie(headers);
    if let Some(Ok(given)) = headers.get(AUTHORIZATION).map(http::HeaderValue::to_str) {
        scheme(given);
    }
}

/// The authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| auth::Error::Unauthenticated.into())
    }
}

/// Parts of the path, percent-decoded.
#[derive(Debug, FromRequestParts)]
#[from_request(via(AxumPath), rejection(Error))]
pub(crate) struct Path<T>(pub(crate) T);

/// The JSON body as read by the guard.
#[derive(Debug, Clone)]
pub(crate) struct ParsedBody(pub(crate) Arc<Value>);

/// A JSON body converted to the operation's type.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// An optional JSON body.
#[derive(Debug)]
pub(crate) struct MaybeBody<T>(pub(crate) Option<T>);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for MaybeBody<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(ParsedBody(value)) = parts.extensions.get::<ParsedBody>() else {
            return Ok(Self(None));
        };
        let body = T::deserialize(&**value)
            .map_err(|e| Error::Invalid(format!("request body has an error: {e}")))?;
        Ok(Self(Some(body)))
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Body<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let MaybeBody(body) = MaybeBody::from_request_parts(parts, state).await?;
        let missing = || {
            Error::Invalid("request body has an error: value is required but missing".to_owned())
        };
        body.map(Self).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::{Scheme, scheme, session_cookie};
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn authorization_schemes_are_parsed() {
        assert!(
            matches!(scheme("Basic YTpiOmM="), Some(Scheme::Basic(k, s)) if k == "a" && s == "b:c")
        );
        assert!(matches!(
            scheme("bearer x.y.z"),
            Some(Scheme::Bearer("x.y.z"))
        ));
        for bad in ["Basic !!!", "Basic YQ==", "Digest x", "Basic", ""] {
            assert!(scheme(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn session_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(
            "cookie",
            HeaderValue::from_static("a=b; internal_auth_session=t=1; c=d"),
        );
        assert_eq!(session_cookie(&headers), Some("t=1"));
        let mut other = HeaderMap::new();
        other.append(
            "cookie",
            HeaderValue::from_static("xinternal_auth_session=t; internal_auth_session="),
        );
        assert_eq!(session_cookie(&other), None);
    }
}
