//! The text of a failure.

/// The longest message, and the longest hint, in bytes. More than the longest values that a request may have: paths,
/// references and names.
pub(crate) const MAX_ERROR_TEXT_BYTES: usize = 8 << 10;

/// The hint for a body that ended early.
pub(crate) const SEND_WHOLE_BODY: &str = "the body ended early, or its format or length differs from what the headers announce: send the whole body again";

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

    /// Leaves out the middle of a long message or hint.
    pub(super) fn shortened(self) -> Self {
        let shorten = |text: String| base::shorten(&text, MAX_ERROR_TEXT_BYTES).into_owned();
        Self {
            message: shorten(self.message),
            hint: self.hint.map(shorten),
        }
    }

    /// Sets the hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}
