//! Serves the contract as JSON at `/openapi.json`.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, header};

use crate::error::Error;

const CONTRACT: &str = include_str!("../openapi.yaml");

/// Converted on first use, so that it does not slow the start.
static JSON: LazyLock<Option<Bytes>> = LazyLock::new(|| {
    let contract: serde_json::Value = serde_yaml_ng::from_str(CONTRACT).ok()?;
    Some(serde_json::to_vec(&contract).ok()?.into())
});

/// Response extension: all responses of the route share the bytes of one body, so that another response takes no
/// additional memory for its body.
#[derive(Debug, Clone, Copy)]
pub struct SharedBody;

/// The contract as JSON.
pub(crate) async fn openapi_json() -> Response {
    let Some(contract) = &*JSON else {
        return Error::NotFound("the contract".to_owned()).into_response();
    };
    let mut response = contract.clone().into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.extensions_mut().insert(SharedBody);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    #[test]
    fn contract_converts_to_json() {
        let contract = super::JSON.as_ref().expect("the contract parses");
        let contract: serde_json::Value = serde_json::from_slice(contract).expect("it is JSON");
        assert_eq!(
            contract["paths"]["/user"]["get"]["operationId"],
            "getCurrentUser"
        );
        assert_eq!(contract["info"]["version"], crate::CONTRACT_VERSION);
    }

    /// Guards against a bug: each response had a separate copy of the contract, so clients that read nothing exhausted the memory.
    #[tokio::test]
    async fn responses_share_the_contract() {
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let response = super::openapi_json().await;
            assert_eq!(response.headers()["content-type"], "application/json");
            assert!(response.extensions().get::<super::SharedBody>().is_some());
            let body = response.into_body().collect().await;
            bodies.push(body.expect("a body").to_bytes());
        }
        assert_eq!(bodies[0].as_ptr(), bodies[1].as_ptr());
    }
}
