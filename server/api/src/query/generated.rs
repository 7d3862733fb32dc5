//! Query parameters of every operation. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.

#![expect(
    dead_code,
    reason = "some operations and parameters are not implemented"
)]

use super::{FromParams, Params};

/// Query parameters of `listUsers`.
#[derive(Debug)]
pub(crate) struct ListUsersQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListUsersQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listGroups`.
#[derive(Debug)]
pub(crate) struct ListGroupsQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListGroupsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listPolicies`.
#[derive(Debug)]
pub(crate) struct ListPoliciesQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListPoliciesQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listGroupMembers`.
#[derive(Debug)]
pub(crate) struct ListGroupMembersQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListGroupMembersQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listUserCredentials`.
#[derive(Debug)]
pub(crate) struct ListUserCredentialsQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListUserCredentialsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listUserGroups`.
#[derive(Debug)]
pub(crate) struct ListUserGroupsQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListUserGroupsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listUserPolicies`.
#[derive(Debug)]
pub(crate) struct ListUserPoliciesQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Include the policies of the groups of the user.
    pub(crate) effective: Option<bool>,
}

impl FromParams for ListUserPoliciesQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
            effective: params.flag("effective"),
        }
    }
}

/// Query parameters of `createUserExternalPrincipal`.
#[derive(Debug)]
pub(crate) struct CreateUserExternalPrincipalQuery {
    /// The cloud identity.
    pub(crate) principal_id: String,
}

impl FromParams for CreateUserExternalPrincipalQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            principal_id: params.text("principalId"),
        }
    }
}

/// Query parameters of `deleteUserExternalPrincipal`.
#[derive(Debug)]
pub(crate) struct DeleteUserExternalPrincipalQuery {
    /// The cloud identity.
    pub(crate) principal_id: String,
}

impl FromParams for DeleteUserExternalPrincipalQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            principal_id: params.text("principalId"),
        }
    }
}

/// Query parameters of `listUserExternalPrincipals`.
#[derive(Debug)]
pub(crate) struct ListUserExternalPrincipalsQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListUserExternalPrincipalsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `getExternalPrincipal`.
#[derive(Debug)]
pub(crate) struct GetExternalPrincipalQuery {
    /// The cloud identity.
    pub(crate) principal_id: String,
}

impl FromParams for GetExternalPrincipalQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            principal_id: params.text("principalId"),
        }
    }
}

/// Query parameters of `listGroupPolicies`.
#[derive(Debug)]
pub(crate) struct ListGroupPoliciesQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListGroupPoliciesQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `listRepositories`.
#[derive(Debug)]
pub(crate) struct ListRepositoriesQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Only names that contain this.
    pub(crate) search: String,
}

impl FromParams for ListRepositoriesQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
            search: params.text("search"),
        }
    }
}

/// Query parameters of `createRepository`.
#[derive(Debug)]
pub(crate) struct CreateRepositoryQuery {
    /// Create the repository without branches and commits, as the target of a restore.
    pub(crate) bare: Option<bool>,
}

impl FromParams for CreateRepositoryQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            bare: params.flag("bare"),
        }
    }
}

/// Query parameters of `deleteRepository`.
#[derive(Debug)]
pub(crate) struct DeleteRepositoryQuery {
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
}

impl FromParams for DeleteRepositoryQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            force: params.flag("force"),
        }
    }
}

/// Query parameters of `dumpStatus`.
#[derive(Debug)]
pub(crate) struct DumpStatusQuery {
    /// Id of the task.
    pub(crate) task_id: String,
}

impl FromParams for DumpStatusQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            task_id: params.text("task_id"),
        }
    }
}

/// Query parameters of `restoreStatus`.
#[derive(Debug)]
pub(crate) struct RestoreStatusQuery {
    /// Id of the task.
    pub(crate) task_id: String,
}

impl FromParams for RestoreStatusQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            task_id: params.text("task_id"),
        }
    }
}

/// Query parameters of `listTags`.
#[derive(Debug)]
pub(crate) struct ListTagsQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListTagsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `deleteTag`.
#[derive(Debug)]
pub(crate) struct DeleteTagQuery {
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
}

