//! The `if:` expression of a hook: a boolean condition on the results of the preceding hooks.
//!
//! This module has no I/O. The grammar has `success()`, `failure()`, `true`, `false`, `!`/`not`,
//! `&&`/`and`, `||`/`or`, `==`, `!=`, parentheses, and comparisons of two numbers or two strings.
//! The parser rejects anything else, so a bad condition is reported when the action file is
//! parsed and not when the hook runs.

use std::cmp::Ordering;

use crate::error::Malformed;

/// Maximum nesting depth of an expression.
const MAX_DEPTH: usize = 32;
/// Maximum number of tokens in an expression. A chain of operators produces a tree as deep as the
/// chain is long.
const MAX_TOKENS: usize = 256;

/// First character of string tokens, whatever their quotes. No other token starts with it.
const TEXT_MARK: char = '\'';

/// A parsed condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Condition {
    /// True while no earlier hook of the action has failed. Default for hooks without `if`.
    #[default]
    Success,
    Failure,
    Literal(bool),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Equal(Box<Condition>, Box<Condition>),
}

impl Condition {
    /// Parses an expression. An empty expression means `success()`.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let tokens = tokenize(text)?;
        if tokens.is_empty() {
            return Ok(Self::Success);
        }
        let mut parser = ExpressionParser {
            tokens: &tokens,
            at: 0,
        };
        let condition = parser.or(0)?.condition()?;
        match parser.peek() {
            None => Ok(condition),
            Some(token) => Err(Malformed::new(format!("'{token}' is not expected there"))),
        }
    }

    /// Evaluates the condition. `failed` says whether an earlier hook of the action has failed.
    pub(crate) fn holds(&self, failed: bool) -> bool {
        match self {
            Self::Success => !failed,
            Self::Failure => failed,
            Self::Literal(b) => *b,
            Self::Not(a) => !a.holds(failed),
            Self::And(a, b) => a.holds(failed) && b.holds(failed),
            Self::Or(a, b) => a.holds(failed) || b.holds(failed),
            Self::Equal(a, b) => a.holds(failed) == b.holds(failed),
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<String>, Malformed> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' | ')' => c.to_string(),
            '!' => match chars.next_if_eq(&'=') {
                Some(_) => "!=".to_owned(),
                None => "!".to_owned(),
            },
            '&' | '|' | '=' => match chars.next_if_eq(&c) {
                Some(_) => format!("{c}{c}"),
                None => {
                    return Err(Malformed::new(format!(
                        "'{c}' is not an operator; did you mean '{c}{c}'?"
                    )));
                }
            },
            '<' | '>' => match chars.next_if_eq(&'=') {
                Some(_) => format!("{c}="),
                None => c.to_string(),
            },
            '\'' | '"' => {
                let mut text = TEXT_MARK.to_string();
                loop {
                    match chars.next() {
                        Some(end) if end == c => break text,
                        Some('\\') | None => {
                            return Err(Malformed::new(
                                "a text ends with its quote and has no backslash",
                            ));
                        }
                        Some(inner) => text.push(inner),
                    }
                }
            }
            c if c.is_ascii_digit() => {
                let mut number = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_ascii_digit() || *c == '.') {
                    number.push(c);
                }
                number
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                word
            }
            c => return Err(Malformed::new(format!("'{c}' is not expected there"))),
        };
        if tokens.len() == MAX_TOKENS {
            return Err(Malformed::new(format!(
                "more than {MAX_TOKENS} words and signs"
            )));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

struct ExpressionParser<'a> {
    tokens: &'a [String],
    at: usize,
}

