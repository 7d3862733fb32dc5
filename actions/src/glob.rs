//! Globs: branch globs with the syntax of Go's `path.Match`, path globs with `**`.
//!
//! lakeFS reads the same branch patterns, so they must have the same meaning here: `*` and `?` do
//! not match `/`, classes are `[a-z]` and `[^a-z]`, and a backslash escapes the next character.

use base::glob::{self, Dialect, GlobSet};

use crate::error::Malformed;

/// Reports whether a branch pattern is well-formed.
pub(crate) fn is_branch_pattern(pattern: &str) -> bool {
    tokens(pattern).is_some()
}

/// Checks the total length of a list of branch patterns. One event may have to be matched against
/// all of them.
pub(crate) fn check_branch_list(patterns: &[String]) -> Result<(), Malformed> {
    glob::check_list(patterns).map_err(|e| Malformed::new(e.to_string()))
}

/// Reports whether every part of the pattern could match in some valid branch name.
pub(crate) fn can_match_branch(pattern: &str) -> bool {
    let Some(tokens) = tokens(pattern) else {
        return false;
    };
    let is_of_names = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    let of_names = ('\0'..='\u{7f}').filter(is_of_names);
    let fits = |token: &Token| match token {
        Token::Star | Token::AnyChar => true,
        Token::Char(_) | Token::Class { .. } => of_names.clone().any(|c| token.matches(c)),
    };
    !tokens.is_empty() && tokens.iter().all(fits)
}

/// Reports whether the pattern matches the whole name. A malformed pattern matches nothing.
pub(crate) fn branch_matches(pattern: &str, name: &str) -> bool {
    let Some(tokens) = tokens(pattern) else {
        return false;
    };
    let name: Vec<char> = name.chars().collect();
    let (mut t, mut n) = (0, 0);
    // Backtracking state: the token after the last star, and the first character not yet consumed
    // by that star.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match tokens.get(t) {
            Some(Token::Star) => {
                star = Some((t + 1, n));
                t += 1;
                continue;
            }
            Some(token) if name.get(n).is_some_and(|c| token.matches(*c)) => {
                t += 1;
                n += 1;
                continue;
            }
            None if n == name.len() => return true,
            _ => {}
        }
        match star {
            Some((after, eaten)) if name.get(eaten).is_some_and(|c| *c != '/') => {
                star = Some((after, eaten + 1));
                t = after;
                n = eaten + 1;
            }
            _ => return false,
        }
    }
}

enum Token {
    Star,
    AnyChar,
    Char(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::AnyChar => c != '/',
            Self::Char(x) => *x == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&c)) != *negated
            }
        }
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    if pattern.len() > glob::MAX_PATTERN_BYTES {
        return None;
    }
    let mut out = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Star,
            '?' => Token::AnyChar,
            '\\' => Token::Char(chars.next()?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    match chars.next()? {
                        ']' if !ranges.is_empty() => break,
                        ']' | '-' => return None,
                        c => {
                            let low = if c == '\\' { chars.next()? } else { c };
                            let high = if chars.next_if_eq(&'-').is_some() {
                                match chars.next()? {
                                    '\\' => chars.next()?,
                                    ']' | '-' => return None,
                                    c => c,
                                }
                            } else {
                                low
                            };
                            ranges.push((low, high));
                        }
                    }
                }
                Token::Class { negated, ranges }
            }
            c => Token::Char(c),
        });
    }
    Some(out)
}

/// Maximum length of an object path in bytes.
pub(crate) const MAX_PATH_BYTES: usize = 1024;

/// Reports whether some object path could match. `{}`, for example, matches only the empty text, which is
/// no path.
pub(crate) fn can_match_path(pattern: &str) -> bool {
    literal_prefix(pattern).len() <= MAX_PATH_BYTES
        && glob::parse(pattern, Dialect::Paths).is_ok_and(|glob| glob.matches_some_text())
}

/// Compiles globs that match whole object paths: `*` does not match `/`, `**` does.
pub(crate) fn path_set(patterns: &[String]) -> Result<GlobSet, Malformed> {
    glob::compile(patterns, Dialect::Paths).map_err(|e| Malformed::new(e.to_string()))
}

/// Returns the literal prefix that every matching path starts with.
pub(crate) fn literal_prefix(pattern: &str) -> &str {
    let end = pattern
        .find(['*', '?', '[', '{', '\\'])
        .unwrap_or(pattern.len());
    &pattern[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_globs_match_as_in_go() {
        for (pattern, name, expected) in [
            ("main", "main", true),
            ("main", "main2", false),
            ("case*", "case10", true),
            ("case*", "case", true),
            ("*", "anything", true),
            ("*", "a/b", false),
            ("a/*", "a/b", true),
            ("?", "/", false),
            ("release-?", "release-1", true),
            ("release-?", "release-10", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("*a", "aaaaaaaaab", false),
        ] {
            assert_eq!(branch_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_branch_globs_are_detected() {
        for pattern in ["[", "[]", "[a", "[a-]", "a\\", "[-x]"] {
            assert!(!is_branch_pattern(pattern), "{pattern}");
        }
        assert!(is_branch_pattern("[a-z]*?\\["));
    }

    /// Regression test: classes were not compared with the characters of names, so a gate with such a branch never
    /// ran, and there was no warning.
    #[test]
    fn patterns_that_match_no_branch_are_recognized() {
        for pattern in ["", "a/b", "[/]x", "[z-a]*", "main[!-,]", "[é]"] {
            assert!(is_branch_pattern(pattern), "{pattern}");
            assert!(!can_match_branch(pattern), "{pattern}");
        }
        for pattern in ["*", "[^/]x", "release-[0-9]", "?[_]"] {
            assert!(can_match_branch(pattern), "{pattern}");
        }
    }

    #[test]
    fn length_of_branch_globs_is_limited() {
        let (longest, nested) = ("{".repeat(1024), "{".repeat(20_000));
        assert!(is_branch_pattern(&longest) && !branch_matches(&longest, "main"));
        assert!(!is_branch_pattern(&nested) && !branch_matches(&nested, &nested));
        check_branch_list(&vec![longest.clone(); 64]).unwrap();
        for too_much in [vec![longest; 65], vec![String::new(); 1001]] {
            check_branch_list(&too_much).unwrap_err();
        }
    }

    #[test]
    fn stars_do_not_take_exponential_time() {
        assert!(!branch_matches(&"*a".repeat(500), &"a".repeat(499)));
    }

    #[test]
    fn path_globs_support_double_stars() {
        let set = path_set(&["tables/**".to_owned(), "**/*.parquet".to_owned()]).unwrap();
        for (path, expected) in [
            ("tables/a/b", true),
            ("x/y.parquet", true),
            ("y.parquet", true),
            ("x/y.csv", false),
        ] {
            assert_eq!(set.is_match(path), expected, "{path}");
        }
        assert!(
            path_set(&["a[".to_owned()])
                .unwrap_err()
                .to_string()
                .contains("'a[' is not a valid glob")
        );
        assert_eq!(literal_prefix("tables/2024-*/x"), "tables/2024-");
    }

    /// Regression test: only the literal prefix was checked, so a gate with the pattern `{}` checked nothing.
    #[test]
    fn patterns_that_match_no_path_are_recognized() {
        for pattern in ["", "{}", "{,}", "a["] {
            assert!(!can_match_path(pattern), "{pattern}");
        }
        for pattern in ["a", "**", "{,a}", "{}a"] {
            assert!(can_match_path(pattern), "{pattern}");
        }
    }
}
