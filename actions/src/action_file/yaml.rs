//! A YAML parser that keeps positions: every scalar, list and map has its line and column.
//!
//! This module does not depend on action files. Deserializers lose positions, and an error without
//! a position is hard to find in a long file. Depth and size are limited; an alias counts with the
//! size of its expansion.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Maximum nesting depth of maps and lists.
const MAX_DEPTH: usize = 64;
/// Maximum number of nodes in a file, with aliases expanded.
const MAX_NODES: usize = 100_000;
/// Maximum total length of all strings in a file in bytes, with aliases expanded.
const MAX_TEXT_BYTES: usize = 4 << 20;
/// Maximum length of an error message, which may quote the file.
const MAX_REASON_CHARS: usize = 500;

/// A position in a file. Both numbers start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// An error or a warning at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) at: Option<Position>,
    pub(crate) reason: String,
}

impl Diagnostic {
    pub(crate) fn new(at: Position, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        // Error messages may quote keys, and a key can have a megabyte.
        if let Some((end, _)) = reason.char_indices().nth(MAX_REASON_CHARS) {
            reason.truncate(end);
            reason.push('…');
        }
        Self {
            at: Some(at),
            reason,
        }
    }

    fn anywhere(reason: impl Into<String>) -> Self {
        Self {
            at: None,
            reason: reason.into(),
        }
    }
}

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// The content of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// `plain` scalars are written without quotes. Only they can be a number, a boolean or `null`.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) at: Position,
    pub(crate) text: String,
}

impl Node {
    /// Reports whether the node is `null`, `~` or empty.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Returns the text of a scalar, whatever its type.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Returns the value of a key unless it is `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).filter(|value| !value.is_null())
    }

    /// Returns the value of a key, including `null`.
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        let pairs = self.map()?;
        pairs.iter().find(|(k, _)| k.text == key).map(|(_, v)| v)
    }

    /// Returns the text of a scalar whose YAML type is string.
    pub(crate) fn string(&self) -> Option<&str> {
        let Value::Scalar { text, plain } = &self.value else {
            return None;
        };
        (!plain || plain_to_json(text).is_string()).then_some(text)
    }

    /// Returns the position of the value at `path` within this node. Path segments are keys of maps
    /// and indexes of lists. If the value does not exist, returns the position of its closest
    /// existing parent.
    pub(crate) fn place_of(&self, path: &[String]) -> Position {
        let mut at = self;
        for step in path {
            let inner = match &at.value {
                Value::Map(_) => at.entry(step),
                Value::List(items) => step.parse().ok().and_then(|i: usize| items.get(i)),
                Value::Scalar { .. } => None,
            };
            match inner {
                Some(inner) => at = inner,
                None => break,
            }
        }
        at.at
    }

    /// Returns the pairs of a map, or `None` for other nodes.
    pub(crate) fn map(&self) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns the items of a list, or `None` for other nodes.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Converts the node to JSON. Plain scalars get their type from YAML's core schema.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar { text, plain: false } => text.as_str().into(),
            Value::Scalar { text, plain: true } => plain_to_json(text),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(pairs) => pairs
                .iter()
                .map(|(k, v)| (k.text.clone(), v.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// Returns the nesting depth of maps and lists. A scalar has height 0.
    fn height(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => 1 + items.iter().map(Self::height).max().unwrap_or(0),
            Value::Map(pairs) => 1 + pairs.iter().map(|(_, v)| v.height()).max().unwrap_or(0),
        }
    }

    /// Returns the estimated memory use in bytes, with aliases expanded.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let Size { nodes, bytes } = self.size();
        (nodes * NODE_BYTES + bytes) as u64
    }

    fn size(&self) -> Size {
        let one = Size { nodes: 1, bytes: 0 };
        match &self.value {
            Value::Scalar { text, .. } => Size {
                bytes: text.len(),
                ..one
            },
            Value::List(items) => items.iter().map(Self::size).fold(one, Size::plus),
            Value::Map(pairs) => pairs
                .iter()
                .map(|(k, v)| {
                    v.size().plus(Size {
                        nodes: 1,
                        bytes: k.text.len(),
                    })
                })
                .fold(one, Size::plus),
        }
    }
}

/// Estimated memory use of a node in addition to its text.
const NODE_BYTES: usize = 64;

/// Number of nodes and bytes of text.
#[derive(Debug, Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
        }
    }
}

fn plain_to_json(text: &str) -> serde_json::Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return serde_json::Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(Ok(n)) = text
            .strip_prefix(prefix)
            .map(|digits| i64::from_str_radix(digits, radix))
        {
            return n.into();
        }
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text
        .parse::<f64>()
        .ok()
        .filter(|_| numeric)
        .and_then(serde_json::Number::from_f64)
    {
        Some(n) => n.into(),
        None => text.into(),
    }
}

/// The result of parsing a YAML stream.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Position of the next document that is not empty. Its content is not parsed.
    pub(crate) next: Option<Position>,
}

/// Parses the first document of a YAML stream.
pub(crate) fn parse(text: &str) -> Result<Document, Diagnostic> {
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        size: Size { nodes: 0, bytes: 0 },
    };
    loop {
        match builder.next()? {
            (Event::DocumentStart(_), _) => {
                let (event, span) = builder.next()?;
                let root = builder.node(event, span, 0)?;
                let next = builder.next_document();
                return Ok(Document { root, next });
            }
            (Event::StreamEnd, span) => {
                let root = Node {
                    at: position(span),
                    value: Value::Scalar {
                        text: String::new(),
                        plain: true,
                    },
                };
                return Ok(Document { root, next: None });
            }
            _ => {}
        }
    }
}