impl FromParams for DeleteTagQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            force: params.flag("force"),
        }
    }
}

/// Query parameters of `listBranches`.
#[derive(Debug)]
pub(crate) struct ListBranchesQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Include hidden branches.
    pub(crate) show_hidden: Option<bool>,
}

impl FromParams for ListBranchesQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
            show_hidden: params.flag("show_hidden"),
        }
    }
}

/// Query parameters of `logCommits`.
#[derive(Debug)]
pub(crate) struct LogCommitsQuery {
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Only commits that changed one of these paths.
    pub(crate) objects: Vec<String>,
    /// Only commits that changed something below one of these prefixes.
    pub(crate) prefixes: Vec<String>,
    /// Stop at `amount` matching commits, without reporting whether more follow.
    pub(crate) limit: Option<bool>,
    /// Follow only first parents.
    pub(crate) first_parent: Option<bool>,
    /// Stop at commits older than this.
    pub(crate) since: String,
    /// Stop at this commit, which is included.
    pub(crate) stop_at: String,
}

impl FromParams for LogCommitsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            after: params.text("after"),
            amount: params.page_size("amount"),
            objects: params.list("objects"),
            prefixes: params.list("prefixes"),
            limit: params.flag("limit"),
            first_parent: params.flag("first_parent"),
            since: params.text("since"),
            stop_at: params.text("stop_at"),
        }
    }
}

/// Query parameters of `commit`.
#[derive(Debug)]
pub(crate) struct CommitQuery {
    /// Commit this stored tree. The branch must have no staged changes.
    pub(crate) source_metarange: String,
}

impl FromParams for CommitQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            source_metarange: params.text("source_metarange"),
        }
    }
}

/// Query parameters of `commitAsync`.
#[derive(Debug)]
pub(crate) struct CommitAsyncQuery {
    /// Commit this stored tree. The branch must have no staged changes.
    pub(crate) source_metarange: String,
}

impl FromParams for CommitAsyncQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            source_metarange: params.text("source_metarange"),
        }
    }
}

/// Query parameters of `deleteBranch`.
#[derive(Debug)]
pub(crate) struct DeleteBranchQuery {
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
}

impl FromParams for DeleteBranchQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            force: params.flag("force"),
        }
    }
}

/// Query parameters of `listReflog`.
#[derive(Debug)]
pub(crate) struct ListReflogQuery {
    /// Only changes of this branch.
    pub(crate) branch: String,
    /// Only changes of this tag.
    pub(crate) tag: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListReflogQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            branch: params.text("branch"),
            tag: params.text("tag"),
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `hardResetBranch`.
#[derive(Debug)]
pub(crate) struct HardResetBranchQuery {
    /// The reference to move the branch to.
    pub(crate) r#ref: String,
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
}

impl FromParams for HardResetBranchQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            r#ref: params.text("ref"),
            force: params.flag("force"),
        }
    }
}

/// Query parameters of `diffBranch`.
#[derive(Debug)]
pub(crate) struct DiffBranchQuery {
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Group paths into common prefixes that end at the first delimiter behind `prefix`. Empty for a recursive listing.
    pub(crate) delimiter: String,
}

impl FromParams for DiffBranchQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            after: params.text("after"),
            amount: params.page_size("amount"),
            prefix: params.text("prefix"),
            delimiter: params.text("delimiter"),
        }
    }
}

/// Query parameters of `diffRefs`.
#[derive(Debug)]
pub(crate) struct DiffRefsQuery {
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Group paths into common prefixes that end at the first delimiter behind `prefix`. Empty for a recursive listing.
    pub(crate) delimiter: String,
    /// The kind of diff.
    pub(crate) r#type: String,
    /// Include the right side's metadata.
    pub(crate) include_right_stats: Option<bool>,
}

impl FromParams for DiffRefsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            after: params.text("after"),
            amount: params.page_size("amount"),
            prefix: params.text("prefix"),
            delimiter: params.text("delimiter"),
            r#type: params.text("type"),
            include_right_stats: params.flag("include_right_stats"),
        }
    }
}

