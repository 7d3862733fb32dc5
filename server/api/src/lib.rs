//! The REST API: routes, validation, extraction, authorization, conversion. No domain logic.
//!
//! `router.rs` lists all routes and their permissions. A request passes `guard.rs` (contract, caller, body,
//! permissions) and then its handler, which extracts its input, calls the catalog and converts the result.
//! Only `error/` maps failures of the services to statuses, messages and hints. The contract is `openapi.yaml`;
//! `generated.rs` and `query/generated.rs` are generated from it.

mod actions;
mod binding;
mod body;
mod branches;
mod commits;
mod config;
mod convert;
mod diff;
mod download;
mod dump;
mod error;
mod extract;
mod first_caller;
mod forwarding;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod gc_prepare;
mod generated;
mod guard;
mod history;
mod metadata;
mod not_implemented;
mod objects;
mod permissions;
mod protection;
mod pulls;
mod query;
mod range;
mod reflog;
mod repositories;
mod retention;
mod router;
mod schema;
mod session;
mod setup;
mod site;
mod spec;
mod symlinks;
mod tags;
mod tasks;
mod upload;
mod users;

use std::sync::Arc;

use ::actions::Actions;
use auth::{Auth, Permission};
use catalog::{Catalog, Reader};

use error::Result;
use extract::Caller;

pub use body::BodyBudgets;
pub use error::describe_failure;
pub use first_caller::{Peer, SETUP_TOKEN_HEADER, SetupToken};
pub use permissions::Authorizer;
pub use router::{ROUTES, Route, router};
pub use site::{host_name, hosts, is_client_using_https, is_cross_site, is_loopback_name};
pub use spec::SharedBody;

/// The path below which the operations are served.
const PREFIX: &str = "/api/v1";

/// The services that handlers use. Handlers get it as [`SharedState`].
#[derive(Debug)]
pub struct ApiState {
    pub catalog: Catalog,
    pub auth: Auth,
    /// Checks permissions. Usually the same service as `auth`.
    pub authorizer: Arc<dyn Authorizer>,
    pub actions: Actions,
    pub options: Arc<Options>,
}

/// The version of lakeFS with which this server is compatible. Clients decide from this version which features to use.
pub const CONTRACT_VERSION: &str = "1.84.0";

/// The configuration that the API depends on.
#[derive(Debug, Clone)]
pub struct Options {
    /// The version of Weir. Clients decide from [`CONTRACT_VERSION`] instead which features to use.
    pub version: String,
    pub login_cookie_names: Vec<String>,
    pub login_failed_message: String,
    pub login_url: String,
    pub logout_url: String,
    /// The token with which remote callers may create the first administrator.
    pub setup_token: SetupToken,
    /// Memory budgets for JSON bodies.
    pub bodies: BodyBudgets,
}

/// The state of the router. axum clones it several times for each request. If every service were cloned separately,
/// this would take a tenth of the time of a small request.
type SharedState = Arc<ApiState>;

impl ApiState {
    /// The read operations of the catalog.
    fn reader(&self) -> &Reader {
        self.catalog.reader()
    }

    /// Checks that the caller has all of the permissions.
    async fn authorize(&self, caller: &Caller, permissions: &[Permission]) -> Result<()> {
        Ok(self.authorizer.authorize(&caller.0, permissions).await?)
    }
}
