//! The configuration of a hook: read from the action file and described by a JSON schema.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, Result, backend};

/// A type that can be part of a configuration.
pub trait Schema {
    /// The JSON schema of the type.
    fn schema() -> Value;
}

/// The configuration of a hook. Derive it with `#[derive(Config)]`.
pub trait Config: Schema + DeserializeOwned {
    /// Reads the configuration of this run.
    ///
    /// # Errors
    /// [`Error::Config`] with the field and the reason.
    fn load() -> Result<Self> {
        Self::from_json(&backend::config())
    }

    /// Reads a configuration from JSON text. `null` means the same as `{}`.
    ///
    /// # Errors
    /// [`Error::Config`] with the field and the reason.
    fn from_json(text: &str) -> Result<Self> {
        let value: Value =
            serde_json::from_str(text).map_err(|e| Error::Config(format!("config: {e}")))?;
        let value = if value.is_null() { json!({}) } else { value };
        serde_path_to_error::deserialize(value).map_err(|e| describe_error(&e))
    }
}

/// Adds the field: `config.required: invalid type: string "month", expected a sequence`.
fn describe_error(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let (path, reason) = (error.path().to_string(), error.inner());
    match path.as_str() {
        "." => Error::Config(format!("config: {reason}")),
        path => Error::Config(format!("config.{path}: {reason}")),
    }
}

macro_rules! schema {
    ($name:literal: $($type:ty),*) => {
        $(impl Schema for $type {
            fn schema() -> Value {
                json!({ "type": $name })
            }
        })*
    };
}

schema!("string": String);
schema!("boolean": bool);
schema!("integer": u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
schema!("number": f32, f64);

impl<T: Schema> Schema for Vec<T> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl<T: Schema> Schema for Option<T> {
    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Schema> Schema for BTreeMap<String, T> {
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

impl Schema for () {
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": false })
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[derive(Debug, Config)]
    #[expect(dead_code, reason = "only read from JSON")]
    struct Rules {
        required: Vec<String>,
        ratios: std::collections::BTreeMap<String, f64>,
        #[config(default = 3)]
        max: u32,
        #[config(default = ",")]
        delimiter: String,
    }

    #[test]
    fn string_literals_are_defaults_of_string_fields() {
        assert_eq!(Rules::from_json("null").unwrap().delimiter, ",");
        let rules = Rules::from_json(r#"{"delimiter": ";"}"#).unwrap();
        assert_eq!(rules.delimiter, ";");
        let schema = <Rules as hooks_sdk::Schema>::schema();
        assert_eq!(schema["properties"]["delimiter"]["default"], ",");
    }

    #[test]
    fn errors_name_the_field() {
        for (json, expected) in [
            (
                r#"{"required": "month"}"#,
                "config.required: invalid type: string \"month\", expected a sequence",
            ),
            (
                r#"{"required": ["a", 1]}"#,
                "config.required[1]: invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"ratios": {"a": "b"}}"#,
                "config.ratios.a: invalid type: string \"b\", expected f64",
            ),
            (
                r#"{"max": -1}"#,
                "config.max: invalid value: integer `-1`, expected u32",
            ),
            (
                r#"{"requried": []}"#,
                "config.requried: unknown field `requried`, expected one of `required`, `ratios`, `max`, `delimiter`",
            ),
            (
                r#""x""#,
                "config: invalid type: string \"x\", expected a mapping",
            ),
            (
                "{",
                "config: EOF while parsing an object at line 1 column 1",
            ),
        ] {
            let error = Rules::from_json(json).unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{error:?}");
            assert_eq!(error.to_string(), expected, "{json}");
        }
    }
}
