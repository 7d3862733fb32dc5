//! Range and metarange files of committed trees: addresses and bytes, for clients that read trees themselves.

use api_types as types;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, X_FRAME_OPTIONS,
};

use crate::error::{Error, Result};
use crate::extract::Path;
use crate::objects::refuse_presign;
use crate::query::{GetMetadataObjectQuery, Query};
use crate::{ApiState, SharedState};

/// The kinds of files, as in the path.
const KINDS: &[&str] = &["range", "meta_range"];

/// The address of a range or metarange. Both kinds are in one folder and share a set of ids, so one handler serves
/// both. The handler does not check that the file exists.
pub(crate) async fn get_table_address(
    State(api): State<SharedState>,
    Path((id, table)): Path<(String, String)>,
) -> Result<([(http::HeaderName, String); 1], Json<types::StorageURI>)> {
    api.reader().repository(&id).await?;
    let location = api.reader().table_key(&table)?;
    Ok((
        [(LOCATION, location.clone())],
        Json(types::StorageURI { location }),
    ))
}

/// The bytes of a range or metarange. The headers keep browsers from interpreting them.
pub(crate) async fn get_metadata_object(
    State(api): State<SharedState>,
    Path((id, kind, table)): Path<(String, String, String)>,
    Query(query): Query<GetMetadataObjectQuery>,
) -> Response {
    let mut answer = match bytes(&api, [&id, &kind, &table], query.presign).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_response(),
    };
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'"),
    );
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    answer
}

async fn bytes(
    api: &ApiState,
    [id, kind, table]: [&str; 3],
    presign: Option<bool>,
) -> Result<Response> {
    if !KINDS.contains(&kind) {
        return Err(Error::Invalid(format!(
            "type {kind:?} must be one of {}",
            KINDS.join(", ")
        )));
    }
    refuse_presign(api, presign)?;
    let repository = api.reader().repository(id).await?;
    let (size_bytes, bytes) = api.reader().open_table(&repository, table).await?;
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (CONTENT_LENGTH, HeaderValue::from(size_bytes)),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}
