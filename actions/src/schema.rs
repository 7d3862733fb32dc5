//! Validates a hook's config against the JSON schema that the component's `describe` returns.
//!
//! The schema comes from a component, so it is untrusted. Unknown keywords and keywords of the
//! wrong type are ignored. Recursion is only as deep as the config, whose depth the parser of action
//! files limits. Anything that this check ignores is left to the hook, which parses its config
//! itself.

use serde_json::{Map, Value};

/// Maximum number of mistakes reported per config.
const MAX_MISTAKES: usize = 10;
/// Maximum number of `enum` values listed in a message.
const MAX_CHOICES: usize = 8;
/// Maximum number of characters that a message quotes from one key or value.
const MAX_QUOTED: usize = 60;

/// A violation of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Keys and list indexes from the root of the config to the value.
    pub(crate) path: Vec<String>,
    /// Example: `config.required: expected a list of strings, got a string`.
    pub(crate) reason: String,
}

/// Returns the violations of the schema, at most [`MAX_MISTAKES`], in the order of the config. The
/// missing keys of a map come before the mistakes in its values.
pub(crate) fn mistakes(schema: &Value, config: &Value) -> Vec<Mistake> {
    let mut walk = Walk {
        path: Vec::new(),
        found: Vec::new(),
    };
    walk.check(schema, config);
    walk.found
}

struct Walk {
    path: Vec<String>,
    found: Vec<Mistake>,
}

impl Walk {
    fn report(&mut self, reason: &str) {
        if self.found.len() < MAX_MISTAKES {
            let mut at = "config".to_owned();
            for step in &self.path {
                at.push('.');
                at.push_str(&quote(step));
            }
            self.found.push(Mistake {
                path: self.path.clone(),
                reason: format!("{at}: {reason}"),
            });
        }
    }

    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        self.path.push(step.to_owned());
        check(self);
        self.path.pop();
    }

    fn check(&mut self, schema: &Value, value: &Value) {
        let Value::Object(schema) = schema else {
            return;
        };
        if !is_of_type(schema, value) {
            let (expected, got) = (expected(schema), describe_type(value));
            return self.report(&format!("expected {expected}, got {got}"));
        }
        if let Some(Value::Array(choices)) = schema.get("enum")
            && !choices.contains(value)
        {
            let known: Vec<String> = choices.iter().take(MAX_CHOICES).map(literal).collect();
            let more = if choices.len() > known.len() {
                ", ..."
            } else {
                ""
            };
            let got = literal(value);
            self.report(&format!("{got} is not one of {}{more}", known.join(", ")));
        }
        self.check_range(schema, value);
        match value {
            Value::Object(map) => self.check_map(schema, map),
            Value::Array(items) => {
                let Some(item_schema) = schema.get("items") else {
                    return;
                };
                for (index, item) in items.iter().enumerate() {
                    self.within(&index.to_string(), |walk| walk.check(item_schema, item));
                }
            }
            _ => {}
        }
    }

    fn check_range(&mut self, schema: &Map<String, Value>, value: &Value) {
        let Some(number) = value.as_f64() else {
            return;
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.report(&format!("{number} is less than {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.report(&format!("{number} is more than {most}"));
        }
    }

    fn check_map(&mut self, schema: &Map<String, Value>, map: &Map<String, Value>) {
        let no_names = Map::new();
        let properties = match schema.get("properties") {
            Some(Value::Object(properties)) => properties,
            _ => &no_names,
        };
        let required: Vec<&str> = match schema.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for name in &required {
            if !map.contains_key(*name) {
                self.within(name, |walk| walk.report("is required and missing"));
            }
        }
        for (name, value) in map {
            if let Some(property) = properties.get(name) {
                // An optional key may be `null`.
                if !value.is_null() || required.contains(&name.as_str()) {
                    self.within(name, |walk| walk.check(property, value));
                }
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    let known: Vec<String> = properties.keys().map(|k| quote(k)).collect();
                    let reason = if known.is_empty() {
                        "is unknown: the hook takes no config".to_owned()
                    } else {
                        format!("is unknown; the hook accepts {}", known.join(", "))
                    };
                    self.within(name, |walk| walk.report(&reason));
                }
                Some(inner) => self.within(name, |walk| walk.check(inner, value)),
                None => {}
            }
        }
    }
}

/// Returns the types that a schema allows. Empty means any type.
fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of_type(schema: &Map<String, Value>, value: &Value) -> bool {
    let types = types(schema);
    let fits = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(is_whole),
        // An unknown type name is ignored.
        _ => true,
    };
    types.is_empty() || types.iter().any(fits)
}

fn is_whole(number: f64) -> bool {
    number.fract() == 0.0
}

