//! Finds disk problems that an operator can repair among the causes of an error.

use std::error::Error as StdError;
use std::io;

use super::Error;

/// A problem of the server's disk that makes the stores fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskProblem {
    /// The disk or the quota is full.
    NoSpace,
    /// The server's user may not read or write a folder or file, or the file system is read-only.
    NoPermission,
}

/// Parts of the messages of SQLite and PostgreSQL, whose drivers do not pass on an [`io::Error`].
const DATABASE_TEXTS: &[(&str, DiskProblem)] = &[
    ("database or disk is full", DiskProblem::NoSpace),
    ("No space left on device", DiskProblem::NoSpace),
    (
        "attempt to write a readonly database",
        DiskProblem::NoPermission,
    ),
];

impl DiskProblem {
    /// Returns the problem that caused `error`, or `None` if something else did.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(found) = Self::of_cause(cause) {
                return Some(found);
            }
            next = match cause.downcast_ref::<io::Error>() {
                // `io::Error::source` returns the source of the inner error and would skip the inner error itself.
                Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
                None => cause.source(),
            };
        }
        None
    }

    fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Self> {
        use io::ErrorKind as Kind;
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match io.kind() {
                Kind::StorageFull | Kind::QuotaExceeded => return Some(Self::NoSpace),
                Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
                    return Some(Self::NoPermission);
                }
                _ => {}
            }
        }
        let text = cause.to_string();
        let mut known = DATABASE_TEXTS.iter();
        known
            .find(|(part, _)| text.contains(part))
            .map(|(_, problem)| *problem)
    }

    /// Says what is wrong and who can repair it. Clients see this text, so it has no paths of the server.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::NoSpace => {
                "the server's disk has no space left: ask its operator to free some, and try again"
            }
            Self::NoPermission => {
                "the server has no access to its storage: ask its operator to check owner, mode and mount options of the folder"
            }
        }
    }
}

impl Error {
    /// Returns the disk problem that made the stores fail, if one did.
    #[must_use]
    pub fn disk_problem(&self) -> Option<DiskProblem> {
        match self {
            Self::Storage { source, .. } | Self::StoredData(source) | Self::Records(source) => {
                DiskProblem::of(source.as_ref())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(source: io::Error) -> block::Error {
        block::Error::Storage {
            operation: "write",
            location: "local://a/b".to_owned(),
            source,
        }
    }

    #[test]
    fn disk_problems_are_found_below_every_layer() {
        use io::ErrorKind as Kind;
        for (kind, expected) in [
            (Kind::StorageFull, Some(DiskProblem::NoSpace)),
            (Kind::QuotaExceeded, Some(DiskProblem::NoSpace)),
            (Kind::PermissionDenied, Some(DiskProblem::NoPermission)),
            (Kind::ReadOnlyFilesystem, Some(DiskProblem::NoPermission)),
            (Kind::TimedOut, None),
        ] {
            let plain = Error::from(write(kind.into()));
            let wrapped = Error::from(write(io::Error::other(io::Error::from(kind))));
            let engine = Error::from(graveler::Error::Block(write(kind.into())));
            for error in [plain, wrapped, engine] {
                assert_eq!(error.disk_problem(), expected, "{error:?}");
            }
        }
        let full = kv::Error::storage("set", io::Error::other("database or disk is full"));
        assert_eq!(Error::from(full).disk_problem(), Some(DiskProblem::NoSpace));
        // A failure to read the client's body is not a problem of the server's disk.
        let body = Error::Body(Kind::PermissionDenied.into());
        assert_eq!(body.disk_problem(), None);
    }
}
