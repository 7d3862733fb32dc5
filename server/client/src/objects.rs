//! What the generated `upload_object` has no room for: content type and user metadata are headers.

use std::collections::BTreeMap;

use reqwest::Method;

use crate::types;
use crate::{Client, Result};

/// How to store an object.
#[derive(Debug, Clone, Default)]
pub struct PutObject {
    /// Empty: `application/octet-stream`.
    pub content_type: String,
    /// Keys are stored in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Refuse (status 412) if there is an object.
    pub if_absent: bool,
    /// Write to a read-only repository.
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
