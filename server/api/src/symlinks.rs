//! Symlink files, for engines that read a branch directly from the store.

use api_types as types;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::ApiState;
use crate::error::Result;
use crate::extract::{Params, Path};

pub(crate) async fn create_symlink_file(
    State(api): State<ApiState>,
    Path((id, branch)): Path<(String, String)>,
    params: Params,
) -> Result<(StatusCode, Json<types::StorageURI>)> {
    let location = params.text("location");
    let repository = api.catalog.repository(&id).await?;
    let location = api
        .catalog
        .export_symlinks(&repository, &branch, location)
        .await?;
    Ok((StatusCode::CREATED, Json(types::StorageURI { location })))
}
