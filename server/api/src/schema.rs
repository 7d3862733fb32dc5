//! Validates requests against the contract: parameters and JSON bodies.
//!
//! The tables are generated; this module interprets them. Messages name the member or parameter and the problem,
//! in the format that clients of lakeFS know. Unknown parameters and members are ignored, except in objects that the
//! contract closes.

use std::sync::OnceLock;

use http::HeaderMap;
use regex::Regex;
use serde_json::{Map, Value};

/// The pattern of a time. Whether it is a valid time is checked when it is parsed.
static DATE_TIME: Pattern = Pattern::new(
    r"^[0-9]{4}-(0[1-9]|10|11|12)-(0[1-9]|[12][0-9]|3[01])T([0-1][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)[0-9]{2}:[0-9]{2})?$",
);

/// The maximum nesting of a body. The contract needs six levels.
const MAX_DEPTH: usize = 32;

/// One operation of the contract.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Whether the operation requires authentication.
    pub(crate) authenticated: bool,
    pub(crate) parameters: &'static [Parameter],
    /// The JSON body; none for operations without a body, and for those whose handler reads it.
    pub(crate) body: Option<Body>,
}

/// Where a parameter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Query,
    Header,
}

/// A query or header parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) required: bool,
    pub(crate) allow_empty: bool,
    pub(crate) schema: &'static Schema,
}

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body {
    /// The schema's name, if it has one.
    pub(crate) name: Option<&'static str>,
    pub(crate) required: bool,
    pub(crate) schema: &'static Schema,
}

/// The schema of a value.
#[derive(Debug)]
pub(crate) enum Schema {
    String {
        pattern: Option<&'static Pattern>,
        min_length: usize,
        date_time: bool,
        variants: &'static [&'static str],
    },
    Integer {
        minimum: Option<i64>,
        maximum: Option<i64>,
    },
    Boolean,
    Array {
        items: &'static Schema,
        min_items: usize,
    },
    /// An object with arbitrary keys and values of one schema.
    Map(&'static Schema),
    Object(&'static [Property]),
    /// An object that allows no other members, because a misspelled member would change the effect of the operation.
    Closed(&'static [Property]),
    /// Any JSON object.
    Free,
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) schema: &'static Schema,
}

/// A regular expression that is compiled on first use.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    fn matches(&self, value: &str) -> bool {
        let regex = self.compiled.get_or_init(|| {
            Regex::new(self.text).expect("a test compiles every pattern of the contract")
        });
        regex.is_match(value)
    }
}

/// Hints for values that do not match a pattern of the contract, by pattern. The message of such a value ends with the
/// pattern.
const PATTERN_HINTS: &[(&str, &str)] = &[
    (
        "^[a-z0-9][a-z0-9-]{2,62}$",
        "write 3 to 63 lower-case letters, digits and dashes, with no dash at the start, such as my-repo",
    ),
    (
        "^(s3|gs|https?|mem|local|transient)://.*$",
        "write the scheme of the server's store and a name, such as local://NAME",
    ),
    (
        "^bytes=((\\d*-\\d*,? ?)+)$",
        "write the first and the last byte, such as bytes=0-99",
    ),
];

/// The hint for the message of a failed check, if the message does not say enough.
pub(crate) fn hint_of(message: &str) -> Option<&'static str> {
    if message.contains("the format \"date-time\"") {
        return Some("write a time with its zone, such as 2026-01-31T00:00:00Z");
    }
    let mut known = PATTERN_HINTS.iter();
    known
        .find(|(pattern, _)| message.ends_with(&format!("\"{pattern}\"")))
        .map(|(_, hint)| *hint)
}

