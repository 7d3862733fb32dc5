//! The authenticated caller.

/// An authenticated user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub username: String,
    /// The name that commits record: the e-mail address, or the user name if there is none.
    pub committer: String,
}
