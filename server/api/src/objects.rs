//! Objects without their bytes: stat, list, delete, copy.

use api_types as types;
use auth::{Permission, arn};
use axum::Json;
use axum::extract::State;
use catalog::{ListRequest, ObjectTarget, WriteOptions};
use http::StatusCode;

use crate::error::{Error, Result};
use crate::extract::{Body, Caller, Params, Path};
use crate::{ApiState, convert};

/// The maximum number of paths that one request may delete.
const MAX_DELETE_PATHS: usize = 1000;

pub(crate) async fn stat_object(
    State(api): State<ApiState>,
    Path((id, reference)): Path<(String, String)>,
    params: Params,
) -> Result<Json<types::ObjectStats>> {
    let path = params.text("path");
    refuse_presign(&api, &params)?;
    catalog::check_path(path)?;
    let repository = api.catalog.repository(&id).await?;
    let object = api.catalog.stat(&repository, &reference, path).await?;
    Ok(Json(convert::object(
        object,
        params.flag_unless_off("user_metadata"),
    )))
}

pub(crate) async fn list_objects(
    State(api): State<ApiState>,
    Path((id, reference)): Path<(String, String)>,
    params: Params,
) -> Result<Json<types::ObjectStatsList>> {
    refuse_presign(&api, &params)?;
    let repository = api.catalog.repository(&id).await?;
    let request = ListRequest {
        prefix: params.text("prefix").to_owned(),
        after: params.text("after").to_owned(),
        delimiter: params.text("delimiter").to_owned(),
        limit: params.amount(),
    };
    let page = api
        .catalog
        .list_objects(&repository, &reference, &request)
        .await?;
    let (pagination, metadata) = (
        convert::pagination(&page),
        params.flag_unless_off("user_metadata"),
    );
    Ok(Json(types::ObjectStatsList {
        pagination,
        results: page.map(|row| convert::row(row, metadata)).results,
    }))
}

/// Presigned URLs are not implemented yet for any store.
pub(crate) fn refuse_presign(api: &ApiState, params: &Params) -> Result<()> {
    if !params.flag("presign") {
        return Ok(());
    }
    let info = api.catalog.store_info();
    if info.presign_support {
        return Err(Error::NotImplemented("presign"));
    }
    Err(Error::NoPresign(info.kind))
}

pub(crate) async fn delete_object(
    State(api): State<ApiState>,
    Path((id, branch)): Path<(String, String)>,
    params: Params,
) -> Result<StatusCode> {
    let path = params.text("path");
    let repository = api.catalog.repository(&id).await?;
    let options = WriteOptions {
        force: params.flag("force"),
    };
    api.catalog
        .delete_objects(&repository, &branch, &[path.to_owned()], options)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes the objects that the caller may delete and lists the others as errors.
pub(crate) async fn delete_objects(
    State(api): State<ApiState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    params: Params,
    Body(body): Body<types::PathList>,
) -> Result<Json<types::ObjectErrorList>> {
    if body.paths.len() > MAX_DELETE_PATHS {
        return Err(Error::Invalid(format!(
            "request size exceeded, max paths is set to {MAX_DELETE_PATHS}"
        )));
    }
    let (allowed, errors) = split_by_permission(&api, &caller, &id, body.paths).await?;
    if allowed.is_empty() && !errors.is_empty() {
        // A caller without any permission must not learn whether the repository exists.
        return Ok(Json(types::ObjectErrorList { errors }));
    }
    let repository = api.catalog.repository(&id).await?;
    let options = WriteOptions {
        force: params.flag("force"),
    };
    api.catalog
        .delete_objects(&repository, &branch, &allowed, options)
        .await?;
    Ok(Json(types::ObjectErrorList { errors }))
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

/// Copies the bytes. `shallow` is treated the same: clients cannot observe whether copies share bytes.
pub(crate) async fn copy_object(
    State(api): State<ApiState>,
    Path((id, branch)): Path<(String, String)>,
    params: Params,
    Body(body): Body<types::ObjectCopyCreation>,
) -> Result<(StatusCode, Json<types::ObjectStats>)> {
    let path = params.text("dest_path");
    let repository = api.catalog.repository(&id).await?;
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
