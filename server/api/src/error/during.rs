//! The operation that failed, where the text of the error depends on it.

use super::failure::Error;

/// The operation that failed.
///
/// lakeFS describes the same failure differently in different operations, and clients match on these texts. For
/// example, an unknown reference is `commit not found` in one operation and `ref: not found` in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During<'a> {
    /// An operation without special texts.
    Any,
    Setup,
    /// An operation on a server that has no administrator yet.
    FirstStart,
    /// `stageObject`, which `curl -T` calls by mistake to upload a file.
    StageObject,
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
    /// A merge without the options of `mergeIntoBranch`.
    MergePullRequest {
        destination: &'a str,
    },
    Revert,
    CherryPick,
    HardReset {
        branch: &'a str,
    },
}

/// Adds the operation to a failure.
pub(crate) trait Context<T> {
    fn during(self, during: During<'_>) -> Result<T, Error>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn during(self, during: During<'_>) -> Result<T, Error> {
        self.map_err(|error| error.into().described(during))
    }
}
