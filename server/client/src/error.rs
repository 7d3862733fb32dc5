//! What can go wrong when asking a server, split by what the caller does next.

use api_types as types;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused; its status and its words.
    #[error("{} (status {status}){}", error.message, hint_of(error))]
    Refused {
        status: u16,
        error: Box<types::Error>,
        /// The answer as it came, cut at [`crate::Error::MAX_BODY_BYTES`]: a conflict carries a `MergeResult`.
        body: Vec<u8>,
    },
    /// The server was not reached, or the answer broke off.
    #[error("failed to reach the server")]
    Transport(#[from] reqwest::Error),
    /// The answer is not what the contract says.
    #[error("failed to read the answer")]
    Answer(#[from] serde_json::Error),
    /// The address of the server is not one.
    #[error("invalid endpoint {endpoint:?}: {reason}")]
    Endpoint { endpoint: String, reason: String },
}

impl Error {
    /// How much of a refusal is read.
    pub const MAX_BODY_BYTES: usize = 1 << 20;

    /// The status, if the server answered with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Transport(_) | Self::Answer(_) | Self::Endpoint { .. } => None,
        }
    }
}

/// What a person reads behind a refusal: what can be done about it.
fn hint_of(error: &types::Error) -> String {
    error
        .hint
        .as_ref()
        .map(|hint| format!(": {hint}"))
        .unwrap_or_default()
}
