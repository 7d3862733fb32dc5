//! Builds and sends requests, and reads responses.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types;
use crate::{Error, Result};

/// A body as a stream of pieces.
pub type ByteStream = Pin<Box<dyn futures::Stream<Item = Result<Bytes>> + Send>>;

/// A request under construction.
#[derive(Debug)]
pub(crate) struct Request(RequestBuilder);

impl Request {
    pub(crate) fn new(builder: RequestBuilder) -> Self {
        Self(builder)
    }

    pub(crate) fn query(self, name: &str, value: impl Serialize) -> Self {
        Self(self.0.query(&[(name, value)]))
    }

    pub(crate) fn query_option(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn query_list(self, name: &str, values: &[String]) -> Self {
        values
            .iter()
            .fold(self, |request, value| request.query(name, value))
    }

    pub(crate) fn header_option(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => Self(self.0.header(name, value)),
            None => self,
        }
    }

    /// Sets a JSON body. Like all `send_*` methods, it does not send the request yet.
    pub(crate) fn send_json(self, body: &impl Serialize) -> Self {
        Self(self.0.json(body))
    }

    pub(crate) fn send_json_option(self, body: Option<&impl Serialize>) -> Self {
        match body {
            Some(body) => self.send_json(body),
            None => self,
        }
    }

    pub(crate) fn send_bytes(self, body: reqwest::Body) -> Self {
        self.send_typed("application/octet-stream", body)
    }

    pub(crate) fn send_typed(self, content_type: &str, body: reqwest::Body) -> Self {
        Self(self.0.header(CONTENT_TYPE, content_type).body(body))
    }

    /// Sends the request and ignores the response body.
    pub(crate) async fn nothing(self) -> Result<()> {
        self.send().await.map(|_| ())
    }

    /// Sends the request and parses the response body.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T> {
        Ok(serde_json::from_slice(&self.send().await?.bytes().await?)?)
    }

    /// Sends the request and returns the response body as text.
    pub(crate) async fn text(self) -> Result<String> {
        Ok(self.send().await?.text().await?)
    }

    /// Sends the request and streams the response body.
    pub(crate) async fn bytes(self) -> Result<ByteStream> {
        Ok(self
            .send()
            .await?
            .bytes_stream()
            .map_err(Error::from)
            .boxed())
    }

    /// Sends the request. Converts an error status to [`Error::Refused`].
    async fn send(self) -> Result<Response> {
        let response = self.0.send().await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(read_error(response).await)
        }
    }

    #[cfg(test)]
    pub(crate) fn into_url(self) -> String {
        self.0
            .build()
            .expect("the request of a test is valid")
            .url()
            .to_string()
    }
}

/// Reads an error response, up to [`Error::MAX_BODY_BYTES`].
async fn read_error(response: Response) -> Error {
    let status = response.status();
    let mut body = BytesMut::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(error) => return error.into(),
        }
        if body.len() >= Error::MAX_BODY_BYTES {
            body.truncate(Error::MAX_BODY_BYTES);
            break;
        }
    }
    let error = serde_json::from_slice(&body).unwrap_or_else(|_| types::Error {
        message: status
            .canonical_reason()
            .unwrap_or("error without a message")
            .to_owned(),
        hint: None,
        findings: None,
        conflicts: None,
        conflict_count: None,
    });
    Error::Refused {
        status: status.as_u16(),
        error: Box::new(error),
        body: body.to_vec(),
    }
}
