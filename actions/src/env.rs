//! Expands `{{ ENV.NAME }}` in action files to environment variables of the server.
//!
//! Only variables whose names start with the configured prefix are readable; all others expand to
//! an empty string. A readable variable that is not set is an error. A string that contains a
//! variable is masked in logs.

use std::fmt;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};

/// Text that logs show instead of a string that contains variables.
pub(crate) const MASK: &str = "*******";

static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    // lakeFS accepts at most one space on either side.
    Regex::new(r"\{\{ ?ENV\.([A-Za-z0-9_]*) ?\}\}").expect("the pattern is a constant")
});

/// Looks up the value of a variable.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment variables that hooks may read.
#[derive(Clone)]
pub(crate) struct Environment {
    enabled: bool,
    prefix: String,
    lookup: Arc<Lookup>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("enabled", &self.enabled)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A string with its variables expanded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether the string contained variables.
    pub(crate) secret: bool,
    /// The values of the expanded variables.
    pub(crate) values: Vec<String>,
}

impl Expanded {
    /// Returns the string in the form that logs may show.
    pub(crate) fn text_for_logs(&self) -> &str {
        if self.secret { MASK } else { &self.text }
    }
}

impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text_for_logs())
    }
}

impl Environment {
    /// Reads variables of this process whose names start with `prefix`.
    pub(crate) fn of_process(enabled: bool, prefix: &str) -> Self {
        Self::new(enabled, prefix, |name| std::env::var(name).ok())
    }

    pub(crate) fn new(
        enabled: bool,
        prefix: &str,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            enabled,
            prefix: prefix.to_owned(),
            lookup: Arc::new(lookup),
        }
    }

    /// Explains why a variable is always empty for hooks. Returns `None` if hooks may read it.
    pub(crate) fn explain_empty(&self, name: &str) -> Option<String> {
        let why = if !self.enabled {
            "variables are off (actions.env.enabled)".to_owned()
        } else if name.is_empty() || !name.starts_with(&self.prefix) {
            format!(
                "hooks may use variables whose names start with {} (actions.env.prefix)",
                self.prefix
            )
        } else {
            return None;
        };
        let name = base::glob::quoted(name);
        Some(format!(
            "variable '{name}' is sent as an empty string: {why}"
        ))
    }

    /// Expands the variables of a string.
    ///
    /// # Errors
    /// If a variable that hooks may read is not set.
    pub(crate) fn expand(&self, text: &str) -> Result<Expanded, MissingVariable> {
        let mut missing = None;
        let mut values = Vec::new();
        let expanded = VARIABLE.replace_all(text, |found: &Captures<'_>| {
            let name = &found[1];
            if self.explain_empty(name).is_some() {
                return String::new();
            }
            let value = (self.lookup)(name).unwrap_or_else(|| {
                missing = Some(name.to_owned());
                String::new()
            });
            values.push(value.clone());
            value
        });
        let expanded = expanded.into_owned();
        match missing {
            Some(name) => Err(MissingVariable(name)),
            None => Ok(Expanded {
                secret: VARIABLE.is_match(text),
                text: expanded,
                values,
            }),
        }
    }
}

/// Returns the names of the variables in a string.
pub(crate) fn variables(text: &str) -> impl Iterator<Item = &str> {
    let found = VARIABLE.captures_iter(text);
    found.filter_map(|found| found.get(1).map(|name| name.as_str()))
}

/// A variable that hooks may read is not set in the server's environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} not found: missing env var", base::glob::quoted(.0))]
pub(crate) struct MissingVariable(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(enabled: bool) -> Environment {
        Environment::new(enabled, "LAKEFSACTION_", |name| {
            Some(format!("value of {name}"))
        })
    }

    #[test]
    fn variables_with_the_prefix_are_expanded_and_others_are_empty() {
        for (text, expected) in [
            ("plain", "plain"),
            (
                "Bearer {{ ENV.LAKEFSACTION_VAR }}!",
                "Bearer value of LAKEFSACTION_VAR!",
            ),
            (
                "{{ENV.LAKEFSACTION_A}}{{ ENV.HOME }}",
                "value of LAKEFSACTION_A",
            ),
            ("{{ ENV.HOME }}", ""),
            ("{{ other }}", "{{ other }}"),
            (
                "{{  ENV.LAKEFSACTION_VAR  }}",
                "{{  ENV.LAKEFSACTION_VAR  }}",
            ),
            ("{{ ENV. }}", ""),
        ] {
            assert_eq!(environment(true).expand(text).unwrap().text, expected);
            let values = environment(true).expand(text).unwrap().values;
            assert!(
                values.iter().all(|value| expected.contains(value)),
                "{values:?}"
            );
        }
        let off = environment(false).expand("x{{ ENV.LAKEFSACTION_VAR }}");
        assert_eq!(off.unwrap().text, "x");
    }

    #[test]
    fn unset_readable_variable_is_an_error() {
        let environment = Environment::new(true, "LAKEFSACTION_", |_| None);
        let missing = environment
            .expand("a {{ ENV.LAKEFSACTION_NONE }}")
            .unwrap_err();
        assert_eq!(
            missing.to_string(),
            "LAKEFSACTION_NONE not found: missing env var"
        );
        assert_eq!(environment.expand("{{ ENV.HOME }}").unwrap().text, "");
    }

    #[test]
    fn strings_with_variables_are_masked() {
        let expanded = environment(true)
            .expand("Bearer {{ ENV.LAKEFSACTION_VAR }}")
            .unwrap();
        assert_eq!(
            (expanded.text_for_logs(), format!("{expanded:?}").as_str()),
            (MASK, MASK)
        );
        let shown = |text: &str| {
            environment(true)
                .expand(text)
                .unwrap()
                .text_for_logs()
                .to_owned()
        };
        assert_eq!(shown("{{ ENV.HOME }}"), MASK);
        assert_eq!(shown("v"), "v");
        assert!(!format!("{:?}", environment(true)).contains("value"));
    }
}
