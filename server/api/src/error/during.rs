//! What a request was doing when it failed, where the words of an answer depend on it.

use super::Error;

/// The operation that failed. The same failure is told in other words by other operations: clients
/// of lakeFS know an unknown reference as `commit not found` from one and as `ref: not found` from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During<'a> {
    /// None whose words differ.
    Any,
    Setup,
    CreateBranch,
    CreateTag,
    CreateCredentials,
    Upload,
    Commit,
    GetCommit,
    Log {
        reference: &'a str,
        after: &'a str,
    },
    Diff,
    FindMergeBase {
        source: &'a str,
    },
    Merge {
        destination: &'a str,
    },
    Revert,
    CherryPick,
    HardReset {
        branch: &'a str,
    },
}

/// Says of a failure what was being done.
pub(crate) trait Context<T> {
    fn during(self, during: During<'_>) -> Result<T, Error>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn during(self, during: During<'_>) -> Result<T, Error> {
        self.map_err(|error| error.into().told(during))
    }
}
