//! Globs of people who are not trusted: bounded before they are parsed.
//!
//! The parser of globs nests as deep as their braces and frees them by recursion: 20,000 braces fill
//! the stack, and a full stack ends the process. Every glob that is stored, committed or told by a
//! hook goes through here, each time that it is compiled: what was stored by a version without
//! bounds is read again after every start.

use globset::GlobBuilder;
pub use globset::{Glob, GlobSet, GlobSetBuilder};

/// The longest pattern, in bytes. A path is no longer.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Opening braces in one pattern, nested or not.
pub const MAX_BRACES: usize = 32;
/// Patterns that are compiled together.
pub const MAX_PATTERNS: usize = 1_000;
/// Bytes of all patterns that are compiled together: matching one path may look at each of them.
pub const MAX_PATTERNS_BYTES: usize = 64 << 10;

/// Why a glob can't be used. Texts are for the author of the pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The pattern is longer than [`MAX_PATTERN_BYTES`].
    #[error("it is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// The pattern has more than [`MAX_BRACES`] opening braces.
    #[error("it has more than {MAX_BRACES} opening braces")]
    TooManyBraces,
    /// The pattern does not follow the grammar.
    #[error("{0}")]
    Malformed(String),
}

impl GlobError {
    /// Whether the pattern was not even parsed, so that nobody knows what it would match.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        !matches!(self, Self::Malformed(_))
    }
}

/// Why a list of globs can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobsError {
    /// More than [`MAX_PATTERNS`].
    #[error("there are more than {MAX_PATTERNS} patterns")]
    TooMany,
    /// Longer together than [`MAX_PATTERNS_BYTES`].
    #[error("the patterns have more than {MAX_PATTERNS_BYTES} bytes in all")]
    TooLong,
    /// One of them can't be used.
    #[error("'{pattern}' is no glob: {error}")]
    Pattern {
        /// The pattern, cut to what a message can hold.
        pattern: String,
        /// What is wrong with it.
        error: GlobError,
    },
    /// They can't be compiled together.
    #[error("{0}")]
    Set(String),
}

/// What of a pattern an error quotes.
const QUOTED_CHARS: usize = 100;

/// Whether a pattern is short and flat enough to be parsed.
///
/// # Errors
/// [`GlobError::TooLong`], [`GlobError::TooManyBraces`].
pub fn check_bounds(pattern: &str) -> Result<(), GlobError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(GlobError::TooLong);
    }
    // Those that are escaped or in a class count as well: a pattern has no use for so many.
    if pattern.bytes().filter(|byte| *byte == b'{').count() > MAX_BRACES {
        return Err(GlobError::TooManyBraces);
    }
    Ok(())
}

/// What the special characters of a pattern mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Whole paths: `*` and `?` stop at a slash, `**` does not.
    Paths,
    /// Names: a slash is a character like others, and an alternative may be empty.
    Names,
}

/// Parses one glob.
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

/// Compiles globs to one matcher.
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

/// Whether a list is short enough for each path or name to be held against it.
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

/// A pattern as it is quoted in a message: cut where it is long, so that the reason behind it is read.
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

    /// 20,000 nested braces filled the stack of the thread that compiled or freed them.
    #[test]
    fn nested_braces_are_refused_before_they_are_parsed() {
        let on_a_small_stack = || {
            for depth in [MAX_BRACES + 1, 500, 20_000, 1_000_000] {
                let nested = format!("{}{}", "{".repeat(depth), "}".repeat(depth));
                for pattern in [nested.clone(), "{".repeat(depth), format!("{nested}x")] {
                    for dialect in [Dialect::Paths, Dialect::Names] {
                        assert!(parse(&pattern, dialect).unwrap_err().is_bound());
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
    fn what_is_too_much_is_told() {
        let bytes = |n: usize| "a".repeat(n);
        for (patterns, expected) in [
            (
                vec![bytes(MAX_PATTERN_BYTES + 1)],
                "aaa… is no glob: it is longer than 1024 bytes".to_owned(),
            ),
            (
                vec!["{a}".repeat(33)],
                "is no glob: it has more than 32 opening braces".to_owned(),
            ),
            (
                vec!["a".to_owned(); MAX_PATTERNS + 1],
                "there are more than 1000 patterns".to_owned(),
            ),
            (
                vec![bytes(1000); 66],
                "the patterns have more than 65536 bytes in all".to_owned(),
            ),
            (
                own(&["a["]),
                "'a[' is no glob: unclosed character class; missing ']'".to_owned(),
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
