//! Client operations. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.

use api_types as types;
use reqwest::Method;

use crate::{ByteStream, Client, Result};

/// Optional parameters of [`Client::setup`].
#[derive(Debug, Clone, Default)]
pub struct SetupOptions {
    /// Callers on other machines and through proxies need it. It is `installation.setup_token`, or else the token that the server's start log prints.
    pub x_weir_setup_token: Option<String>,
}

/// Optional parameters of [`Client::list_users`].
#[derive(Debug, Clone, Default)]
pub struct ListUsersOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_groups`].
#[derive(Debug, Clone, Default)]
pub struct ListGroupsOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_policies`].
#[derive(Debug, Clone, Default)]
pub struct ListPoliciesOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_group_members`].
#[derive(Debug, Clone, Default)]
pub struct ListGroupMembersOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_user_credentials`].
#[derive(Debug, Clone, Default)]
pub struct ListUserCredentialsOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_user_groups`].
#[derive(Debug, Clone, Default)]
pub struct ListUserGroupsOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_user_policies`].
#[derive(Debug, Clone, Default)]
pub struct ListUserPoliciesOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Include the policies of the groups of the user.
    pub effective: Option<bool>,
}

/// Optional parameters of [`Client::list_user_external_principals`].
#[derive(Debug, Clone, Default)]
pub struct ListUserExternalPrincipalsOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_group_policies`].
#[derive(Debug, Clone, Default)]
pub struct ListGroupPoliciesOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::list_repositories`].
#[derive(Debug, Clone, Default)]
pub struct ListRepositoriesOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Only names that contain this.
    pub search: Option<String>,
}

/// Optional parameters of [`Client::create_repository`].
#[derive(Debug, Clone, Default)]
pub struct CreateRepositoryOptions {
    /// Create the repository without branches and commits, as the target of a restore.
    pub bare: Option<bool>,
}

/// Optional parameters of [`Client::delete_repository`].
#[derive(Debug, Clone, Default)]
pub struct DeleteRepositoryOptions {
    /// Also change a read-only repository.
    pub force: Option<bool>,
}

/// Optional parameters of [`Client::set_branch_protection_rules`].
#[derive(Debug, Clone, Default)]
pub struct SetBranchProtectionRulesOptions {
    /// Only if the current `ETag` equals this one.
    pub if_match: Option<String>,
}

/// Optional parameters of [`Client::list_tags`].
#[derive(Debug, Clone, Default)]
pub struct ListTagsOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::delete_tag`].
#[derive(Debug, Clone, Default)]
pub struct DeleteTagOptions {
    /// Also change a read-only repository.
    pub force: Option<bool>,
}

/// Optional parameters of [`Client::list_branches`].
#[derive(Debug, Clone, Default)]
pub struct ListBranchesOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Include hidden branches.
    pub show_hidden: Option<bool>,
}

/// Optional parameters of [`Client::log_commits`].
#[derive(Debug, Clone, Default)]
pub struct LogCommitsOptions {
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Only commits that changed one of these paths.
    pub objects: Vec<String>,
    /// Only commits that changed something below one of these prefixes.
    pub prefixes: Vec<String>,
    /// Stop at `amount` matching commits, without reporting whether more follow.
    pub limit: Option<bool>,
    /// Follow only first parents.
    pub first_parent: Option<bool>,
    /// Stop at commits older than this.
    pub since: Option<String>,
    /// Stop at this commit, which is included.
    pub stop_at: Option<String>,
}

/// Optional parameters of [`Client::commit`].
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// Commit this stored tree. The branch must have no staged changes.
    pub source_metarange: Option<String>,
}

/// Optional parameters of [`Client::commit_async`].
#[derive(Debug, Clone, Default)]
pub struct CommitAsyncOptions {
    /// Commit this stored tree. The branch must have no staged changes.
    pub source_metarange: Option<String>,
}

/// Optional parameters of [`Client::delete_branch`].
#[derive(Debug, Clone, Default)]
pub struct DeleteBranchOptions {
    /// Also change a read-only repository.
    pub force: Option<bool>,
}

/// Optional parameters of [`Client::list_reflog`].
#[derive(Debug, Clone, Default)]
pub struct ListReflogOptions {
    /// Only changes of this branch.
    pub branch: Option<String>,
    /// Only changes of this tag.
    pub tag: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::hard_reset_branch`].
#[derive(Debug, Clone, Default)]
pub struct HardResetBranchOptions {
    /// Also change a read-only repository.
    pub force: Option<bool>,
}

/// Optional parameters of [`Client::diff_branch`].
#[derive(Debug, Clone, Default)]
pub struct DiffBranchOptions {
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Group paths into common prefixes that end at the first delimiter behind `prefix`. Empty for a recursive listing.
    pub delimiter: Option<String>,
}

/// Optional parameters of [`Client::diff_refs`].
#[derive(Debug, Clone, Default)]
pub struct DiffRefsOptions {
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Group paths into common prefixes that end at the first delimiter behind `prefix`. Empty for a recursive listing.
    pub delimiter: Option<String>,
    /// The kind of diff.
    pub r#type: Option<String>,
    /// Include the right side's metadata.
    pub include_right_stats: Option<bool>,
}

/// Optional parameters of [`Client::get_object`].
#[derive(Debug, Clone, Default)]
pub struct GetObjectOptions {
    /// Byte ranges, `bytes=0-99`.
    pub range: Option<String>,
    /// In uploads, `*`: only if the object does not exist. In downloads: only if the object does not have this `ETag`.
    pub if_none_match: Option<String>,
    /// Return a presigned URL instead of bytes or an address.
    pub presign: Option<bool>,
}

/// Optional parameters of [`Client::head_object`].
#[derive(Debug, Clone, Default)]
pub struct HeadObjectOptions {
    /// Byte ranges, `bytes=0-99`.
    pub range: Option<String>,
}

/// Optional parameters of [`Client::create_presign_multipart_upload`].
#[derive(Debug, Clone, Default)]
pub struct CreatePresignMultipartUploadOptions {
    /// The number of presigned part URLs to return.
    pub parts: Option<i64>,
}

/// Optional parameters of [`Client::get_physical_address`].
#[derive(Debug, Clone, Default)]
pub struct GetPhysicalAddressOptions {
    /// Return a presigned URL instead of bytes or an address.
    pub presign: Option<bool>,
}

/// Optional parameters of [`Client::link_physical_address`].
#[derive(Debug, Clone, Default)]
pub struct LinkPhysicalAddressOptions {
    /// In uploads, `*`: only if the object does not exist. In downloads: only if the object does not have this `ETag`.
    pub if_none_match: Option<String>,
    /// Only if the current `ETag` equals this one.
    pub if_match: Option<String>,
}

