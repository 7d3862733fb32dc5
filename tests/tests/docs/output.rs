//! Compares the output that a page shows with the output of its commands.
//!
//! Whitespace outside of double quotes does not count, so that a page can break and indent JSON.
//! `...` stands for one or more characters that differ from run to run: ids, times, digests. In a
//! quoted string, it does not extend past the end of the string.

/// A piece of shown output.
#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    /// `...`; `in_string` tells whether it is between double quotes.
    Any {
        in_string: bool,
    },
}

/// Reports whether `printed` is the output that `shown` describes.
pub(super) fn matches(shown: &str, printed: &str) -> bool {
    fits(&pieces(&compact(shown)), &compact(printed))
}

/// Removes whitespace outside of double quotes.
fn compact(text: &str) -> String {
    let mut result = String::new();
    let mut in_string = false;
    let mut is_escaped = false;
    for c in text.chars() {
        if c == '"' && !is_escaped {
            in_string = !in_string;
        }
        is_escaped = in_string && c == '\\' && !is_escaped;
        if in_string || !c.is_whitespace() {
            result.push(c);
        }
    }
    result
}

fn pieces(shown: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut quotes = 0;
    for (number, literal) in shown.split("...").enumerate() {
        if number > 0 {
            pieces.push(Piece::Any {
                in_string: quotes % 2 == 1,
            });
        }
        quotes += literal.replace("\\\"", "").matches('"').count();
        pieces.push(Piece::Literal(literal.to_owned()));
    }
    pieces
}

fn fits(pieces: &[Piece], printed: &str) -> bool {
    match pieces {
        [] => printed.is_empty(),
        [Piece::Literal(text), rest @ ..] => printed
            .strip_prefix(text.as_str())
            .is_some_and(|printed| fits(rest, printed)),
        [Piece::Any { in_string }, rest @ ..] => {
            let ends = printed.char_indices().map(|(at, c)| (at + c.len_utf8(), c));
            for (end, c) in ends {
                if *in_string && c == '"' && !printed[..end].ends_with("\\\"") {
                    return false;
                }
                if fits(rest, &printed[end..]) {
                    return true;
                }
            }
            false
        }
    }
}

#[test]
fn placeholders_stand_for_text_that_differs() {
    let printed = r#"{"id":"4f1c","message":"a \"b\" c","results":[{"id":1},{"id":2}]}"#;
    for shown in [
        printed,
        "{ \"id\": \"...\",\n  \"message\": \"a \\\"b\\\" c\", \"results\": [...] }",
        "{\"id\": \"4...\", \"message\": \"a...\", ... {\"id\": 2}]}",
    ] {
        assert!(matches(shown, printed), "{shown}");
    }
    for shown in [
        r#"{"id":"5...","message":"a \"b\" c","results":[{"id":1},{"id":2}]}"#,
        r#"{"id":"...","message":"a\"b\"c","results":[...]}"#,
        r#"{"id":"...","results":[...]}"#,
        r#"{"id":"4f1c...","message":...}"#,
    ] {
        assert!(!matches(shown, printed), "{shown}");
    }
    assert!(matches(
        "upload: ./a to s3://b/...",
        "upload: ./a   to s3://b/c\n"
    ));
}
