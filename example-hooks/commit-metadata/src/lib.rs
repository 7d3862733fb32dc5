//! Checks the metadata and message of a commit: required keys, allowed values, minimum length.

use std::collections::BTreeMap;

use hooks_sdk::event;
use hooks_sdk::prelude::*;

/// The configuration in the action file.
#[derive(Debug, Config)]
pub struct Rules {
    /// Keys that must exist with a value that is not blank.
    required: Vec<String>,
    /// The allowed values of a key, if the commit has the key.
    allowed_values: BTreeMap<String, Vec<String>>,
    /// The minimum length of the message, in characters.
    #[config(default = 0)]
    min_message_length: u32,
}

/// Judges the new commit.
///
/// # Errors
/// None. The SDK reports an invalid configuration.
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
                    "commit metadata {key} is {value:?}; allowed values: {}",
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
                "the message has {length} characters; the minimum is {}",
                rules.min_message_length
            ),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Native tests of the gate.

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
    fn missing_keys_wrong_values_and_short_messages_are_refused() {
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
                "commit metadata env is \"test\"; allowed values: dev, prod",
                "the message has 1 characters; the minimum is 5",
            ]
        );
    }

    #[test]
    fn without_configuration_every_commit_passes() {
        assert_eq!(judge("", &[], "null"), [""; 0]);
    }
}
