//! Compiles and matches globs from untrusted sources in bounded time.
//!
//! Limits are checked before a pattern is parsed. The parser of globs recurses with the nesting of braces: 20,000 nested
//! braces overflow the stack, which aborts the process. Every glob that is stored, committed or returned by a hook is
//! therefore compiled here. This includes stored globs, because an older version may have stored them without checking
//! the limits.
//!
//! Matching takes at most [`GlobSet::steps`] steps per byte of text, whatever the text. [`compile`] refuses lists that
//! take more than [`MAX_STEPS`]. Only braces can exceed this limit, because each alternative can be followed by each
//! alternative of the next braces. `*`, `?` and classes do not multiply. Callers with other limits use [`GlobSet::new`].

mod automaton;
#[cfg(test)]
mod tests;

use automaton::{Automaton, CompileError};
use globset::GlobBuilder;

/// Maximum length of a pattern, in bytes. Paths have the same limit.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Maximum number of opening braces in a pattern, nested or not.
pub const MAX_BRACES: usize = 32;
/// Maximum number of patterns that are compiled together.
pub const MAX_PATTERNS: usize = 1_000;
/// Maximum total length of the patterns that are compiled together, in bytes. Matching a path may read all of them.
pub const MAX_PATTERNS_BYTES: usize = 64 << 10;
/// Maximum number of steps per byte of text for all patterns that are compiled together. A step is a few machine
/// instructions. Patterns without braces stay below it if they respect the other limits.
pub const MAX_STEPS: usize = 16 << 10;

/// Why a glob is invalid. The messages address the author of the pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The pattern is longer than [`MAX_PATTERN_BYTES`].
    #[error("it is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// The pattern has more than [`MAX_BRACES`] opening braces.
    #[error("it has more than {MAX_BRACES} opening braces")]
    TooManyBraces,
    /// Matching the pattern takes more than [`MAX_STEPS`] per byte of text.
    #[error("the alternatives in its braces have too many combinations")]
    TooManySteps,
    /// The pattern has a syntax error.
    #[error("{0}")]
    Malformed(String),
}

impl GlobError {
    /// Returns whether the pattern exceeds a limit. It may be well-formed.
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
    /// Matching the patterns takes too many steps per byte of text.
    #[error("the alternatives in the braces of the patterns have too many combinations")]
    TooManySteps,
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

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct Glob(Automaton);

impl Glob {
    /// Returns whether the glob matches the whole text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes(), &mut Vec::new())
    }

    /// Returns whether the glob matches at least one text that is not empty. `{}` does not.
    #[must_use]
    pub fn matches_some_text(&self) -> bool {
        self.0.matches_some_text()
    }
}

/// Compiled globs that are matched together. The empty set matches nothing.
#[derive(Debug, Clone, Default)]
pub struct GlobSet {
    globs: Vec<Glob>,
}

impl GlobSet {
    /// Combines globs that together take at most `max_steps` per byte of text.
    ///
    /// # Errors
    /// [`GlobsError::TooManySteps`].
    pub fn new(globs: Vec<Glob>, max_steps: usize) -> Result<Self, GlobsError> {
        let set = Self { globs };
        if set.steps() > max_steps {
            return Err(GlobsError::TooManySteps);
        }
        Ok(set)
    }

    /// Returns whether a glob of the set matches the whole text.
    #[must_use]
    pub fn is_match(&self, text: impl AsRef<str>) -> bool {
        let text = text.as_ref().as_bytes();
        let mut sets = Vec::new();
        self.globs
            .iter()
            .any(|glob| glob.0.is_match(text, &mut sets))
    }

    /// Returns the maximum number of steps that [`GlobSet::is_match`] takes per byte of text.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.globs.iter().map(|glob| glob.0.steps()).sum()
    }

    /// Returns the approximate size in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.globs.iter().map(|glob| glob.0.bytes()).sum()
    }
}

/// Parses and compiles a glob.
///
/// # Errors
/// [`GlobError`].
pub fn parse(pattern: &str, dialect: Dialect) -> Result<Glob, GlobError> {
    check_bounds(pattern)?;
    let parsed = GlobBuilder::new(pattern)
        .literal_separator(dialect == Dialect::Paths)
        .empty_alternates(dialect == Dialect::Names)
        .backslash_escape(true)
        .build()
        .map_err(|error| GlobError::Malformed(error.kind().to_string()))?;
    match Automaton::new(parsed.regex()) {
        Ok(automaton) if automaton.steps() <= MAX_STEPS => Ok(Glob(automaton)),
        Ok(_) | Err(CompileError::TooManyEdges) => Err(GlobError::TooManySteps),
        Err(CompileError::Malformed(error)) => Err(GlobError::Malformed(error)),
    }
}

/// Compiles a list of globs to one matcher, which takes at most [`MAX_STEPS`] per byte of text.
///
/// # Errors
/// [`GlobsError`].
pub fn compile(patterns: &[String], dialect: Dialect) -> Result<GlobSet, GlobsError> {
    check_list(patterns)?;
    let mut globs = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        let glob = parse(pattern, dialect).map_err(|error| GlobsError::Pattern {
            pattern: quoted(pattern),
            error,
        })?;
        globs.push(glob);
    }
    GlobSet::new(globs, MAX_STEPS)
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