/// Describes the expected type, for example `a list of strings`.
fn expected(schema: &Map<String, Value>) -> String {
    let types = types(schema);
    if types.len() == 1 && types[0] == "array" {
        let items = schema.get("items").and_then(Value::as_object);
        return match items.map(|items| self::types(items)).as_deref() {
            Some([one]) => format!("a list of {}", plural(one)),
            _ => "a list".to_owned(),
        };
    }
    let names: Vec<String> = types.iter().map(|name| singular(name)).collect();
    names.join(" or ")
}

fn singular(name: &str) -> String {
    match name {
        "object" => "a map".to_owned(),
        "array" => "a list".to_owned(),
        "string" => "a string".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        "null" => "nothing".to_owned(),
        other => quote(other),
    }
}

fn plural(name: &str) -> String {
    match name {
        "object" => "maps".to_owned(),
        "array" => "lists".to_owned(),
        "string" => "strings".to_owned(),
        "boolean" => "booleans".to_owned(),
        "integer" => "whole numbers".to_owned(),
        "number" => "numbers".to_owned(),
        other => quote(other),
    }
}

/// Describes the type of a value.
fn describe_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn literal(value: &Value) -> String {
    quote(&value.to_string())
}

/// Removes line breaks and truncates long text.
fn quote(text: &str) -> String {
    let clean: String = text
        .chars()
        .take(MAX_QUOTED)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if clean.len() < text.len() {
        format!("{clean}...")
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guard() -> Value {
        json!({
            "type": "object",
            "properties": {
                "required": {"type": "array", "items": {"type": "string"}},
                "null_ratio": {"type": "object", "additionalProperties": {"type": "number"}},
                "max": {"type": "integer", "minimum": 1, "maximum": 10},
                "mode": {"enum": ["strict", "lax"]},
                "flag": {"type": "boolean"},
            },
            "required": ["required"],
            "additionalProperties": false,
        })
    }

    #[test]
    fn violations_name_their_field() {
        for (config, reason) in [
            (
                json!({"required": "month"}),
                "config.required: expected a list of strings, got a string",
            ),
            (
                json!({"required": ["a", 1]}),
                "config.required.1: expected a string, got a number",
            ),
            (json!({}), "config.required: is required and missing"),
            (
                json!({"required": null}),
                "config.required: expected a list of strings, got nothing",
            ),
            (
                json!({"required": [], "requried": 1}),
                "config.requried: is unknown; the hook accepts flag, max, mode, null_ratio, required",
            ),
            (
                json!({"required": [], "null_ratio": {"a": "b"}}),
                "config.null_ratio.a: expected a number, got a string",
            ),
            (
                json!({"required": [], "max": 1.5}),
                "config.max: expected a whole number, got a number",
            ),
            (
                json!({"required": [], "max": 11}),
                "config.max: 11 is more than 10",
            ),
            (
                json!({"required": [], "max": 0}),
                "config.max: 0 is less than 1",
            ),
            (
                json!({"required": [], "mode": "loose"}),
                "config.mode: \"loose\" is not one of \"strict\", \"lax\"",
            ),
            (
                json!({"required": [], "flag": "yes"}),
                "config.flag: expected true or false, got a string",
            ),
        ] {
            let found = mistakes(&guard(), &config);
            let reasons: Vec<_> = found.iter().map(|m| m.reason.as_str()).collect();
            assert_eq!(reasons, [reason], "{config}");
        }
    }

    #[test]
    fn valid_configs_have_no_mistakes() {
        for config in [
            json!({"required": []}),
            json!({"required": ["a"], "max": 3.0, "flag": null, "null_ratio": {"a": 0.5}, "mode": "lax"}),
        ] {
            assert_eq!(mistakes(&guard(), &config), [], "{config}");
        }
        assert_eq!(mistakes(&Value::Null, &json!({"any": 1})), []);
    }

    /// The schema comes from the component and may be any JSON.
    #[test]
    fn malformed_schema_is_ignored_and_long_one_is_truncated() {
        for schema in [
            json!(true),
            json!({"type": 7, "properties": [], "required": "x", "enum": {}, "items": 3}),
            json!({"type": "dragon"}),
            json!({"properties": {"a": {"items": {"type": ["string", 1]}}}}),
        ] {
            assert_eq!(mistakes(&schema, &json!({"a": ["x"]})), [], "{schema}");
        }
        let long = json!({"required": (0..1000).map(|n| format!("{n}\n{}", "x".repeat(1000))).collect::<Vec<_>>()});
        let found = mistakes(&long, &json!({}));
        assert_eq!(found.len(), MAX_MISTAKES);
        assert!(
            found
                .iter()
                .all(|m| m.reason.len() < 200 && !m.reason.contains('\n'))
        );
    }
}
