//! Configuration sources: a YAML file, and `WEIR_*` and `LAKEFS_*` variables, flattened to dotted
//! keys.
//!
//! Typed getters name the key, its value and a remedy in every error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml_ng::Value;

use super::{duration, keys, size};

/// Longer durations would overflow when added to the current time.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Maximum size of a configuration file in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;
/// Maximum nesting of brackets and braces. The parser's time is quadratic in the nesting depth.
const MAX_BRACKETS: usize = 64;

/// An invalid configuration. The text addresses the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// Rejects a file that is larger or more deeply nested than any configuration.
fn check_bounds(text: &str, origin: &str) -> Result<(), Error> {
    if text.len() > MAX_FILE_BYTES {
        return Err(Error(format!(
            "{origin} is longer than {MAX_FILE_BYTES} bytes: check that it is a configuration file"
        )));
    }
    let mut open = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(Error(format!(
                "{origin} has more than {MAX_BRACKETS} nested brackets: close them, or write nested values as indented keys"
            )));
        }
    }
    Ok(())
}

/// All given values by key, each with its origin.
#[derive(Debug, Default)]
pub(crate) struct Source {
    values: BTreeMap<String, (Value, String)>,
    /// Warnings to log once logging is set up.
    pub(crate) warnings: Vec<String>,
}

impl Source {
    /// Adds the values of a YAML document.
    pub(crate) fn add_yaml(&mut self, text: &str, origin: &str) -> Result<(), Error> {
        check_bounds(text, origin)?;
        let document: Value = size::check(text)
            .and_then(|()| serde_yaml_ng::from_str(text))
            .map_err(|e| Error(format!("{origin} is not valid YAML: {e}")))?;
        if document.is_null() {
            return Ok(());
        }
        if !document.is_mapping() {
            return Err(Error(format!(
                "{origin}: expected a map with keys such as `database:` at the top level"
            )));
        }
        self.flatten("", document, origin)
    }

    fn flatten(&mut self, key: &str, value: Value, origin: &str) -> Result<(), Error> {
        let is_leaf = keys::is_known(key) && !keys::is_section(key);
        match value {
            Value::Mapping(entries) if keys::is_section(key) => {
                for (name, value) in entries {
                    let Some(name) = name.as_str() else {
                        return Err(Error(format!("{origin}: a key below `{key}` is not text")));
                    };
                    let name = name.to_lowercase();
                    let full = if key.is_empty() {
                        name
                    } else {
                        format!("{key}.{name}")
                    };
                    self.flatten(&full, value, origin)?;
                }
                Ok(())
            }
            Value::Null if keys::is_section(key) => Ok(()),
            value if is_leaf => {
                self.values
                    .insert(key.to_owned(), (value, origin.to_owned()));
                Ok(())
            }
            // The value is not shown because it may be a secret.
            _ if keys::is_section(key) => Err(Error(format!(
                "{origin}: `{key}` is a section, not a value: write its keys indented below it"
            ))),
            _ => {
                let hint = keys::nearest(key)
                    .map(|k| format!(" (did you mean `{k}`?)"))
                    .unwrap_or_default();
                Err(Error(format!(
                    "{origin}: unknown key `{key}`{hint}: remove it or correct its name"
                )))
            }
        }
    }

