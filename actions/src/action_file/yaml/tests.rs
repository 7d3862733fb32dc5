//! Tests of the YAML parser: positions, types, aliases and limits.

use super::node::MAX_REASON_CHARS;
use super::parser::MAX_DEPTH;
use super::{Diagnostic, Node, Position};

fn parse(text: &str) -> Result<Node, Diagnostic> {
    super::parse(text).map(|document| document.root)
}

#[test]
fn second_document_is_detected_but_not_parsed() {
    for (text, next) in [
        ("a: 1\n---\nb: 2\n", Some((2, 1))),
        ("---\na: 1\n...\n---\nb: [\n", Some((4, 1))),
        ("a: 1\n--- \n}\n", Some((2, 1))),
        ("a: 1\n---\n---\n- x\n", Some((3, 1))),
        ("---\n---\nb: 2\n", Some((2, 1))),
        ("a: 1\n", None),
        ("---\na: 1\n", None),
        ("a: 1\n---\n", None),
        ("a: 1\n---\n# none\n...\n", None),
        ("a: 1\n...\n", None),
        ("a: |\n  ---\n  b\n", None),
        ("", None),
    ] {
        let found = super::parse(text).unwrap().next;
        assert_eq!(found.map(|at| (at.line, at.column)), next, "{text:?}");
    }
}

#[test]
fn scalars_get_the_types_of_the_core_schema() {
    let node = parse("a: 1\nb: '1'\nc: true\nd: ~\ne: 1.5\nf: [x, 0x10]\ng: inf\nh: -2\n").unwrap();
    assert_eq!(
        node.to_json(),
        serde_json::json!({"a": 1, "b": "1", "c": true, "d": null, "e": 1.5, "f": ["x", 16], "g": "inf", "h": -2})
    );
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let node = parse("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n").unwrap();
    assert_eq!(
        node.get("use").unwrap().to_json(),
        serde_json::json!({"x": 1, "y": 3})
    );
}

#[test]
fn alias_bomb_is_rejected() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(",");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(
        parse(&text)
            .unwrap_err()
            .reason
            .contains("more than 100000 values")
    );
}

#[test]
fn repeated_long_string_is_rejected() {
    let bomb = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        vec!["*a"; 40_000].join(",")
    );
    let reason = parse(&bomb).unwrap_err().reason;
    assert_eq!(reason, "more than 4194304 bytes of text in one file");
}

#[test]
fn error_messages_are_truncated() {
    let key = "k".repeat(1000);
    let reason = parse(&format!("{key}: 1\n{key}: 2\n")).unwrap_err().reason;
    assert_eq!(reason.chars().count(), MAX_REASON_CHARS + 1);
}

#[test]
fn nesting_depth_is_limited() {
    let diagnostic = parse(&"[".repeat(100)).unwrap_err();
    assert!(
        diagnostic.reason.contains("nested deeper"),
        "{diagnostic:?}"
    );
    // Far beyond the limit, the YAML parser itself reports an error instead of overflowing the
    // stack.
    parse(&"[".repeat(1_000_000)).unwrap_err();
}

#[test]
fn chain_of_aliases_counts_toward_nesting_depth() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for i in 1..200 {
        text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    let diagnostic = parse(&text).unwrap_err();
    assert_eq!(diagnostic.reason, "nested deeper than 64 levels");
    assert_eq!(diagnostic.at.unwrap().line, MAX_DEPTH);
    let shallow = text
        .lines()
        .take(MAX_DEPTH - 1)
        .collect::<Vec<_>>()
        .join("\n");
    parse(&shallow).unwrap();
}

/// The parser does not recurse for any of these inputs. It fails early or takes linear time.
#[test]
fn deep_nesting_does_not_overflow_a_small_stack() {
    base::testing::on_small_stack(|| {
        for piece in [
            "[", "{", "- ", "? ", "{a: ", "[a, ", "? - ", "&a [", "!!x [", "[{", ": ",
        ] {
            let reason = parse(&piece.repeat(100_000)).unwrap_err().reason;
            assert!(reason.len() < 4 * MAX_REASON_CHARS, "{reason}");
        }
    });
}

#[test]
fn errors_have_positions() {
    let diagnostic = parse("name: x\nname: y\n").unwrap_err();
    assert_eq!(
        diagnostic,
        Diagnostic::new(Position { line: 2, column: 1 }, "key 'name' is given twice")
    );
    assert_eq!(
        parse("name: [").unwrap_err().at,
        Some(Position { line: 1, column: 8 })
    );
    assert!(parse("").unwrap().is_null());
}
