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
use crate::site::is_client_using_https;
use crate::{SharedState, convert};

const COOKIE_DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

pub(crate) async fn login(
    State(api): State<SharedState>,
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
        session_cookie(&token, expires, is_client_using_https(&headers))?,
    )]);
    Ok((
        headers,
        Json(types::AuthenticationToken {
            token,
            token_expiration: Some(expires.unix_timestamp()),
        }),
    ))
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
    State(api): State<SharedState>,
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
