//! Login and the current user.

use api_types as types;
use axum::Json;
use axum::extract::State;
use base::OffsetDateTime;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::error::{Context as _, During, Error, Result};
use crate::extract::{Caller, MaybeBody, SESSION_COOKIE};
use crate::{ApiState, convert};

const COOKIE_DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

pub(crate) async fn login(
    State(api): State<ApiState>,
    headers: HeaderMap,
    MaybeBody(body): MaybeBody<types::LoginInformation>,
) -> Result<(HeaderMap, Json<types::AuthenticationToken>)> {
    let key = body.ok_or(auth::Error::Unauthenticated)?;
    let (token, expires) = match api
        .auth
        .login(&key.access_key_id, &key.secret_access_key)
        .await
    {
        Err(auth::Error::Unauthenticated) if !api.auth.setup_state().await?.initialized => {
            return Err(auth::Error::Unauthenticated).during(During::FirstStart);
        }
        done => done?,
    };
    let headers = HeaderMap::from_iter([(
        SET_COOKIE,
        session_cookie(
            &token,
            expires,
            api.options.secure_cookies || came_by_https(&headers),
        )?,
    )]);
    Ok((
        headers,
        Json(types::AuthenticationToken {
            token,
            token_expiration: Some(expires.unix_timestamp()),
        }),
    ))
}

/// Whether a proxy says that the client uses HTTPS. The header needs no trust: a client that lies gets a cookie that its
/// browser keeps to itself.
fn came_by_https(headers: &HeaderMap) -> bool {
    let value = headers.get("x-forwarded-proto");
    let value = value.and_then(|value| value.to_str().ok());
    // Each proxy of a chain appends its own; the first is the one that the client talks to.
    let first = value.and_then(|value| value.split(',').next());
    first.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// The session cookie: not accessible to scripts (`HttpOnly`), and not sent with forms of other sites (`SameSite`).
fn session_cookie(token: &str, expires: OffsetDateTime, secure: bool) -> Result<HeaderValue> {
    let expires = expires
        .to_offset(time::UtcOffset::UTC)
        .format(COOKIE_DATE)
        .unwrap_or_default();
    let secure = if secure { "; Secure" } else { "" };
    let text = format!(
        "{SESSION_COOKIE}={token}; Path=/; Expires={expires}; HttpOnly; SameSite=Lax{secure}"
    );
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::Invalid("the token is not a valid cookie value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) async fn get_current_user(
    State(api): State<ApiState>,
    Caller(who): Caller,
) -> Result<Json<types::CurrentUser>> {
    let user = api.auth.user(&who.username).await?;
    Ok(Json(types::CurrentUser {
        user: convert::user(user),
    }))
}

pub(crate) async fn get_auth_capabilities() -> Json<types::AuthCapabilities> {
    Json(types::AuthCapabilities {
        invite_user: Some(false),
        forgot_password: Some(false),
    })
}

#[cfg(test)]
mod tests {
    use base::OffsetDateTime;

    #[test]
    fn cookie_is_secure_behind_a_proxy_with_https() {
        for (value, expected) in [
            ("https", true),
            ("HTTPS , http", true),
            ("http", false),
            ("http, https", false),
            ("", false),
        ] {
            let value = http::HeaderValue::from_static(value);
            let name = http::HeaderName::from_static("x-forwarded-proto");
            let headers = http::HeaderMap::from_iter([(name, value)]);
            assert_eq!(super::came_by_https(&headers), expected, "{headers:?}");
        }
        assert!(!super::came_by_https(&http::HeaderMap::new()));
    }

    #[test]
    fn session_cookie_has_its_attributes_and_is_redacted() {
        let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a time");
        let cookie = |secure| super::session_cookie("t.o.k", at, secure).expect("a cookie");
        assert_eq!(
            cookie(false),
            "internal_auth_session=t.o.k; Path=/; Expires=Tue, 14 Nov 2023 22:13:20 GMT; HttpOnly; SameSite=Lax"
        );
        assert!(cookie(true).to_str().expect("ASCII").ends_with("; Secure"));
        assert!(
            !format!("{:?}", cookie(false)).contains("t.o.k"),
            "cookies are secret"
        );
    }
}
