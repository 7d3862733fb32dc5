//! The text of a failure.

/// The message and the hint of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorText {
    /// What failed. Scripts match on it.
    pub(crate) message: String,
    /// What the caller can do about it, if anything.
    pub(crate) hint: Option<String>,
}

impl ErrorText {
    /// A text without a hint.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// The error's own message, without a hint.
    pub(super) fn of(error: &impl std::fmt::Display) -> Self {
        Self::message(error.to_string())
    }

    /// Sets the hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}
