//! Describes failures of tasks to clients.

use crate::Error;

/// An error as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Stored in the task's record; see [`super::Failure::code`].
    pub code: i32,
    /// Whether the server caused the failure. Such failures are logged.
    pub is_server_fault: bool,
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<String>,
}

/// The operation that a task performs, which affects how its failure is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOperation {
    Commit,
    Merge { destination: String },
    Other,
}

/// Converts an error to the number and message that clients see.
pub type DescribeFailure = fn(&Error, &TaskOperation) -> Description;

/// The default, without a REST API: the error's own message.
pub(crate) fn describe_by_message(error: &Error, _: &TaskOperation) -> Description {
    Description {
        code: 0,
        is_server_fault: true,
        message: error.to_string(),
        hint: None,
    }
}