/// Optional parameters of [`Client::upload_object`].
#[derive(Debug, Clone, Default)]
pub struct UploadObjectOptions {
    /// In uploads, `*`: only if the object does not exist. In downloads: only if the object does not have this `ETag`.
    pub if_none_match: Option<String>,
    /// Only if the current `ETag` equals this one.
    pub if_match: Option<String>,
    /// Storage class to ask the store for.
    pub storage_class: Option<String>,
    /// Also change a read-only repository.
    pub force: Option<bool>,
}

/// Optional parameters of [`Client::delete_object`].
#[derive(Debug, Clone, Default)]
pub struct DeleteObjectOptions {
    /// Also change a read-only repository.
    pub force: Option<bool>,
    /// Do not leave a tombstone for an object that was never committed.
    pub no_tombstone: Option<bool>,
}

/// Optional parameters of [`Client::delete_objects`].
#[derive(Debug, Clone, Default)]
pub struct DeleteObjectsOptions {
    /// Also change a read-only repository.
    pub force: Option<bool>,
    /// Do not leave a tombstone for an object that was never committed.
    pub no_tombstone: Option<bool>,
}

/// Optional parameters of [`Client::stat_object`].
#[derive(Debug, Clone, Default)]
pub struct StatObjectOptions {
    /// Include user metadata.
    pub user_metadata: Option<bool>,
    /// Return a presigned URL instead of bytes or an address.
    pub presign: Option<bool>,
}

/// Optional parameters of [`Client::list_objects`].
#[derive(Debug, Clone, Default)]
pub struct ListObjectsOptions {
    /// Include user metadata.
    pub user_metadata: Option<bool>,
    /// Return a presigned URL instead of bytes or an address.
    pub presign: Option<bool>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Group paths into common prefixes that end at the first delimiter behind `prefix`. Empty for a recursive listing.
    pub delimiter: Option<String>,
    /// Only names that start with this.
    pub prefix: Option<String>,
}

/// Optional parameters of [`Client::create_symlink_file`].
#[derive(Debug, Clone, Default)]
pub struct CreateSymlinkFileOptions {
    /// Only paths that start with this.
    pub location: Option<String>,
}

/// Optional parameters of [`Client::list_repository_runs`].
#[derive(Debug, Clone, Default)]
pub struct ListRepositoryRunsOptions {
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Only runs on this branch.
    pub branch: Option<String>,
    /// Only runs of this commit.
    pub commit: Option<String>,
}

/// Optional parameters of [`Client::list_run_hooks`].
#[derive(Debug, Clone, Default)]
pub struct ListRunHooksOptions {
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
}

/// Optional parameters of [`Client::get_metadata_object`].
#[derive(Debug, Clone, Default)]
pub struct GetMetadataObjectOptions {
    /// Return a presigned URL instead of bytes or an address.
    pub presign: Option<bool>,
}

/// Optional parameters of [`Client::list_pull_requests`].
#[derive(Debug, Clone, Default)]
pub struct ListPullRequestsOptions {
    /// Only names that start with this.
    pub prefix: Option<String>,
    /// Continue after this (exclusive).
    pub after: Option<String>,
    /// The maximum number of results. 0 and -1 stand for the maximum page size.
    pub amount: Option<i64>,
    /// Only pull requests in this state.
    pub status: Option<String>,
}

impl Client {
    /// Store the contact form that follows the setup. Possible only once.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn setup_comm_prefs(&self, body: &types::CommPrefsInput) -> Result<()> {
        self.request(Method::POST, &["setup_comm_prefs"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Get the setup state of the server and its login settings.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_setup_state(&self) -> Result<types::SetupState> {
        self.request(Method::GET, &["setup_lakefs"])?.json().await
    }

    /// Create the first administrator. Returns the secret key, this once only. Remote callers need the setup token.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn setup(
        &self,
        options: &SetupOptions,
        body: &types::Setup,
    ) -> Result<types::CredentialsWithSecret> {
        self.request(Method::POST, &["setup_lakefs"])?
            .header_option("X-Weir-Setup-Token", options.x_weir_setup_token.as_deref())
            .send_json(body)
            .json()
            .await
    }

    /// Get the current user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_current_user(&self) -> Result<types::CurrentUser> {
        self.request(Method::GET, &["user"])?.json().await
    }

