//! Users and access keys, limited to the single administrator of this server.

use api_types as types;
use auth::arn;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Caller, Params, Path};
use crate::{ApiState, convert};

pub(crate) async fn list_users(
    State(api): State<ApiState>,
    caller: Caller,
    params: Params,
) -> Result<Json<types::UserList>> {
    api.authorize(&caller, [("auth:ListUsers", arn::all())])
        .await?;
    let page = api
        .auth
        .list_users(params.text("prefix"), params.text("after"), params.amount())
        .await?;
    // lakeFS reports 0 here when it has a single administrator.
    let pagination = types::Pagination {
        max_per_page: 0,
        ..convert::pagination(&page)
    };
    Ok(Json(types::UserList {
        pagination,
        results: page.results.into_iter().map(convert::user).collect(),
    }))
}

/// Always fails, because the only user exists already.
pub(crate) async fn create_user(
    State(api): State<ApiState>,
    caller: Caller,
    Body(body): Body<types::UserCreation>,
) -> Result<StatusCode> {
    api.authorize(&caller, [("auth:CreateUser", arn::user(&body.id))])
        .await?;
    Err(auth::Error::AlreadyExists("this server's one user".to_owned()).into())
}

pub(crate) async fn get_user(
    State(api): State<ApiState>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<types::User>> {
    api.authorize(&caller, [("auth:ReadUser", arn::user(&user))])
        .await?;
    let user = api.auth.user(&user).await?;
    Ok(Json(convert::user(user)))
}

pub(crate) async fn create_credentials(
    State(api): State<ApiState>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<(StatusCode, Json<types::CredentialsWithSecret>)> {
    api.authorize(&caller, [("auth:CreateCredentials", arn::user(&user))])
        .await?;
    let made = api.auth.create_credentials(&user).await;
    let made = made.during(During::CreateCredentials)?;
    Ok((StatusCode::CREATED, Json(convert::new_key(made))))
}

pub(crate) async fn get_credentials(
    State(api): State<ApiState>,
    caller: Caller,
    Path((user, key)): Path<(String, String)>,
) -> Result<Json<types::Credentials>> {
    api.authorize(&caller, [("auth:ReadCredentials", arn::user(&user))])
        .await?;
    let found = api.auth.credentials(&user, &key).await?;
    let creation_date = found.issued.unix_timestamp();
    Ok(Json(types::Credentials {
        access_key_id: found.access_key_id,
        creation_date,
    }))
}
