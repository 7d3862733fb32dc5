//! All routes, one line each: method, path, operation id in the contract, handler.
//!
//! A test compares the table with the contract. `not_implemented` answers 501.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, head, patch, post, put};

use crate::guard::{guard, set_nosniff_header, unknown_endpoint};
use crate::not_implemented::not_implemented;
use crate::{ApiState, PREFIX};
use crate::{
    actions, branches, commits, config, diff, download, dump, gc_prepare, history, metadata,
    objects, protection, pulls, reflog, repositories, retention, session, setup, spec, symlinks,
    tags, tasks, upload, users,
};

macro_rules! routes {
    ($($method:ident $path:literal $operation:ident $handler:expr;)+) => {
        /// Method, path and operation of every route, in the table's order.
        pub const ROUTES: &[(&str, &str, &str)] = &[$((stringify!($method), $path, stringify!($operation))),+];

        fn routes() -> Router<ApiState> {
            Router::new()$(.route($path, $method($handler)))+
        }
    };
}

/// The routes below `/api/v1` and `/openapi.json`, ready to be merged into a server's router.
pub fn router(state: ApiState) -> Router {
    let api = routes()
        .method_not_allowed_fallback(unknown_endpoint)
        .route_layer(from_fn_with_state(state.clone(), guard))
        .fallback(unknown_endpoint)
        .layer(from_fn(set_nosniff_header))
        .with_state(state);
    Router::new()
        .nest(PREFIX, api)
        .route("/openapi.json", get(spec::openapi_json))
}

