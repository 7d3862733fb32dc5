//! What happens to every request before its handler: checks against the contract, who asks, the JSON body.
//!
//! Parameters first, then the caller, then the body: nobody unknown makes the
//! server read one. Counts and times every operation by name.

use std::sync::Arc;
use std::time::Instant;

use api_types as types;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::error::{Error, Result};
use crate::extract::{Caller, Params, ParsedBody, authenticate, session_cookie};
use crate::generated::OPERATIONS;
use crate::schema::{self, Operation};
use crate::{ApiState, PREFIX, site};

/// The most that a JSON body may have.
pub(crate) const MAX_JSON_BODY_BYTES: usize = 10 << 20;

/// Lets requests through that follow the contract.
pub(crate) async fn guard(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let Some(operation) = operation(&request) else {
        return Error::NoEndpoint.into_response();
    };
    if let Some(refusal) = refuse_other_pages(operation, &request) {
        measure(operation, &method, &refusal, started);
        return refusal;
    }
    let response = match admit(&api, operation, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    measure(operation, &method, &response, started);
    response
}

/// Tells browsers to take no answer for what it does not say it is.
pub(crate) async fn no_sniffing(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let header = HeaderName::from_static("x-content-type-options");
    response
        .headers_mut()
        .insert(header, HeaderValue::from_static("nosniff"));
    response
}

/// The operation of the contract that a route stands for.
fn operation(request: &Request) -> Option<&'static Operation> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    OPERATIONS
        .iter()
        .find(|o| o.method == request.method().as_str() && o.path == path)
}

/// Refuses changes that the session's cookie would authorize, where a page of another site sends them:
/// browsers add the cookie to such requests unasked.
fn refuse_other_pages(operation: &Operation, request: &Request) -> Option<Response> {
    let headers = request.headers();
    let by_cookie = operation.authenticated
        && !headers.contains_key(AUTHORIZATION)
        && session_cookie(headers).is_some();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read || !by_cookie || site::is_own_page(request.uri(), headers) {
        return None;
    }
    let error = types::Error {
        message: "a page of another site sent this change with the session's cookie (header Origin or Sec-Fetch-Site): \
                  send it from this server's own address, or authenticate with an access key; a proxy in front must pass on the header Host"
            .to_owned(),
        ..types::Error::default()
    };
    Some((StatusCode::FORBIDDEN, axum::Json(error)).into_response())
}

async fn admit(
    api: &ApiState,
    operation: &'static Operation,
    mut request: Request,
) -> Result<Request> {
    let query = request.uri().query().unwrap_or_default();
    let query: Arc<[(String, String)]> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    operation
        .check_parameters(&query, request.headers())
        .map_err(Error::Invalid)?;
    if operation.authenticated {
        let caller = Caller(authenticate(&api.auth, request.headers()).await?);
        request.extensions_mut().insert(caller);
    }
    if let Some(body) = &operation.body {
        let parsed = read_json(body, &mut request).await?;
        if let Some(parsed) = parsed {
            request.extensions_mut().insert(parsed);
        }
    }
    request.extensions_mut().insert(Params(query));
    request.extensions_mut().insert(operation);
    Ok(request)
}

async fn read_json(body: &schema::Body, request: &mut Request) -> Result<Option<ParsedBody>> {
    let wrong = |reason: String| Error::Invalid(format!("request body has an error: {reason}"));
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_JSON_BODY_BYTES as u64) {
        return Err(Error::TooLarge(MAX_JSON_BODY_BYTES));
    }
    let taken = std::mem::replace(request.body_mut(), Body::empty());
    let bytes = match Limited::new(taken, MAX_JSON_BODY_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Error::TooLarge(MAX_JSON_BODY_BYTES));
        }
        Err(error) => return Err(wrong(format!("failed to read it: {error}"))),
    };
    if bytes.is_empty() {
        return if body.required {
            Err(wrong("value is required but missing".to_owned()))
        } else {
            Ok(None)
        };
    }
    // A form that another site's page sends with the caller's cookie has another type.
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map_or("", |v| v.to_str().unwrap_or_default());
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(wrong(format!(
            "header Content-Type has unexpected value {kind:?}"
        )));
    }
    let value = serde_json::from_slice(&bytes)
        .map_err(|e| wrong(format!("failed to decode request body: {e}")))?;
    body.check(&value).map_err(Error::Invalid)?;
    Ok(Some(ParsedBody(Arc::new(value))))
}

fn measure(operation: &Operation, method: &Method, response: &Response, started: Instant) {
    let code = response.status().as_u16().to_string();
    metrics::counter!("api_requests_total", "code" => code.clone(), "method" => method.as_str().to_owned()).increment(1);
    metrics::histogram!("api_request_duration_seconds", "operation" => operation.id, "code" => code)
        .record(started.elapsed().as_secs_f64());
}

/// Answers an unknown route.
pub(crate) async fn no_endpoint() -> Error {
    Error::NoEndpoint
}
