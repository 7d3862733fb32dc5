//! Serves the contract as JSON at `/openapi.json`.

use std::sync::LazyLock;

use axum::Json;
use axum::response::{IntoResponse as _, Response};

use crate::error::Error;

const CONTRACT: &str = include_str!("../openapi.yaml");

/// Parsed on first use, so that it does not slow the start.
static JSON: LazyLock<Option<serde_json::Value>> =
    LazyLock::new(|| serde_yaml_ng::from_str(CONTRACT).ok());

/// The contract as JSON.
pub(crate) async fn openapi_json() -> Response {
    match &*JSON {
        Some(contract) => Json(contract).into_response(),
        None => Error::NotFound("the contract".to_owned()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn contract_converts_to_json() {
        let contract = super::JSON.as_ref().expect("the contract parses");
        assert_eq!(
            contract["paths"]["/user"]["get"]["operationId"],
            "getCurrentUser"
        );
        assert_eq!(contract["info"]["version"], crate::CONTRACT_VERSION);
    }
}