    /// Exchange an access key for a session token and cookie.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn login(
        &self,
        body: Option<&types::LoginInformation>,
    ) -> Result<types::AuthenticationToken> {
        self.request(Method::POST, &["auth", "login"])?
            .send_json_option(body)
            .json()
            .await
    }

    /// Exchange a cloud identity for a session token.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn external_principal_login(
        &self,
        body: Option<&types::ExternalLoginInformation>,
    ) -> Result<types::AuthenticationToken> {
        self.request(Method::POST, &["auth", "external", "principal", "login"])?
            .send_json_option(body)
            .json()
            .await
    }

    /// Exchange an OIDC code for a session token.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn sts_login(
        &self,
        body: &types::StsAuthRequest,
    ) -> Result<types::AuthenticationToken> {
        self.request(Method::POST, &["sts", "login"])?
            .send_json(body)
            .json()
            .await
    }

    /// Get the features of the login page.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_auth_capabilities(&self) -> Result<types::AuthCapabilities> {
        self.request(Method::GET, &["auth", "capabilities"])?
            .json()
            .await
    }

    /// List users.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_users(&self, options: &ListUsersOptions) -> Result<types::UserList> {
        self.request(Method::GET, &["auth", "users"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Create a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_user(&self, body: Option<&types::UserCreation>) -> Result<types::User> {
        self.request(Method::POST, &["auth", "users"])?
            .send_json_option(body)
            .json()
            .await
    }

    /// Get a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_user(&self, user_id: &str) -> Result<types::User> {
        self.request(Method::GET, &["auth", "users", user_id])?
            .json()
            .await
    }

    /// Delete a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_user(&self, user_id: &str) -> Result<()> {
        self.request(Method::DELETE, &["auth", "users", user_id])?
            .nothing()
            .await
    }

    /// List groups.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_groups(&self, options: &ListGroupsOptions) -> Result<types::GroupList> {
        self.request(Method::GET, &["auth", "groups"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Create a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_group(&self, body: Option<&types::GroupCreation>) -> Result<types::Group> {
        self.request(Method::POST, &["auth", "groups"])?
            .send_json_option(body)
            .json()
            .await
    }

    /// Get a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_group(&self, group_id: &str) -> Result<types::Group> {
        self.request(Method::GET, &["auth", "groups", group_id])?
            .json()
            .await
    }

    /// Delete a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_group(&self, group_id: &str) -> Result<()> {
        self.request(Method::DELETE, &["auth", "groups", group_id])?
            .nothing()
            .await
    }

    /// List policies.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_policies(&self, options: &ListPoliciesOptions) -> Result<types::PolicyList> {
        self.request(Method::GET, &["auth", "policies"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Create a policy.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_policy(&self, body: &types::Policy) -> Result<types::Policy> {
        self.request(Method::POST, &["auth", "policies"])?
            .send_json(body)
            .json()
            .await
    }

    /// Get a policy.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_policy(&self, policy_id: &str) -> Result<types::Policy> {
        self.request(Method::GET, &["auth", "policies", policy_id])?
            .json()
            .await
    }

    /// Replace a policy's statements.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn update_policy(
        &self,
        policy_id: &str,
        body: &types::Policy,
    ) -> Result<types::Policy> {
        self.request(Method::PUT, &["auth", "policies", policy_id])?
            .send_json(body)
            .json()
            .await
    }

    /// Delete a policy.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_policy(&self, policy_id: &str) -> Result<()> {
        self.request(Method::DELETE, &["auth", "policies", policy_id])?
            .nothing()
            .await
    }

    /// List the users of a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_group_members(
        &self,
        group_id: &str,
        options: &ListGroupMembersOptions,
    ) -> Result<types::UserList> {
        self.request(Method::GET, &["auth", "groups", group_id, "members"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Add a user to a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn add_group_membership(&self, group_id: &str, user_id: &str) -> Result<()> {
        self.request(
            Method::PUT,
            &["auth", "groups", group_id, "members", user_id],
        )?
        .nothing()
        .await
    }

    /// Remove a user from a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_group_membership(&self, group_id: &str, user_id: &str) -> Result<()> {
        self.request(
            Method::DELETE,
            &["auth", "groups", group_id, "members", user_id],
        )?
        .nothing()
        .await
    }

    /// List a user's access keys, without secrets.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_user_credentials(
        &self,
        user_id: &str,
        options: &ListUserCredentialsOptions,
    ) -> Result<types::CredentialsList> {
        self.request(Method::GET, &["auth", "users", user_id, "credentials"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Create an access key. Returns its secret, this once only.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_credentials(&self, user_id: &str) -> Result<types::CredentialsWithSecret> {
        self.request(Method::POST, &["auth", "users", user_id, "credentials"])?
            .json()
            .await
    }

    /// Delete an access key.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_credentials(&self, user_id: &str, access_key_id: &str) -> Result<()> {
        self.request(
            Method::DELETE,
            &["auth", "users", user_id, "credentials", access_key_id],
        )?
        .nothing()
        .await
    }

    /// Get an access key, without its secret.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_credentials(
        &self,
        user_id: &str,
        access_key_id: &str,
    ) -> Result<types::Credentials> {
        self.request(
            Method::GET,
            &["auth", "users", user_id, "credentials", access_key_id],
        )?
        .json()
        .await
    }

    /// List the groups of a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_user_groups(
        &self,
        user_id: &str,
        options: &ListUserGroupsOptions,
    ) -> Result<types::GroupList> {
        self.request(Method::GET, &["auth", "users", user_id, "groups"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// List the policies of a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_user_policies(
        &self,
        user_id: &str,
        options: &ListUserPoliciesOptions,
    ) -> Result<types::PolicyList> {
        self.request(Method::GET, &["auth", "users", user_id, "policies"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .query_option("effective", options.effective.as_ref())
            .json()
            .await
    }

    /// Attach a policy to a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn attach_policy_to_user(&self, user_id: &str, policy_id: &str) -> Result<()> {
        self.request(
            Method::PUT,
            &["auth", "users", user_id, "policies", policy_id],
        )?
        .nothing()
        .await
    }

    /// Detach a policy from a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn detach_policy_from_user(&self, user_id: &str, policy_id: &str) -> Result<()> {
        self.request(
            Method::DELETE,
            &["auth", "users", user_id, "policies", policy_id],
        )?
        .nothing()
        .await
    }

    /// Attach a cloud identity to a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_user_external_principal(
        &self,
        user_id: &str,
        principal_id: &str,
        body: Option<&types::ExternalPrincipalCreation>,
    ) -> Result<()> {
        self.request(
            Method::POST,
            &["auth", "users", user_id, "external", "principals"],
        )?
        .query("principalId", principal_id)
        .send_json_option(body)
        .nothing()
        .await
    }

    /// Detach a cloud identity from a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_user_external_principal(
        &self,
        user_id: &str,
        principal_id: &str,
    ) -> Result<()> {
        self.request(
            Method::DELETE,
            &["auth", "users", user_id, "external", "principals"],
        )?
        .query("principalId", principal_id)
        .nothing()
        .await
    }

    /// List the cloud identities of a user.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_user_external_principals(
        &self,
        user_id: &str,
        options: &ListUserExternalPrincipalsOptions,
    ) -> Result<types::ExternalPrincipalList> {
        self.request(
            Method::GET,
            &["auth", "users", user_id, "external", "principals", "ls"],
        )?
        .query_option("prefix", options.prefix.as_ref())
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .json()
        .await
    }

    /// Find the user that a cloud identity belongs to.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_external_principal(
        &self,
        principal_id: &str,
    ) -> Result<types::ExternalPrincipal> {
        self.request(Method::GET, &["auth", "external", "principals"])?
            .query("principalId", principal_id)
            .json()
            .await
    }

    /// List the policies of a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_group_policies(
        &self,
        group_id: &str,
        options: &ListGroupPoliciesOptions,
    ) -> Result<types::PolicyList> {
        self.request(Method::GET, &["auth", "groups", group_id, "policies"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Attach a policy to a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn attach_policy_to_group(&self, group_id: &str, policy_id: &str) -> Result<()> {
        self.request(
            Method::PUT,
            &["auth", "groups", group_id, "policies", policy_id],
        )?
        .nothing()
        .await
    }

    /// Detach a policy from a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn detach_policy_from_group(&self, group_id: &str, policy_id: &str) -> Result<()> {
        self.request(
            Method::DELETE,
            &["auth", "groups", group_id, "policies", policy_id],
        )?
        .nothing()
        .await
    }

    /// Set the access level of a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn set_group_acl(&self, group_id: &str, body: &types::ACL) -> Result<()> {
        self.request(Method::POST, &["auth", "groups", group_id, "acl"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Get the access level of a group.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_group_acl(&self, group_id: &str) -> Result<types::ACL> {
        self.request(Method::GET, &["auth", "groups", group_id, "acl"])?
            .json()
            .await
    }

    /// List the repositories that the caller may see.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_repositories(
        &self,
        options: &ListRepositoriesOptions,
    ) -> Result<types::RepositoryList> {
        self.request(Method::GET, &["repositories"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .query_option("search", options.search.as_ref())
            .json()
            .await
    }

    /// Create a repository with its default branch and first commit.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_repository(
        &self,
        options: &CreateRepositoryOptions,
        body: &types::RepositoryCreation,
    ) -> Result<types::Repository> {
        self.request(Method::POST, &["repositories"])?
            .query_option("bare", options.bare.as_ref())
            .send_json(body)
            .json()
            .await
    }

    /// Get a repository.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_repository(&self, repository: &str) -> Result<types::Repository> {
        self.request(Method::GET, &["repositories", repository])?
            .json()
            .await
    }

    /// Delete a repository's records. Its objects stay in the block store.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_repository(
        &self,
        repository: &str,
        options: &DeleteRepositoryOptions,
    ) -> Result<()> {
        self.request(Method::DELETE, &["repositories", repository])?
            .query_option("force", options.force.as_ref())
            .nothing()
            .await
    }

    /// Get a repository's key-value metadata.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_repository_metadata(
        &self,
        repository: &str,
    ) -> Result<types::RepositoryMetadata> {
        self.request(Method::GET, &["repositories", repository, "metadata"])?
            .json()
            .await
    }

    /// Set keys of a repository's metadata. Other keys stay.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn set_repository_metadata(
        &self,
        repository: &str,
        body: &types::RepositoryMetadataSet,
    ) -> Result<()> {
        self.request(Method::POST, &["repositories", repository, "metadata"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Delete keys of a repository's metadata.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_repository_metadata(
        &self,
        repository: &str,
        body: &types::RepositoryMetadataKeys,
    ) -> Result<()> {
        self.request(Method::DELETE, &["repositories", repository, "metadata"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Get the retention rules of a repository.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_gc_rules(&self, repository: &str) -> Result<types::GarbageCollectionRules> {
        self.request(
            Method::GET,
            &["repositories", repository, "settings", "gc_rules"],
        )?
        .json()
        .await
    }

    /// Set the retention rules of a repository.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn set_gc_rules(
        &self,
        repository: &str,
        body: &types::GarbageCollectionRules,
    ) -> Result<()> {
        self.request(
            Method::PUT,
            &["repositories", repository, "settings", "gc_rules"],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// Delete the retention rules of a repository.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_gc_rules(&self, repository: &str) -> Result<()> {
        self.request(
            Method::DELETE,
            &["repositories", repository, "settings", "gc_rules"],
        )?
        .nothing()
        .await
    }

    /// Get the branch protection rules and their `ETag`.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_branch_protection_rules(
        &self,
        repository: &str,
    ) -> Result<Vec<types::BranchProtectionRule>> {
        self.request(
            Method::GET,
            &["repositories", repository, "settings", "branch_protection"],
        )?
        .json()
        .await
    }

    /// Replace the branch protection rules.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn set_branch_protection_rules(
        &self,
        repository: &str,
        options: &SetBranchProtectionRulesOptions,
        body: &Vec<types::BranchProtectionRule>,
    ) -> Result<()> {
        self.request(
            Method::PUT,
            &["repositories", repository, "settings", "branch_protection"],
        )?
        .header_option("If-Match", options.if_match.as_deref())
        .send_json(body)
        .nothing()
        .await
    }

    /// Dump branches, tags and commits to the storage namespace, and wait for the end.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn dump_refs(&self, repository: &str) -> Result<types::RefsDump> {
        self.request(Method::PUT, &["repositories", repository, "refs", "dump"])?
            .json()
            .await
    }

    /// Restore branches, tags and commits into a bare repository, and wait for the end.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn restore_refs(&self, repository: &str, body: &types::RefsRestore) -> Result<()> {
        self.request(
            Method::PUT,
            &["repositories", repository, "refs", "restore"],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// Start a dump of branches, tags and commits to the storage namespace, as a background task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn dump_submit(&self, repository: &str) -> Result<types::TaskInfo> {
        self.request(Method::POST, &["repositories", repository, "dump"])?
            .json()
            .await
    }

    /// Get the status of a dump.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn dump_status(
        &self,
        repository: &str,
        task_id: &str,
    ) -> Result<types::RepositoryDumpStatus> {
        self.request(Method::GET, &["repositories", repository, "dump"])?
            .query("task_id", task_id)
            .json()
            .await
    }

    /// Start a restore of branches, tags and commits into a bare repository, as a background task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn restore_submit(
        &self,
        repository: &str,
        body: &types::RefsRestore,
    ) -> Result<types::TaskInfo> {
        self.request(Method::POST, &["repositories", repository, "restore"])?
            .send_json(body)
            .json()
            .await
    }

    /// Get the status of a restore.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn restore_status(
        &self,
        repository: &str,
        task_id: &str,
    ) -> Result<types::RepositoryRestoreStatus> {
        self.request(Method::GET, &["repositories", repository, "restore"])?
            .query("task_id", task_id)
            .json()
            .await
    }

    /// List tags.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_tags(
        &self,
        repository: &str,
        options: &ListTagsOptions,
    ) -> Result<types::RefList> {
        self.request(Method::GET, &["repositories", repository, "tags"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Create a tag.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_tag(
        &self,
        repository: &str,
        body: &types::TagCreation,
    ) -> Result<types::Ref> {
        self.request(Method::POST, &["repositories", repository, "tags"])?
            .send_json(body)
            .json()
            .await
    }

    /// Get a tag.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_tag(&self, repository: &str, tag: &str) -> Result<types::Ref> {
        self.request(Method::GET, &["repositories", repository, "tags", tag])?
            .json()
            .await
    }

    /// Delete a tag.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_tag(
        &self,
        repository: &str,
        tag: &str,
        options: &DeleteTagOptions,
    ) -> Result<()> {
        self.request(Method::DELETE, &["repositories", repository, "tags", tag])?
            .query_option("force", options.force.as_ref())
            .nothing()
            .await
    }

    /// List branches.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_branches(
        &self,
        repository: &str,
        options: &ListBranchesOptions,
    ) -> Result<types::RefList> {
        self.request(Method::GET, &["repositories", repository, "branches"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .query_option("show_hidden", options.show_hidden.as_ref())
            .json()
            .await
    }

    /// Create a branch. Returns the id of its commit as plain text.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_branch(
        &self,
        repository: &str,
        body: &types::BranchCreation,
    ) -> Result<String> {
        self.request(Method::POST, &["repositories", repository, "branches"])?
            .send_json(body)
            .text()
            .await
    }

    /// List the commits reachable from a reference, newest first.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn log_commits(
        &self,
        repository: &str,
        r#ref: &str,
        options: &LogCommitsOptions,
    ) -> Result<types::CommitList> {
        self.request(
            Method::GET,
            &["repositories", repository, "refs", r#ref, "commits"],
        )?
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .query_list("objects", &options.objects)
        .query_list("prefixes", &options.prefixes)
        .query_option("limit", options.limit.as_ref())
        .query_option("first_parent", options.first_parent.as_ref())
        .query_option("since", options.since.as_ref())
        .query_option("stop_at", options.stop_at.as_ref())
        .json()
        .await
    }

    /// Commit the staged changes of a branch.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn commit(
        &self,
        repository: &str,
        branch: &str,
        options: &CommitOptions,
        body: &types::CommitCreation,
    ) -> Result<types::Commit> {
        self.request(
            Method::POST,
            &["repositories", repository, "branches", branch, "commits"],
        )?
        .query_option("source_metarange", options.source_metarange.as_ref())
        .send_json(body)
        .json()
        .await
    }

    /// Start a commit of the staged changes of a branch, as a background task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn commit_async(
        &self,
        repository: &str,
        branch: &str,
        options: &CommitAsyncOptions,
        body: &types::CommitCreation,
    ) -> Result<types::TaskCreation> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "commits",
                "async",
            ],
        )?
        .query_option("source_metarange", options.source_metarange.as_ref())
        .send_json(body)
        .json()
        .await
    }

    /// Get the status of a commit task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn commit_async_status(
        &self,
        repository: &str,
        branch: &str,
        id: &str,
    ) -> Result<types::CommitAsyncStatus> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "commits",
                "async",
                id,
                "status",
            ],
        )?
        .json()
        .await
    }

    /// Record a commit that was created elsewhere. No branch moves.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_commit_record(
        &self,
        repository: &str,
        body: &types::CommitRecordCreation,
    ) -> Result<()> {
        self.request(Method::POST, &["repositories", repository, "commits"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Get a branch.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_branch(&self, repository: &str, branch: &str) -> Result<types::Ref> {
        self.request(
            Method::GET,
            &["repositories", repository, "branches", branch],
        )?
        .json()
        .await
    }

    /// Delete a branch with its uncommitted changes.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_branch(
        &self,
        repository: &str,
        branch: &str,
        options: &DeleteBranchOptions,
    ) -> Result<()> {
        self.request(
            Method::DELETE,
            &["repositories", repository, "branches", branch],
        )?
        .query_option("force", options.force.as_ref())
        .nothing()
        .await
    }

    /// Drop staged changes of a branch: all, one object or a prefix.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn reset_branch(
        &self,
        repository: &str,
        branch: &str,
        body: &types::ResetCreation,
    ) -> Result<()> {
        self.request(
            Method::PUT,
            &["repositories", repository, "branches", branch],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// Undo a change of a branch, for example its deletion.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn undo_branch(
        &self,
        repository: &str,
        branch: &str,
        body: Option<&types::UndoCreation>,
    ) -> Result<types::UndoResult> {
        self.request(
            Method::POST,
            &["repositories", repository, "branches", branch, "undo"],
        )?
        .send_json_option(body)
        .json()
        .await
    }

    /// Undo a change of a tag, for example its deletion.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn undo_tag(
        &self,
        repository: &str,
        tag: &str,
        body: Option<&types::UndoCreation>,
    ) -> Result<types::UndoResult> {
        self.request(
            Method::POST,
            &["repositories", repository, "tags", tag, "undo"],
        )?
        .send_json_option(body)
        .json()
        .await
    }

    /// List changes of branches and tags, including deleted ones, newest first.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_reflog(
        &self,
        repository: &str,
        options: &ListReflogOptions,
    ) -> Result<types::ReflogEntryList> {
        self.request(Method::GET, &["repositories", repository, "reflog"])?
            .query_option("branch", options.branch.as_ref())
            .query_option("tag", options.tag.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .json()
            .await
    }

    /// Move a branch to another commit. Uncommitted changes stay, on top of the new head.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn hard_reset_branch(
        &self,
        repository: &str,
        branch: &str,
        r#ref: &str,
        options: &HardResetBranchOptions,
    ) -> Result<()> {
        self.request(
            Method::PUT,
            &["repositories", repository, "branches", branch, "hard_reset"],
        )?
        .query("ref", r#ref)
        .query_option("force", options.force.as_ref())
        .nothing()
        .await
    }

    /// Revert a commit with a new commit.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn revert_branch(
        &self,
        repository: &str,
        branch: &str,
        body: &types::RevertCreation,
    ) -> Result<()> {
        self.request(
            Method::POST,
            &["repositories", repository, "branches", branch, "revert"],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// Cherry-pick a commit onto a branch.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn cherry_pick(
        &self,
        repository: &str,
        branch: &str,
        body: &types::CherryPickCreation,
    ) -> Result<types::Commit> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "cherry-pick",
            ],
        )?
        .send_json(body)
        .json()
        .await
    }

    /// Merge a reference into a branch. Conflicts return 409 with a `MergeResult` that lists them.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn merge_into_branch(
        &self,
        repository: &str,
        source_ref: &str,
        destination_branch: &str,
        body: Option<&types::Merge>,
    ) -> Result<types::MergeResult> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "refs",
                source_ref,
                "merge",
                destination_branch,
            ],
        )?
        .send_json_option(body)
        .json()
        .await
    }

    /// Find the nearest common ancestor of two references.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn find_merge_base(
        &self,
        repository: &str,
        source_ref: &str,
        destination_branch: &str,
    ) -> Result<types::FindMergeBaseResult> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "refs",
                source_ref,
                "merge",
                destination_branch,
            ],
        )?
        .json()
        .await
    }

    /// Start a merge of a reference into a branch, as a background task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn merge_into_branch_async(
        &self,
        repository: &str,
        source_ref: &str,
        destination_branch: &str,
        body: Option<&types::Merge>,
    ) -> Result<types::TaskCreation> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "refs",
                source_ref,
                "merge",
                destination_branch,
                "async",
            ],
        )?
        .send_json_option(body)
        .json()
        .await
    }

    /// Get the status of a merge task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn merge_into_branch_async_status(
        &self,
        repository: &str,
        source_ref: &str,
        destination_branch: &str,
        id: &str,
    ) -> Result<types::MergeAsyncStatus> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "refs",
                source_ref,
                "merge",
                destination_branch,
                "async",
                id,
                "status",
            ],
        )?
        .json()
        .await
    }

    /// List a branch's uncommitted changes.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn diff_branch(
        &self,
        repository: &str,
        branch: &str,
        options: &DiffBranchOptions,
    ) -> Result<types::DiffList> {
        self.request(
            Method::GET,
            &["repositories", repository, "branches", branch, "diff"],
        )?
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .query_option("prefix", options.prefix.as_ref())
        .query_option("delimiter", options.delimiter.as_ref())
        .json()
        .await
    }

    /// List the differences between two references.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn diff_refs(
        &self,
        repository: &str,
        left_ref: &str,
        right_ref: &str,
        options: &DiffRefsOptions,
    ) -> Result<types::DiffList> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "refs",
                left_ref,
                "diff",
                right_ref,
            ],
        )?
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .query_option("prefix", options.prefix.as_ref())
        .query_option("delimiter", options.delimiter.as_ref())
        .query_option("type", options.r#type.as_ref())
        .query_option("include_right_stats", options.include_right_stats.as_ref())
        .json()
        .await
    }

    /// Get the commit that a reference resolves to.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_commit(&self, repository: &str, commit_id: &str) -> Result<types::Commit> {
        self.request(
            Method::GET,
            &["repositories", repository, "commits", commit_id],
        )?
        .json()
        .await
    }

    /// Read an object or ranges of it.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_object(
        &self,
        repository: &str,
        r#ref: &str,
        path: &str,
        options: &GetObjectOptions,
    ) -> Result<ByteStream> {
        self.request(
            Method::GET,
            &["repositories", repository, "refs", r#ref, "objects"],
        )?
        .query("path", path)
        .header_option("Range", options.range.as_deref())
        .header_option("If-None-Match", options.if_none_match.as_deref())
        .query_option("presign", options.presign.as_ref())
        .bytes()
        .await
    }

    /// Read an object's headers.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn head_object(
        &self,
        repository: &str,
        r#ref: &str,
        path: &str,
        options: &HeadObjectOptions,
    ) -> Result<()> {
        self.request(
            Method::HEAD,
            &["repositories", repository, "refs", r#ref, "objects"],
        )?
        .query("path", path)
        .header_option("Range", options.range.as_deref())
        .nothing()
        .await
    }

    /// Start a multipart upload directly to the block store.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_presign_multipart_upload(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        options: &CreatePresignMultipartUploadOptions,
    ) -> Result<types::PresignMultipartUpload> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "pmpu",
            ],
        )?
        .query("path", path)
        .query_option("parts", options.parts.as_ref())
        .json()
        .await
    }

    /// Join the parts of an upload into an object.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn complete_presign_multipart_upload(
        &self,
        repository: &str,
        branch: &str,
        upload_id: &str,
        path: &str,
        body: Option<&types::CompletePresignMultipartUpload>,
    ) -> Result<types::ObjectStats> {
        self.request(
            Method::PUT,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "pmpu",
                upload_id,
            ],
        )?
        .query("path", path)
        .send_json_option(body)
        .json()
        .await
    }

    /// Abort an upload and delete its parts.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn abort_presign_multipart_upload(
        &self,
        repository: &str,
        branch: &str,
        upload_id: &str,
        path: &str,
        body: Option<&types::AbortPresignMultipartUpload>,
    ) -> Result<()> {
        self.request(
            Method::DELETE,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "pmpu",
                upload_id,
            ],
        )?
        .query("path", path)
        .send_json_option(body)
        .nothing()
        .await
    }

    /// Get a presigned URL for a part.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn upload_part(
        &self,
        repository: &str,
        branch: &str,
        upload_id: &str,
        path: &str,
        part_number: i64,
        body: &types::UploadPartFrom,
    ) -> Result<types::UploadTo> {
        self.request(
            Method::PUT,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "pmpu",
                upload_id,
                "parts",
                &part_number.to_string(),
            ],
        )?
        .query("path", path)
        .send_json(body)
        .json()
        .await
    }

    /// Copy a range of an object to a part.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn upload_part_copy(
        &self,
        repository: &str,
        branch: &str,
        upload_id: &str,
        path: &str,
        part_number: i64,
        body: &types::UploadPartCopyFrom,
    ) -> Result<()> {
        self.request(
            Method::PUT,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "pmpu",
                upload_id,
                "parts",
                &part_number.to_string(),
                "copy",
            ],
        )?
        .query("path", path)
        .send_json(body)
        .nothing()
        .await
    }

    /// Get an address to which an object's bytes can be written.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_physical_address(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        options: &GetPhysicalAddressOptions,
    ) -> Result<types::StagingLocation> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "backing",
            ],
        )?
        .query("path", path)
        .query_option("presign", options.presign.as_ref())
        .json()
        .await
    }

    /// Stage an object whose bytes were written to an address from `getPhysicalAddress`.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn link_physical_address(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        options: &LinkPhysicalAddressOptions,
        body: &types::StagingMetadata,
    ) -> Result<types::ObjectStats> {
        self.request(
            Method::PUT,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "staging",
                "backing",
            ],
        )?
        .query("path", path)
        .header_option("If-None-Match", options.if_none_match.as_deref())
        .header_option("If-Match", options.if_match.as_deref())
        .send_json(body)
        .json()
        .await
    }

    /// Get the status of an import.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn import_status(
        &self,
        repository: &str,
        branch: &str,
        id: &str,
    ) -> Result<types::ImportStatus> {
        self.request(
            Method::GET,
            &["repositories", repository, "branches", branch, "import"],
        )?
        .query("id", id)
        .json()
        .await
    }

    /// Start an import of objects that are already in the block store.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn import_start(
        &self,
        repository: &str,
        branch: &str,
        body: &types::ImportCreation,
    ) -> Result<types::ImportCreationResponse> {
        self.request(
            Method::POST,
            &["repositories", repository, "branches", branch, "import"],
        )?
        .send_json(body)
        .json()
        .await
    }

    /// Stop an import.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn import_cancel(&self, repository: &str, branch: &str, id: &str) -> Result<()> {
        self.request(
            Method::DELETE,
            &["repositories", repository, "branches", branch, "import"],
        )?
        .query("id", id)
        .nothing()
        .await
    }

    /// Check that the caller may upload an object.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn upload_object_preflight(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
    ) -> Result<()> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "objects",
                "stage_allowed",
            ],
        )?
        .query("path", path)
        .nothing()
        .await
    }

    /// Stage an object at an address that the caller chooses.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn stage_object(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        body: &types::ObjectStageCreation,
    ) -> Result<types::ObjectStats> {
        self.request(
            Method::PUT,
            &["repositories", repository, "branches", branch, "objects"],
        )?
        .query("path", path)
        .send_json(body)
        .json()
        .await
    }

    /// Upload an object to a branch, from a form or a raw body.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn upload_object(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        options: &UploadObjectOptions,
        body: reqwest::Body,
    ) -> Result<types::ObjectStats> {
        self.request(
            Method::POST,
            &["repositories", repository, "branches", branch, "objects"],
        )?
        .query("path", path)
        .header_option("If-None-Match", options.if_none_match.as_deref())
        .header_option("If-Match", options.if_match.as_deref())
        .query_option("storageClass", options.storage_class.as_ref())
        .query_option("force", options.force.as_ref())
        .send_bytes(body)
        .json()
        .await
    }

    /// Delete an object from a branch. It is no error if the object does not exist.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_object(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        options: &DeleteObjectOptions,
    ) -> Result<()> {
        self.request(
            Method::DELETE,
            &["repositories", repository, "branches", branch, "objects"],
        )?
        .query("path", path)
        .query_option("force", options.force.as_ref())
        .query_option("no_tombstone", options.no_tombstone.as_ref())
        .nothing()
        .await
    }

    /// Delete up to 1000 objects from a branch. The response lists objects that could not be deleted.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn delete_objects(
        &self,
        repository: &str,
        branch: &str,
        options: &DeleteObjectsOptions,
        body: &types::PathList,
    ) -> Result<types::ObjectErrorList> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "objects",
                "delete",
            ],
        )?
        .query_option("force", options.force.as_ref())
        .query_option("no_tombstone", options.no_tombstone.as_ref())
        .send_json(body)
        .json()
        .await
    }

    /// Copy an object to a branch.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn copy_object(
        &self,
        repository: &str,
        branch: &str,
        dest_path: &str,
        body: &types::ObjectCopyCreation,
    ) -> Result<types::ObjectStats> {
        self.request(
            Method::POST,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "objects",
                "copy",
            ],
        )?
        .query("dest_path", dest_path)
        .send_json(body)
        .json()
        .await
    }

    /// Get an object's metadata.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn stat_object(
        &self,
        repository: &str,
        r#ref: &str,
        path: &str,
        options: &StatObjectOptions,
    ) -> Result<types::ObjectStats> {
        self.request(
            Method::GET,
            &["repositories", repository, "refs", r#ref, "objects", "stat"],
        )?
        .query("path", path)
        .query_option("user_metadata", options.user_metadata.as_ref())
        .query_option("presign", options.presign.as_ref())
        .json()
        .await
    }

    /// Replace an object's user metadata.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn update_object_user_metadata(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        body: &types::UpdateObjectUserMetadata,
    ) -> Result<()> {
        self.request(
            Method::PUT,
            &[
                "repositories",
                repository,
                "branches",
                branch,
                "objects",
                "stat",
                "user_metadata",
            ],
        )?
        .query("path", path)
        .send_json(body)
        .nothing()
        .await
    }

    /// Get an object's properties in the block store.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_underlying_properties(
        &self,
        repository: &str,
        r#ref: &str,
        path: &str,
    ) -> Result<types::UnderlyingObjectProperties> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "refs",
                r#ref,
                "objects",
                "underlyingProperties",
            ],
        )?
        .query("path", path)
        .json()
        .await
    }

    /// List objects and common prefixes in byte order of path.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_objects(
        &self,
        repository: &str,
        r#ref: &str,
        options: &ListObjectsOptions,
    ) -> Result<types::ObjectStatsList> {
        self.request(
            Method::GET,
            &["repositories", repository, "refs", r#ref, "objects", "ls"],
        )?
        .query_option("user_metadata", options.user_metadata.as_ref())
        .query_option("presign", options.presign.as_ref())
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .query_option("delimiter", options.delimiter.as_ref())
        .query_option("prefix", options.prefix.as_ref())
        .json()
        .await
    }

    /// Write symlink files that Hive can read.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_symlink_file(
        &self,
        repository: &str,
        branch: &str,
        options: &CreateSymlinkFileOptions,
    ) -> Result<types::StorageURI> {
        self.request(
            Method::POST,
            &["repositories", repository, "refs", branch, "symlink"],
        )?
        .query_option("location", options.location.as_ref())
        .json()
        .await
    }

    /// List hook runs, newest first.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_repository_runs(
        &self,
        repository: &str,
        options: &ListRepositoryRunsOptions,
    ) -> Result<types::ActionRunList> {
        self.request(
            Method::GET,
            &["repositories", repository, "actions", "runs"],
        )?
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .query_option("branch", options.branch.as_ref())
        .query_option("commit", options.commit.as_ref())
        .json()
        .await
    }

    /// Get a hook run.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_run(&self, repository: &str, run_id: &str) -> Result<types::ActionRun> {
        self.request(
            Method::GET,
            &["repositories", repository, "actions", "runs", run_id],
        )?
        .json()
        .await
    }

    /// List the hooks of a run.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_run_hooks(
        &self,
        repository: &str,
        run_id: &str,
        options: &ListRunHooksOptions,
    ) -> Result<types::HookRunList> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "actions",
                "runs",
                run_id,
                "hooks",
            ],
        )?
        .query_option("after", options.after.as_ref())
        .query_option("amount", options.amount.as_ref())
        .json()
        .await
    }

    /// Read the log of one hook of a run.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_run_hook_output(
        &self,
        repository: &str,
        run_id: &str,
        hook_run_id: &str,
    ) -> Result<ByteStream> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "actions",
                "runs",
                run_id,
                "hooks",
                hook_run_id,
                "output",
            ],
        )?
        .bytes()
        .await
    }

    /// Read the bytes of a stored range or meta-range.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_metadata_object(
        &self,
        repository: &str,
        object_id: &str,
        r#type: &str,
        options: &GetMetadataObjectOptions,
    ) -> Result<ByteStream> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "metadata",
                "object",
                r#type,
                object_id,
            ],
        )?
        .query_option("presign", options.presign.as_ref())
        .bytes()
        .await
    }

    /// Get the address of a meta-range.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_meta_range(
        &self,
        repository: &str,
        meta_range: &str,
    ) -> Result<types::StorageURI> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "metadata",
                "meta_range",
                meta_range,
            ],
        )?
        .json()
        .await
    }

    /// Get the address of a range.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_range(&self, repository: &str, range: &str) -> Result<types::StorageURI> {
        self.request(
            Method::GET,
            &["repositories", repository, "metadata", "range", range],
        )?
        .json()
        .await
    }

    /// Check that the caller may set retention rules.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn set_garbage_collection_rules_preflight(&self, repository: &str) -> Result<()> {
        self.request(
            Method::GET,
            &["repositories", repository, "gc", "rules", "set_allowed"],
        )?
        .nothing()
        .await
    }

    /// Former path of `getGCRules`.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn internal_get_garbage_collection_rules(
        &self,
        repository: &str,
    ) -> Result<types::GarbageCollectionRules> {
        self.request(Method::GET, &["repositories", repository, "gc", "rules"])?
            .json()
            .await
    }

    /// Former path of `setGCRules`.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn internal_set_garbage_collection_rules(
        &self,
        repository: &str,
        body: &types::GarbageCollectionRules,
    ) -> Result<()> {
        self.request(Method::POST, &["repositories", repository, "gc", "rules"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Former path of `deleteGCRules`.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn internal_delete_garbage_collection_rules(&self, repository: &str) -> Result<()> {
        self.request(Method::DELETE, &["repositories", repository, "gc", "rules"])?
            .nothing()
            .await
    }

    /// Write the list of commits that garbage collection must keep, and wait for the end.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn prepare_garbage_collection_commits(
        &self,
        repository: &str,
    ) -> Result<types::GarbageCollectionPrepareResponse> {
        self.request(
            Method::POST,
            &["repositories", repository, "gc", "prepare_commits"],
        )?
        .json()
        .await
    }

    /// Start to write the list of commits that garbage collection must keep, as a background task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn prepare_garbage_collection_commits_async(
        &self,
        repository: &str,
    ) -> Result<types::TaskCreation> {
        self.request(
            Method::POST,
            &["repositories", repository, "gc", "prepare_commits", "async"],
        )?
        .json()
        .await
    }

    /// Get the status of this task.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn prepare_garbage_collection_commits_status(
        &self,
        repository: &str,
        id: &str,
    ) -> Result<types::PrepareGarbageCollectionCommitsStatus> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "gc",
                "prepare_commits",
                "status",
            ],
        )?
        .query("id", id)
        .json()
        .await
    }

    /// Write a part of the list of addresses that uncommitted objects use.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn prepare_garbage_collection_uncommitted(
        &self,
        repository: &str,
        body: Option<&types::PrepareGCUncommittedRequest>,
    ) -> Result<types::PrepareGCUncommittedResponse> {
        self.request(
            Method::POST,
            &["repositories", repository, "gc", "prepare_uncommited"],
        )?
        .send_json_option(body)
        .json()
        .await
    }

    /// Check that the caller may set branch protection rules.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_branch_protection_rule_preflight(&self, repository: &str) -> Result<()> {
        self.request(
            Method::GET,
            &[
                "repositories",
                repository,
                "branch_protection",
                "set_allowed",
            ],
        )?
        .nothing()
        .await
    }

    /// Former path of `getBranchProtectionRules`.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn internal_get_branch_protection_rules(
        &self,
        repository: &str,
    ) -> Result<Vec<types::BranchProtectionRule>> {
        self.request(
            Method::GET,
            &["repositories", repository, "branch_protection"],
        )?
        .json()
        .await
    }

    /// Add one branch protection rule.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn internal_create_branch_protection_rule(
        &self,
        repository: &str,
        body: &types::BranchProtectionRule,
    ) -> Result<()> {
        self.request(
            Method::POST,
            &["repositories", repository, "branch_protection"],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// Delete one branch protection rule.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn internal_delete_branch_protection_rule(
        &self,
        repository: &str,
        body: &serde_json::Value,
    ) -> Result<()> {
        self.request(
            Method::DELETE,
            &["repositories", repository, "branch_protection"],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// List pull requests, newest first.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn list_pull_requests(
        &self,
        repository: &str,
        options: &ListPullRequestsOptions,
    ) -> Result<types::PullRequestsList> {
        self.request(Method::GET, &["repositories", repository, "pulls"])?
            .query_option("prefix", options.prefix.as_ref())
            .query_option("after", options.after.as_ref())
            .query_option("amount", options.amount.as_ref())
            .query_option("status", options.status.as_ref())
            .json()
            .await
    }

    /// Open a pull request.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn create_pull_request(
        &self,
        repository: &str,
        body: &types::PullRequestCreation,
    ) -> Result<types::PullRequestCreationResponse> {
        self.request(Method::POST, &["repositories", repository, "pulls"])?
            .send_json(body)
            .json()
            .await
    }

    /// Get a pull request.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_pull_request(
        &self,
        repository: &str,
        pull_request: &str,
    ) -> Result<types::PullRequest> {
        self.request(
            Method::GET,
            &["repositories", repository, "pulls", pull_request],
        )?
        .json()
        .await
    }

    /// Change title, description or status of a pull request.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn update_pull_request(
        &self,
        repository: &str,
        pull_request: &str,
        body: &types::PullRequestBasic,
    ) -> Result<()> {
        self.request(
            Method::PATCH,
            &["repositories", repository, "pulls", pull_request],
        )?
        .send_json(body)
        .nothing()
        .await
    }

    /// Merge a pull request's source into its destination.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn merge_pull_request(
        &self,
        repository: &str,
        pull_request: &str,
    ) -> Result<types::MergeResult> {
        self.request(
            Method::PUT,
            &["repositories", repository, "pulls", pull_request, "merge"],
        )?
        .json()
        .await
    }

    /// Check that the server is running.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn health_check(&self) -> Result<()> {
        self.request(Method::GET, &["healthcheck"])?.nothing().await
    }

    /// Get the capabilities of the server and its block store.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_config(&self) -> Result<types::Config> {
        self.request(Method::GET, &["config"])?.json().await
    }

    /// Get the server's version.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn get_lake_fs_version(&self) -> Result<types::VersionConfig> {
        self.request(Method::GET, &["config", "version"])?
            .json()
            .await
    }

    /// Get the capabilities of the block store.
    ///
    /// # Errors
    /// [`crate::Error`].
    #[deprecated = "kept for old clients"]
    pub async fn get_storage_config(&self) -> Result<types::StorageConfig> {
        self.request(Method::GET, &["config", "storage"])?
            .json()
            .await
    }

    /// Get how long garbage collection spares unlinked uploads.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_garbage_collection_config(&self) -> Result<types::GarbageCollectionConfig> {
        self.request(Method::GET, &["config", "garbage-collection"])?
            .json()
            .await
    }

    /// Receive usage statistics of a client.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn post_stats_events(&self, body: &types::StatsEventsList) -> Result<()> {
        self.request(Method::POST, &["statistics"])?
            .send_json(body)
            .nothing()
            .await
    }

    /// Get the number of requests per month.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn get_usage_report_summary(&self) -> Result<types::InstallationUsageReport> {
        self.request(Method::GET, &["usage-report", "summary"])?
            .json()
            .await
    }

    /// Handle the redirect from the identity provider.
    ///
    /// # Errors
    /// [`crate::Error`].
    pub async fn oauth_callback(&self) -> Result<()> {
        self.request(Method::GET, &["oidc", "callback"])?
            .nothing()
            .await
    }
}
