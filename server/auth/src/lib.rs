//! Who is asking and what they may do: set-up, keys, session tokens, authorization.
//!
//! Holds the single-administrator mode (`auth.ui_config.rbac: none`): one user in
//! the partition `basicAuth`, allowed everything. Does not know HTTP, nor the
//! catalog. A secret never reaches a log, an error or a `Debug` print.

mod error;
mod keys;
mod permission;
mod principal;
mod records;
mod secrets;
mod service;
mod tokens;
mod usage;

pub use error::{Error, Result};
pub use keys::{HOOK_RUNS, MIN_SECRET_KEY_BYTES, derive};
pub use permission::{Permission, Scope, arn};
pub use principal::Principal;
pub use service::{Auth, CreatedCredentials, Credentials, Options, SetupState, User};
pub use usage::MonthlyUsage;
