//! Who is asking and what they may do.
mod error;
mod permission;
mod principal;
mod service;

pub use error::{Error, Result};
pub use permission::{Permission, arn};
pub use principal::Principal;
pub use service::{Auth, CreatedCredentials, Credentials, Options, SetupState, User};
