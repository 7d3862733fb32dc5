//! All routes: method, path, operation id in the contract, handler, and who may call it.
//!
//! A test compares the table with the contract. `not_implemented` answers 501.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, head, patch, post, put};
use axum::{Extension, Router};
use http::{HeaderName, HeaderValue};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::generated::OPERATIONS;
use crate::guard::{Guard, guard, unknown_endpoint, wrong_method};
use crate::not_implemented::not_implemented;
use crate::permissions::Access::{self, Authenticated, Public, Requires};
use crate::permissions::Field::{Body, Path, Query};
use crate::permissions::Resource::{
    All, Branch, InHandler, Namespace, Object, Repository, Tag, User,
};
use crate::permissions::{BRANCH, DESTINATION, OBJECT, REPOSITORY, TAG, USER};
use crate::{ApiState, PREFIX, SharedState};
use crate::{
    actions, branches, commits, config, diff, download, dump, gc_prepare, history, metadata,
    objects, protection, pulls, reflog, repositories, retention, session, setup, spec, symlinks,
    tags, tasks, upload, users,
};

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The HTTP method, in lower case.
    pub method: &'static str,
    /// The path below `/api/v1`.
    pub path: &'static str,
    /// The operation id in the contract.
    pub operation: &'static str,
    pub(crate) is_implemented: bool,
    pub(crate) access: Access,
}

macro_rules! is_implemented {
    (not_implemented) => {
        false
    };
    ($($handler:tt)+) => {
        true
    };
}

macro_rules! routes {
    ($($method:ident $path:literal $operation:ident $($handler:ident)::+, $access:expr;)+) => {
        /// All routes, in the table's order.
        pub static ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            operation: stringify!($operation),
            is_implemented: is_implemented!($($handler)::+),
            access: $access,
        }),+];

        /// The handlers of all routes, in the same order.
        fn handlers() -> Vec<MethodRouter<SharedState>> {
            vec![$($method($($handler)::+)),+]
        }
    };
}

/// The routes below `/api/v1` and `/openapi.json`, ready to be merged into a server's router.
pub fn router(state: ApiState) -> Router {
    let state = Arc::new(state);
    let mut api = Router::new();
    let is_set_up = Arc::new(AtomicBool::new(false));
    for (route, handler) in ROUTES.iter().zip(handlers()) {
        let operation = OPERATIONS
            .iter()
            .find(|operation| operation.id == route.operation && operation.path == route.path)
            .expect("a test compares the routes with the contract");
        let guarded = Guard {
            api: Arc::clone(&state),
            operation,
            access: &route.access,
            is_set_up: Arc::clone(&is_set_up),
        };
        let handler = handler.route_layer(from_fn_with_state(guarded, guard));
        api = api.route(route.path, handler);
    }
    let api = api
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_endpoint)
        // Tells browsers not to guess content types.
        .layer(SetResponseHeaderLayer::overriding(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ))
        .layer(Extension(config::IsImplemented(is_implemented)))
        .with_state(state);
    Router::new()
        .nest(PREFIX, api)
        .route("/openapi.json", get(spec::openapi_json))
}

/// Whether this server implements an operation, by operation id.
fn is_implemented(operation: &str) -> bool {
    ROUTES
        .iter()
        .any(|route| route.operation == operation && route.is_implemented)
}

