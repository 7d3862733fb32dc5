//! The authenticated asker.

/// A user who has been authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub username: String,
    /// E-mail if known, else the user name: what commits record.
    pub committer: String,
}
