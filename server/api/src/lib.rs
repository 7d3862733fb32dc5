//! The REST API: routes, validation, extraction, authorization, conversion. No domain logic.
//!
//! `router.rs` lists all routes. A request passes `guard.rs` (contract, caller, body) and then its
//! handler, which extracts, authorizes, calls the catalog once and converts the result.
//! Only `error/` maps failures to statuses, messages and hints. The contract is `openapi.yaml`;
//! `generated.rs` is generated from it.

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
#[doc(hidden)]
pub mod fuzzing;
mod gc_prepare;
mod generated;
mod guard;
mod history;
mod metadata;
mod not_implemented;
mod objects;
mod protection;
mod pulls;
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

use ::actions::Actions;
use auth::{Auth, Permission, arn};
use catalog::{Catalog, Repository};
use tracing::trace;

use error::Result;
use extract::Caller;

pub use body::BodyBudgets;
pub use error::describe_failure;
pub use first_caller::{Peer, SETUP_TOKEN_HEADER, SetupToken};
pub use router::{ROUTES, router};
pub use site::{host_name, hosts, is_cross_site, is_loopback_name};

/// The path below which the operations are served.
const PREFIX: &str = "/api/v1";

/// The state that handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub catalog: Catalog,
    pub auth: Auth,
    pub actions: Actions,
    pub options: Options,
}

/// The version of lakeFS that this server is compatible with. Clients decide by it which features to use.
pub const CONTRACT_VERSION: &str = "1.84.0";

/// The configuration that the API depends on.
#[derive(Debug, Clone)]
pub struct Options {
    /// The version of Weir. Clients decide by [`CONTRACT_VERSION`] instead.
    pub version: String,
    pub login_cookie_names: Vec<String>,
    pub login_failed_message: String,
    pub login_url: String,
    pub logout_url: String,
    /// Whether to set the attribute Secure on cookies.
    pub secure_cookies: bool,
    /// The token with which remote callers may create the first administrator.
    pub setup_token: SetupToken,
    /// Memory budgets for JSON bodies.
    pub bodies: BodyBudgets,
}

impl ApiState {
    /// Checks that the caller has all of the permissions. Traces them for tests.
    async fn authorize<const N: usize>(
        &self,
        caller: &Caller,
        permissions: [(&'static str, String); N],
    ) -> Result<()> {
        let permissions = permissions.map(|(action, resource)| {
            trace!(target: "api::permissions", action, resource);
            Permission::new(action, resource)
        });
        Ok(self.auth.authorize(&caller.0, &permissions).await?)
    }

    /// Loads a repository if the caller may perform `action` on it.
    async fn repository_for(
        &self,
        caller: &Caller,
        action: &'static str,
        id: &str,
    ) -> Result<Repository> {
        self.authorize(caller, [(action, arn::repository(id))])
            .await?;
        Ok(self.catalog.repository(id).await?)
    }
}
