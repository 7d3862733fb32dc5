//! The grammar of reference expressions: a name, then modifiers.
//!
//! `~n` goes back n times to the first parent, `^n` goes to the n-th parent (`^0` stays). `@` means
//! a branch's head, and `$` a branch with its staged changes only; neither combines with other
//! modifiers.

use crate::{Error, ReferenceProblem, Result};

/// Maximum length of an expression.
const MAX_EXPRESSION_BYTES: usize = 4_096;

/// The characters that start a modifier.
pub(super) const MODIFIERS: [char; 4] = ['~', '^', '@', '$'];

/// A step from one commit to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// This many first parents back.
    Ancestor(u32),
    /// The parent with this number, counted from 1; 0 is the commit itself.
    Parent(u32),
}

/// The modifiers after the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Modifiers {
    None,
    Head,
    Staging,
    Steps(Vec<Step>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression<'a> {
    pub name: &'a str,
    pub modifiers: Modifiers,
}

/// Parses an expression.
///
/// # Errors
/// [`Error::InvalidReference`].
pub(super) fn parse(text: &str) -> Result<Expression<'_>> {
    let invalid = |problem: ReferenceProblem| Error::InvalidReference {
        reference: text.to_owned(),
        problem,
    };
    let malformed = |why: String| invalid(ReferenceProblem::Malformed(why));
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(Error::InvalidReference {
            reference: text.chars().take(64).collect(),
            problem: ReferenceProblem::Malformed(format!(
                "it is longer than {MAX_EXPRESSION_BYTES} bytes"
            )),
        });
    }
    let (name, mut rest) = text.split_at(text.find(MODIFIERS).unwrap_or(text.len()));
    if name.is_empty() {
        return Err(malformed("it names nothing".to_owned()));
    }
    let modifiers = match rest {
        "" => Modifiers::None,
        "@" => Modifiers::Head,
        "$" => Modifiers::Staging,
        _ => {
            let mut steps = Vec::new();
            while let Some(kind) = rest.chars().next() {
                let behind = &rest[kind.len_utf8()..];
                let (number, next) =
                    behind.split_at(behind.find(MODIFIERS).unwrap_or(behind.len()));
                let count = if number.is_empty() {
                    Ok(1)
                } else {
                    number.parse::<u32>()
                };
                let well_formed = number.bytes().all(|b| b.is_ascii_digit());
                let (Ok(count), true) = (count, well_formed) else {
                    let modifier = format!("{kind}{number}");
                    return Err(invalid(ReferenceProblem::Modifier(modifier)));
                };
                steps.push(match kind {
                    '~' => Step::Ancestor(count),
                    '^' => Step::Parent(count),
                    _ => return Err(malformed(format!("{kind} stands alone"))),
                });
                rest = next;
            }
            Modifiers::Steps(steps)
        }
    };
    Ok(Expression { name, modifiers })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: &Expect) {
        let shown = match parse(text) {
            Ok(Expression { name, modifiers }) => format!("{name} {modifiers:?}"),
            Err(e) => format!("error: {e}"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn expressions_parse() {
        check("main", &expect!["main None"]);
        check("v0.1-x", &expect!["v0.1-x None"]);
        check("main@", &expect!["main Head"]);
        check("main$", &expect!["main Staging"]);
        check("main~", &expect!["main Steps([Ancestor(1)])"]);
        check("main~0", &expect!["main Steps([Ancestor(0)])"]);
        check("main^", &expect!["main Steps([Parent(1)])"]);
        check(
            "main~2^3~^",
            &expect!["main Steps([Ancestor(2), Parent(3), Ancestor(1), Parent(1)])"],
        );
    }

    #[test]
    fn malformed_expressions_are_refused() {
        check(
            "",
            &expect![[r#"error: reference "" is invalid: it names nothing"#]],
        );
        check(
            "~1",
            &expect![[r#"error: reference "~1" is invalid: it names nothing"#]],
        );
        check(
            "main~x",
            &expect![[r#"error: reference "main~x" is invalid: could not parse modifier ~x"#]],
        );
        check(
            "main~+1",
            &expect![[r#"error: reference "main~+1" is invalid: could not parse modifier ~+1"#]],
        );
        check(
            "main~99999999999",
            &expect![[
                r#"error: reference "main~99999999999" is invalid: could not parse modifier ~99999999999"#
            ]],
        );
        check(
            "main@~1",
            &expect![[r#"error: reference "main@~1" is invalid: @ stands alone"#]],
        );
        check(
            "main~1$",
            &expect![[r#"error: reference "main~1$" is invalid: $ stands alone"#]],
        );
        check(
            "main@1",
            &expect![[r#"error: reference "main@1" is invalid: @ stands alone"#]],
        );
        assert!(parse(&"x".repeat(MAX_EXPRESSION_BYTES + 1)).is_err());
    }
}
