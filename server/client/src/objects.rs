//! Object uploads with content type and user metadata, which are headers that the generated `upload_object` lacks.

use std::collections::BTreeMap;

use reqwest::Method;

use crate::types;
use crate::{Client, Result};

/// Options of [`Client::put_object`].
#[derive(Debug, Clone, Default)]
pub struct PutObject {
    /// The content type. An empty string stands for `application/octet-stream`.
    pub content_type: String,
    /// User metadata. The server stores the keys in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Fail with status 412 if the object exists.
    pub if_absent: bool,
    /// Write even if the repository is read-only.
    pub force: bool,
}

impl Client {
    /// Stores an object with its content type and user metadata.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn put_object(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        body: reqwest::Body,
        options: &PutObject,
    ) -> Result<types::ObjectStats> {
        let segments = ["repositories", repository, "branches", branch, "objects"];
        let mut request = self
            .request(Method::POST, &segments)?
            .query("path", path)
            .query_option("force", options.force.then_some(true))
            .header_option("If-None-Match", options.if_absent.then_some("*"));
        for (key, value) in &options.metadata {
            request = request.header_option(&format!("x-lakefs-meta-{key}"), Some(value));
        }
        let content_type = if options.content_type.is_empty() {
            "application/octet-stream"
        } else {
            &options.content_type
        };
        request.send_typed(content_type, body).json().await
    }
}
