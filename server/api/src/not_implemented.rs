//! Operations that this server does not implement. Callers with the permission get 501.

use axum::Extension;
use axum::extract::State;

use crate::SharedState;
use crate::error::{Error, Result};
use crate::schema::Operation;

/// Operations for which lakeFS has its own message if the block store does not support presigned URLs.
const PRESIGNED_MULTIPART: &[&str] = &[
    "createPresignMultipartUpload",
    "completePresignMultipartUpload",
    "abortPresignMultipartUpload",
];

/// Answers 501. The hint names the operation, except for multipart uploads through presigned URLs.
pub(crate) async fn not_implemented(
    State(api): State<SharedState>,
    Extension(operation): Extension<&'static Operation>,
) -> Result<()> {
    if PRESIGNED_MULTIPART.contains(&operation.id) && !api.reader().store_info().presign_support {
        return Err(Error::NoPresignMultipart);
    }
    Err(Error::NotImplemented(operation.id))
}