/// Query parameters of `getObject`.
#[derive(Debug)]
pub(crate) struct GetObjectQuery {
    /// Path of the object.
    pub(crate) path: String,
    /// Return a presigned URL instead of bytes or an address.
    pub(crate) presign: Option<bool>,
}

impl FromParams for GetObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
            presign: params.flag("presign"),
        }
    }
}

/// Query parameters of `headObject`.
#[derive(Debug)]
pub(crate) struct HeadObjectQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for HeadObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `createPresignMultipartUpload`.
#[derive(Debug)]
pub(crate) struct CreatePresignMultipartUploadQuery {
    /// Path of the object.
    pub(crate) path: String,
    /// The number of presigned part URLs to return.
    pub(crate) parts: Option<i64>,
}

impl FromParams for CreatePresignMultipartUploadQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
            parts: params.number("parts"),
        }
    }
}

/// Query parameters of `completePresignMultipartUpload`.
#[derive(Debug)]
pub(crate) struct CompletePresignMultipartUploadQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for CompletePresignMultipartUploadQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `abortPresignMultipartUpload`.
#[derive(Debug)]
pub(crate) struct AbortPresignMultipartUploadQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for AbortPresignMultipartUploadQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `uploadPart`.
#[derive(Debug)]
pub(crate) struct UploadPartQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for UploadPartQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `uploadPartCopy`.
#[derive(Debug)]
pub(crate) struct UploadPartCopyQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for UploadPartCopyQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `getPhysicalAddress`.
#[derive(Debug)]
pub(crate) struct GetPhysicalAddressQuery {
    /// Path of the object.
    pub(crate) path: String,
    /// Return a presigned URL instead of bytes or an address.
    pub(crate) presign: Option<bool>,
}

impl FromParams for GetPhysicalAddressQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
            presign: params.flag("presign"),
        }
    }
}

/// Query parameters of `linkPhysicalAddress`.
#[derive(Debug)]
pub(crate) struct LinkPhysicalAddressQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for LinkPhysicalAddressQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `importStatus`.
#[derive(Debug)]
pub(crate) struct ImportStatusQuery {
    /// Id of the task.
    pub(crate) id: String,
}

impl FromParams for ImportStatusQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            id: params.text("id"),
        }
    }
}

/// Query parameters of `importCancel`.
#[derive(Debug)]
pub(crate) struct ImportCancelQuery {
    /// Id of the task.
    pub(crate) id: String,
}

impl FromParams for ImportCancelQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            id: params.text("id"),
        }
    }
}

/// Query parameters of `uploadObjectPreflight`.
#[derive(Debug)]
pub(crate) struct UploadObjectPreflightQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for UploadObjectPreflightQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `stageObject`.
#[derive(Debug)]
pub(crate) struct StageObjectQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for StageObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `uploadObject`.
#[derive(Debug)]
pub(crate) struct UploadObjectQuery {
    /// Path of the object.
    pub(crate) path: String,
    /// Storage class to ask the store for.
    pub(crate) storage_class: String,
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
}

impl FromParams for UploadObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
            storage_class: params.text("storageClass"),
            force: params.flag("force"),
        }
    }
}

/// Query parameters of `deleteObject`.
#[derive(Debug)]
pub(crate) struct DeleteObjectQuery {
    /// Path of the object.
    pub(crate) path: String,
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
    /// Do not leave a tombstone for an object that was never committed.
    pub(crate) no_tombstone: Option<bool>,
}

impl FromParams for DeleteObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
            force: params.flag("force"),
            no_tombstone: params.flag("no_tombstone"),
        }
    }
}

/// Query parameters of `deleteObjects`.
#[derive(Debug)]
pub(crate) struct DeleteObjectsQuery {
    /// Also change a read-only repository.
    pub(crate) force: Option<bool>,
    /// Do not leave a tombstone for an object that was never committed.
    pub(crate) no_tombstone: Option<bool>,
}

impl FromParams for DeleteObjectsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            force: params.flag("force"),
            no_tombstone: params.flag("no_tombstone"),
        }
    }
}

/// Query parameters of `copyObject`.
#[derive(Debug)]
pub(crate) struct CopyObjectQuery {
    /// Path of the copy.
    pub(crate) dest_path: String,
}

