//! Symlink files, for engines that read a branch directly from the store.

use api_types as types;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::SharedState;
use crate::error::Result;
use crate::extract::Path;
use crate::query::{CreateSymlinkFileQuery, Query};

pub(crate) async fn create_symlink_file(
    State(api): State<SharedState>,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<CreateSymlinkFileQuery>,
) -> Result<(StatusCode, Json<types::StorageURI>)> {
    let location = &query.location;
    let repository = api.reader().repository(&id).await?;
    let location = api
        .catalog
        .export_symlinks(&repository, &branch, location)
        .await?;
    Ok((StatusCode::CREATED, Json(types::StorageURI { location })))
}
