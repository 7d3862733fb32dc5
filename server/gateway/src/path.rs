//! Splits S3 keys of the form `ref/path` into reference and path.
//!
//! Nothing here checks whether the reference or the object exists.

/// An S3 key, split at its first slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectPath<'a> {
    /// A branch, tag, commit id or reference expression such as `main~1`.
    pub(crate) reference: &'a str,
    /// Empty if the key is only a reference (`main` and `main/`).
    pub(crate) path: &'a str,
}

impl<'a> ObjectPath<'a> {
    pub(crate) fn parse(key: &'a str) -> Self {
        let (reference, path) = key.split_once('/').unwrap_or((key, ""));
        Self { reference, path }
    }
}

/// Joins a reference and a path to a key.
pub(crate) fn key(reference: &str, path: &str) -> String {
    format!("{reference}/{path}")
}

#[cfg(test)]
mod tests {
    use super::ObjectPath;

    #[test]
    fn key_is_split_at_its_first_slash_only() {
        let split = |key| {
            let ObjectPath { reference, path } = ObjectPath::parse(key);
            (reference, path)
        };
        assert_eq!(split("main/a/b"), ("main", "a/b"));
        assert_eq!(split("main/"), ("main", ""));
        assert_eq!(split("main"), ("main", ""));
        assert_eq!(split("main//a"), ("main", "/a"));
        assert_eq!(split("main/folder/"), ("main", "folder/"));
    }
}
