//! A hook's config: read from the action file, described by a JSON schema.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, Result, backend};

/// A type that can be part of a config.
pub trait Schema {
    /// Its JSON schema.
    fn schema() -> Value;
}

/// A hook's config; derive it.
pub trait Config: Schema + DeserializeOwned {
    /// Reads the config of this run.
    ///
    /// # Errors
    /// [`Error::Config`] saying what does not fit.
    fn load() -> Result<Self> {
        Self::from_json(&backend::config())
    }

    /// Reads a config from JSON text; `null` is an empty config.
    ///
    /// # Errors
    /// [`Error::Config`] saying what does not fit.
    fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::Config(e.to_string()))?;
        let value = if value.is_null() { json!({}) } else { value };
        serde_json::from_value(value).map_err(|e| Error::Config(e.to_string()))
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
