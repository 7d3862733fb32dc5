//! The JSON body of a webhook request, with the same fields as in lakeFS.

use std::collections::BTreeMap;

use graveler::Event;
use serde::Serialize;
use time::macros::format_description;

/// The fields in the order in which they are sent. Empty fields are omitted.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    event_type: &'a str,
    event_time: String,
    action_name: &'a str,
    hook_id: &'a str,
    repository_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    branch_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source_ref: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tag_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    commit_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    commit_message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    committer: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    commit_metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    merge_source: &'a str,
}

/// Returns the request body for one hook.
pub(crate) fn payload(event: &Event, action: &str, hook: &str) -> String {
    static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();
    let second = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let commit = event.commit();
    let payload = Payload {
        event_type: event.kind().as_str(),
        event_time: event
            .time
            .to_offset(time::UtcOffset::UTC)
            .format(&second)
            .expect("a date and a time can be formatted"),
        action_name: action,
        hook_id: hook,
        repository_id: event.repository.id.as_str(),
        branch_id: event.branch().map_or("", |b| b.as_str()),
        source_ref: event.source_ref(),
        tag_id: event.tag().map_or("", |t| t.as_str()),
        commit_id: event.commit_id().map_or("", |c| c.as_str()),
        commit_message: commit.map_or("", |c| &c.message),
        committer: commit.map_or("", |c| &c.committer),
        commit_metadata: commit.map_or(&NO_METADATA, |c| &c.metadata),
        merge_source: event.merge_source().unwrap_or(""),
    };
    serde_json::to_string(&payload).expect("strings and maps of strings are JSON")
}

#[cfg(test)]
mod tests {
    use graveler::{EventDetails, EventKind};

    use super::*;
    use crate::testing::event;

    #[test]
    fn commit_payload_has_the_commit_fields() {
        let event = event(EventKind::PreCommit);
        assert_eq!(
            payload(&event, "gate", "first"),
            r#"{"event_type":"pre-commit","event_time":"2026-03-04T05:06:07Z","action_name":"gate","hook_id":"first","repository_id":"repo","branch_id":"main","source_ref":"main","commit_message":"with actions","committer":"admin","commit_metadata":{"k":"v"}}"#
        );
    }

    #[test]
    fn merge_payload_has_the_source() {
        let mut event = event(EventKind::PostMerge);
        if let EventDetails::PostMerge(after) = &mut event.details {
            after.change.commit.draft.metadata.clear();
        }
        assert_eq!(
            payload(&event, "gate", "first"),
            r#"{"event_type":"post-merge","event_time":"2026-03-04T05:06:07Z","action_name":"gate","hook_id":"first","repository_id":"repo","branch_id":"main","source_ref":"c1","commit_id":"c1","commit_message":"with actions","committer":"admin","merge_source":"dev"}"#
        );
    }

    #[test]
    fn tag_payload_has_no_branch_and_no_message() {
        let event = event(EventKind::PreCreateTag);
        assert_eq!(
            payload(&event, "gate", "first"),
            r#"{"event_type":"pre-create-tag","event_time":"2026-03-04T05:06:07Z","action_name":"gate","hook_id":"first","repository_id":"repo","source_ref":"c1","tag_id":"t","commit_id":"c1"}"#
        );
    }
}
