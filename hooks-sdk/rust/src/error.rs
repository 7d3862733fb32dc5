//! Errors: the reasons why a hook cannot decide.

use std::fmt;
use std::io;

/// The result of a hook. An error means "could not decide"; the action's `on_error` says what happens then.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a read of a tree or an object failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeError {
    /// There is no object at this path.
    NotFound,
    /// The action does not grant access to this path. The text says what would grant access.
    Denied(String),
    /// The span lies outside of the object.
    OutOfRange,
    /// The call would exceed a limit. A smaller request may succeed.
    Budget(String),
    /// Storage failed or did not answer in time.
    Unavailable(String),
    /// Any other reason.
    Other(String),
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::OutOfRange => f.write_str("span is outside of the object"),
            Self::Budget(why) => write!(f, "over the limit: {why}"),
            Self::Unavailable(why) => write!(f, "storage is unavailable: {why}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TreeError {}

/// The reason why a hook could not decide.
///
/// The readers of file formats return [`Error::Tree`] if the bytes could not be read, and [`Error::Other`] if the
/// bytes are not a valid file. A gate usually returns the first and reports the second as a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A read of a tree or an object failed.
    Tree(TreeError),
    /// The configuration in the action file is invalid. The text names the field: `config.required: ...`.
    Config(String),
    /// Any other reason.
    Other(String),
}

impl Error {
    /// Creates an [`Error::Other`].
    pub fn new(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(e) => e.fmt(f),
            Self::Config(why) | Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<TreeError> for Error {
    fn from(e: TreeError) -> Self {
        Self::Tree(e)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// Restores the [`Error`] that an [`ObjectReader`](crate::ObjectReader) passed through `std::io`.
impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        match e.downcast::<Self>() {
            Ok(original) => original,
            Err(e) => Self::new(e.to_string()),
        }
    }
}

/// Lets a reader that works on `std::io` return the original error.
impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        Self::other(e)
    }
}
