//! The REST API: routes, extraction, authorization, conversion. No domain logic.

use actions::Actions;
use auth::Auth;
use catalog::Catalog;

/// What handlers share.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub catalog: Catalog,
    pub auth: Auth,
    pub actions: Actions,
    pub options: Options,
}

/// What the API tells of the server's configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// This program's version.
    pub version: String,
    pub login_cookie_names: Vec<String>,
    pub login_failed_message: String,
    pub login_url: String,
    pub logout_url: String,
    /// Whether cookies are marked Secure.
    pub secure_cookies: bool,
}

/// All routes below `/api/v1`, ready to be merged into a server's router.
pub fn router(_state: ApiState) -> axum::Router {
    todo!()
}
