//! Tags.

use api_types as types;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::error::{Context as _, During, Result};
use crate::extract::{Body, Caller, Path};
use crate::query::{DeleteTagQuery, ListTagsQuery, Query};
use crate::{SharedState, convert};

pub(crate) async fn list_tags(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<ListTagsQuery>,
) -> Result<Json<types::RefList>> {
    let repository = api.reader().repository(&id).await?;
    let page = api
        .reader()
        .list_tags(&repository, &query.prefix, &query.after, query.amount)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::RefList {
        pagination,
        results: page.results.iter().map(convert::tag).collect(),
    }))
}

pub(crate) async fn create_tag(
    State(api): State<SharedState>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<types::TagCreation>,
) -> Result<(StatusCode, Json<types::Ref>)> {
    let repository = api.reader().repository(&id).await?;
    let force = body.force.unwrap_or(false);
    let tag = api
        .catalog
        .create_tag(
            &repository,
            &body.id,
            &body.r#ref,
            force,
            &caller.0.committer,
        )
        .await
        .during(During::CreateTag)?;
    Ok((StatusCode::CREATED, Json(convert::tag(&tag))))
}

pub(crate) async fn get_tag(
    State(api): State<SharedState>,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Json<types::Ref>> {
    let repository = api.reader().repository(&id).await?;
    Ok(Json(convert::tag(
        &api.reader().tag(&repository, &tag).await?,
    )))
}

pub(crate) async fn delete_tag(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
    Query(query): Query<DeleteTagQuery>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    api.catalog
        .delete_tag(
            &repository,
            &tag,
            query.force.unwrap_or(false),
            &caller.0.committer,
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
