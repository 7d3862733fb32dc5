//! What keeps a hook from deciding.

use std::fmt;

/// The result of a hook's work. An error means "I could not decide".
pub type Result<T> = std::result::Result<T, Error>;

/// Why the host gave no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeError {
    NotFound,
    /// The action does not grant this; the text says what would.
    Denied(String),
    /// A span that is not within the object.
    OutOfRange,
    /// A limit would be passed; asking for less may still work.
    Budget(String),
    /// Storage failed, after retries.
    Unavailable(String),
    Other(String),
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::OutOfRange => f.write_str("span is not within the object"),
            Self::Budget(why) => write!(f, "over the limit: {why}"),
            Self::Unavailable(why) => write!(f, "storage is unavailable: {why}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TreeError {}

/// A hook's failure to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The tree could not be read.
    Tree(TreeError),
    /// The action's config does not fit: `config.required: ...`.
    Config(String),
    /// Anything else, in words.
    Other(String),
}

impl Error {
    /// An error in words.
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

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::new(e.to_string())
    }
}
