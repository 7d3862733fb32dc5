//! Repositories and their metadata.

use api_types as types;
use auth::arn;
use axum::Json;
use axum::extract::State;
use catalog::{BranchId, CreateRepository, RepositoryId};
use http::StatusCode;

use crate::error::{Result, parsed};
use crate::extract::{Body, Caller, Params, Path};
use crate::{ApiState, convert};

const DEFAULT_BRANCH: &str = "main";

pub(crate) async fn list_repositories(
    State(api): State<ApiState>,
    caller: Caller,
    params: Params,
) -> Result<Json<types::RepositoryList>> {
    let scope = api.auth.scope(&caller.0, "fs:ListRepositories").await?;
    let is_visible = |id: &RepositoryId| scope.covers(&arn::repository(id.as_str()));
    let (prefix, after, search) = (
        params.text("prefix"),
        params.text("after"),
        params.text("search"),
    );
    let page = api
        .catalog
        .list_visible_repositories(prefix, after, search, params.amount(), is_visible)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::RepositoryList {
        pagination,
        results: page.map(convert::repository).results,
    }))
}

pub(crate) async fn create_repository(
    State(api): State<ApiState>,
    caller: Caller,
    params: Params,
    Body(body): Body<types::RepositoryCreation>,
) -> Result<(StatusCode, Json<types::Repository>)> {
    let request = CreateRepository {
        id: parsed(RepositoryId::parse(&body.name))?,
        default_branch: parsed(BranchId::parse(
            body.default_branch.as_deref().unwrap_or(DEFAULT_BRANCH),
        ))?,
        storage_namespace: body.storage_namespace,
        read_only: body.read_only.unwrap_or(false),
        bare: params.flag("bare"),
        storage_id: body.storage_id.unwrap_or_default(),
        creator: caller.0.committer.clone(),
    };
    let bare = request.bare;
    let made = api.catalog.create_repository(request).await?;
    if body.sample_data.unwrap_or(false) && !bare {
        api.catalog
            .add_sample_data(&made, &caller.0.committer)
            .await?;
    }
    Ok((StatusCode::CREATED, Json(convert::repository(made))))
}

pub(crate) async fn get_repository(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<types::Repository>> {
    let repository = api.catalog.repository(&id).await?;
    Ok(Json(convert::repository(repository)))
}

pub(crate) async fn delete_repository(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode> {
    api.catalog
        .delete_repository(&id, params.flag("force"))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn get_metadata(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<types::RepositoryMetadata>> {
    let repository = api.catalog.repository(&id).await?;
    Ok(Json(api.catalog.repository_metadata(&repository).await?))
}

pub(crate) async fn set_metadata(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    Body(body): Body<types::RepositoryMetadataSet>,
) -> Result<StatusCode> {
    let repository = api.catalog.repository(&id).await?;
    api.catalog
        .set_repository_metadata(&repository, body.metadata)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_metadata(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    Body(body): Body<types::RepositoryMetadataKeys>,
) -> Result<StatusCode> {
    let repository = api.catalog.repository(&id).await?;
    api.catalog
        .delete_repository_metadata(&repository, &body.keys)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
