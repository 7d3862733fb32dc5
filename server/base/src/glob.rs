//! Parses globs from untrusted sources. Limits are checked before a pattern is parsed.
//!
//! The glob parser recurses with the nesting of braces: 20,000 nested braces overflow the stack, which aborts the
//! process. Every glob that is stored, committed or returned by a hook is therefore compiled here. This
//! includes stored globs, because an older version may have stored them without checking the limits.

use globset::GlobBuilder;
pub use globset::{Glob, GlobSet, GlobSetBuilder};

/// Maximum length of a pattern, in bytes. Paths have the same limit.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Maximum number of opening braces in a pattern, nested or not.
pub const MAX_BRACES: usize = 32;
/// Maximum number of patterns that are compiled together.
pub const MAX_PATTERNS: usize = 1_000;
/// Maximum total length of the patterns that are compiled together, in bytes. Matching a path may read all of them.
pub const MAX_PATTERNS_BYTES: usize = 64 << 10;

/// Why a glob is invalid. The messages address the author of the pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The pattern is longer than [`MAX_PATTERN_BYTES`].
    #[error("it is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// The pattern has more than [`MAX_BRACES`] opening braces.
    #[error("it has more than {MAX_BRACES} opening braces")]
    TooManyBraces,
    /// The pattern has a syntax error.
    #[error("{0}")]
    Malformed(String),
}

impl GlobError {
    /// Returns whether the pattern exceeds a limit. It has then not been parsed.
    #[must_use]
    pub fn exceeds_limit(&self) -> bool {
        !matches!(self, Self::Malformed(_))
    }
}

/// Why a list of globs is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobsError {
    /// There are more than [`MAX_PATTERNS`] patterns.
    #[error("there are more than {MAX_PATTERNS} patterns")]
    TooMany,
    /// The patterns are longer in total than [`MAX_PATTERNS_BYTES`].
    #[error("the patterns are longer than {MAX_PATTERNS_BYTES} bytes in total")]
    TooLong,
    /// One of the patterns is invalid.
    #[error("'{pattern}' is not a valid glob: {error}")]
    Pattern {
        /// The pattern, shortened for the message.
        pattern: String,
        /// Why it is invalid.
        error: GlobError,
    },
    /// The patterns cannot be compiled together.
    #[error("{0}")]
    Set(String),
}

/// Number of characters of a pattern that an error message quotes.
const QUOTED_CHARS: usize = 100;

/// Checks that a pattern is short enough and has few enough braces to be parsed.
///
/// # Errors
/// [`GlobError::TooLong`], [`GlobError::TooManyBraces`].
pub fn check_bounds(pattern: &str) -> Result<(), GlobError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(GlobError::TooLong);
    }
    // Escaped braces and braces in character classes count too. No sensible pattern needs so many.
    if pattern.bytes().filter(|byte| *byte == b'{').count() > MAX_BRACES {
        return Err(GlobError::TooManyBraces);
    }
    Ok(())
}

/// The meaning of special characters in a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// For paths: `*` and `?` do not match a slash, `**` does.
    Paths,
    /// For names: a slash is an ordinary character, and alternatives may be empty.
    Names,
}

/// Parses a glob.
///
/// # Errors
/// [`GlobError`].
pub fn parse(pattern: &str, dialect: Dialect) -> Result<Glob, GlobError> {
    check_bounds(pattern)?;
    GlobBuilder::new(pattern)
        .literal_separator(dialect == Dialect::Paths)
        .empty_alternates(dialect == Dialect::Names)
        .backslash_escape(true)
        .build()
        .map_err(|error| GlobError::Malformed(error.kind().to_string()))
}

/// Compiles a list of globs to one matcher.
///
/// # Errors
/// [`GlobsError`].
pub fn compile(patterns: &[String], dialect: Dialect) -> Result<GlobSet, GlobsError> {
    check_list(patterns)?;
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = parse(pattern, dialect).map_err(|error| GlobsError::Pattern {
            pattern: quoted(pattern),
            error,
        })?;
        set.add(glob);
    }
    set.build()
        .map_err(|error| GlobsError::Set(error.kind().to_string()))
}

/// Checks the number of patterns and their total length.
///
/// # Errors
/// [`GlobsError::TooMany`], [`GlobsError::TooLong`].
pub fn check_list(patterns: &[String]) -> Result<(), GlobsError> {
    if patterns.len() > MAX_PATTERNS {
        return Err(GlobsError::TooMany);
    }
    if patterns.iter().map(String::len).sum::<usize>() > MAX_PATTERNS_BYTES {
        return Err(GlobsError::TooLong);
    }
    Ok(())
}

/// Shortens a pattern for an error message, so that the reason after it stays readable.
#[must_use]
pub fn quoted(pattern: &str) -> String {
    match pattern.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &pattern[..end]),
        None => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }

    /// Regression test: 20,000 nested braces overflowed the stack of the thread that compiled or dropped the pattern.
    #[test]
    fn nested_braces_are_rejected_before_parsing() {
        let on_a_small_stack = || {
            for depth in [MAX_BRACES + 1, 500, 20_000, 1_000_000] {
                let nested = format!("{}{}", "{".repeat(depth), "}".repeat(depth));
                for pattern in [nested.clone(), "{".repeat(depth), format!("{nested}x")] {
                    for dialect in [Dialect::Paths, Dialect::Names] {
                        assert!(parse(&pattern, dialect).unwrap_err().exceeds_limit());
                        compile(std::slice::from_ref(&pattern), dialect).unwrap_err();
                    }
                }
            }
            let deepest = format!("{}a{}", "{".repeat(MAX_BRACES), "}".repeat(MAX_BRACES));
            assert!(compile(&[deepest], Dialect::Paths).unwrap().is_match("a"));
        };
        crate::testing::on_small_stack(on_a_small_stack);
    }

    #[test]
    fn errors_name_the_exceeded_limit() {
        let bytes = |n: usize| "a".repeat(n);
        for (patterns, expected) in [
            (
                vec![bytes(MAX_PATTERN_BYTES + 1)],
                "aaa… is not a valid glob: it is longer than 1024 bytes".to_owned(),
            ),
            (
                vec!["{a}".repeat(33)],
                "is not a valid glob: it has more than 32 opening braces".to_owned(),
            ),
            (
                vec!["a".to_owned(); MAX_PATTERNS + 1],
                "there are more than 1000 patterns".to_owned(),
            ),
            (
                vec![bytes(1000); 66],
                "the patterns are longer than 65536 bytes in total".to_owned(),
            ),
            (
                own(&["a["]),
                "'a[' is not a valid glob: unclosed character class; missing ']'".to_owned(),
            ),
        ] {
            let error = compile(&patterns, Dialect::Paths).unwrap_err().to_string();
            assert!(
                error
                    .replace('\'', "")
                    .ends_with(&expected.replace('\'', "")),
                "{error}"
            );
        }
        assert!(compile(&vec![bytes(1000); 65], Dialect::Paths).is_ok());
    }

    #[test]
    fn paths_and_names_differ_in_slashes_and_empty_alternatives() {
        let matches = |pattern: &str, text: &str, dialect| {
            compile(&own(&[pattern]), dialect).unwrap().is_match(text)
        };
        assert!(!matches("*", "a/b", Dialect::Paths) && matches("*", "a/b", Dialect::Names));
        assert!(matches("**", "a/b", Dialect::Paths));
        assert!(matches("r{,-1}", "r", Dialect::Names));
        assert!(!matches("r{,-1}", "r", Dialect::Paths));
        assert!(matches("\\*", "*", Dialect::Paths) && matches("\\*", "*", Dialect::Names));
    }
}