routes! {
    // set-up and sessions
    get "/setup_lakefs" getSetupState setup::get_setup_state,
        Public;
    post "/setup_lakefs" setup setup::setup,
        Public;
    post "/setup_comm_prefs" setupCommPrefs setup::setup_comm_prefs,
        Public;
    get "/healthcheck" healthCheck config::health_check,
        Public;
    post "/auth/login" login session::login,
        Public;
    get "/user" getCurrentUser session::get_current_user,
        Authenticated;
    get "/auth/capabilities" getAuthCapabilities session::get_auth_capabilities,
        Public;
    post "/auth/external/principal/login" externalPrincipalLogin not_implemented,
        Public;
    post "/sts/login" stsLogin not_implemented,
        Public;
    get "/oidc/callback" oauthCallback not_implemented,
        Public;

    // users and their keys
    get "/auth/users" listUsers users::list_users,
        Requires(&[("auth:ListUsers", All)]);
    post "/auth/users" createUser users::create_user,
        Requires(&[("auth:CreateUser", User(Body("id")))]);
    get "/auth/users/{userId}" getUser users::get_user,
        Requires(&[("auth:ReadUser", USER)]);
    delete "/auth/users/{userId}" deleteUser not_implemented,
        Requires(&[("auth:DeleteUser", All)]);
    get "/auth/users/{userId}/credentials" listUserCredentials not_implemented,
        Requires(&[("auth:ListCredentials", All)]);
    post "/auth/users/{userId}/credentials" createCredentials users::create_credentials,
        Requires(&[("auth:CreateCredentials", USER)]);
    get "/auth/users/{userId}/credentials/{accessKeyId}" getCredentials users::get_credentials,
        Requires(&[("auth:ReadCredentials", USER)]);
    delete "/auth/users/{userId}/credentials/{accessKeyId}" deleteCredentials not_implemented,
        Requires(&[("auth:DeleteCredentials", All)]);
    get "/auth/users/{userId}/groups" listUserGroups not_implemented,
        Requires(&[("auth:ReadUser", All)]);
    get "/auth/users/{userId}/policies" listUserPolicies not_implemented,
        Requires(&[("auth:ReadUser", All)]);
    put "/auth/users/{userId}/policies/{policyId}" attachPolicyToUser not_implemented,
        Requires(&[("auth:AttachPolicy", All)]);
    delete "/auth/users/{userId}/policies/{policyId}" detachPolicyFromUser not_implemented,
        Requires(&[("auth:DetachPolicy", All)]);
    post "/auth/users/{userId}/external/principals" createUserExternalPrincipal not_implemented,
        Requires(&[("auth:CreateUserExternalPrincipal", All)]);
    delete "/auth/users/{userId}/external/principals" deleteUserExternalPrincipal not_implemented,
        Requires(&[("auth:DeleteUserExternalPrincipal", All)]);
    get "/auth/users/{userId}/external/principals/ls" listUserExternalPrincipals not_implemented,
        Requires(&[("auth:ReadUser", All)]);
    get "/auth/external/principals" getExternalPrincipal not_implemented,
        Requires(&[("auth:ReadExternalPrincipal", All)]);

    // groups and policies
    get "/auth/groups" listGroups not_implemented,
        Requires(&[("auth:ListGroups", All)]);
    post "/auth/groups" createGroup not_implemented,
        Requires(&[("auth:CreateGroup", All)]);
    get "/auth/groups/{groupId}" getGroup not_implemented,
        Requires(&[("auth:ReadGroup", All)]);
    delete "/auth/groups/{groupId}" deleteGroup not_implemented,
        Requires(&[("auth:DeleteGroup", All)]);
    get "/auth/groups/{groupId}/members" listGroupMembers not_implemented,
        Requires(&[("auth:ReadGroup", All)]);
    put "/auth/groups/{groupId}/members/{userId}" addGroupMembership not_implemented,
        Requires(&[("auth:AddGroupMember", All)]);
    delete "/auth/groups/{groupId}/members/{userId}" deleteGroupMembership not_implemented,
        Requires(&[("auth:RemoveGroupMember", All)]);
    get "/auth/groups/{groupId}/policies" listGroupPolicies not_implemented,
        Requires(&[("auth:ReadGroup", All)]);
    put "/auth/groups/{groupId}/policies/{policyId}" attachPolicyToGroup not_implemented,
        Requires(&[("auth:AttachPolicy", All)]);
    delete "/auth/groups/{groupId}/policies/{policyId}" detachPolicyFromGroup not_implemented,
        Requires(&[("auth:DetachPolicy", All)]);
    get "/auth/groups/{groupId}/acl" getGroupACL not_implemented,
        Requires(&[("auth:ReadGroup", All), ("auth:ReadPolicy", All)]);
    post "/auth/groups/{groupId}/acl" setGroupACL not_implemented,
        Requires(&[("auth:ReadGroup", All), ("auth:AttachPolicy", All), ("auth:UpdatePolicy", All)]);
    get "/auth/policies" listPolicies not_implemented,
        Requires(&[("auth:ListPolicies", All)]);
    post "/auth/policies" createPolicy not_implemented,
        Requires(&[("auth:CreatePolicy", All)]);
    get "/auth/policies/{policyId}" getPolicy not_implemented,
        Requires(&[("auth:ReadPolicy", All)]);
    put "/auth/policies/{policyId}" updatePolicy not_implemented,
        Requires(&[("auth:UpdatePolicy", All)]);
    delete "/auth/policies/{policyId}" deletePolicy not_implemented,
        Requires(&[("auth:DeletePolicy", All)]);

    // the server
    get "/config" getConfig config::get_config,
        Requires(&[("fs:ReadConfig", InHandler)]);
    get "/config/version" getLakeFSVersion config::get_version,
        Authenticated;
    get "/config/storage" getStorageConfig config::get_storage_config,
        Requires(&[("fs:ReadConfig", All)]);
    get "/config/garbage-collection" getGarbageCollectionConfig config::get_garbage_collection_config,
        Authenticated;
    post "/statistics" postStatsEvents config::post_stats_events,
        Authenticated;
    get "/usage-report/summary" getUsageReportSummary config::get_usage_report,
        Authenticated;

    // repositories
    get "/repositories" listRepositories repositories::list_repositories,
        Requires(&[("fs:ListRepositories", InHandler)]);
    post "/repositories" createRepository repositories::create_repository,
        Requires(&[("fs:CreateRepository", Repository(Body("name"))), ("fs:AttachStorageNamespace", Namespace(Body("storage_namespace")))]);
    get "/repositories/{repository}" getRepository repositories::get_repository,
        Requires(&[("fs:ReadRepository", REPOSITORY)]);
    delete "/repositories/{repository}" deleteRepository repositories::delete_repository,
        Requires(&[("fs:DeleteRepository", REPOSITORY)]);
    get "/repositories/{repository}/metadata" getRepositoryMetadata repositories::get_metadata,
        Requires(&[("fs:ReadRepository", REPOSITORY)]);
    post "/repositories/{repository}/metadata" setRepositoryMetadata repositories::set_metadata,
        Requires(&[("fs:UpdateRepository", REPOSITORY)]);
    delete "/repositories/{repository}/metadata" deleteRepositoryMetadata repositories::delete_metadata,
        Requires(&[("fs:UpdateRepository", REPOSITORY)]);
    get "/repositories/{repository}/settings/gc_rules" getGCRules retention::get_rules,
        Requires(&[("retention:GetGarbageCollectionRules", REPOSITORY)]);
    put "/repositories/{repository}/settings/gc_rules" setGCRules retention::set_rules,
        Requires(&[("retention:SetGarbageCollectionRules", REPOSITORY)]);
    delete "/repositories/{repository}/settings/gc_rules" deleteGCRules retention::delete_rules,
        Requires(&[("retention:SetGarbageCollectionRules", REPOSITORY)]);
    get "/repositories/{repository}/settings/branch_protection" getBranchProtectionRules protection::get_rules,
        Requires(&[("branches:GetBranchProtectionRules", REPOSITORY)]);
    put "/repositories/{repository}/settings/branch_protection" setBranchProtectionRules protection::set_rules,
        Requires(&[("branches:SetBranchProtectionRules", REPOSITORY)]);
    put "/repositories/{repository}/refs/dump" dumpRefs dump::dump_refs,
        Requires(&[("fs:ListTags", REPOSITORY), ("fs:ListBranches", REPOSITORY), ("fs:ListCommits", REPOSITORY)]);
    put "/repositories/{repository}/refs/restore" restoreRefs dump::restore_refs,
        Requires(&[("fs:CreateTag", REPOSITORY), ("fs:CreateBranch", REPOSITORY), ("fs:CreateCommit", REPOSITORY)]);
    post "/repositories/{repository}/dump" dumpSubmit dump::submit_dump,
        Requires(&[("fs:ListTags", REPOSITORY), ("fs:ListBranches", REPOSITORY), ("fs:ListCommits", REPOSITORY)]);
    get "/repositories/{repository}/dump" dumpStatus dump::dump_status,
        Requires(&[("fs:ListTags", REPOSITORY), ("fs:ListBranches", REPOSITORY), ("fs:ListCommits", REPOSITORY)]);
    post "/repositories/{repository}/restore" restoreSubmit dump::submit_restore,
        Requires(&[("fs:CreateTag", REPOSITORY), ("fs:CreateBranch", REPOSITORY), ("fs:CreateCommit", REPOSITORY)]);
    get "/repositories/{repository}/restore" restoreStatus dump::restore_status,
        Requires(&[("fs:CreateTag", REPOSITORY), ("fs:CreateBranch", REPOSITORY), ("fs:CreateCommit", REPOSITORY)]);

    // branches and tags
    get "/repositories/{repository}/branches" listBranches branches::list_branches,
        Requires(&[("fs:ListBranches", REPOSITORY)]);
    post "/repositories/{repository}/branches" createBranch branches::create_branch,
        Requires(&[("fs:CreateBranch", Branch(Body("name")))]);
    get "/repositories/{repository}/branches/{branch}" getBranch branches::get_branch,
        Requires(&[("fs:ReadBranch", BRANCH)]);
    delete "/repositories/{repository}/branches/{branch}" deleteBranch branches::delete_branch,
        Requires(&[("fs:DeleteBranch", BRANCH)]);
    put "/repositories/{repository}/branches/{branch}" resetBranch history::reset_branch,
        Requires(&[("fs:RevertBranch", BRANCH)]);
    put "/repositories/{repository}/branches/{branch}/hard_reset" hardResetBranch history::hard_reset_branch,
        Requires(&[("fs:RevertBranch", BRANCH)]);
    post "/repositories/{repository}/branches/{branch}/revert" revertBranch history::revert_branch,
        Requires(&[("fs:RevertBranch", BRANCH)]);
    post "/repositories/{repository}/branches/{branch}/cherry-pick" cherryPick history::cherry_pick,
        Requires(&[("fs:CreateCommit", BRANCH), ("fs:ReadCommit", REPOSITORY)]);
    post "/repositories/{repository}/branches/{branch}/undo" undoBranch reflog::undo_branch,
        Requires(&[("fs:RevertBranch", BRANCH), ("fs:CreateBranch", InHandler)]);
    get "/repositories/{repository}/reflog" listReflog reflog::list_reflog,
        Requires(&[("fs:ListBranches", InHandler), ("fs:ListTags", InHandler), ("fs:ReadBranch", InHandler), ("fs:ReadTag", InHandler)]);
    get "/repositories/{repository}/tags" listTags tags::list_tags,
        Requires(&[("fs:ListTags", REPOSITORY)]);
    post "/repositories/{repository}/tags" createTag tags::create_tag,
        Requires(&[("fs:CreateTag", Tag(Body("id")))]);
    get "/repositories/{repository}/tags/{tag}" getTag tags::get_tag,
        Requires(&[("fs:ReadTag", TAG)]);
    delete "/repositories/{repository}/tags/{tag}" deleteTag tags::delete_tag,
        Requires(&[("fs:DeleteTag", TAG)]);
    post "/repositories/{repository}/tags/{tag}/undo" undoTag reflog::undo_tag,
        Requires(&[("fs:CreateTag", TAG)]);

    // commits, diffs, merges
    get "/repositories/{repository}/refs/{ref}/commits" logCommits commits::log_commits,
        Requires(&[("fs:ReadBranch", Branch(Path("ref")))]);
    post "/repositories/{repository}/branches/{branch}/commits" commit commits::commit,
        Requires(&[("fs:CreateCommit", BRANCH)]);
    post "/repositories/{repository}/branches/{branch}/commits/async" commitAsync tasks::commit,
        Requires(&[("fs:CreateCommit", BRANCH)]);
    get "/repositories/{repository}/branches/{branch}/commits/async/{id}/status" commitAsyncStatus tasks::commit_status,
        Requires(&[("fs:CreateCommit", BRANCH)]);
    get "/repositories/{repository}/commits/{commitId}" getCommit commits::get_commit,
        Requires(&[("fs:ReadCommit", REPOSITORY)]);
    post "/repositories/{repository}/commits" CreateCommitRecord history::create_commit_record,
        Requires(&[("fs:CreateCommit", REPOSITORY)]);
    get "/repositories/{repository}/branches/{branch}/diff" diffBranch diff::diff_branch,
        Requires(&[("fs:ListObjects", REPOSITORY)]);
    get "/repositories/{repository}/refs/{leftRef}/diff/{rightRef}" diffRefs diff::diff_refs,
        Requires(&[("fs:ListObjects", REPOSITORY)]);
    get "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}" findMergeBase diff::find_merge_base,
        Requires(&[("fs:ListCommits", REPOSITORY)]);
    post "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}" mergeIntoBranch diff::merge_into_branch,
        Requires(&[("fs:CreateCommit", DESTINATION)]);
    post "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}/async" mergeIntoBranchAsync tasks::merge,
        Requires(&[("fs:CreateCommit", DESTINATION)]);
    get "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}/async/{id}/status" mergeIntoBranchAsyncStatus tasks::merge_status,
        Requires(&[("fs:CreateCommit", DESTINATION)]);

    // objects
    get "/repositories/{repository}/refs/{ref}/objects" getObject download::get_object,
        Requires(&[("fs:ReadObject", OBJECT)]);
    head "/repositories/{repository}/refs/{ref}/objects" headObject download::head_object,
        Requires(&[("fs:ReadObject", OBJECT)]);
    get "/repositories/{repository}/refs/{ref}/objects/stat" statObject objects::stat_object,
        Requires(&[("fs:ReadObject", OBJECT)]);
    get "/repositories/{repository}/refs/{ref}/objects/ls" listObjects objects::list_objects,
        Requires(&[("fs:ListObjects", REPOSITORY)]);
    get "/repositories/{repository}/refs/{ref}/objects/underlyingProperties" getUnderlyingProperties not_implemented,
        Requires(&[("fs:ReadObject", REPOSITORY)]);
    post "/repositories/{repository}/branches/{branch}/objects" uploadObject upload::upload_object,
        Requires(&[("fs:WriteObject", OBJECT)]);
    put "/repositories/{repository}/branches/{branch}/objects" stageObject not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    delete "/repositories/{repository}/branches/{branch}/objects" deleteObject objects::delete_object,
        Requires(&[("fs:DeleteObject", OBJECT)]);
    post "/repositories/{repository}/branches/{branch}/objects/delete" deleteObjects objects::delete_objects,
        Requires(&[("fs:DeleteObject", InHandler)]);
    post "/repositories/{repository}/branches/{branch}/objects/copy" copyObject objects::copy_object,
        Requires(&[("fs:ReadObject", Object(Body("src_path"))), ("fs:WriteObject", Object(Query("dest_path")))]);
    get "/repositories/{repository}/branches/{branch}/objects/stage_allowed" uploadObjectPreflight upload::preflight,
        Requires(&[("fs:WriteObject", OBJECT)]);
    put "/repositories/{repository}/branches/{branch}/objects/stat/user_metadata" updateObjectUserMetadata not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    post "/repositories/{repository}/refs/{branch}/symlink" createSymlinkFile symlinks::create_symlink_file,
        Requires(&[("fs:WriteObject", Object(Query("location")))]);

    // presigned uploads, imports
    get "/repositories/{repository}/branches/{branch}/staging/backing" getPhysicalAddress not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    put "/repositories/{repository}/branches/{branch}/staging/backing" linkPhysicalAddress not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    post "/repositories/{repository}/branches/{branch}/staging/pmpu" createPresignMultipartUpload not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    put "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}" completePresignMultipartUpload not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    delete "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}" abortPresignMultipartUpload not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    put "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}/parts/{partNumber}" uploadPart not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY)]);
    put "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}/parts/{partNumber}/copy" uploadPartCopy not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY), ("fs:ReadObject", REPOSITORY)]);
    get "/repositories/{repository}/branches/{branch}/import" importStatus not_implemented,
        Requires(&[("fs:ReadBranch", REPOSITORY)]);
    post "/repositories/{repository}/branches/{branch}/import" importStart not_implemented,
        Requires(&[("fs:WriteObject", REPOSITORY), ("fs:CreateCommit", REPOSITORY), ("fs:ImportFromStorage", REPOSITORY)]);
    delete "/repositories/{repository}/branches/{branch}/import" importCancel not_implemented,
        Requires(&[("fs:ImportCancel", REPOSITORY)]);

    // hook runs
    get "/repositories/{repository}/actions/runs" listRepositoryRuns actions::list_runs,
        Requires(&[("ci:ReadAction", REPOSITORY)]);
    get "/repositories/{repository}/actions/runs/{run_id}" getRun actions::get_run,
        Requires(&[("ci:ReadAction", REPOSITORY)]);
    get "/repositories/{repository}/actions/runs/{run_id}/hooks" listRunHooks actions::list_hooks,
        Requires(&[("ci:ReadAction", REPOSITORY)]);
    get "/repositories/{repository}/actions/runs/{run_id}/hooks/{hook_run_id}/output" getRunHookOutput actions::get_output,
        Requires(&[("ci:ReadAction", REPOSITORY)]);

    // pull requests
    get "/repositories/{repository}/pulls" listPullRequests pulls::list_pull_requests,
        Requires(&[("pr:ListPullRequests", REPOSITORY)]);
    post "/repositories/{repository}/pulls" createPullRequest pulls::create_pull_request,
        Requires(&[("pr:WritePullRequest", REPOSITORY)]);
    get "/repositories/{repository}/pulls/{pull_request}" getPullRequest pulls::get_pull_request,
        Requires(&[("pr:ReadPullRequest", REPOSITORY)]);
    patch "/repositories/{repository}/pulls/{pull_request}" updatePullRequest pulls::update_pull_request,
        Requires(&[("pr:WritePullRequest", REPOSITORY)]);
    put "/repositories/{repository}/pulls/{pull_request}/merge" mergePullRequest pulls::merge_pull_request,
        Requires(&[("pr:WritePullRequest", REPOSITORY), ("fs:CreateCommit", InHandler)]);

    // stored trees, garbage collection
    get "/repositories/{repository}/metadata/object/{type}/{object_id}" getMetadataObject metadata::get_metadata_object,
        Requires(&[("fs:ListObjects", REPOSITORY), ("fs:ReadRepository", REPOSITORY)]);
    get "/repositories/{repository}/metadata/meta_range/{meta_range}" getMetaRange metadata::get_table_address,
        Requires(&[("fs:ListObjects", REPOSITORY), ("fs:ReadRepository", REPOSITORY)]);
    get "/repositories/{repository}/metadata/range/{range}" getRange metadata::get_table_address,
        Requires(&[("fs:ListObjects", REPOSITORY), ("fs:ReadRepository", REPOSITORY)]);
    post "/repositories/{repository}/gc/prepare_commits" prepareGarbageCollectionCommits gc_prepare::prepare_commits,
        Requires(&[("retention:PrepareGarbageCollectionCommits", REPOSITORY)]);
    post "/repositories/{repository}/gc/prepare_commits/async" prepareGarbageCollectionCommitsAsync gc_prepare::submit_commits,
        Requires(&[("retention:PrepareGarbageCollectionCommits", REPOSITORY)]);
    get "/repositories/{repository}/gc/prepare_commits/status" prepareGarbageCollectionCommitsStatus gc_prepare::commits_status,
        Requires(&[("retention:PrepareGarbageCollectionCommits", REPOSITORY)]);
    post "/repositories/{repository}/gc/prepare_uncommited" prepareGarbageCollectionUncommitted gc_prepare::prepare_uncommitted,
        Requires(&[("retention:PrepareGarbageCollectionUncommitted", REPOSITORY)]);
    get "/repositories/{repository}/gc/rules/set_allowed" setGarbageCollectionRulesPreflight repositories::may_set,
        Requires(&[("retention:SetGarbageCollectionRules", REPOSITORY)]);
    get "/repositories/{repository}/gc/rules" internalGetGarbageCollectionRules retention::get_rules,
        Requires(&[("retention:GetGarbageCollectionRules", REPOSITORY)]);
    post "/repositories/{repository}/gc/rules" internalSetGarbageCollectionRules retention::set_rules,
        Requires(&[("retention:SetGarbageCollectionRules", REPOSITORY)]);
    delete "/repositories/{repository}/gc/rules" internalDeleteGarbageCollectionRules retention::delete_rules,
        Requires(&[("retention:SetGarbageCollectionRules", REPOSITORY)]);
    get "/repositories/{repository}/branch_protection/set_allowed" createBranchProtectionRulePreflight repositories::may_set,
        Requires(&[("branches:SetBranchProtectionRules", REPOSITORY)]);
    get "/repositories/{repository}/branch_protection" internalGetBranchProtectionRules protection::get_rules,
        Requires(&[("branches:GetBranchProtectionRules", REPOSITORY)]);
    post "/repositories/{repository}/branch_protection" internalCreateBranchProtectionRule protection::add_rule,
        Requires(&[("branches:SetBranchProtectionRules", REPOSITORY)]);
    delete "/repositories/{repository}/branch_protection" internalDeleteBranchProtectionRule protection::delete_rule,
        Requires(&[("branches:SetBranchProtectionRules", REPOSITORY)]);
}

