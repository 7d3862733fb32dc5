//! The middleware before every handler: validates the request, authenticates the caller, reads the JSON body, and
//! checks the permissions of the route.
//!
//! The order is: parameters, caller, body, permissions. The caller is authenticated before the body is read, so that
//! unauthenticated callers cannot make the server read large bodies. Permissions come last, because the body may name
//! their resources. The guard also counts and times every operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use api_types as types;
use auth::ConnectionTrust;
use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base::Reservation;
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use crate::body::{MAX_ANONYMOUS_BODY_BYTES, MAX_BODY_BYTES, read_json};
use crate::error::{During, Error, ErrorText, MAX_ERROR_TEXT_BYTES, Result};
use crate::extract::{Caller, ParsedBody, Path, authenticate, session_cookie};
use crate::generated::OPERATIONS;
use crate::permissions::{Access, Fields};
use crate::query::Params;
use crate::schema::Operation;
use crate::{SharedState, binding, site};

/// The operation that `curl -T` calls by mistake: it has the path of `uploadObject`, but the method PUT.
const STAGE_OBJECT: &str = "stageObject";

/// The guard of one route. Each route has its own guard, so that requests do not have to look up their operation.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) api: SharedState,
    pub(crate) operation: &'static Operation,
    pub(crate) access: &'static Access,
    /// Whether the server is known to have an administrator. Shared by all routes; never becomes false again.
    pub(crate) is_set_up: Arc<AtomicBool>,
}

/// Passes on requests that satisfy the contract and whose caller has the permissions of the route.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let operation = guard.operation;
    let method = request.method().clone();
    if method != operation.method {
        // The router passes HEAD requests to GET routes.
        return wrong_method_of(operation.path, &method).into_response();
    }
    if let Some(refusal) = refuse_other_pages(operation, &request) {
        measure(operation, &method, &refusal, started);
        return refusal;
    }
    let response = match guard.admit(request).await {
        // `_held` keeps the body's memory reserved until the handler returns.
        Ok((request, _held)) => match unreadable_parameter(operation, &request) {
            Some(answer) => answer,
            None => match guard.authorize(request).await {
                Ok(request) => next.run(request).await,
                Err(error) => error.into_response(),
            },
        },
        Err(error) => guard.explained(error).await.into_response(),
    };
    measure(operation, &method, &response, started);
    response
}

/// Refuses writes that are authorized only by the session cookie and come from another site's page, because
/// browsers add the cookie to such requests automatically.
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
        message: "a page of another site sent this change with the session cookie".to_owned(),
        hint: Some(
            "send the change from a page of this server (see the headers Origin and Sec-Fetch-Site), \
             or authenticate with an access key; a proxy in front of the server must pass on the header Host"
                .to_owned(),
        ),
        ..types::Error::default()
    };
    Some((StatusCode::FORBIDDEN, axum::Json(error)).into_response())
}

impl Guard {
    /// Adds a hint to a refusal if the caller probably wants to upload a file, or if the server has no
    /// administrator yet. The latter is no secret: `GET /setup_lakefs` discloses it to everyone.
    async fn explained(&self, error: Error) -> Error {
        if self.operation.id == STAGE_OBJECT
            && matches!(
                error,
                Error::Invalid(_) | Error::InvalidWith(_) | Error::TooLarge(_)
            )
        {
            return error.described(During::StageObject);
        }
        if !matches!(error, Error::Auth(auth::Error::Unauthenticated))
            || self.is_set_up.load(Ordering::Relaxed)
        {
            return error;
        }
        match self.api.auth.setup_state().await {
            Ok(state) if !state.initialized => error.described(During::FirstStart),
            Ok(_) => {
                self.is_set_up.store(true, Ordering::Relaxed);
                error
            }
            // The request is refused in either state.
            Err(_) => error,
        }
    }

