//! One type per identifier; each checks its own grammar.

use std::fmt;

use crate::{Error, Kind, Result};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that is known to be valid, because it was read from storage or
            /// generated here.
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
    /// A branch's name: `^[A-Za-z0-9_][A-Za-z0-9_-]*$`.
    BranchId
);
id!(
    /// A tag's name: like git's, but without `/`, and with `~` and a leading dot.
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

/// Maximum length of a branch or tag name, so that keys that contain it (of the record, of hook
/// runs) stay below 1 KiB.
pub const MAX_REF_NAME_BYTES: usize = 900;

impl RepositoryId {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn parse(name: &str) -> Result<Self> {
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        let valid = (3..=63).contains(&bytes.len())
            && lower(bytes[0])
            && bytes.iter().all(|&b| lower(b) || b == b'-');
        if !valid {
            return Err(invalid(
                Kind::Repository,
                "repository id must be 3 to 63 lower-case letters, digits and dashes, and cannot start with a dash",
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

impl BranchId {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn parse(name: &str) -> Result<Self> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = name.as_bytes();
        if bytes.is_empty() {
            return Err(invalid(Kind::Branch, "branch id is required"));
        }
        if !word(bytes[0]) || !bytes.iter().all(|&b| word(b) || b == b'-') {
            return Err(invalid(
                Kind::Branch,
                "branch id must consist of letters, digits, underscores and dashes, and cannot start with a dash",
            ));
        }
        check_length(Kind::Branch, "branch", name)?;
        Ok(Self(name.to_owned()))
    }
}

impl TagId {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn parse(name: &str) -> Result<Self> {
        let forbidden = |c: char| c <= ' ' || c == '\u{7f}' || "/^:?*[\\".contains(c);
        let valid = !name.is_empty()
            && name != "@"
            && !name.chars().any(forbidden)
            && !name.contains("..")
            && !name.contains("@{")
            && !name.ends_with('.')
            && !name.ends_with(".lock");
        if !valid {
            return Err(invalid(
                Kind::Tag,
                format!(
                    "tag id {name:?} is invalid: no spaces, control characters, `..`, `@{{` or any of `/^:?*[\\`, nor `.` or `.lock` at the end"
                ),
            ));
        }
        check_length(Kind::Tag, "tag", name)?;
        Ok(Self(name.to_owned()))
    }
}

impl CommitId {
    /// Whether `text` has the form of a full commit id.
    #[must_use]
    pub fn is_full(text: &str) -> bool {
        text.len() == 64 && is_lower_hex(text)
    }
}

/// The id of the metarange that has no ranges.
const EMPTY_METARANGE: &str = "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66";

impl MetaRangeId {
    /// Parses a user's input: 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`Error::InvalidValue`].
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() != 64 || !is_lower_hex(text) {
            let shown: String = text.chars().take(64).collect();
            return Err(Error::InvalidValue(format!(
                "metarange id {shown:?} is invalid: it must have 64 lower-case hex digits"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether this is the empty tree, under either of its two names.
    #[must_use]
    pub fn is_empty_tree(&self) -> bool {
        matches!(self.as_str(), "" | EMPTY_METARANGE)
    }

    /// Whether two ids name the same tree; the empty tree has two ids.
    #[must_use]
    pub fn is_same_tree(&self, other: &Self) -> bool {
        self == other || (self.is_empty_tree() && other.is_empty_tree())
    }
}

/// Whether `text` is non-empty and has only lower-case hex digits.
pub(crate) fn is_lower_hex(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn check_length(kind: Kind, what: &str, name: &str) -> Result<()> {
    if name.len() > MAX_REF_NAME_BYTES {
        let rule = format!("{what} id is longer than {MAX_REF_NAME_BYTES} bytes");
        return Err(invalid(kind, rule));
    }
    Ok(())
}

fn invalid(kind: Kind, rule: impl Into<String>) -> Error {
    Error::InvalidName {
        kind,
        rule: rule.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        for good in ["abc", "a-b", "0ab", "ab-", &"x".repeat(63)] {
            assert!(RepositoryId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "ab",
            "Up-Case",
            "-dash",
            "a_b",
            "a.b",
            "a/b",
            "äbc",
            &"x".repeat(64),
        ] {
            assert!(
                matches!(RepositoryId::parse(bad), Err(Error::InvalidName { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn branch_names() {
        for good in ["main", "a", "_x", "1-2", "Dev_2-x", &"x".repeat(300)] {
            assert!(BranchId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a/b",
            "a~1",
            "a.b",
            "-a",
            "refs:x",
            "ä",
            "a$",
            &"x".repeat(MAX_REF_NAME_BYTES + 1),
        ] {
            assert!(
                matches!(BranchId::parse(bad), Err(Error::InvalidName { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn tag_names() {
        for good in ["v1", "v0.1", "a~1", "ä", "x@y", ".x", &"x".repeat(300)] {
            assert!(TagId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "@", "v 2", "a..b", "a/b", "a@{b", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a.",
            "a.lock", "a\tb", "a\u{7f}",
        ] {
            assert!(
                matches!(TagId::parse(bad), Err(Error::InvalidName { .. })),
                "{bad}"
            );
        }
    }
}
