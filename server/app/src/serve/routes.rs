//! All routes, and the middleware around them.
//!
//! `from_fn` clones everything below it for each request. Therefore two functions hold all middleware of this crate, and
//! call the steps in their order.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base::{SystemClock, SystemIds};
use gateway::Gateway;
use graveler::nesting;
use http::request::Parts;
use metrics_exporter_prometheus::PrometheusHandle;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};

use crate::local_only::LocalNames;
use crate::metrics_page::MetricsPage;
use crate::telemetry::{self, Interface, REQUEST_ID, RequestIds};
use crate::unread_body::drain_unread_body;
use crate::wiring::Layers;
use crate::{docs, elsewhere, welcome};

use super::{coding, parameters};

/// Builds all routes and the middleware around them. Called once; connections clone the result.
pub(super) fn router(
    layers: &Arc<Layers>,
    metrics: PrometheusHandle,
    installation_id: &str,
    names: Option<LocalNames>,
) -> Router {
    let ids = RequestIds(Arc::new(SystemIds::new(Arc::new(SystemClock))));
    let alive = format!("alive! {installation_id}");
    let metrics = MetricsPage::new(metrics);
    let routes = Router::new()
        .route("/_health", get(move || std::future::ready(alive.clone())))
        .route(
            "/metrics",
            get(move || std::future::ready(metrics.respond())),
        )
        .route("/", get(welcome::page));
    let dispatcher = Arc::new(Dispatcher {
        gateway: layers.gateway.clone(),
        names,
    });
    docs::routes(routes)
        .merge(layers.api.clone())
        .fallback(elsewhere::not_found)
        .method_not_allowed_fallback(elsewhere::wrong_method)
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(Arc::clone(layers), receive))
                .layer(MapRequestLayer::new(telemetry::remove_unfit_request_id))
                .layer(SetRequestIdLayer::new(REQUEST_ID, ids))
                .layer(PropagateRequestIdLayer::new(REQUEST_ID))
                .layer(from_fn_with_state(dispatcher, dispatch)),
        )
}

/// Middleware: determines the interface and the nesting depth of a request, counts it, and reads the rest of a small body
/// afterwards.
async fn receive(State(layers): State<Arc<Layers>>, mut request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let interface = interface_of(&layers.gateway, &parts);
    if interface != Interface::Other {
        layers.auth.count_request();
    }
    let depth = layers.actions.depth_of(&parts.headers);
    request = Request::from_parts(parts, body);
    request.extensions_mut().insert(interface);
    let response = drain_unread_body(request, |request| next.run(request));
    nesting::run_at_depth(depth, response).await
}

fn interface_of(gateway: &Gateway, parts: &Parts) -> Interface {
    if parameters::are_too_many(&parts.uri) {
        // Refused below, unparsed.
        return match gateway::appears_signed(&parts.headers, &parts.uri) {
            true => Interface::S3,
            false => Interface::Other,
        };
    }
    if gateway.is_s3_request(parts) {
        Interface::S3
    } else if parts.uri.path().starts_with("/api/") {
        Interface::Rest
    } else {
        Interface::Other
    }
}

/// Refuses requests that no handler should get, and passes the others to the S3 gateway or to the routes.
#[derive(Debug)]
struct Dispatcher {
    gateway: Gateway,
    /// The names of a quickstart.
    names: Option<LocalNames>,
}

/// Middleware: runs a request, logs and counts it, and responds to it even if its handler panics.
async fn dispatch(
    State(dispatcher): State<Arc<Dispatcher>>,
    request: Request,
    next: Next,
) -> Response {
    let interface = request.extensions().get::<Interface>().copied();
    let interface = interface.unwrap_or(Interface::Other);
    telemetry::observe(request, interface, |request| {
        telemetry::catch_panics(interface, dispatcher.respond(interface, request, next))
    })
    .await
}

impl Dispatcher {
    async fn respond(
        self: Arc<Self>,
        interface: Interface,
        request: Request,
        next: Next,
    ) -> Response {
        if let Some(refusal) = self.refusal_of(interface, &request) {
            return refusal;
        }
        match interface {
            Interface::S3 => self.gateway.handle(request).await.into_response(),
            Interface::Rest | Interface::Other => next.run(request).await,
        }
    }

    /// Returns the refusal of a request for another host, with too long a query or with an unknown transfer coding.
    fn refusal_of(&self, interface: Interface, request: &Request) -> Option<Response> {
        let names = self.names.as_ref();
        names
            .and_then(|names| names.refuse_others(interface, request))
            .or_else(|| parameters::refuse_too_many(interface, request.uri()))
            .or_else(|| coding::refuse_other_codings(interface, request.headers()))
    }
}