    /// Validates the parameters, authenticates the caller, and reads the JSON body. Stores the results in the
    /// request's extensions. The reservation holds the memory of the body.
    async fn admit(&self, mut request: Request) -> Result<(Request, Option<Reservation>)> {
        let (api, operation) = (&self.api, self.operation);
        let query = request.uri().query().unwrap_or_default();
        if percent_encoding::percent_decode_str(query)
            .decode_utf8()
            .is_err()
        {
            // Decoding with replacement characters would make one path out of several.
            return Err(Error::InvalidWith(
                ErrorText::message("the query is not UTF-8 after percent-decoding")
                    .hint("encode the parameters as UTF-8 before you percent-encode them"),
            ));
        }
        let query: Arc<[(String, String)]> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        operation
            .check_parameters(&query, request.headers())
            .map_err(Error::Invalid)?;
        let bodies = &api.options.bodies;
        let (mut budget, mut max_bytes) = (&bodies.anonymous, MAX_ANONYMOUS_BODY_BYTES);
        if operation.authenticated {
            let caller = Caller(authenticate(&api.auth, request.headers()).await?);
            if let Some(connection) = request.extensions().get::<ConnectionTrust>() {
                connection.set_known();
            }
            request.extensions_mut().insert(caller);
            (budget, max_bytes) = (&bodies.known, MAX_BODY_BYTES);
        }
        let mut held = None;
        if let Some(body) = &operation.body
            && let Some((parsed, reservation)) =
                read_json(body, &mut request, budget, max_bytes).await?
        {
            request.extensions_mut().insert(parsed);
            held = Some(reservation);
        }
        request.extensions_mut().insert(Params(query));
        request.extensions_mut().insert(operation);
        Ok((request, held))
    }

    /// Checks the permissions of the route.
    async fn authorize(&self, request: Request) -> Result<Request> {
        if !matches!(self.access, Access::Requires(_)) {
            return Ok(request);
        }
        let (mut parts, body) = request.into_parts();
        let Path(path) = Path::<Vec<(String, String)>>::from_request_parts(&mut parts, &()).await?;
        let caller = Caller::from_request_parts(&mut parts, &()).await?;
        let Params(query) = parts.extensions.get().cloned().unwrap_or_default();
        let parsed = parts.extensions.get::<ParsedBody>();
        let fields = Fields {
            path: &path,
            query: &query,
            body: parsed.map(|ParsedBody(value)| &**value),
        };
        let permissions = self.access.permissions(&self.api, fields);
        if !permissions.is_empty() {
            self.api.authorize(&caller, &permissions).await?;
        }
        Ok(Request::from_parts(parts, body))
    }
}

/// The response for a parameter that matches its schema but cannot be parsed: plain text, as in lakeFS.
fn unreadable_parameter(operation: &Operation, request: &Request) -> Option<Response> {
    let Params(query) = request.extensions().get()?;
    let reason = binding::unreadable(operation, query)?;
    let reason = base::shorten(&reason, MAX_ERROR_TEXT_BYTES).into_owned();
    Some((StatusCode::BAD_REQUEST, reason).into_response())
}

fn measure(operation: &Operation, method: &Method, response: &Response, started: Instant) {
    let code = response.status().as_u16().to_string();
    metrics::counter!("api_requests_total", "code" => code.clone(), "method" => method.as_str().to_owned()).increment(1);
    metrics::histogram!("api_request_duration_seconds", "operation" => operation.id, "code" => code)
        .record(started.elapsed().as_secs_f64());
}

/// The response for a known path with a method that it does not have. As in lakeFS, it is 404.
pub(crate) async fn wrong_method(request: Request) -> Error {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.and_then(|path| path.as_str().strip_prefix(crate::PREFIX));
    path.map_or(Error::NoEndpoint, |path| {
        wrong_method_of(path, request.method())
    })
}

fn wrong_method_of(path: &str, method: &Method) -> Error {
    let of_path = OPERATIONS.iter().filter(|o| o.path == path);
    let allowed: Vec<String> = of_path
        .map(|o| format!("{} ({})", o.method.to_ascii_uppercase(), o.id))
        .collect();
    Error::WrongMethod {
        method: method.as_str().to_owned(),
        path: format!("{}{path}", crate::PREFIX),
        allowed: allowed.join(", "),
    }
}

/// The response for unknown routes.
pub(crate) async fn unknown_endpoint() -> Error {
    Error::NoEndpoint
}