impl ExpressionParser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn take(&mut self, any_of: &[&str]) -> bool {
        let found = self.peek().is_some_and(|t| any_of.contains(&t));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Term, Malformed> {
        let mut left = self.and(depth)?;
        while self.take(&["||", "or"]) {
            let right = self.and(depth)?.condition()?;
            left = Term::from(Condition::Or(Box::new(left.condition()?), Box::new(right)));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Result<Term, Malformed> {
        let mut left = self.equal(depth)?;
        while self.take(&["&&", "and"]) {
            let right = self.equal(depth)?.condition()?;
            left = Term::from(Condition::And(Box::new(left.condition()?), Box::new(right)));
        }
        Ok(left)
    }

    fn equal(&mut self, depth: usize) -> Result<Term, Malformed> {
        const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
        let mut left = self.unary(depth)?;
        while let Some(sign) = self
            .peek()
            .and_then(|token| COMPARISONS.into_iter().find(|sign| *sign == token))
        {
            self.at += 1;
            left = compare(left, sign, self.unary(depth)?)?;
        }
        Ok(left)
    }

    fn unary(&mut self, depth: usize) -> Result<Term, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::new(format!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        if self.take(&["!", "not"]) {
            let inner = self.unary(depth + 1)?.condition()?;
            return Ok(Term::from(Condition::Not(Box::new(inner))));
        }
        if self.take(&["("]) {
            let inner = self.or(depth + 1)?;
            return if self.take(&[")"]) {
                Ok(inner)
            } else {
                Err(Malformed::new("')' is missing"))
            };
        }
        let Some(word) = self.peek().map(str::to_owned) else {
            return Err(Malformed::new("it ends too early"));
        };
        self.at += 1;
        if let Some(text) = word.strip_prefix(TEXT_MARK) {
            return Ok(Term::Text(text.to_owned()));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let number = word
                .parse()
                .map_err(|_| Malformed::new(format!("'{word}' is not a number")))?;
            return Ok(Term::Number(number));
        }
        match word.as_str() {
            "true" => Ok(Term::from(Condition::Literal(true))),
            "false" => Ok(Term::from(Condition::Literal(false))),
            "success" | "failure" => {
                if !(self.take(&["("]) && self.take(&[")"])) {
                    return Err(Malformed::new(format!(
                        "'{word}' needs parentheses: {word}()"
                    )));
                }
                Ok(Term::from(if word == "success" {
                    Condition::Success
                } else {
                    Condition::Failure
                }))
            }
            _ => Err(Malformed::new(format!(
                "'{word}' is not known; use success(), failure(), true, false, &&, || and !"
            ))),
        }
    }
}

/// Part of an expression. Only the `Condition` variant has a truth value.
#[derive(Debug)]
enum Term {
    Condition(Condition),
    Number(f64),
    Text(String),
}

impl From<Condition> for Term {
    fn from(condition: Condition) -> Self {
        Self::Condition(condition)
    }
}

impl Term {
    fn condition(self) -> Result<Condition, Malformed> {
        match self {
            Self::Condition(condition) => Ok(condition),
            Self::Number(number) => Err(Malformed::new(format!("{number} is not true or false"))),
            Self::Text(text) => Err(Malformed::new(format!("'{text}' is not true or false"))),
        }
    }
}

/// Compares two terms. Numbers and strings are constants, so the result is known while parsing.
fn compare(left: Term, sign: &str, right: Term) -> Result<Term, Malformed> {
    let order = match (left, right) {
        (Term::Number(a), Term::Number(b)) => a.partial_cmp(&b),
        (Term::Text(a), Term::Text(b)) => Some(a.cmp(&b)),
        (Term::Condition(a), Term::Condition(b)) if matches!(sign, "==" | "!=") => {
            let equal = Condition::Equal(Box::new(a), Box::new(b));
            return Ok(Term::from(match sign {
                "==" => equal,
                _ => Condition::Not(Box::new(equal)),
            }));
        }
        _ => {
            return Err(Malformed::new(format!(
                "'{sign}' compares two values of the same type"
            )));
        }
    };
    let holds = match sign {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    };
    Ok(Term::from(Condition::Literal(holds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_depend_on_results_of_preceding_hooks() {
        // (expression, runs after success, runs after failure)
        for (text, after_success, after_failure) in [
            ("", true, false),
            ("success()", true, false),
            ("failure()", false, true),
            ("true", true, true),
            ("false", false, false),
            ("success() || failure()", true, true),
            ("success() && failure()", false, false),
            ("!failure()", true, false),
            ("not (success() and true)", false, true),
            ("failure() == true", false, true),
            ("failure() != true", true, false),
            ("true || false && false", true, true),
            ("'a' == 'a'", true, true),
            ("'a' == \"b\" || failure()", false, true),
            ("1 == 1", true, true),
            ("2 >= 10", false, false),
            ("1.5 < 2 && success()", true, false),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!(
                (condition.holds(false), condition.holds(true)),
                (after_success, after_failure),
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_conditions_are_rejected_with_a_reason() {
        for (text, reason) in [
            ("success", "'success' needs parentheses: success()"),
            (
                "maybe()",
                "'maybe' is not known; use success(), failure(), true, false, &&, || and !",
            ),
            ("success() &", "'&' is not an operator; did you mean '&&'?"),
            ("(true", "')' is missing"),
            ("true true", "'true' is not expected there"),
            ("true &&", "it ends too early"),
            ("1 + 1", "'+' is not expected there"),
            ("1", "1 is not true or false"),
            ("'success()'", "'success()' is not true or false"),
            ("!1", "1 is not true or false"),
            ("1 == '1'", "'==' compares two values of the same type"),
            ("true < false", "'<' compares two values of the same type"),
            ("1.2.3 == 1", "'1.2.3' is not a number"),
            ("'open", "a text ends with its quote and has no backslash"),
        ] {
            assert_eq!(
                Condition::parse(text).unwrap_err().to_string(),
                reason,
                "{text}"
            );
        }
        for deep in ["!".repeat(200), "(".repeat(200)] {
            let reason = Condition::parse(&deep).unwrap_err().to_string();
            assert!(reason.contains("nested deeper"), "{reason}");
        }
        // Without the limit, this expression would nest 100,000 levels deep and overflow the stack
        // when it is evaluated or dropped.
        let long = format!("true{}", " && true".repeat(100_000));
        assert_eq!(
            Condition::parse(&long).unwrap_err().to_string(),
            "more than 256 words and signs"
        );
    }
}