#[cfg(test)]
mod tests {
    use super::{Access, ROUTES, Route};
    use crate::generated::OPERATIONS;
    use crate::permissions::{Field, Resource};
    use crate::schema::{Operation, Place, Schema};
    use std::collections::BTreeSet;

    fn operation(route: &Route) -> &'static Operation {
        OPERATIONS
            .iter()
            .find(|operation| operation.id == route.operation)
            .expect("an operation of the contract")
    }

    #[test]
    fn routes_match_the_operations_of_the_contract() {
        let contract: BTreeSet<_> = OPERATIONS
            .iter()
            .map(|o| (o.method.to_ascii_lowercase(), o.path, o.id, o.authenticated))
            .collect();
        let routes: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| {
                let is_authenticated = !matches!(route.access, Access::Public);
                (
                    route.method.to_owned(),
                    route.path,
                    route.operation,
                    is_authenticated,
                )
            })
            .collect();
        let missing: Vec<_> = contract.difference(&routes).collect();
        let extra: Vec<_> = routes.difference(&contract).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "missing routes: {missing:?}; routes outside the contract: {extra:?}"
        );
        assert_eq!(
            ROUTES.len(),
            OPERATIONS.len(),
            "an operation is routed twice"
        );
    }

    #[test]
    fn permissions_name_fields_of_the_contract() {
        for route in ROUTES {
            let Access::Requires(permissions) = route.access else {
                continue;
            };
            assert!(!permissions.is_empty(), "{}", route.operation);
            for (_, resource) in permissions {
                let field = match *resource {
                    Resource::All | Resource::InHandler => continue,
                    Resource::Repository(field)
                    | Resource::User(field)
                    | Resource::Namespace(field) => field,
                    Resource::Branch(field) | Resource::Tag(field) | Resource::Object(field) => {
                        assert_field(route, Field::Path("repository"));
                        field
                    }
                };
                assert_field(route, field);
            }
        }
    }

    /// Checks that the operation has a field of this name.
    fn assert_field(route: &Route, field: Field) {
        let operation = operation(route);
        let exists = match field {
            Field::Path(name) => route
                .path
                .split('/')
                .any(|part| part == format!("{{{name}}}")),
            Field::Query(name) => operation
                .parameters
                .iter()
                .any(|p| p.place == Place::Query && p.name == name),
            Field::Body(name) => operation.body.as_ref().is_some_and(|body| {
                let (Schema::Object(properties) | Schema::Closed(properties)) = body.schema else {
                    return false;
                };
                properties.iter().any(|p| p.name == name)
            }),
        };
        assert!(exists, "{}: {field:?}", route.operation);
    }
}