fn too_deep(at: Position) -> Diagnostic {
    Diagnostic::new(at, format!("nested deeper than {MAX_DEPTH} levels"))
}

fn position(span: Span) -> Position {
    Position {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
    }
}

struct Builder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    /// Total size of the nodes built so far.
    size: Size,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(e)) => {
                let found = Position {
                    line: e.marker().line().max(1),
                    column: e.marker().col() + 1,
                };
                Err(Diagnostic::new(
                    self.within_text(found),
                    format!("not valid YAML: {}", e.info()),
                ))
            }
            None => Err(Diagnostic::anywhere("not valid YAML: it ends too early")),
        }
    }

    /// Returns the position of the next document unless it is empty. That document may be invalid,
    /// because lakeFS does not read it either.
    fn next_document(&mut self) -> Option<Position> {
        let mut begins = None;
        while let Some(Ok((event, span))) = self.parser.next_event() {
            match (event, begins) {
                (Event::DocumentStart(_), _) => begins = Some(position(span)),
                (Event::DocumentEnd, None) => {}
                // A `---` at the end of the file, possibly followed by a comment.
                (Event::Scalar(text, ScalarStyle::Plain, ..), Some(_)) if text.is_empty() => {
                    begins = None;
                }
                (Event::DocumentEnd, Some(_)) => begins = None,
                (_, begins) => return begins,
            }
        }
        // The next document has a syntax error at its start.
        begins
    }

    /// The parser reports some errors on the line after the last one. Editors do not show that
    /// line.
    fn within_text(&self, at: Position) -> Position {
        match self.text.lines().enumerate().last() {
            Some((last, line)) if at.line > last + 1 => Position {
                line: last + 1,
                column: line.chars().count() + 1,
            },
            _ => at,
        }
    }

    fn count(&mut self, at: Position, more: Size) -> Result<(), Diagnostic> {
        self.size = self.size.plus(more);
        if self.size.nodes > MAX_NODES {
            return Err(Diagnostic::new(
                at,
                format!("more than {MAX_NODES} values in one file"),
            ));
        }
        if self.size.bytes > MAX_TEXT_BYTES {
            return Err(Diagnostic::new(
                at,
                format!("more than {MAX_TEXT_BYTES} bytes of text in one file"),
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        let at = position(span);
        if depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let bytes = match &event {
            Event::Scalar(text, ..) => text.len(),
            _ => 0,
        };
        self.count(at, Size { nodes: 1, bytes })?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (
                Value::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                },
                anchor,
            ),
            Event::SequenceStart(anchor, _) => (Value::List(self.items(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.pairs(depth)?), anchor),
            Event::Alias(id) => {
                let target = self
                    .anchors
                    .get(&id)
                    .ok_or_else(|| Diagnostic::new(at, "an alias within its own anchor"))?;
                // Check the limits before copying the target. Otherwise, a chain of aliases would
                // nest as deep as the chain is long.
                let (size, height) = (target.size(), target.height());
                self.count(at, size)?;
                if depth + height > MAX_DEPTH {
                    return Err(too_deep(at));
                }
                return Ok(Node {
                    at,
                    value: self.anchors[&id].value.clone(),
                });
            }
            _ => return Err(Diagnostic::new(at, "not valid YAML: a value is expected")),
        };
        let node = Node { at, value };
        if anchor > 0 {
            self.count(at, node.size())?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Diagnostic> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Diagnostic> {
        let mut pairs: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        let mut known = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_node = self.node(event, span, depth + 1)?;
            let Value::Scalar { text, plain } = key_node.value else {
                return Err(Diagnostic::new(key_node.at, "a key must be a scalar"));
            };
            let key = Key {
                at: key_node.at,
                text,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if plain && key.text == "<<" {
                merge_into(&mut merged, value)?;
                continue;
            }
            if !known.insert(key.text.clone()) {
                return Err(Diagnostic::new(
                    key.at,
                    format!("key '{}' is given twice", key.text),
                ));
            }
            pairs.push((key, value));
        }
        for (key, value) in merged {
            // A map's own keys take precedence over merged keys.
            if known.insert(key.text.clone()) {
                pairs.push((key, value));
            }
        }
        Ok(pairs)
    }
}

/// Applies the merge key `<<`. Its value is a map or a list of maps; earlier maps take precedence.
fn merge_into(merged: &mut Vec<(Key, Node)>, value: Node) -> Result<(), Diagnostic> {
    match value.value {
        Value::Map(pairs) => merged.extend(pairs),
        Value::List(items) => {
            for item in items {
                let Value::Map(pairs) = item.value else {
                    return Err(Diagnostic::new(item.at, "'<<' merges maps only"));
                };
                merged.extend(pairs);
            }
        }
        Value::Scalar { .. } => return Err(Diagnostic::new(value.at, "'<<' merges maps only")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let node =
            parse("a: 1\nb: '1'\nc: true\nd: ~\ne: 1.5\nf: [x, 0x10]\ng: inf\nh: -2\n").unwrap();
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

    /// The parser does not recurse for any of these inputs. It fails early, or takes time that is
    /// linear in the length.
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
}
