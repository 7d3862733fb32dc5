//! Repositories and their metadata.

use api_types as types;
use auth::arn;
use axum::Json;
use axum::extract::State;
use catalog::{BranchId, CreateRepository, RepositoryId};
use http::StatusCode;

use crate::error::{Result, parsed};
use crate::extract::{Body, Caller, Path};
use crate::query::{CreateRepositoryQuery, DeleteRepositoryQuery, ListRepositoriesQuery, Query};
use crate::{SharedState, convert};

const DEFAULT_BRANCH: &str = "main";

pub(crate) async fn list_repositories(
    State(api): State<SharedState>,
    caller: Caller,
    Query(query): Query<ListRepositoriesQuery>,
) -> Result<Json<types::RepositoryList>> {
    let scope = api.auth.scope(&caller.0, "fs:ListRepositories").await?;
    let is_visible = |id: &RepositoryId| scope.covers(&arn::repository(id.as_str()));
    let (prefix, after, search) = (&query.prefix, &query.after, &query.search);
    let page = api
        .reader()
        .list_visible_repositories(prefix, after, search, query.amount, is_visible)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::RepositoryList {
        pagination,
        results: page.map(convert::repository).results,
    }))
}

pub(crate) async fn create_repository(
    State(api): State<SharedState>,
    caller: Caller,
    Query(query): Query<CreateRepositoryQuery>,
    Body(body): Body<types::RepositoryCreation>,
) -> Result<(StatusCode, Json<types::Repository>)> {
    let request = CreateRepository {
        id: parsed(RepositoryId::parse(&body.name))?,
        default_branch: parsed(BranchId::parse(
            body.default_branch.as_deref().unwrap_or(DEFAULT_BRANCH),
        ))?,
        storage_namespace: body.storage_namespace,
        read_only: body.read_only.unwrap_or(false),
        bare: query.bare.unwrap_or(false),
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
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<Json<types::Repository>> {
    let repository = api.reader().repository(&id).await?;
    Ok(Json(convert::repository(repository)))
}

pub(crate) async fn delete_repository(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<DeleteRepositoryQuery>,
) -> Result<StatusCode> {
    api.catalog
        .delete_repository(&id, query.force.unwrap_or(false))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn get_metadata(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<Json<types::RepositoryMetadata>> {
    let repository = api.reader().repository(&id).await?;
    Ok(Json(api.catalog.repository_metadata(&repository).await?))
}

pub(crate) async fn set_metadata(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Body(body): Body<types::RepositoryMetadataSet>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .set_repository_metadata(&repository, body.metadata)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_metadata(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Body(body): Body<types::RepositoryMetadataKeys>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .delete_repository_metadata(&repository, &body.keys)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers whether the caller may change settings of a repository. The guard has already checked the permission, so
/// this handler only checks that the repository exists.
pub(crate) async fn may_set(
    State(api): State<SharedState>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    api.reader().repository(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
