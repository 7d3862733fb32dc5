//! Errors of the auth service. Variants differ in how the caller reacts.

/// Minimum length of the secret of a new administrator. `auth.encrypt.secret_key` has the same minimum.
pub const MIN_SECRET_BYTES: usize = 16;

/// The result of an auth operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The cause of a failure of the record store, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of an auth operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown key, wrong secret, or invalid or expired token. The message deliberately does not say which.
    #[error("error authenticating request")]
    Unauthenticated,
    /// The principal lacks a permission.
    #[error("insufficient permissions: {0}")]
    Forbidden(String),
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0} already exists")]
    AlreadyExists(String),
    #[error("{0}")]
    InvalidValue(String),
    /// The access key id for a new administrator has characters with which the key could never authenticate.
    #[error(
        "access_key_id has a character that is not allowed: use letters and digits of ASCII, `-`, `_`, `.` and `@`"
    )]
    KeyIdCharacters,
    /// The secret for a new administrator is too short.
    #[error("secret_access_key has fewer than {MIN_SECRET_BYTES} bytes and can be guessed")]
    ShortSecret,
    /// Not supported in this access-control mode.
    #[error("{0} is not supported by this server's access-control mode")]
    NotImplemented(String),
    /// A stored secret cannot be decrypted: the configured secret key is not the key that encrypted it, or the record is
    /// damaged.
    #[error(
        "failed to decrypt stored credentials: auth.encrypt.secret_key is not the key they were encrypted with"
    )]
    Secret,
    /// The record store is overloaded. Retry later.
    #[error("failed to access auth records")]
    RecordsBusy(#[source] Cause),
    /// The record store failed.
    #[error("failed to access auth records")]
    Records(#[source] Cause),
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        match error {
            busy @ kv::Error::SlowDown(_) => Self::RecordsBusy(busy.into()),
            error => Self::Records(error.into()),
        }
    }
}