impl FromParams for CopyObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            dest_path: params.text("dest_path"),
        }
    }
}

/// Query parameters of `statObject`.
#[derive(Debug)]
pub(crate) struct StatObjectQuery {
    /// Path of the object.
    pub(crate) path: String,
    /// Include user metadata.
    pub(crate) user_metadata: Option<bool>,
    /// Return a presigned URL instead of bytes or an address.
    pub(crate) presign: Option<bool>,
}

impl FromParams for StatObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
            user_metadata: params.flag("user_metadata"),
            presign: params.flag("presign"),
        }
    }
}

/// Query parameters of `updateObjectUserMetadata`.
#[derive(Debug)]
pub(crate) struct UpdateObjectUserMetadataQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for UpdateObjectUserMetadataQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `getUnderlyingProperties`.
#[derive(Debug)]
pub(crate) struct GetUnderlyingPropertiesQuery {
    /// Path of the object.
    pub(crate) path: String,
}

impl FromParams for GetUnderlyingPropertiesQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            path: params.text("path"),
        }
    }
}

/// Query parameters of `listObjects`.
#[derive(Debug)]
pub(crate) struct ListObjectsQuery {
    /// Include user metadata.
    pub(crate) user_metadata: Option<bool>,
    /// Return a presigned URL instead of bytes or an address.
    pub(crate) presign: Option<bool>,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Group paths into common prefixes that end at the first delimiter behind `prefix`. Empty for a recursive listing.
    pub(crate) delimiter: String,
    /// Only names that start with this.
    pub(crate) prefix: String,
}

impl FromParams for ListObjectsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            user_metadata: params.flag("user_metadata"),
            presign: params.flag("presign"),
            after: params.text("after"),
            amount: params.page_size("amount"),
            delimiter: params.text("delimiter"),
            prefix: params.text("prefix"),
        }
    }
}

/// Query parameters of `createSymlinkFile`.
#[derive(Debug)]
pub(crate) struct CreateSymlinkFileQuery {
    /// Only paths that start with this.
    pub(crate) location: String,
}

impl FromParams for CreateSymlinkFileQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            location: params.text("location"),
        }
    }
}

/// Query parameters of `listRepositoryRuns`.
#[derive(Debug)]
pub(crate) struct ListRepositoryRunsQuery {
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Only runs on this branch.
    pub(crate) branch: String,
    /// Only runs of this commit.
    pub(crate) commit: String,
}

impl FromParams for ListRepositoryRunsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            after: params.text("after"),
            amount: params.page_size("amount"),
            branch: params.text("branch"),
            commit: params.text("commit"),
        }
    }
}

/// Query parameters of `listRunHooks`.
#[derive(Debug)]
pub(crate) struct ListRunHooksQuery {
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
}

impl FromParams for ListRunHooksQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            after: params.text("after"),
            amount: params.page_size("amount"),
        }
    }
}

/// Query parameters of `getMetadataObject`.
#[derive(Debug)]
pub(crate) struct GetMetadataObjectQuery {
    /// Return a presigned URL instead of bytes or an address.
    pub(crate) presign: Option<bool>,
}

impl FromParams for GetMetadataObjectQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            presign: params.flag("presign"),
        }
    }
}

/// Query parameters of `prepareGarbageCollectionCommitsStatus`.
#[derive(Debug)]
pub(crate) struct PrepareGarbageCollectionCommitsStatusQuery {
    /// Id of the task.
    pub(crate) id: String,
}

impl FromParams for PrepareGarbageCollectionCommitsStatusQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            id: params.text("id"),
        }
    }
}

/// Query parameters of `listPullRequests`.
#[derive(Debug)]
pub(crate) struct ListPullRequestsQuery {
    /// Only names that start with this.
    pub(crate) prefix: String,
    /// Continue after this (exclusive).
    pub(crate) after: String,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub(crate) amount: usize,
    /// Only pull requests in this state.
    pub(crate) status: String,
}

impl FromParams for ListPullRequestsQuery {
    fn from_params(params: &Params) -> Self {
        Self {
            prefix: params.text("prefix"),
            after: params.text("after"),
            amount: params.page_size("amount"),
            status: params.text("status"),
        }
    }
}
