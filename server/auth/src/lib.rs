//! Authentication and authorization: setup, access keys, session tokens, permissions, usage counts.
//!
//! Implements the single-administrator mode (`auth.ui_config.rbac: none`): one user, stored in
//! the partition `basicAuth`, may do everything. This crate knows neither HTTP nor the catalog. Secrets never
//! appear in logs, errors or `Debug` output.

mod connection;
mod error;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod permission;
mod principal;
mod records;
mod secrets;
mod service;
mod tokens;
mod usage;

pub use connection::ConnectionTrust;
pub use error::{Cause, Error, MIN_SECRET_BYTES, Result};
pub use keys::{COMPILED_CODE, HOOK_RUNS, MIN_SECRET_KEY_BYTES, derive};
pub use permission::{Permission, Scope, arn};
pub use principal::Principal;
pub use service::{Auth, CreatedCredentials, Credentials, Options, SetupState, User};
pub use usage::MonthlyUsage;
