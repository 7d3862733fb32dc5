//! Checks the permissions that operations require, and on which resources: the same as in lakeFS.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Once;

use http::Method;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::harness::{Ask, TestApi};

thread_local! {
    /// The permissions checked on this thread, which runs a single test.
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Records permission checks on all threads. It is the process's only subscriber and must be set before the first
/// request, because `tracing` caches which events are enabled when they first occur.
#[derive(Debug)]
struct PermissionRecorder;

/// Starts recording. Call it before any request.
pub(crate) fn start_recording() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| tracing::subscriber::set_global_default(PermissionRecorder).unwrap());
}

fn take() -> Vec<String> {
    ASKED.with(RefCell::take)
}

impl Subscriber for PermissionRecorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "api::permissions"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut values = FieldValues(Vec::new());
        event.record(&mut values);
        ASKED.with(|asked| asked.borrow_mut().push(values.0.join(" ")));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct FieldValues(Vec<String>);

impl Visit for FieldValues {
    fn record_str(&mut self, _: &Field, value: &str) {
        let local = value.strip_prefix("arn:lakefs:fs:::repository/");
        self.0.push(local.unwrap_or(value).to_owned());
    }

    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0.push(format!("{value:?}"));
    }
}

async fn asked(api: &TestApi, request: (&str, &str, Value)) -> String {
    let (method, path, body) = request;
    let ask = Ask {
        headers: vec![("content-type", "application/json".to_owned())],
        body: match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        },
        anonymous: false,
    };
    take();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    api.ask(method, &format!("/repositories/{path}"), ask).await;
    take().join(", ")
}

