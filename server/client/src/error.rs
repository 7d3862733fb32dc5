//! Errors of the client. Variants differ in how the caller reacts.

use api_types as types;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of an operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with an error status.
    #[error("{} (status {status}){}", error.message, hint_of(error))]
    Refused {
        status: u16,
        error: Box<types::Error>,
        /// The response body, truncated to [`crate::Error::MAX_BODY_BYTES`]. For a conflict it is a `MergeResult`.
        body: Vec<u8>,
    },
    /// The server could not be reached, or the response was cut off.
    #[error("failed to reach the server")]
    Transport(#[from] reqwest::Error),
    /// The response does not have the form that `openapi.yaml` describes.
    #[error("failed to parse the response")]
    Answer(#[from] serde_json::Error),
    /// The server's URL is invalid.
    #[error("invalid endpoint {endpoint:?}: {reason}")]
    Endpoint { endpoint: String, reason: String },
}

impl Error {
    /// Maximum number of bytes of an error response that are read.
    pub const MAX_BODY_BYTES: usize = 1 << 20;

    /// Returns the HTTP status if the server answered with an error.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Transport(_) | Self::Answer(_) | Self::Endpoint { .. } => None,
        }
    }
}

/// Returns the server's hint to append to the message.
fn hint_of(error: &types::Error) -> String {
    error
        .hint
        .as_ref()
        .map(|hint| format!(": {hint}"))
        .unwrap_or_default()
}
