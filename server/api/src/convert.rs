//! Converts between the types of the services and of the wire. Contains no decisions.

use ::actions::{HookRun, HookStatus, Run};
use api_types as types;
use base::{OffsetDateTime, Page};
use catalog::{
    Branch, Commit, CommitId, Difference, DifferenceKind, Entry, Failure, Gates, Object,
    ObjectOrPrefix, PullRequest, PullStatus, RefName, ReflogEntry, Repository, Tag,
};
use time::format_description::well_known::Rfc3339;

use crate::error::{Conflicts, Error, Result, conflicting, finding};
use crate::query::MAX_PER_PAGE;

/// The content type of objects without one.
pub(crate) const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// The pagination of a page.
pub(crate) fn pagination<T>(page: &Page<T>) -> types::Pagination {
    types::Pagination {
        has_more: page.has_more,
        next_offset: page.next_offset.clone(),
        results: number(page.results.len()),
        max_per_page: number(MAX_PER_PAGE),
    }
}

/// Converts a count.
pub(crate) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Formats a time as RFC 3339.
pub(crate) fn date_time(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// Parses an RFC 3339 time.
pub(crate) fn parse_date_time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

pub(crate) fn repository(repository: Repository) -> types::Repository {
    types::Repository {
        id: repository.id.to_string(),
        creation_date: repository.creation_date.unix_timestamp(),
        default_branch: repository.default_branch.to_string(),
        storage_id: Some(repository.storage_id),
        storage_namespace: repository.storage_namespace,
        read_only: Some(repository.read_only),
    }
}

pub(crate) fn branch(branch: &Branch) -> types::Ref {
    types::Ref {
        id: branch.id.to_string(),
        commit_id: branch.record.commit_id.to_string(),
    }
}

pub(crate) fn reflog_entry(entry: &ReflogEntry) -> types::ReflogEntry {
    let (ref_type, name) = match &entry.reference {
        RefName::Branch(id) => (types::ReflogEntryRefType::Branch, id.to_string()),
        RefName::Tag(id) => (types::ReflogEntryRefType::Tag, id.to_string()),
    };
    types::ReflogEntry {
        id: entry.id.clone(),
        ref_type,
        r#ref: name,
        operation: entry.operation.as_str().to_owned(),
        actor: entry.actor.clone(),
        creation_date: entry.time.unix_timestamp(),
        reason: entry.reason.clone(),
        from_commit: entry.from.as_ref().map(ToString::to_string),
        to_commit: entry.to.as_ref().map(ToString::to_string),
        uncommitted_kept: entry.keeps_staged(),
        undone: entry.undone.clone(),
    }
}

pub(crate) fn tag(tag: &Tag) -> types::Ref {
    types::Ref {
        id: tag.id.to_string(),
        commit_id: tag.commit_id.to_string(),
    }
}

/// Converts seconds since 1970 from a request.
pub(crate) fn instant(secs: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .filter(|at| (1..=9_999).contains(&at.year()))
        .ok_or_else(|| Error::Invalid(format!("date {secs} is out of range: years 1 to 9999")))
}

/// The result of a merge that failed with conflicts.
pub(crate) fn conflicts(conflicts: Conflicts) -> types::MergeResult {
    types::MergeResult {
        reference: String::new(),
        message: Some(conflicts.text.message),
        hint: conflicts.text.hint,
        conflicts: Some(conflicts.paths),
        conflict_count: Some(conflicts.count),
        ..types::MergeResult::default()
    }
}

pub(crate) fn commit(commit: Commit) -> types::Commit {
    types::Commit {
        id: commit.id.to_string(),
        parents: commit.parents.iter().map(ToString::to_string).collect(),
        committer: commit.committer,
        message: commit.message,
        creation_date: commit.creation_date.unix_timestamp(),
        meta_range_id: commit.meta_range_id.to_string(),
        metadata: Some(commit.metadata),
        generation: Some(i64::from(commit.generation)),
        version: Some(i64::from(commit.version)),
        gate_run_ids: None,
        warnings: None,
    }
}

/// An object in a stat or upload response. Metadata is always present, but empty without `with_metadata`.
pub(crate) fn object(object: Object, with_metadata: bool) -> types::ObjectStats {
    let metadata = if with_metadata {
        object.entry.metadata
    } else {
        types::ObjectUserMetadata::new()
    };
    types::ObjectStats {
        path: object.path,
        path_type: types::ObjectStatsPathType::Object,
        physical_address: object.physical_address,
        physical_address_expiry: None,
        checksum: object.entry.etag,
        size_bytes: Some(object.entry.size_bytes),
        mtime: object.entry.last_modified.unix_timestamp(),
        metadata: Some(metadata),
        content_type: Some(content_type(object.entry.content_type)),
    }
}

/// A row of a listing. Empty metadata is omitted.
pub(crate) fn row(row: ObjectOrPrefix, with_metadata: bool) -> types::ObjectStats {
    match row {
        ObjectOrPrefix::Object(found) => {
            let mut stats = object(*found, with_metadata);
            stats.metadata = stats.metadata.filter(|metadata| !metadata.is_empty());
            stats
        }
        ObjectOrPrefix::Prefix(path) => types::ObjectStats {
            path,
            path_type: types::ObjectStatsPathType::CommonPrefix,
            physical_address: String::new(),
            physical_address_expiry: None,
            checksum: String::new(),
            size_bytes: None,
            mtime: 0,
            metadata: None,
            content_type: None,
        },
    }
}

/// The content type of an object, or the default if it has none.
pub(crate) fn content_type(given: String) -> String {
    if given.is_empty() {
        DEFAULT_CONTENT_TYPE.to_owned()
    } else {
        given
    }
}

/// A row of a diff. Its size is the size of the right side. For a removed object, it is the size of the left side if
/// `sized_by_left` is set, and otherwise 0.
pub(crate) fn difference(
    difference: Difference,
    sized_by_left: bool,
    with_right: bool,
) -> types::Diff {
    let is_prefix = difference.is_prefix;
    let left_size = difference
        .left
        .filter(|_| sized_by_left)
        .map(|entry| entry.size_bytes);
    let right_size = difference.right.as_ref().map(|entry| entry.size_bytes);
    types::Diff {
        r#type: match difference.kind {
            DifferenceKind::Added => types::DiffType::Added,
            DifferenceKind::Changed => types::DiffType::Changed,
            DifferenceKind::Removed => types::DiffType::Removed,
            DifferenceKind::Conflict => types::DiffType::Conflict,
            DifferenceKind::PrefixChanged => types::DiffType::PrefixChanged,
        },
        path: difference.path,
        path_type: if is_prefix {
            types::DiffPathType::CommonPrefix
        } else {
            types::DiffPathType::Object
        },
        size_bytes: (!is_prefix).then(|| right_size.or(left_size).unwrap_or(0)),
        right: difference.right.filter(|_| with_right).map(side),
    }
}

