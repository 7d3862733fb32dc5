//! Builds nodes from the events of the YAML parser, and limits their depth and size.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::node::{Diagnostic, Key, Node, Position, Size, Value};

/// Maximum nesting depth of maps and lists.
pub(super) const MAX_DEPTH: usize = 64;
/// Maximum number of nodes in a file, with aliases expanded.
const MAX_NODES: usize = 100_000;
/// Maximum total length of all strings in a file in bytes, with aliases expanded.
const MAX_TEXT_BYTES: usize = 4 << 20;

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
            None => Err(Diagnostic::without_position(
                "not valid YAML: it ends too early",
            )),
        }
    }

    /// Returns the position of the next document that is not empty. Ignores syntax errors in it,
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

    /// Moves a position after the last line to the end of that line. The parser reports some errors
    /// on a line after the last one, which editors do not show.
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
                let target = self.anchors.get(&id).ok_or_else(|| {
                    Diagnostic::new(at, "an alias refers to an anchor that contains it")
                })?;
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
