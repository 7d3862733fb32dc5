//! Operations that this server does not implement. The guard refuses callers without the permission; others get 501.

use axum::Extension;
use axum::extract::State;

use crate::ApiState;
use crate::error::{Error, Result};
use crate::schema::Operation;

/// Operations that are possible only with a block store that supports presigned URLs.
const PRESIGNED_MULTIPART: &[&str] = &[
    "createPresignMultipartUpload",
    "completePresignMultipartUpload",
    "abortPresignMultipartUpload",
];

/// Answers 501 with the operation id.
pub(crate) async fn not_implemented(
    State(api): State<ApiState>,
    Extension(operation): Extension<&'static Operation>,
) -> Result<()> {
    if PRESIGNED_MULTIPART.contains(&operation.id) && !api.reader().store_info().presign_support {
        return Err(Error::NoPresignMultipart);
    }
    Err(Error::NotImplemented(operation.id))
}