impl Operation {
    /// Checks query and header parameters.
    pub(crate) fn check_parameters(
        &self,
        query: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<(), String> {
        for parameter in self.parameters {
            parameter.check(query, headers)?;
        }
        Ok(())
    }
}

impl Parameter {
    fn check(&self, query: &[(String, String)], headers: &HeaderMap) -> Result<(), String> {
        let place = match self.place {
            Place::Query => "query",
            Place::Header => "header",
        };
        let wrong = |reason: String| {
            format!(
                "parameter {:?} in {place} has an error: {reason}",
                self.name
            )
        };
        let mut given = 0;
        match self.place {
            Place::Query => {
                for (_, value) in query.iter().filter(|(name, _)| name == self.name) {
                    given += 1;
                    self.check_value(value).map_err(wrong)?;
                }
            }
            Place::Header => {
                if let Some(value) = headers.get(self.name) {
                    given += 1;
                    let text = value
                        .to_str()
                        .map_err(|_| wrong("value is not printable ASCII".to_owned()))?;
                    self.check_value(text).map_err(wrong)?;
                }
            }
        }
        if given == 0 && self.required {
            return Err(wrong("value is required but missing".to_owned()));
        }
        Ok(())
    }

    fn check_value(&self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            // `binding` refuses an empty number, with lakeFS's message.
            return if self.allow_empty || matches!(self.schema, Schema::Integer { .. }) {
                Ok(())
            } else {
                Err("empty value is not allowed".to_owned())
            };
        }
        let schema = match self.schema {
            Schema::Array { items, .. } => items,
            schema => schema,
        };
        match schema {
            Schema::Integer { .. } => match text.parse::<i64>() {
                Ok(number) => schema.check_here(&Value::from(number)),
                Err(_) => Err(format!("value {text}: an invalid integer: invalid syntax")),
            },
            Schema::Boolean if boolean(text).is_none() => {
                Err(format!("value {text}: an invalid boolean: invalid syntax"))
            }
            Schema::Boolean => Ok(()),
            _ => schema.check_here(&Value::from(text)),
        }
    }
}

/// Parses a boolean. Each client language prints booleans differently, and lakeFS accepts all of these.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Body {
    /// Validates a body.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let mut path = Vec::new();
        self.schema.check(value, &mut path).map_err(|reason| {
            let of = self
                .name
                .map(|name| format!(" #/components/schemas/{name}"))
                .unwrap_or_default();
            format!(
                "request body has an error: doesn't match schema{of}: Error at \"/{}\": {reason}",
                path.join("/")
            )
        })
    }
}

