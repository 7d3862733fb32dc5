//! A minimal REST client for the tour. It talks to a server on this machine without proxies, TLS or redirects.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, StatusCode};

use super::keys::Keys;

/// Timeout of a call. Compiling a hook with an unoptimized server takes long.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A REST client with the administrator's credentials.
#[derive(Debug)]
pub(super) struct Rest {
    agent: Agent,
    /// Ends in `/api/v1`.
    base: String,
    authorization: String,
}

/// Status and body.
pub(super) type Answer = (StatusCode, Value);

impl Rest {
    pub(super) fn new(url: &str, keys: &Keys) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .build()
            .into();
        let pair = format!("{}:{}", keys.access_key_id, keys.secret_access_key);
        Self {
            agent,
            base: format!("{url}/api/v1"),
            authorization: format!("Basic {}", STANDARD.encode(pair)),
        }
    }

    /// Sends a request and returns the response, whatever its status.
    pub(super) fn send_json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let bytes = body.map(|b| b.to_string().into_bytes());
        self.send(method, path, "application/json", bytes.unwrap_or_default())
    }

    /// Sends a request and returns the response body. Fails if the status is not a success.
    pub(super) fn expect_success(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let (status, answer) = self.send_json(method.clone(), path, body)?;
        ensure!(
            status.is_success(),
            "{method} {path} answered {status}: {answer}"
        );
        Ok(answer)
    }

    /// Uploads an object's bytes.
    pub(super) fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let (status, answer) = self.send(Method::POST, path, "application/octet-stream", bytes)?;
        ensure!(
            status.is_success(),
            "POST {path} answered {status}: {answer}"
        );
        Ok(())
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
            .header("content-type", content_type)
            .body(body)
            .context("invalid request")?;
        let mut response = self
            .agent
            .run(request)
            .with_context(|| format!("failed to reach {}", self.base))?;
        let text = response
            .body_mut()
            .read_to_string()
            .context("the response was cut off")?;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((response.status(), value))
    }
}