fn side(entry: Entry) -> types::DiffObjectStat {
    types::DiffObjectStat {
        checksum: entry.etag,
        mtime: entry.last_modified.unix_timestamp(),
        content_type: content_type(entry.content_type),
        metadata: Some(entry.metadata),
    }
}

pub(crate) fn pull_request(pull: PullRequest) -> types::PullRequest {
    types::PullRequest {
        id: pull.id,
        status: match pull.status {
            PullStatus::Open => types::PullRequestStatus::Open,
            PullStatus::Closed => types::PullRequestStatus::Closed,
            PullStatus::Merged => types::PullRequestStatus::Merged,
        },
        title: pull.title,
        description: pull.description,
        author: pull.author,
        source_branch: pull.source_branch,
        destination_branch: pull.destination_branch,
        creation_date: date_time(pull.created_at),
        closed_date: pull.closed_at.map(date_time),
        merged_commit_id: pull.merged_commit.map(|id| id.to_string()),
    }
}

pub(crate) fn user(user: auth::User) -> types::User {
    types::User {
        id: user.username,
        creation_date: user.creation_date.unix_timestamp(),
        friendly_name: Some(user.friendly_name),
        email: Some(user.email),
    }
}

pub(crate) fn new_key(key: auth::CreatedCredentials) -> types::CredentialsWithSecret {
    types::CredentialsWithSecret {
        access_key_id: key.access_key_id,
        secret_access_key: key.secret_access_key,
        creation_date: key.issued.unix_timestamp(),
    }
}

pub(crate) fn run(run: Run) -> types::ActionRun {
    let status = if run.passed {
        types::ActionRunStatus::Completed
    } else {
        types::ActionRunStatus::Failed
    };
    types::ActionRun {
        run_id: run.run_id,
        branch: run.branch_id,
        start_time: date_time(run.start_time),
        end_time: Some(date_time(run.end_time)),
        event_type: run.event_type,
        status,
        commit_id: run.commit_id,
        warnings: non_empty(run.warnings),
    }
}

