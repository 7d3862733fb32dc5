//! Objects without their bytes: stat, list, delete, copy.

use api_types as types;
use auth::{Permission, arn};
use axum::Json;
use axum::extract::State;
use catalog::{ListRequest, ObjectTarget, WriteOptions};
use http::StatusCode;

use crate::error::{Error, MAX_ERROR_TEXT_BYTES, Result};
use crate::extract::{Body, Caller, Path};
use crate::query::{
    CopyObjectQuery, DeleteObjectQuery, DeleteObjectsQuery, ListObjectsQuery, Query,
    StatObjectQuery,
};
use crate::{ApiState, SharedState, convert};

/// The maximum number of paths that one request may delete.
const MAX_DELETE_PATHS: usize = 1000;

pub(crate) async fn stat_object(
    State(api): State<SharedState>,
    Path((id, reference)): Path<(String, String)>,
    Query(query): Query<StatObjectQuery>,
) -> Result<Json<types::ObjectStats>> {
    let path = &query.path;
    refuse_presign(&api, query.presign)?;
    catalog::check_path(path)?;
    let repository = api.reader().repository(&id).await?;
    let object = api.reader().stat(&repository, &reference, path).await?;
    Ok(Json(convert::object(
        object,
        query.user_metadata.unwrap_or(true),
    )))
}

pub(crate) async fn list_objects(
    State(api): State<SharedState>,
    Path((id, reference)): Path<(String, String)>,
    Query(query): Query<ListObjectsQuery>,
) -> Result<Json<types::ObjectStatsList>> {
    refuse_presign(&api, query.presign)?;
    let repository = api.reader().repository(&id).await?;
    let request = ListRequest {
        prefix: query.prefix.clone(),
        after: query.after.clone(),
        delimiter: query.delimiter.clone(),
        limit: query.amount,
    };
    let page = api
        .reader()
        .list_objects(&repository, &reference, &request)
        .await?;
    let (pagination, metadata) = (
        convert::pagination(&page),
        query.user_metadata.unwrap_or(true),
    );
    Ok(Json(types::ObjectStatsList {
        pagination,
        results: page.map(|row| convert::row(row, metadata)).results,
    }))
}

/// Refuses `presign=true`. Presigned URLs are not implemented yet for any store.
pub(crate) fn refuse_presign(api: &ApiState, presign: Option<bool>) -> Result<()> {
    if presign != Some(true) {
        return Ok(());
    }
    let info = api.reader().store_info();
    if info.presign_support {
        return Err(Error::NotImplemented("presign"));
    }
    Err(Error::NoPresign(info.kind))
}

pub(crate) async fn delete_object(
    State(api): State<SharedState>,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<DeleteObjectQuery>,
) -> Result<StatusCode> {
    let path = &query.path;
    catalog::check_path_length(path)?;
    let repository = api.reader().repository(&id).await?;
    let options = WriteOptions {
        force: query.force.unwrap_or(false),
    };
    api.catalog
        .delete_objects(&repository, &branch, &[path.to_owned()], options)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes the objects that the caller may delete and whose paths are not too long, and lists the others as errors.
pub(crate) async fn delete_objects(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<DeleteObjectsQuery>,
    Body(body): Body<types::PathList>,
) -> Result<Json<types::ObjectErrorList>> {
    if body.paths.len() > MAX_DELETE_PATHS {
        return Err(Error::Invalid(format!(
            "request size exceeded, max paths is set to {MAX_DELETE_PATHS}"
        )));
    }
    if body.paths.is_empty() {
        // Without a path, no permission is checked below.
        let permission = Permission::new("fs:DeleteObject", arn::object(&id, "*"));
        api.authorize(&caller, &[permission]).await?;
    }
    let (mut allowed, mut errors) = split_by_permission(&api, &caller, &id, body.paths).await?;
    if allowed.is_empty() && !errors.is_empty() {
        // A caller without any permission must not learn whether the repository exists.
        return Ok(Json(types::ObjectErrorList { errors }));
    }
    let repository = api.reader().repository(&id).await?;
    refuse_long_paths(&mut allowed, &mut errors);
    let options = WriteOptions {
        force: query.force.unwrap_or(false),
    };
    api.catalog
        .delete_objects(&repository, &branch, &allowed, options)
        .await?;
    Ok(Json(types::ObjectErrorList { errors }))
}

/// Moves the paths that are too long from `paths` to `errors`.
fn refuse_long_paths(paths: &mut Vec<String>, errors: &mut Vec<types::ObjectError>) {
    for path in std::mem::take(paths) {
        match catalog::check_path_length(&path) {
            Ok(()) => paths.push(path),
            Err(error) => {
                let error = Error::from(error);
                errors.push(types::ObjectError {
                    status_code: error.status().as_u16().into(),
                    message: error.text().message,
                    path: Some(base::shorten(&path, MAX_ERROR_TEXT_BYTES).into_owned()),
                });
            }
        }
    }
}

async fn split_by_permission(
    api: &ApiState,
    caller: &Caller,
    repository: &str,
    paths: Vec<String>,
) -> Result<(Vec<String>, Vec<types::ObjectError>)> {
    let mut allowed = Vec::with_capacity(paths.len());
    let mut errors = Vec::new();
    for path in paths {
        let permission = Permission::new("fs:DeleteObject", arn::object(repository, &path));
        match api.authorizer.authorize(&caller.0, &[permission]).await {
            Ok(()) => allowed.push(path),
            Err(refusal @ auth::Error::Forbidden(_)) => {
                let message = refusal.to_string();
                let status_code = i64::from(Error::from(refusal).status().as_u16());
                errors.push(types::ObjectError {
                    status_code,
                    message,
                    path: Some(path),
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((allowed, errors))
}

/// Copies the bytes even if `shallow` is set. Clients see the difference only in the physical address.
pub(crate) async fn copy_object(
    State(api): State<SharedState>,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<CopyObjectQuery>,
    Body(body): Body<types::ObjectCopyCreation>,
) -> Result<(StatusCode, Json<types::ObjectStats>)> {
    let path = &query.dest_path;
    let repository = api.reader().repository(&id).await?;
    let source = body
        .src_ref
        .as_deref()
        .filter(|reference| !reference.is_empty())
        .unwrap_or(&branch);
    let to = ObjectTarget {
        repository: &repository,
        branch: &branch,
        path,
    };
    let force = body.force.unwrap_or(false);
    let object = api
        .catalog
        .copy((&repository, source, &body.src_path), to, None, force)
        .await?;
    Ok((StatusCode::CREATED, Json(convert::object(object, true))))
}