impl Schema {
    /// Validates a value and everything nested in it. On failure, `path` leads to the invalid value.
    fn check(&self, value: &Value, path: &mut Vec<String>) -> Result<(), String> {
        if path.len() > MAX_DEPTH {
            return Err("value nests too deep".to_owned());
        }
        self.check_here(value)?;
        match (self, value) {
            (Self::Array { items, .. }, Value::Array(values)) => {
                for (i, value) in values.iter().enumerate() {
                    path.push(i.to_string());
                    items.check(value, path)?;
                    path.pop();
                }
            }
            (Self::Map(schema), Value::Object(members)) => {
                for (name, value) in members {
                    path.push(name.clone());
                    schema.check(value, path)?;
                    path.pop();
                }
            }
            (Self::Object(properties) | Self::Closed(properties), Value::Object(members)) => {
                if let Self::Closed(_) = self {
                    check_known(properties, members)?;
                }
                for property in *properties {
                    path.push(property.name.to_owned());
                    match members.get(property.name) {
                        None if property.required => {
                            return Err(format!("property {:?} is missing", property.name));
                        }
                        // Clients send null for omitted members.
                        None => {}
                        Some(Value::Null) if !property.required => {}
                        Some(value) => property.schema.check(value, path)?,
                    }
                    path.pop();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Validates a value without the values nested in it.
    fn check_here(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (
                Self::String {
                    pattern,
                    min_length,
                    date_time,
                    variants,
                },
                Value::String(text),
            ) => {
                if text.chars().count() < *min_length {
                    return Err(format!("minimum string length is {min_length}"));
                }
                if let Some(pattern) = pattern
                    && !pattern.matches(text)
                {
                    return Err(format!(
                        "string doesn't match the regular expression \"{}\"",
                        pattern.text
                    ));
                }
                if *date_time && !DATE_TIME.matches(text) {
                    return Err(format!(
                        "string doesn't match the format \"date-time\": string doesn't match pattern \"{}\"",
                        DATE_TIME.text
                    ));
                }
                if !variants.is_empty() && !variants.contains(&text.as_str()) {
                    let allowed = variants.join("\",\"");
                    return Err(format!(
                        "value is not one of the allowed values [\"{allowed}\"]"
                    ));
                }
                Ok(())
            }
            (Self::Integer { minimum, maximum }, Value::Number(number)) => {
                let number = number
                    .as_i64()
                    .ok_or("value must be an integer of 64 bits")?;
                match (minimum, maximum) {
                    (Some(least), _) if number < *least => {
                        Err(format!("number must be at least {least}"))
                    }
                    (_, Some(most)) if number > *most => {
                        Err(format!("number must be at most {most}"))
                    }
                    _ => Ok(()),
                }
            }
            (Self::Array { min_items, .. }, Value::Array(items)) if items.len() < *min_items => {
                Err(format!("minimum number of items is {min_items}"))
            }
            (Self::Boolean, Value::Bool(_))
            | (Self::Array { .. }, Value::Array(_))
            | (Self::Map(_) | Self::Object(_) | Self::Closed(_) | Self::Free, Value::Object(_)) => {
                Ok(())
            }
            (expected, _) => Err(format!("value must be {}", expected.article())),
        }
    }

    fn article(&self) -> &'static str {
        match self {
            Self::String { .. } => "a string",
            Self::Integer { .. } => "an integer",
            Self::Boolean => "a boolean",
            Self::Array { .. } => "an array",
            Self::Map(_) | Self::Object(_) | Self::Closed(_) | Self::Free => "an object",
        }
    }
}

/// Refuses members that are not in `properties`; names the first unknown one.
fn check_known(properties: &[Property], members: &Map<String, Value>) -> Result<(), String> {
    let is_known = |name: &str| properties.iter().any(|property| property.name == name);
    let Some(unknown) = members.keys().find(|name| !is_known(name)) else {
        return Ok(());
    };
    let known: Vec<_> = properties.iter().map(|property| property.name).collect();
    Err(format!(
        "property {unknown:?} is unknown: expected {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::{Operation, Schema, hint_of};
    use crate::generated::OPERATIONS;
    use http::{HeaderMap, HeaderValue};
    use serde_json::{Value, json};

    fn operation(id: &str) -> &'static Operation {
        OPERATIONS
            .iter()
            .find(|o| o.id == id)
            .expect("an operation of the contract")
    }

    fn query(text: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect()
    }

    fn refuse(id: &str, query_text: &str) -> String {
        operation(id)
            .check_parameters(&query(query_text), &HeaderMap::new())
            .expect_err("a refusal")
    }

    fn refuse_body(id: &str, body: &Value) -> String {
        operation(id)
            .body
            .as_ref()
            .expect("a body")
            .check(body)
            .expect_err("a refusal")
    }

    #[test]
    fn invalid_query_parameters_are_refused() {
        for (text, expected) in [
            (
                "amount=-2",
                "parameter \"amount\" in query has an error: number must be at least -1",
            ),
            (
                "amount=1001",
                "parameter \"amount\" in query has an error: number must be at most 1000",
            ),
            (
                "amount=x",
                "parameter \"amount\" in query has an error: value x: an invalid integer: invalid syntax",
            ),
        ] {
            assert_eq!(refuse("listRepositories", text), expected);
        }
        let missing = "parameter \"path\" in query has an error: value is required but missing";
        assert_eq!(refuse("statObject", ""), missing);
        assert!(refuse("statObject", "path=").contains("empty value"));
        assert!(refuse("statObject", "path=a&presign=yes").contains("invalid boolean"));
        let time = refuse("logCommits", "since=yesterday");
        assert!(time.contains("date-time"));
        assert!(hint_of(&time).is_some_and(|hint| hint.contains("2026-01-31T00:00:00Z")));
        assert_eq!(hint_of(missing), None);
        let good = operation("logCommits");
        let text = "since=2020-01-01T00:00:00Z&objects=a&objects=b&amount=-1&after=";
        assert_eq!(
            good.check_parameters(&query(text), &HeaderMap::new()),
            Ok(())
        );
    }

    #[test]
    fn invalid_header_parameters_are_refused() {
        let check = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("range", HeaderValue::from_static(range));
            operation("getObject").check_parameters(&query("path=a"), &headers)
        };
        assert!(
            check("bytes=x-y")
                .expect_err("a refusal")
                .contains("\"Range\" in header")
        );
        assert_eq!(check("bytes=0-1, 3-"), Ok(()));
    }

    #[test]
    fn invalid_bodies_are_refused() {
        assert_eq!(
            refuse_body("createRepository", &json!({"name": "x"})),
            "request body has an error: doesn't match schema #/components/schemas/RepositoryCreation: \
             Error at \"/name\": string doesn't match the regular expression \"^[a-z0-9][a-z0-9-]{2,62}$\""
        );
        assert!(
            refuse_body("createRepository", &json!({"name": "abc"}))
                .contains("\"storage_namespace\" is missing")
        );
        assert!(refuse_body("createRepository", &json!([])).contains("must be an object"));
        let key = json!({"username": "a", "key": {"access_key_id": "x", "secret_access_key": ""}});
        assert!(
            refuse_body("setup", &key)
                .contains("\"/key/secret_access_key\": minimum string length is 1")
        );
        assert!(
            refuse_body("commit", &json!({"message": "m", "metadata": {"n": 1}}))
                .contains("/metadata/n")
        );
        let nulls = json!({"message": "m", "metadata": null, "unknown": [1]});
        assert_eq!(
            operation("commit")
                .body
                .as_ref()
                .expect("a body")
                .check(&nulls),
            Ok(())
        );
        assert!(refuse_body("commit", &json!({"message": null})).contains("must be a string"));
        // Otherwise a misspelled field would undo the latest change instead of the named one.
        for undo in ["undoBranch", "undoTag"] {
            assert_eq!(
                refuse_body(undo, &json!({"entri": "x"})),
                "request body has an error: doesn't match schema #/components/schemas/UndoCreation: \
                  Error at \"/\": property \"entri\" is unknown: expected entry, force"
            );
        }
    }

    #[test]
    fn all_patterns_compile_and_have_hints() {
        fn walk(schema: &Schema, seen: &mut usize) {
            match schema {
                Schema::String {
                    pattern: Some(pattern),
                    ..
                } => {
                    regex::Regex::new(pattern.text).expect("a pattern of the contract");
                    let message = format!(
                        "string doesn't match the regular expression \"{}\"",
                        pattern.text
                    );
                    assert!(hint_of(&message).is_some(), "{message}: no hint");
                    *seen += 1;
                }
                Schema::Array { items, .. } | Schema::Map(items) => walk(items, seen),
                Schema::Object(properties) | Schema::Closed(properties) => {
                    properties.iter().for_each(|p| walk(p.schema, seen));
                }
                _ => {}
            }
        }
        let mut seen = 0;
        for operation in OPERATIONS {
            operation
                .parameters
                .iter()
                .for_each(|p| walk(p.schema, &mut seen));
            operation
                .body
                .iter()
                .for_each(|b| walk(b.schema, &mut seen));
        }
        assert!(seen >= 4, "expected patterns in the contract, found {seen}");
    }
}