/// Converts an empty list to none.
fn non_empty(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

/// A new commit with the results of its hooks.
pub(crate) fn created_commit(commit: Commit, gates: Gates) -> types::Commit {
    types::Commit {
        gate_run_ids: non_empty(gates.run_ids),
        warnings: non_empty(gates.warnings),
        ..self::commit(commit)
    }
}

/// The result of a merge with the results of its hooks.
pub(crate) fn merge_result(commit: &CommitId, gates: Gates) -> types::MergeResult {
    types::MergeResult {
        reference: commit.to_string(),
        gate_run_ids: non_empty(gates.run_ids),
        warnings: non_empty(gates.warnings),
        ..types::MergeResult::default()
    }
}

/// A hook of a run. A skipped hook has no end time.
pub(crate) fn hook(hook: HookRun) -> types::HookRun {
    types::HookRun {
        hook_run_id: hook.hook_run_id,
        action: hook.action_name,
        hook_id: hook.hook_id,
        start_time: date_time(hook.start_time),
        end_time: (hook.status != HookStatus::Skipped).then(|| date_time(hook.end_time)),
        status: match hook.status {
            HookStatus::Completed => types::HookRunStatus::Completed,
            HookStatus::Failed => types::HookRunStatus::Failed,
            HookStatus::Skipped => types::HookRunStatus::Skipped,
        },
    }
}

/// The failure of a task.
pub(crate) fn failure(failure: Failure) -> types::Error {
    let findings: Vec<_> = failure.findings.iter().map(finding).collect();
    let (conflicts, conflict_count) = failure.conflicts.as_ref().map(conflicting).unzip();
    types::Error {
        message: failure.message,
        hint: failure.hint,
        findings: (!findings.is_empty()).then_some(findings),
        conflicts,
        conflict_count,
    }
}

#[cfg(test)]
mod tests {
    use super::{difference, object, pagination, row};
    use base::{OffsetDateTime, Page};
    use catalog::{AddressType, Difference, DifferenceKind, Entry, Object, ObjectOrPrefix};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn entry(size_bytes: i64) -> Entry {
        Entry {
            address: "data/a/b".to_owned(),
            address_type: AddressType::Relative,
            last_modified: OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a time"),
            size_bytes,
            etag: "e".to_owned(),
            metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            content_type: String::new(),
        }
    }

    fn some_object() -> Object {
        Object {
            path: "a/b".to_owned(),
            entry: entry(3),
            identity: bytes::Bytes::new(),
            physical_address: "local://r/data/a/b".to_owned(),
        }
    }

    #[test]
    fn objects_and_prefixes_have_the_wire_format() {
        let full = json!({
            "path": "a/b", "path_type": "object", "physical_address": "local://r/data/a/b", "checksum": "e",
            "size_bytes": 3, "mtime": 1_700_000_000, "metadata": {"k": "v"}, "content_type": "application/octet-stream",
        });
        assert_eq!(json!(object(some_object(), true)), full);
        assert_eq!(json!(object(some_object(), false))["metadata"], json!({}));
        let listed = json!(row(ObjectOrPrefix::Object(Box::new(some_object())), false));
        assert_eq!(listed.get("metadata"), None);
        let prefix = json!({"path": "a/", "path_type": "common_prefix", "physical_address": "", "checksum": "", "mtime": 0});
        assert_eq!(
            json!(row(ObjectOrPrefix::Prefix("a/".to_owned()), true)),
            prefix
        );
    }

    #[test]
    fn diff_has_the_size_of_the_right_or_left_side() {
        let removed = || Difference {
            kind: DifferenceKind::Removed,
            path: "a".to_owned(),
            is_prefix: false,
            left: Some(entry(4)),
            right: None,
        };
        assert_eq!(difference(removed(), true, true).size_bytes, Some(4));
        assert_eq!(difference(removed(), false, false).size_bytes, Some(0));
        let changed = Difference {
            kind: DifferenceKind::Changed,
            right: Some(entry(7)),
            ..removed()
        };
        let wire = json!(difference(changed, true, true));
        assert_eq!(
            (&wire["size_bytes"], &wire["right"]["checksum"]),
            (&json!(7), &json!("e"))
        );
        let folded = Difference {
            kind: DifferenceKind::PrefixChanged,
            is_prefix: true,
            left: None,
            ..removed()
        };
        let wire = json!({"type": "prefix_changed", "path": "a", "path_type": "common_prefix"});
        assert_eq!(json!(difference(folded, true, false)), wire);
    }

    #[test]
    fn pagination_has_the_wire_format() {
        let page = Page {
            results: vec![1, 2],
            has_more: true,
            next_offset: "b".to_owned(),
        };
        let wire =
            json!({"has_more": true, "next_offset": "b", "results": 2, "max_per_page": 1000});
        assert_eq!(json!(pagination(&page)), wire);
    }

    #[test]
    fn dates_are_limited_to_years_that_records_can_store() {
        for secs in [0, -62_135_596_800, 253_402_300_799] {
            assert_eq!(super::instant(secs).expect("a date").unix_timestamp(), secs);
        }
        for secs in [-62_135_596_801, 253_402_300_800, i64::MAX, i64::MIN] {
            assert!(super::instant(secs).is_err(), "{secs}");
        }
    }
}
