//! Validates a hook's config against the JSON schema that the component's `describe` returns.
//!
//! The schema comes from a component, so it is untrusted. Unknown keywords and keywords of the
//! wrong type are ignored. Recursion is only as deep as the config, whose depth the parser of action
//! files limits. A check stops after [`MAX_STEPS`], because all repositories share the threads on
//! which checks run. Anything that this check ignores is left to the hook, which parses its config
//! itself.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Maximum number of mistakes reported per config.
const MAX_MISTAKES: usize = 10;
/// Maximum number of names, types or `enum` values listed in a message.
const MAX_LISTED: usize = 16;
/// Maximum number of characters that a message quotes from one key or value.
const MAX_QUOTED: usize = 60;
/// Maximum number of steps of one check. Each look at a value of the config or at an entry of the
/// schema is a step.
const MAX_STEPS: usize = 1_000_000;
/// Number of bytes that are compared in one step.
const BYTES_PER_STEP: usize = 64;

/// A violation of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Keys and list indexes from the root of the config to the value.
    pub(crate) path: Vec<String>,
    /// Example: `config.required: expected a list of strings, got a string`.
    pub(crate) reason: String,
}

/// Returns the violations of the schema, at most [`MAX_MISTAKES`], in the order of the config. The
/// missing keys of a map come before the mistakes in its values. If the check takes more than
/// [`MAX_STEPS`], the last mistake says so.
pub(crate) fn mistakes(schema: &Value, config: &Value) -> Vec<Mistake> {
    let mut walk = Walk {
        path: Vec::new(),
        found: Vec::new(),
        steps_left: MAX_STEPS,
    };
    if walk.check(schema, config) == Err(Stop::OutOfSteps) {
        walk.found.push(Mistake {
            path: Vec::new(),
            reason: format!(
                "config: checking it against the schema of the component takes more than {MAX_STEPS} steps: shorten the config, or the lists in the schema"
            ),
        });
    }
    walk.found
}

struct Walk {
    path: Vec<String>,
    found: Vec<Mistake>,
    steps_left: usize,
}

/// Why a check ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    EnoughMistakes,
    OutOfSteps,
}

impl Walk {
    fn report(&mut self, reason: &str) -> Result<(), Stop> {
        let mut at = "config".to_owned();
        for step in &self.path {
            at.push('.');
            at.push_str(&quote(step));
        }
        self.found.push(Mistake {
            path: self.path.clone(),
            reason: format!("{at}: {reason}"),
        });
        if self.found.len() < MAX_MISTAKES {
            Ok(())
        } else {
            Err(Stop::EnoughMistakes)
        }
    }

