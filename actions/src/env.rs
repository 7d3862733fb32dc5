//! `{{ ENV.NAME }}` in action files: values of the server's environment, by grant of a prefix.
//!
//! Whatever the file names, only variables with the configured prefix are read; all
//! others are empty. A text that named any variable is never shown in a log.

use std::fmt;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};

/// What stands in logs where a text held a variable.
pub(crate) const MASK: &str = "*******";

static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{\s*ENV\.([A-Za-z0-9_]+)\s*\}\}").expect("the pattern is a constant")
});

/// Reads one variable.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The variables that hooks may use.
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

/// A text with its variables put in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether the text named variables.
    pub(crate) secret: bool,
    /// The values that were put in.
    pub(crate) values: Vec<String>,
}

impl Expanded {
    /// The text as logs may show it.
    pub(crate) fn shown(&self) -> &str {
        if self.secret { MASK } else { &self.text }
    }
}

impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl Environment {
    /// The process's variables that begin with `prefix`.
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

    /// Puts in the variables that a text names.
    pub(crate) fn expand(&self, text: &str) -> Expanded {
        let mut values = Vec::new();
        let expanded = VARIABLE.replace_all(text, |found: &Captures<'_>| {
            let name = &found[1];
            let granted = self.enabled && name.starts_with(&self.prefix);
            let value = granted
                .then(|| (self.lookup)(name))
                .flatten()
                .unwrap_or_default();
            values.push(value.clone());
            value
        });
        Expanded {
            text: expanded.into_owned(),
            secret: !values.is_empty(),
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(enabled: bool) -> Environment {
        Environment::new(enabled, "LAKEFSACTION_", |name| {
            Some(format!("value of {name}"))
        })
    }

    #[test]
    fn variables_with_the_prefix_are_put_in_and_others_are_empty() {
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
        ] {
            assert_eq!(environment(true).expand(text).text, expected);
            let values = environment(true).expand(text).values;
            assert!(
                values.iter().all(|value| expected.contains(value)),
                "{values:?}"
            );
        }
        assert_eq!(
            environment(false)
                .expand("x{{ ENV.LAKEFSACTION_VAR }}")
                .text,
            "x"
        );
    }

    #[test]
    fn a_text_with_a_variable_is_never_shown() {
        let expanded = environment(true).expand("Bearer {{ ENV.LAKEFSACTION_VAR }}");
        assert_eq!(
            (expanded.shown(), format!("{expanded:?}").as_str()),
            (MASK, MASK)
        );
        assert_eq!(environment(true).expand("{{ ENV.HOME }}").shown(), MASK);
        assert_eq!(environment(true).expand("v").shown(), "v");
        assert!(!format!("{:?}", environment(true)).contains("value"));
    }
}
