//! The permissions that operations require, and their resources. Both equal lakeFS's.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{RequestParts, TestApi};

fn repositories(path: &str) -> String {
    match path {
        "" => "/repositories".to_owned(),
        path => format!("/repositories/{path}"),
    }
}

async fn checked_permissions(api: &TestApi, request: (&str, &str, Value)) -> String {
    let (method, path, body) = request;
    let parts = RequestParts {
        headers: vec![("content-type", "application/json".to_owned())],
        body: match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        },
        anonymous: false,
    };
    api.take_checked();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    api.request(method, &repositories(path), parts).await;
    let checked = api.take_checked().into_iter().map(|permission| {
        let local = permission
            .resource
            .strip_prefix("arn:lakefs:fs:::repository/");
        let resource = local.unwrap_or(&permission.resource);
        format!("{} {resource}", permission.action)
    });
    checked.collect::<Vec<_>>().join(", ")
}

/// Guards against a bug: an empty list of paths needed no permission, and the status disclosed whether repository and branch
/// exist.
#[tokio::test]
async fn deleting_no_objects_tells_nothing_without_permission() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let none = json!({"paths": []});
    let call = |branch: &str| format!("/repositories/{branch}/objects/delete");
    api.post(&call("lake/branches/main"), &none)
        .await
        .expect(200);
    api.forbid("fs:DeleteObject");
    for branch in [
        "lake/branches/main",
        "lake/branches/none",
        "none/branches/main",
    ] {
        api.post(&call(branch), &none).await.expect(401);
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
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
    // The repository does not exist. Permissions are checked before the response reveals that.
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
        // Resources that the query and the body name: one per path in the body.
        (
            "POST",
            "r/branches/b/objects/delete",
            json!({"paths": ["x", "y/z"]}),
            "fs:DeleteObject r/object/x, fs:DeleteObject r/object/y/z",
        ),
        (
            "POST",
            "r/branches/b/objects/delete",
            json!({"paths": []}),
            "fs:DeleteObject r/object/*",
        ),
        (
            "POST",
            "r/branches/b/objects/copy?dest_path=to",
            json!({"src_path": "from"}),
            "fs:ReadObject r/object/from, fs:WriteObject r/object/to",
        ),
        (
            "GET",
            "r/refs/b/objects/stat?path=a%20b",
            Value::Null,
            "fs:ReadObject r/object/a b",
        ),
        // Operations that are not implemented.
        (
            "DELETE",
            "r/branches/b/import?id=i",
            Value::Null,
            "fs:ImportCancel r",
        ),
    ] {
        let request = (method, path, body);
        assert_eq!(
            checked_permissions(&api, request).await,
            expected,
            "{method} {path}"
        );
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
        checked_permissions(&api, ("PUT", &merge, Value::Null)).await,
        "pr:WritePullRequest lake, fs:CreateCommit lake/branch/d"
    );

    let new = json!({"name": "new", "storage_namespace": "mem://new"});
    assert_eq!(
        checked_permissions(&api, ("POST", "", new)).await,
        "fs:CreateRepository new, fs:AttachStorageNamespace arn:lakefs:fs:::namespace/mem://new"
    );
}
