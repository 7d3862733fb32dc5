//! The REST API: routes, checks, extraction, authorization, conversion. No domain logic.
//!
//! `router.rs` is the table of contents; a request passes `guard.rs` (contract, caller,
//! body), then its handler: extract, authorize, one call of the catalog, convert.
//! Failures become statuses, messages and hints in `error/mod.rs` and its folder, and nowhere else.
//! The contract is `openapi.yaml`; `generated.rs` is made from it.

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
mod later;
mod metadata;
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

/// Where the operations are.
const PREFIX: &str = "/api/v1";

/// What handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub catalog: Catalog,
    pub auth: Auth,
    pub actions: Actions,
    pub options: Options,
}

/// The version of lakeFS whose contract this server speaks. Clients decide by it what they may ask.
pub const CONTRACT_VERSION: &str = "1.84.0";

/// What the API tells of the server's configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// This program's own version; what clients go by is [`CONTRACT_VERSION`].
    pub version: String,
    pub login_cookie_names: Vec<String>,
    pub login_failed_message: String,
    pub login_url: String,
    pub logout_url: String,
    /// Whether cookies are marked Secure.
    pub secure_cookies: bool,
    /// What callers from elsewhere make the first administrator with.
    pub setup_token: SetupToken,
    /// What JSON bodies may take up.
    pub bodies: BodyBudgets,
}

impl ApiState {
    /// Lets the caller go on only with all of the permissions. What is asked can be traced.
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

    /// The repository, where the caller may do `action` to it.
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