routes! {
    // set-up and sessions
    get "/setup_lakefs" getSetupState setup::get_setup_state;
    post "/setup_lakefs" setup setup::setup;
    post "/setup_comm_prefs" setupCommPrefs setup::setup_comm_prefs;
    get "/healthcheck" healthCheck config::health_check;
    post "/auth/login" login session::login;
    get "/user" getCurrentUser session::get_current_user;
    get "/auth/capabilities" getAuthCapabilities session::get_auth_capabilities;
    post "/auth/external/principal/login" externalPrincipalLogin not_implemented;
    post "/sts/login" stsLogin not_implemented;
    get "/oidc/callback" oauthCallback not_implemented;

    // users and their keys
    get "/auth/users" listUsers users::list_users;
    post "/auth/users" createUser users::create_user;
    get "/auth/users/{userId}" getUser users::get_user;
    delete "/auth/users/{userId}" deleteUser not_implemented;
    get "/auth/users/{userId}/credentials" listUserCredentials not_implemented;
    post "/auth/users/{userId}/credentials" createCredentials users::create_credentials;
    get "/auth/users/{userId}/credentials/{accessKeyId}" getCredentials users::get_credentials;
    delete "/auth/users/{userId}/credentials/{accessKeyId}" deleteCredentials not_implemented;
    get "/auth/users/{userId}/groups" listUserGroups not_implemented;
    get "/auth/users/{userId}/policies" listUserPolicies not_implemented;
    put "/auth/users/{userId}/policies/{policyId}" attachPolicyToUser not_implemented;
    delete "/auth/users/{userId}/policies/{policyId}" detachPolicyFromUser not_implemented;
    post "/auth/users/{userId}/external/principals" createUserExternalPrincipal not_implemented;
    delete "/auth/users/{userId}/external/principals" deleteUserExternalPrincipal not_implemented;
    get "/auth/users/{userId}/external/principals/ls" listUserExternalPrincipals not_implemented;
    get "/auth/external/principals" getExternalPrincipal not_implemented;

    // groups and policies
    get "/auth/groups" listGroups not_implemented;
    post "/auth/groups" createGroup not_implemented;
    get "/auth/groups/{groupId}" getGroup not_implemented;
    delete "/auth/groups/{groupId}" deleteGroup not_implemented;
    get "/auth/groups/{groupId}/members" listGroupMembers not_implemented;
    put "/auth/groups/{groupId}/members/{userId}" addGroupMembership not_implemented;
    delete "/auth/groups/{groupId}/members/{userId}" deleteGroupMembership not_implemented;
    get "/auth/groups/{groupId}/policies" listGroupPolicies not_implemented;
    put "/auth/groups/{groupId}/policies/{policyId}" attachPolicyToGroup not_implemented;
    delete "/auth/groups/{groupId}/policies/{policyId}" detachPolicyFromGroup not_implemented;
    get "/auth/groups/{groupId}/acl" getGroupACL not_implemented;
    post "/auth/groups/{groupId}/acl" setGroupACL not_implemented;
    get "/auth/policies" listPolicies not_implemented;
    post "/auth/policies" createPolicy not_implemented;
    get "/auth/policies/{policyId}" getPolicy not_implemented;
    put "/auth/policies/{policyId}" updatePolicy not_implemented;
    delete "/auth/policies/{policyId}" deletePolicy not_implemented;

    // the server
    get "/config" getConfig config::get_config;
    get "/config/version" getLakeFSVersion config::get_version;
    get "/config/storage" getStorageConfig config::get_storage_config;
    get "/config/garbage-collection" getGarbageCollectionConfig config::get_garbage_collection_config;
    post "/statistics" postStatsEvents config::post_stats_events;
    get "/usage-report/summary" getUsageReportSummary config::get_usage_report;

    // repositories
    get "/repositories" listRepositories repositories::list_repositories;
    post "/repositories" createRepository repositories::create_repository;
    get "/repositories/{repository}" getRepository repositories::get_repository;
    delete "/repositories/{repository}" deleteRepository repositories::delete_repository;
    get "/repositories/{repository}/metadata" getRepositoryMetadata repositories::get_metadata;
    post "/repositories/{repository}/metadata" setRepositoryMetadata repositories::set_metadata;
    delete "/repositories/{repository}/metadata" deleteRepositoryMetadata repositories::delete_metadata;
    get "/repositories/{repository}/settings/gc_rules" getGCRules retention::get_rules;
    put "/repositories/{repository}/settings/gc_rules" setGCRules retention::set_rules;
    delete "/repositories/{repository}/settings/gc_rules" deleteGCRules retention::delete_rules;
    get "/repositories/{repository}/settings/branch_protection" getBranchProtectionRules protection::get_rules;
    put "/repositories/{repository}/settings/branch_protection" setBranchProtectionRules protection::set_rules;
    put "/repositories/{repository}/refs/dump" dumpRefs dump::dump_refs;
    put "/repositories/{repository}/refs/restore" restoreRefs dump::restore_refs;
    post "/repositories/{repository}/dump" dumpSubmit dump::submit_dump;
    get "/repositories/{repository}/dump" dumpStatus dump::dump_status;
    post "/repositories/{repository}/restore" restoreSubmit dump::submit_restore;
    get "/repositories/{repository}/restore" restoreStatus dump::restore_status;

    // branches and tags
    get "/repositories/{repository}/branches" listBranches branches::list_branches;
    post "/repositories/{repository}/branches" createBranch branches::create_branch;
    get "/repositories/{repository}/branches/{branch}" getBranch branches::get_branch;
    delete "/repositories/{repository}/branches/{branch}" deleteBranch branches::delete_branch;
    put "/repositories/{repository}/branches/{branch}" resetBranch history::reset_branch;
    put "/repositories/{repository}/branches/{branch}/hard_reset" hardResetBranch history::hard_reset_branch;
    post "/repositories/{repository}/branches/{branch}/revert" revertBranch history::revert_branch;
    post "/repositories/{repository}/branches/{branch}/cherry-pick" cherryPick history::cherry_pick;
    post "/repositories/{repository}/branches/{branch}/undo" undoBranch reflog::undo_branch;
    get "/repositories/{repository}/reflog" listReflog reflog::list_reflog;
    get "/repositories/{repository}/tags" listTags tags::list_tags;
    post "/repositories/{repository}/tags" createTag tags::create_tag;
    get "/repositories/{repository}/tags/{tag}" getTag tags::get_tag;
    delete "/repositories/{repository}/tags/{tag}" deleteTag tags::delete_tag;
    post "/repositories/{repository}/tags/{tag}/undo" undoTag reflog::undo_tag;

    // commits, diffs, merges
    get "/repositories/{repository}/refs/{ref}/commits" logCommits commits::log_commits;
    post "/repositories/{repository}/branches/{branch}/commits" commit commits::commit;
    post "/repositories/{repository}/branches/{branch}/commits/async" commitAsync tasks::commit;
    get "/repositories/{repository}/branches/{branch}/commits/async/{id}/status" commitAsyncStatus tasks::commit_status;
    get "/repositories/{repository}/commits/{commitId}" getCommit commits::get_commit;
    post "/repositories/{repository}/commits" CreateCommitRecord history::create_commit_record;
    get "/repositories/{repository}/branches/{branch}/diff" diffBranch diff::diff_branch;
    get "/repositories/{repository}/refs/{leftRef}/diff/{rightRef}" diffRefs diff::diff_refs;
    get "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}" findMergeBase diff::find_merge_base;
    post "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}" mergeIntoBranch diff::merge_into_branch;
    post "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}/async" mergeIntoBranchAsync tasks::merge;
    get "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}/async/{id}/status" mergeIntoBranchAsyncStatus tasks::merge_status;

    // objects
    get "/repositories/{repository}/refs/{ref}/objects" getObject download::get_object;
    head "/repositories/{repository}/refs/{ref}/objects" headObject download::head_object;
    get "/repositories/{repository}/refs/{ref}/objects/stat" statObject objects::stat_object;
    get "/repositories/{repository}/refs/{ref}/objects/ls" listObjects objects::list_objects;
    get "/repositories/{repository}/refs/{ref}/objects/underlyingProperties" getUnderlyingProperties not_implemented;
    post "/repositories/{repository}/branches/{branch}/objects" uploadObject upload::upload_object;
    put "/repositories/{repository}/branches/{branch}/objects" stageObject not_implemented;
    delete "/repositories/{repository}/branches/{branch}/objects" deleteObject objects::delete_object;
    post "/repositories/{repository}/branches/{branch}/objects/delete" deleteObjects objects::delete_objects;
    post "/repositories/{repository}/branches/{branch}/objects/copy" copyObject objects::copy_object;
    get "/repositories/{repository}/branches/{branch}/objects/stage_allowed" uploadObjectPreflight upload::preflight;
    put "/repositories/{repository}/branches/{branch}/objects/stat/user_metadata" updateObjectUserMetadata not_implemented;
    post "/repositories/{repository}/refs/{branch}/symlink" createSymlinkFile symlinks::create_symlink_file;

    // presigned uploads, imports
    get "/repositories/{repository}/branches/{branch}/staging/backing" getPhysicalAddress not_implemented;
    put "/repositories/{repository}/branches/{branch}/staging/backing" linkPhysicalAddress not_implemented;
    post "/repositories/{repository}/branches/{branch}/staging/pmpu" createPresignMultipartUpload not_implemented;
    put "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}" completePresignMultipartUpload not_implemented;
    delete "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}" abortPresignMultipartUpload not_implemented;
    put "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}/parts/{partNumber}" uploadPart not_implemented;
    put "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}/parts/{partNumber}/copy" uploadPartCopy not_implemented;
    get "/repositories/{repository}/branches/{branch}/import" importStatus not_implemented;
    post "/repositories/{repository}/branches/{branch}/import" importStart not_implemented;
    delete "/repositories/{repository}/branches/{branch}/import" importCancel not_implemented;

    // hook runs
    get "/repositories/{repository}/actions/runs" listRepositoryRuns actions::list_runs;
    get "/repositories/{repository}/actions/runs/{run_id}" getRun actions::get_run;
    get "/repositories/{repository}/actions/runs/{run_id}/hooks" listRunHooks actions::list_hooks;
    get "/repositories/{repository}/actions/runs/{run_id}/hooks/{hook_run_id}/output" getRunHookOutput actions::get_output;

    // pull requests
    get "/repositories/{repository}/pulls" listPullRequests pulls::list_pull_requests;
    post "/repositories/{repository}/pulls" createPullRequest pulls::create_pull_request;
    get "/repositories/{repository}/pulls/{pull_request}" getPullRequest pulls::get_pull_request;
    patch "/repositories/{repository}/pulls/{pull_request}" updatePullRequest pulls::update_pull_request;
    put "/repositories/{repository}/pulls/{pull_request}/merge" mergePullRequest pulls::merge_pull_request;

    // stored trees, garbage collection
    get "/repositories/{repository}/metadata/object/{type}/{object_id}" getMetadataObject metadata::get_metadata_object;
    get "/repositories/{repository}/metadata/meta_range/{meta_range}" getMetaRange metadata::get_table_address;
    get "/repositories/{repository}/metadata/range/{range}" getRange metadata::get_table_address;
    post "/repositories/{repository}/gc/prepare_commits" prepareGarbageCollectionCommits gc_prepare::prepare_commits;
    post "/repositories/{repository}/gc/prepare_commits/async" prepareGarbageCollectionCommitsAsync gc_prepare::submit_commits;
    get "/repositories/{repository}/gc/prepare_commits/status" prepareGarbageCollectionCommitsStatus gc_prepare::commits_status;
    post "/repositories/{repository}/gc/prepare_uncommited" prepareGarbageCollectionUncommitted gc_prepare::prepare_uncommitted;
    get "/repositories/{repository}/gc/rules/set_allowed" setGarbageCollectionRulesPreflight retention::may_set;
    get "/repositories/{repository}/gc/rules" internalGetGarbageCollectionRules retention::get_rules;
    post "/repositories/{repository}/gc/rules" internalSetGarbageCollectionRules retention::set_rules;
    delete "/repositories/{repository}/gc/rules" internalDeleteGarbageCollectionRules retention::delete_rules;
    get "/repositories/{repository}/branch_protection/set_allowed" createBranchProtectionRulePreflight protection::may_set;
    get "/repositories/{repository}/branch_protection" internalGetBranchProtectionRules protection::get_rules;
    post "/repositories/{repository}/branch_protection" internalCreateBranchProtectionRule protection::add_rule;
    delete "/repositories/{repository}/branch_protection" internalDeleteBranchProtectionRule protection::delete_rule;
}

#[cfg(test)]
mod tests {
    use super::ROUTES;
    use crate::generated::OPERATIONS;
    use std::collections::BTreeSet;

    #[test]
    fn routes_match_the_operations_of_the_contract() {
        let contract: BTreeSet<_> = OPERATIONS
            .iter()
            .map(|o| (o.method.to_ascii_lowercase(), o.path, o.id))
            .collect();
        let routes: BTreeSet<_> = ROUTES
            .iter()
            .map(|(m, p, o)| ((*m).to_owned(), *p, *o))
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
}