#[tokio::test]
async fn operations_require_the_permissions_of_lakefs() {
    let api = TestApi::new().await;
    let message = || json!({"message": "m"});
    let record = json!({"commit_id": "c", "version": 1, "committer": "c", "message": "m",
        "metarange_id": "", "creation_date": 1, "parents": [], "generation": 1});
    let pull = json!({"title": "t", "source_branch": "b", "destination_branch": "d"});
    let restore = json!({"commits_meta_range_id": "0", "tags_meta_range_id": "0", "branches_meta_range_id": "0"});
    let task = "CA00000000000000000000";
    let commit_status = format!("r/branches/b/commits/async/{task}/status");
    let merge_status = format!("r/refs/s/merge/b/async/{task}/status");
    let dump = "fs:ListTags r, fs:ListBranches r, fs:ListCommits r";
    let restored = "fs:CreateTag r, fs:CreateBranch r, fs:CreateCommit r";
    // The repository does not exist: permissions are checked before that is revealed.
    for (method, path, body, expected) in [
        ("GET", "r/branches", Value::Null, "fs:ListBranches r"),
        (
            "POST",
            "r/branches",
            json!({"name": "b", "source": "s"}),
            "fs:CreateBranch r/branch/b",
        ),
        (
            "GET",
            "r/branches/b",
            Value::Null,
            "fs:ReadBranch r/branch/b",
        ),
        (
            "DELETE",
            "r/branches/b",
            Value::Null,
            "fs:DeleteBranch r/branch/b",
        ),
        ("GET", "r/tags", Value::Null, "fs:ListTags r"),
        (
            "POST",
            "r/tags",
            json!({"id": "t", "ref": "s"}),
            "fs:CreateTag r/tag/t",
        ),
        ("GET", "r/tags/t", Value::Null, "fs:ReadTag r/tag/t"),
        ("DELETE", "r/tags/t", Value::Null, "fs:DeleteTag r/tag/t"),
        (
            "POST",
            "r/branches/b/commits",
            message(),
            "fs:CreateCommit r/branch/b",
        ),
        (
            "POST",
            "r/branches/b/commits/async",
            message(),
            "fs:CreateCommit r/branch/b",
        ),
        (
            "GET",
            &commit_status,
            Value::Null,
            "fs:CreateCommit r/branch/b",
        ),
        ("POST", "r/commits", record, "fs:CreateCommit r"),
        ("GET", "r/commits/c", Value::Null, "fs:ReadCommit r"),
        (
            "GET",
            "r/refs/b/commits",
            Value::Null,
            "fs:ReadBranch r/branch/b",
        ),
        ("GET", "r/branches/b/diff", Value::Null, "fs:ListObjects r"),
        ("GET", "r/refs/a/diff/b", Value::Null, "fs:ListObjects r"),
        (
            "POST",
            "r/refs/s/merge/b",
            json!({}),
            "fs:CreateCommit r/branch/b",
        ),
        (
            "POST",
            "r/refs/s/merge/b/async",
            json!({}),
            "fs:CreateCommit r/branch/b",
        ),
        (
            "GET",
            &merge_status,
            Value::Null,
            "fs:CreateCommit r/branch/b",
        ),
        ("GET", "r/refs/s/merge/b", Value::Null, "fs:ListCommits r"),
        (
            "PUT",
            "r/branches/b",
            json!({"type": "reset"}),
            "fs:RevertBranch r/branch/b",
        ),
        (
            "PUT",
            "r/branches/b/hard_reset?ref=a",
            Value::Null,
            "fs:RevertBranch r/branch/b",
        ),
        (
            "POST",
            "r/branches/b/revert",
            json!({"ref": "a", "parent_number": 0}),
            "fs:RevertBranch r/branch/b",
        ),
        (
            "POST",
            "r/branches/b/cherry-pick",
            json!({"ref": "a"}),
            "fs:CreateCommit r/branch/b, fs:ReadCommit r",
        ),
        ("GET", "r/pulls", Value::Null, "pr:ListPullRequests r"),
        ("POST", "r/pulls", pull.clone(), "pr:WritePullRequest r"),
        ("GET", "r/pulls/p", Value::Null, "pr:ReadPullRequest r"),
        (
            "PATCH",
            "r/pulls/p",
            json!({"title": "t"}),
            "pr:WritePullRequest r",
        ),
        ("PUT", "r/refs/dump", Value::Null, dump),
        ("POST", "r/dump", Value::Null, dump),
        ("GET", "r/dump?task_id=t", Value::Null, dump),
        ("PUT", "r/refs/restore", restore.clone(), restored),
        ("POST", "r/restore", restore, restored),
        ("GET", "r/restore?task_id=t", Value::Null, restored),
        (
            "GET",
            "r/settings/branch_protection",
            Value::Null,
            "branches:GetBranchProtectionRules r",
        ),
        (
            "PUT",
            "r/settings/branch_protection",
            json!([]),
            "branches:SetBranchProtectionRules r",
        ),
        (
            "GET",
            "r/branch_protection/set_allowed",
            Value::Null,
            "branches:SetBranchProtectionRules r",
        ),
        (
            "GET",
            "r/settings/gc_rules",
            Value::Null,
            "retention:GetGarbageCollectionRules r",
        ),
        (
            "PUT",
            "r/settings/gc_rules",
            json!({"default_retention_days": 1, "branches": []}),
            "retention:SetGarbageCollectionRules r",
        ),
        (
            "DELETE",
            "r/settings/gc_rules",
            Value::Null,
            "retention:SetGarbageCollectionRules r",
        ),
        (
            "GET",
            "r/gc/rules/set_allowed",
            Value::Null,
            "retention:SetGarbageCollectionRules r",
        ),
        // Operations of Weir.
        (
            "GET",
            "r/reflog",
            Value::Null,
            "fs:ListBranches r, fs:ListTags r",
        ),
        (
            "GET",
            "r/reflog?branch=b",
            Value::Null,
            "fs:ReadBranch r/branch/b",
        ),
        ("GET", "r/reflog?tag=t", Value::Null, "fs:ReadTag r/tag/t"),
        (
            "POST",
            "r/branches/b/undo",
            json!({}),
            "fs:RevertBranch r/branch/b",
        ),
        ("POST", "r/tags/t/undo", json!({}), "fs:CreateTag r/tag/t"),
    ] {
        let request = (method, path, body);
        assert_eq!(asked(&api, request).await, expected, "{method} {path}");
    }

    // The destination branch is known only from the pull request.
    api.repository("lake").await;
    for name in ["b", "d"] {
        let branch = json!({"name": name, "source": "main"});
        api.post("/repositories/lake/branches", &branch)
            .await
            .expect(201);
    }
    let pull = api
        .post("/repositories/lake/pulls", &pull)
        .await
        .expect(201)
        .json();
    let merge = format!("lake/pulls/{}/merge", pull["id"].as_str().unwrap());
    assert_eq!(
        asked(&api, ("PUT", &merge, Value::Null)).await,
        "pr:WritePullRequest lake, fs:CreateCommit lake/branch/d"
    );
}
