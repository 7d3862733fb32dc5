//! What can go wrong, split by what the caller does next.

/// The result of an auth operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An auth failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown key, wrong secret, bad or expired token. Says no more on purpose.
    #[error("error authenticating request")]
    Unauthenticated,
    /// The principal may not do this.
    #[error("insufficient permissions: {0}")]
    Forbidden(String),
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0} already exists")]
    AlreadyExists(String),
    #[error("{0}")]
    InvalidValue(String),
    /// Not offered in this mode of access control.
    #[error("{0} is not offered by this server's access-control mode")]
    NotImplemented(String),
    /// A stored secret does not decrypt: the configured secret key is not the one it was written with.
    #[error(
        "failed to decrypt stored credentials: auth.encrypt.secret_key is not the key they were encrypted with"
    )]
    Secret,
    #[error("failed to access auth records")]
    Kv(#[from] kv::Error),
}
