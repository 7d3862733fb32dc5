//! One type per identifier, each checking its own grammar.

use std::fmt;

use crate::{Error, Result};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes a name that is already known to be valid (read from storage, made here).
            #[must_use]
            pub fn trusted(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A repository's name: `^[a-z0-9][a-z0-9-]{2,62}$`.
    RepositoryId
);
id!(
    /// A branch's name: `^\w[-\w]*$`.
    BranchId
);
id!(
    /// A tag's name, after git's rules without `/`.
    TagId
);
id!(
    /// 64 lower-case hex digits.
    CommitId
);
id!(
    /// 64 lower-case hex digits, or empty for the tree of a repository's first commit.
    MetaRangeId
);
id!(
    /// 64 lower-case hex digits.
    RangeId
);
id!(
    /// The partition that holds a branch's uncommitted writes.
    StagingToken
);

impl RepositoryId {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`Error::InvalidValue`].
    pub fn parse(_name: &str) -> Result<Self> {
        todo!()
    }
}

impl BranchId {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`Error::InvalidValue`].
    pub fn parse(_name: &str) -> Result<Self> {
        todo!()
    }
}

impl TagId {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`Error::InvalidValue`].
    pub fn parse(_name: &str) -> Result<Self> {
        todo!()
    }
}