    /// Adds environment variables. For example, `LAKEFS_DATABASE_TYPE` and `WEIR_DATABASE_TYPE` set
    /// `database.type`; the latter takes precedence.
    pub(crate) fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let given: BTreeMap<String, String> = variables.collect();
        for prefix in ["LAKEFS_", "WEIR_"] {
            for key in keys::all() {
                let name = format!("{prefix}{}", key.to_uppercase().replace('.', "_"));
                if let Some(value) = given.get(&name) {
                    self.values.insert(
                        key.to_owned(),
                        (Value::String(value.clone()), format!("${name}")),
                    );
                }
            }
        }
        for name in given
            .keys()
            .filter(|n| n.starts_with("WEIR_") && !n.starts_with("WEIR_TEST_"))
        {
            let key = name["WEIR_".len()..].to_lowercase();
            if !keys::all().any(|k| k.replace('.', "_") == key) {
                let hint = keys::nearest_variable(&key)
                    .map(|meant| format!(" (did you mean WEIR_{meant}?)"))
                    .unwrap_or_default();
                self.warnings.push(format!(
                    "environment variable {name} does not match any configuration key and is ignored{hint}"
                ));
            }
        }
    }

    /// Sets a value from the command line.
    pub(crate) fn set(&mut self, key: &str, value: &str, origin: &str) {
        debug_assert!(keys::is_known(key), "{key}");
        self.values.insert(
            key.to_owned(),
            (Value::String(value.to_owned()), origin.to_owned()),
        );
    }

    /// Sets a value unless one was given.
    pub(crate) fn set_default(&mut self, key: &str, value: &str) {
        if !self.values.contains_key(key) {
            self.set(key, value, "default");
        }
    }

    /// Returns the origin of a value.
    pub(crate) fn origin(&self, key: &str) -> &str {
        self.values.get(key).map_or("default", |v| v.1.as_str())
    }

    /// Returns the keys that were given.
    pub(crate) fn given_keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    fn refuse(&self, key: &str, value: &Value, why: &str) -> Error {
        let origin = self.origin(key);
        let shown = if keys::is_secret(key) {
            "[redacted]".to_owned()
        } else {
            show(value)
        };
        Error(format!("{key}: {shown} ({origin}) {why}"))
    }

    /// Returns an error for a value that has the right type but cannot be used.
    pub(crate) fn unusable(&self, key: &str, why: &str) -> Error {
        let value = self.values.get(key).map_or(Value::Null, |v| v.0.clone());
        self.refuse(key, &value, why)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        match self.values.get(key) {
            None | Some((Value::Null, _)) => Ok(None),
            Some((Value::String(s), _)) => Ok(Some(s.clone())),
            Some((v @ (Value::Number(_) | Value::Bool(_)), _)) => Ok(Some(show(v))),
            Some((v, _)) => Err(self.refuse(key, v, "must be text")),
        }
    }

    pub(crate) fn text_or(&self, key: &str, default: &str) -> Result<String, Error> {
        Ok(self.text(key)?.unwrap_or_else(|| default.to_owned()))
    }

    /// Returns a required string.
    pub(crate) fn required(&self, key: &str, remedy: &str) -> Result<String, Error> {
        match self.text(key)? {
            Some(s) if !s.is_empty() => Ok(s),
            _ => Err(Error(format!(
                "{key} is not set: {remedy} (in the configuration file, or as ${})",
                format!("WEIR_{key}").to_uppercase().replace('.', "_")
            ))),
        }
    }

    pub(crate) fn bool_or(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.values.get(key) {
            None | Some((Value::Null, _)) => Ok(default),
            Some((Value::Bool(b), _)) => Ok(*b),
            Some((v, _)) => match show(v).to_lowercase().as_str() {
                "true" | "1" | "yes" | "t" => Ok(true),
                "false" | "0" | "no" | "f" => Ok(false),
                _ => Err(self.refuse(key, v, "is neither `true` nor `false`")),
            },
        }
    }

    pub(crate) fn number_or<T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(
        &self,
        key: &str,
        default: T,
        allowed: std::ops::RangeInclusive<T>,
    ) -> Result<T, Error> {
        let value = match self.values.get(key) {
            None | Some((Value::Null, _)) => return Ok(default),
            Some((value, _)) => value,
        };
        let parsed = show(value)
            .parse::<T>()
            .ok()
            .filter(|n| allowed.contains(n));
        parsed.ok_or_else(|| {
            self.refuse(
                key,
                value,
                &format!(
                    "is not a number from {} to {}",
                    allowed.start(),
                    allowed.end()
                ),
            )
        })
    }

    pub(crate) fn duration_or(&self, key: &str, default: Duration) -> Result<Duration, Error> {
        let Some(text) = self.text(key)? else {
            return Ok(default);
        };
        match duration::parse(&text) {
            Some(duration) if duration <= MAX_DURATION => Ok(duration),
            Some(_) => Err(self.unusable(key, "is longer than a hundred years")),
            None => Err(self.unusable(
                key,
                "is not a duration: write numbers with their units (ns, us, ms, s, m, h, d), such as 300ms, 1h30m or 7d",
            )),
        }
    }

    pub(crate) fn path(&self, key: &str) -> Result<Option<PathBuf>, Error> {
        Ok(self.text(key)?.map(|text| expand_home(&text)))
    }

    /// Returns a list, given either as a YAML list or as comma-separated text.
    pub(crate) fn list(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        match self.values.get(key) {
            None | Some((Value::Null, _)) => Ok(None),
            Some((Value::Sequence(items), _)) => Ok(Some(items.iter().map(show).collect())),
            Some((v @ (Value::String(_) | Value::Number(_)), _)) => {
                let text = show(v);
                let inner = text
                    .trim()
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                Ok(Some(
                    inner
                        .split(',')
                        .map(|s| s.trim().to_owned())
                        .filter(|s| !s.is_empty())
                        .collect(),
                ))
            }
            Some((v, _)) => Err(self.refuse(key, v, "must be a list")),
        }
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => serde_yaml_ng::to_string(other)
            .unwrap_or_default()
            .trim()
            .to_owned(),
    }
}

/// Expands `~/x` to a path in the home folder. Other paths are unchanged.
pub(crate) fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(text),
    }
}