    fn step(&mut self, steps: usize) -> Result<(), Stop> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Stop::OutOfSteps)?;
        Ok(())
    }

    fn within(
        &mut self,
        step: &str,
        check: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.path.push(step.to_owned());
        check(self)?;
        self.path.pop();
        Ok(())
    }

    fn check(&mut self, schema: &Value, value: &Value) -> Result<(), Stop> {
        let Value::Object(schema) = schema else {
            return Ok(());
        };
        self.step(1 + entries(schema, "type"))?;
        if !is_of_type(schema, value) {
            let (expected, got) = (expected(schema), describe_type(value));
            return self.report(&format!("expected {expected}, got {got}"));
        }
        if let Some(Value::Array(choices)) = schema.get("enum")
            && !self.contains(choices, value)?
        {
            let (got, known) = (literal(value), listed(choices, literal, ", "));
            self.report(&format!("{got} is not one of {known}"))?;
        }
        self.check_range(schema, value)?;
        match value {
            Value::Object(map) => self.check_map(schema, map)?,
            Value::Array(items) => {
                let Some(item_schema) = schema.get("items") else {
                    return Ok(());
                };
                for (index, item) in items.iter().enumerate() {
                    self.within(&index.to_string(), |walk| walk.check(item_schema, item))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn contains(&mut self, choices: &[Value], value: &Value) -> Result<bool, Stop> {
        for choice in choices {
            if self.equals(choice, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Compares two values like `==`, in counted steps.
    fn equals(&mut self, one: &Value, other: &Value) -> Result<bool, Stop> {
        self.step(1)?;
        match (one, other) {
            (Value::String(one), Value::String(other)) if one.len() == other.len() => {
                self.step(one.len() / BYTES_PER_STEP)?;
                Ok(one == other)
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                for (one, other) in one.iter().zip(other) {
                    if !self.equals(one, other)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
                for ((name, one), (other_name, other)) in one.iter().zip(other) {
                    self.step(name.len() / BYTES_PER_STEP)?;
                    if name != other_name || !self.equals(one, other)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
                Ok(false)
            }
            (one, other) => Ok(one == other),
        }
    }

    fn check_range(&mut self, schema: &Map<String, Value>, value: &Value) -> Result<(), Stop> {
        let Some(number) = value.as_f64() else {
            return Ok(());
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.report(&format!("{number} is less than {least}"))?;
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.report(&format!("{number} is more than {most}"))?;
        }
        Ok(())
    }

    fn check_map(
        &mut self,
        schema: &Map<String, Value>,
        map: &Map<String, Value>,
    ) -> Result<(), Stop> {
        let no_names = Map::new();
        let properties = match schema.get("properties") {
            Some(Value::Object(properties)) => properties,
            _ => &no_names,
        };
        self.step(entries(schema, "required"))?;
        let names = match schema.get("required") {
            Some(Value::Array(names)) => names.as_slice(),
            _ => &[],
        };
        let mut required = HashSet::with_capacity(names.len());
        for name in names.iter().filter_map(Value::as_str) {
            if required.insert(name) && !map.contains_key(name) {
                self.within(name, |walk| walk.report("is required and missing"))?;
            }
        }
        for (name, value) in map {
            if let Some(property) = properties.get(name) {
                // An optional key may be `null`.
                if !value.is_null() || required.contains(name.as_str()) {
                    self.within(name, |walk| walk.check(property, value))?;
                }
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    let reason = if properties.is_empty() {
                        "is unknown: the hook takes no config".to_owned()
                    } else {
                        let known = listed(properties.keys(), |name| quote(name), ", ");
                        format!("is unknown; the hook accepts {known}")
                    };
                    self.within(name, |walk| walk.report(&reason))?;
                }
                Some(inner) => self.within(name, |walk| walk.check(inner, value))?,
                None => {}
            }
        }
        Ok(())
    }
}

/// Returns the number of entries of a keyword whose value may be a list.
fn entries(schema: &Map<String, Value>, keyword: &str) -> usize {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}

/// Lists the first [`MAX_LISTED`] items, for example `a, b and 3 more`.
fn listed<T>(
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    shown: impl Fn(T) -> String,
    separator: &str,
) -> String {
    let items = items.into_iter();
    let more = items.len().saturating_sub(MAX_LISTED);
    let first: Vec<String> = items.take(MAX_LISTED).map(shown).collect();
    let first = first.join(separator);
    if more > 0 {
        format!("{first} and {more} more")
    } else {
        first
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
    listed(&types, |name| singular(name), " or ")
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

    /// Regression test: each unknown key quoted all names of the schema, which took a minute and
    /// 1.4 billion allocations.
    #[test]
    fn messages_list_only_some_names() {
        let names = (0..28_000).map(|n| (format!("k{n}"), json!({})));
        let schema =
            json!({"properties": names.collect::<Map<_, _>>(), "additionalProperties": false});
        let unknown = (0..50_000).map(|n| (format!("u{n}"), Value::Null));
        let found = mistakes(&schema, &Value::Object(unknown.collect()));
        assert_eq!(found.len(), MAX_MISTAKES);
        let reason = &found[0].reason;
        assert!(
            reason.starts_with("config.u0: is unknown; the hook accepts k0, k1, k10, ")
                && reason.ends_with(" and 27984 more"),
            "{reason}"
        );
        let schema = json!({"type": vec!["null"; 1000], "enum": (0..1000).collect::<Vec<_>>()});
        let found = mistakes(&schema, &json!(1));
        assert!(found[0].reason.len() < 300, "{}", found[0].reason);
    }

    /// Regression test: `enum`, `required` and `type` were searched for every item of a list.
    #[test]
    fn steps_of_a_check_are_limited() {
        let items = vec![json!({"name": 1}); 20_000];
        for keywords in [
            json!({"enum": (0..20_000).collect::<Vec<_>>()}),
            json!({"required": vec!["name"; 20_000]}),
            json!({"type": vec!["null"; 20_000]}),
            json!({"type": vec!["object"; 20_000]}),
            json!({"enum": vec![json!({"name": 2}); 10_000]}),
            json!({"properties": {"name": {"type": vec!["integer"; 20_000]}}}),
        ] {
            let mut found = mistakes(&json!({"items": keywords}), &json!(items));
            let last = found.pop().unwrap();
            let is_stopped = last.path.is_empty()
                && last.reason.starts_with("config: checking it")
                && last.reason.contains("takes more than 1000000 steps");
            assert!(is_stopped || found.len() == MAX_MISTAKES - 1, "{last:?}");
        }
    }

    #[test]
    fn comparing_long_texts_takes_several_steps() {
        let long = "x".repeat(100_000);
        let texts = json!(vec![long.clone(); 40]);
        let choices = vec![format!("{}y", &long[1..]); 100];
        let found = mistakes(&json!({"items": {"enum": choices}}), &texts);
        let last = &found.last().unwrap().reason;
        assert!(last.contains("takes more than 1000000 steps"), "{last}");
    }

    #[test]
    fn enum_compares_whole_values() {
        let schema = json!({"enum": [[1, "a"], {"a": [null], "b": "x"}, "text", 1.5]});
        for value in [
            json!([1, "a"]),
            json!({"b": "x", "a": [null]}),
            json!("text"),
            json!(1.5),
        ] {
            assert_eq!(mistakes(&schema, &value), [], "{value}");
        }
        for value in [
            json!([1, "b"]),
            json!([1]),
            json!({"a": [null], "c": "x"}),
            json!({"a": [0], "b": "x"}),
            json!("texT"),
            json!(null),
        ] {
            assert_eq!(mistakes(&schema, &value).len(), 1, "{value}");
        }
    }
}
