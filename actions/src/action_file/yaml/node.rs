//! The nodes of a YAML document, with their positions.

/// Maximum length of an error message in characters. A message may quote the file.
pub(super) const MAX_REASON_CHARS: usize = 500;

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
        // Error messages may quote keys, and a key can be a megabyte long.
        if let Some((end, _)) = reason.char_indices().nth(MAX_REASON_CHARS) {
            reason.truncate(end);
            reason.push('…');
        }
        Self {
            at: Some(at),
            reason,
        }
    }

    pub(super) fn without_position(reason: impl Into<String>) -> Self {
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
    /// `plain` is true for scalars without quotes. Only these can be numbers, booleans or `null`.
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
    pub(super) fn height(&self) -> usize {
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

    pub(super) fn size(&self) -> Size {
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
pub(super) struct Size {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
}

impl Size {
    pub(super) fn plus(self, other: Self) -> Self {
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
