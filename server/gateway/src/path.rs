//! How S3's names map to ours: a bucket is a repository, a key is `ref/path`.
//!
//! Nothing here checks that anything exists.

/// An S3 key, cut at its first slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectPath<'a> {
    /// A branch, tag, commit or any other expression.
    pub(crate) reference: &'a str,
    /// Empty for the reference itself (`main` and `main/`).
    pub(crate) path: &'a str,
}

impl<'a> ObjectPath<'a> {
    /// Cuts a key.
    pub(crate) fn parse(key: &'a str) -> Self {
        let (reference, path) = key.split_once('/').unwrap_or((key, ""));
        Self { reference, path }
    }
}

/// The key of a path at a reference.
pub(crate) fn key(reference: &str, path: &str) -> String {
    format!("{reference}/{path}")
}

#[cfg(test)]
mod tests {
    use super::ObjectPath;

    #[test]
    fn a_key_is_cut_at_its_first_slash_only() {
        let cut = |key| {
            let ObjectPath { reference, path } = ObjectPath::parse(key);
            (reference, path)
        };
        assert_eq!(cut("main/a/b"), ("main", "a/b"));
        assert_eq!(cut("main/"), ("main", ""));
        assert_eq!(cut("main"), ("main", ""));
        assert_eq!(cut("main//a"), ("main", "/a"));
        assert_eq!(cut("main/folder/"), ("main", "folder/"));
    }
}
