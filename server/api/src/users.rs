//! Users and access keys. This server has exactly one user, the administrator.

use api_types as types;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Path};
use crate::query::{ListUsersQuery, Query};
use crate::{SharedState, convert};

pub(crate) async fn list_users(
    State(api): State<SharedState>,
    Query(query): Query<ListUsersQuery>,
) -> Result<Json<types::UserList>> {
    let page = api
        .auth
        .list_users(&query.prefix, &query.after, query.amount)
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
pub(crate) async fn create_user(_: Body<types::UserCreation>) -> Result<StatusCode> {
    Err(auth::Error::AlreadyExists("this server's one user".to_owned()).into())
}

pub(crate) async fn get_user(
    State(api): State<SharedState>,
    Path(user): Path<String>,
) -> Result<Json<types::User>> {
    let user = api.auth.user(&user).await?;
    Ok(Json(convert::user(user)))
}

pub(crate) async fn create_credentials(
    State(api): State<SharedState>,
    Path(user): Path<String>,
) -> Result<(StatusCode, Json<types::CredentialsWithSecret>)> {
    let made = api.auth.create_credentials(&user).await;
    let made = made.during(During::CreateCredentials)?;
    Ok((StatusCode::CREATED, Json(convert::new_key(made))))
}

pub(crate) async fn get_credentials(
    State(api): State<SharedState>,
    Path((user, key)): Path<(String, String)>,
) -> Result<Json<types::Credentials>> {
    let found = api.auth.credentials(&user, &key).await?;
    let creation_date = found.issued.unix_timestamp();
    Ok(Json(types::Credentials {
        access_key_id: found.access_key_id,
        creation_date,
    }))
}
