//! Asks every commit and merge for metadata: keys that must be there, values that must have a form.

use std::collections::BTreeMap;

use hooks_sdk::event;
use hooks_sdk::prelude::*;

/// What the action's `config` may say.
#[derive(Debug, Config)]
pub struct Rules {
    /// Keys that must be there and not empty.
    required: Vec<String>,
    /// For a key that is there, the values it may have.
    allowed_values: BTreeMap<String, Vec<String>>,
    /// The shortest message, in characters.
    #[config(default = 0)]
    min_message_length: u32,
}

/// Judges the commit that is about to be made.
///
/// # Errors
/// None beside a config that does not fit.
#[gate]
pub fn commit_metadata(rules: &Rules, out: &mut Report) -> Result<()> {
    let event = event();
    for key in &rules.required {
        if event
            .commit_metadata
            .get(key)
            .is_none_or(|v| v.trim().is_empty())
        {
            out.error(
                "required-metadata",
                format!("commit metadata {key} is missing"),
            )?;
        }
    }
    for (key, allowed) in &rules.allowed_values {
        if let Some(value) = event.commit_metadata.get(key)
            && !allowed.contains(value)
        {
            out.error(
                "metadata-value",
                format!(
                    "commit metadata {key} is {value:?}, allowed are: {}",
                    allowed.join(", ")
                ),
            )?;
        }
    }
    let length = event
        .commit_message
        .as_deref()
        .unwrap_or_default()
        .trim()
        .chars()
        .count();
    if length < rules.min_message_length as usize {
        out.error(
            "short-message",
            format!(
                "the message has {length} characters, {} are asked for",
                rules.min_message_length
            ),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! The gate natively.

    use hooks_sdk::testing::World;

    use super::*;

    fn judge(message: &str, metadata: &[(&str, &str)], config: &str) -> Vec<String> {
        let metadata = metadata
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let event = Event {
            commit_message: Some(message.to_owned()),
            commit_metadata: metadata,
            ..Event::default()
        };
        let _world = World::new().event(event).enter();
        let mut out = Report::default();
        commit_metadata(&Rules::from_json(config).unwrap(), &mut out).unwrap();
        out.findings().iter().map(|f| f.message.clone()).collect()
    }

    #[test]
    fn keys_values_and_messages() {
        let config = r#"{"required": ["job"], "allowed_values": {"env": ["dev", "prod"]}, "min_message_length": 5}"#;
        assert_eq!(
            judge("nightly load", &[("job", "42"), ("env", "dev")], config),
            [""; 0]
        );
        let found = judge("x", &[("job", " "), ("env", "test")], config);
        assert_eq!(
            found,
            [
                "commit metadata job is missing",
                "commit metadata env is \"test\", allowed are: dev, prod",
                "the message has 1 characters, 5 are asked for",
            ]
        );
    }

    #[test]
    fn no_config_asks_for_nothing() {
        assert_eq!(judge("", &[], "null"), [""; 0]);
    }
}
