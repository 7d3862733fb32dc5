//! Wire types. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An access level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ACL {
    pub permission: String,
}

/// The upload to abort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct AbortPresignMultipartUpload {
    /// The address of the object's bytes.
    pub physical_address: String,
}

/// An access key to use instead of a new one.
#[derive(Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct AccessKeyCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for AccessKeyCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKeyCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"[redacted]")
            .finish()
    }
}

/// A run of the hooks of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRun {
    pub run_id: String,
    pub branch: String,
    pub start_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    pub event_type: String,
    pub status: ActionRunStatus,
    pub commit_id: String,
    /// Probable mistakes in the action files that the change adds or edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

/// Values of `ActionRunStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionRunStatus {
    #[serde(rename = "failed")]
    Failed,
    #[serde(rename = "completed")]
    Completed,
}

impl ActionRunStatus {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }
}

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ActionRunList {
    pub pagination: Pagination,
    pub results: Vec<ActionRun>,
}

/// The features of the login page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct AuthCapabilities {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_user: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgot_password: Option<bool>,
}

/// A session token.
#[derive(Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct AuthenticationToken {
    pub token: String,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expiration: Option<i64>,
}

impl std::fmt::Debug for AuthenticationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticationToken")
            .field("token", &"[redacted]")
            .field("token_expiration", &self.token_expiration)
            .finish()
    }
}

/// The branch to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct BranchCreation {
    pub name: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
}

/// A pattern of branch names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct BranchProtectionRule {
    pub pattern: String,
}

/// Optional capabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CapabilitiesConfig {}

/// The commit to cherry-pick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CherryPickCreation {
    pub r#ref: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_number: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_overrides: Option<CommitOverrides>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// The answers in the contact form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CommPrefsInput {
    #[serde(rename = "firstName")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(rename = "lastName")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(rename = "companyName")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_name: Option<String>,
    #[serde(rename = "featureUpdates")]
    pub feature_updates: bool,
    #[serde(rename = "securityUpdates")]
    pub security_updates: bool,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Commit {
    pub id: String,
    pub parents: Vec<String>,
    pub committer: String,
    pub message: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// The commit's tree; empty for the empty tree.
    pub meta_range_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Ids of the hook runs that allowed the commit, in event order. Only in the response to the operation that made the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_run_ids: Option<Vec<String>>,
    /// Probable mistakes in the action files that the commit adds or edits. Only in the response to the operation that made the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

/// The status of a commit task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CommitAsyncStatus {
    pub task_id: String,
    /// Whether the task has ended, successfully or not.
    pub completed: bool,
    pub update_time: String,
    /// 1 when the tree is stored, 2 when the hooks have allowed the change, 3 when it has landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The HTTP status with which the synchronous commit would have failed; absent after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Commit>,
}

/// Message, metadata and options of the commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CommitCreation {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// A page of commits, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CommitList {
    pub pagination: Pagination,
    pub results: Vec<Commit>,
}

/// Message and metadata that replace those of the original commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CommitOverrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A complete commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CommitRecordCreation {
    pub commit_id: String,
    pub version: i64,
    pub committer: String,
    pub message: String,
    pub metarange_id: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    pub parents: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    pub generation: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// The parts to join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CompletePresignMultipartUpload {
    /// The address of the object's bytes.
    pub physical_address: String,
    pub parts: Vec<UploadPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// The configuration of this server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_config: Option<VersionConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_config: Option<StorageConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_config_list: Option<StorageConfigList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui_config: Option<UIConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities_config: Option<CapabilitiesConfig>,
}

/// The object and range to copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CopyPartSource {
    pub repository: String,
    pub r#ref: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// An access key without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Credentials {
    pub access_key_id: String,
    /// Seconds since 1970.
    pub creation_date: i64,
}

/// A page of access keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CredentialsList {
    pub pagination: Pagination,
    pub results: Vec<Credentials>,
}

/// A new access key.
#[derive(Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CredentialsWithSecret {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Seconds since 1970.
    pub creation_date: i64,
}

impl std::fmt::Debug for CredentialsWithSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialsWithSecret")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"[redacted]")
            .field("creation_date", &self.creation_date)
            .finish()
    }
}

/// The caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CurrentUser {
    pub user: User,
}

/// A viewer of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CustomViewer {
    pub name: String,
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_types: Option<Vec<String>>,
}

/// A difference of one path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    pub r#type: DiffType,
    pub path: String,
    pub path_type: DiffPathType,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<DiffObjectStat>,
}

/// Values of `DiffType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiffType {
    #[serde(rename = "added")]
    Added,
    #[serde(rename = "removed")]
    Removed,
    #[serde(rename = "changed")]
    Changed,
    #[serde(rename = "conflict")]
    Conflict,
    #[serde(rename = "prefix_changed")]
    PrefixChanged,
}

impl DiffType {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Conflict => "conflict",
            Self::PrefixChanged => "prefix_changed",
        }
    }
}

/// Values of `DiffPathType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiffPathType {
    #[serde(rename = "common_prefix")]
    CommonPrefix,
    #[serde(rename = "object")]
    Object,
}

impl DiffPathType {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommonPrefix => "common_prefix",
            Self::Object => "object",
        }
    }
}

/// A page of differences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct DiffList {
    pub pagination: Pagination,
    pub results: Vec<Diff>,
}

/// One side of a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct DiffObjectStat {
    /// Usually the hex MD5 of the bytes.
    pub checksum: String,
    /// Seconds since 1970.
    pub mtime: i64,
    pub content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectUserMetadata>,
}

/// The error message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Error {
    /// The error message. Scripts may match on it. Details are in the other fields.
    pub message: String,
    /// What the caller can do about the error, if anything. For people; the wording may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The findings of the hooks that rejected the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<HookFinding>>,
    /// The conflicting paths of a merge, revert or cherry-pick, in order, at most a thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Vec<String>>,
    /// The total number of conflicting paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_count: Option<i64>,
}

/// The error message, and whether the group has no access level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ErrorNoACL {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_acl: Option<bool>,
}

/// A signed request that proves a cloud identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ExternalLoginInformation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expiration_duration: Option<i64>,
    #[serde(rename = "identityRequest")]
    pub identity_request: serde_json::Map<String, serde_json::Value>,
}

/// A cloud identity and its user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ExternalPrincipal {
    pub id: String,
    pub user_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Settings of the cloud identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ExternalPrincipalCreation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A page of cloud identities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ExternalPrincipalList {
    pub pagination: Pagination,
    pub results: Vec<ExternalPrincipal>,
}

/// Settings of a cloud identity.
pub type ExternalPrincipalSettings = BTreeMap<String, String>;

/// Two commits and their nearest common ancestor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct FindMergeBaseResult {
    pub source_commit_id: String,
    pub destination_commit_id: String,
    pub base_commit_id: String,
}

/// Settings of garbage collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GarbageCollectionConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<i64>,
}

/// The address of the list of commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GarbageCollectionPrepareResponse {
    pub run_id: String,
    pub gc_commits_location: String,
    pub gc_addresses_location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gc_commits_presigned_url: Option<String>,
}

/// Retention of one branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GarbageCollectionRule {
    pub branch_id: String,
    pub retention_days: i64,
}

/// Retention of a repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GarbageCollectionRules {
    pub default_retention_days: i64,
    pub branches: Vec<GarbageCollectionRule>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Group {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Seconds since 1970.
    pub creation_date: i64,
}

/// The group to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GroupCreation {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A page of groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GroupList {
    pub pagination: Pagination,
    pub results: Vec<Group>,
}

/// A finding of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct HookFinding {
    /// Name of the action.
    pub action: String,
    /// Id of the hook in its action.
    pub hook: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The violated rule.
    pub rule: String,
    pub message: String,
    /// Path of the object, if the finding is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Row of the object that the finding is about, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<i64>,
    /// Column of the object that the finding is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Further properties of the finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, String>>,
}

/// One hook of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookRun {
    pub hook_run_id: String,
    pub action: String,
    pub hook_id: String,
    pub start_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    pub status: HookRunStatus,
}

/// Values of `HookRunStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookRunStatus {
    #[serde(rename = "failed")]
    Failed,
    #[serde(rename = "completed")]
    Completed,
    #[serde(rename = "skipped")]
    Skipped,
}

impl HookRunStatus {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Skipped => "skipped",
        }
    }
}

/// A page of hooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct HookRunList {
    pub pagination: Pagination,
    pub results: Vec<HookRun>,
}

/// The objects to import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ImportCreation {
    pub paths: Vec<ImportLocation>,
    pub commit: CommitCreation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// The import that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ImportCreationResponse {
    pub id: String,
}

/// The objects to import and their destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportLocation {
    pub r#type: ImportLocationType,
    pub path: String,
    pub destination: String,
}

/// Values of `ImportLocationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportLocationType {
    #[serde(rename = "common_prefix")]
    CommonPrefix,
    #[serde(rename = "object")]
    Object,
}

impl ImportLocationType {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommonPrefix => "common_prefix",
            Self::Object => "object",
        }
    }
}

/// The status of an import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ImportStatus {
    pub completed: bool,
    pub update_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingested_objects: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metarange_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Requests by month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct InstallationUsageReport {
    pub installation_id: String,
    pub reports: Vec<UsageReport>,
}

/// Login settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct LoginConfig {
    #[serde(rename = "RBAC")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac: Option<LoginConfigRbac>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_ui_placeholder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_ui_placeholder: Option<String>,
    pub login_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_url_method: Option<LoginConfigLoginUrlMethod>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_failed_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_login_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_login_label: Option<String>,
    pub login_cookie_names: Vec<String>,
    pub logout_url: String,
}

/// Values of `LoginConfigRbac`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginConfigRbac {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "simplified")]
    Simplified,
    #[serde(rename = "internal")]
    Internal,
    #[serde(rename = "external")]
    External,
}

impl LoginConfigRbac {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Simplified => "simplified",
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

/// Values of `LoginConfigLoginUrlMethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginConfigLoginUrlMethod {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "redirect")]
    Redirect,
    #[serde(rename = "select")]
    Select,
}

impl LoginConfigLoginUrlMethod {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Redirect => "redirect",
            Self::Select => "select",
        }
    }
}

/// An access key.
#[derive(Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct LoginInformation {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for LoginInformation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginInformation")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"[redacted]")
            .finish()
    }
}

/// Options of the merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Merge {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub squash_merge: Option<bool>,
}

/// The status of a merge task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MergeAsyncStatus {
    pub task_id: String,
    /// Whether the task has ended, successfully or not.
    pub completed: bool,
    pub update_time: String,
    /// 1 when the tree is stored, 2 when the hooks have allowed the change, 3 when it has landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The HTTP status with which the synchronous merge would have failed; absent after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<MergeResult>,
}

/// The result of a merge. The reference is empty after conflicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MergeResult {
    pub reference: String,
    /// The error message, for people; only after conflicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the caller can do about the conflicts. For people; the wording may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The conflicting paths in order, at most a thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Vec<String>>,
    /// The total number of conflicting paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_count: Option<i64>,
    /// Ids of the hook runs that allowed the merge, in event order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_run_ids: Option<Vec<String>>,
    /// Probable mistakes in the action files that the merge adds or edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

/// The ranges to combine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MetaRangeCreation {
    pub ranges: Vec<RangeMetadata>,
}

/// The new meta-range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MetaRangeCreationResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The object to copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ObjectCopyCreation {
    pub src_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shallow: Option<bool>,
}

/// The error of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ObjectError {
    pub status_code: i64,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The errors, one per object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ObjectErrorList {
    pub errors: Vec<ObjectError>,
}

/// An object whose bytes are already stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ObjectStageCreation {
    /// The address of the object's bytes.
    pub physical_address: String,
    /// Usually the hex MD5 of the bytes.
    pub checksum: String,
    /// Bytes.
    pub size_bytes: i64,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectUserMetadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// An object, or a common prefix of a listing (`path` and `path_type` only).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectStats {
    pub path: String,
    pub path_type: ObjectStatsPathType,
    /// The address of the object's bytes.
    pub physical_address: String,
    /// When a presigned URL expires, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_address_expiry: Option<i64>,
    /// Usually the hex MD5 of the bytes.
    pub checksum: String,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// Seconds since 1970.
    pub mtime: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectUserMetadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Values of `ObjectStatsPathType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectStatsPathType {
    #[serde(rename = "common_prefix")]
    CommonPrefix,
    #[serde(rename = "object")]
    Object,
}

impl ObjectStatsPathType {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommonPrefix => "common_prefix",
            Self::Object => "object",
        }
    }
}

/// A page of objects and common prefixes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ObjectStatsList {
    pub pagination: Pagination,
    pub results: Vec<ObjectStats>,
}

/// Key-value metadata of an object.
pub type ObjectUserMetadata = BTreeMap<String, String>;

/// The position of a page in its listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Pagination {
    pub has_more: bool,
    /// Pass as `after` to continue.
    pub next_offset: String,
    pub results: i64,
    /// The maximum number of results per page.
    pub max_per_page: i64,
}

/// Paths of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PathList {
    pub paths: Vec<String>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Policy {
    pub id: String,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_date: Option<i64>,
    pub statement: Vec<Statement>,
}

/// Values by field.
pub type PolicyCondition = BTreeMap<String, Vec<String>>;

/// A page of policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PolicyList {
    pub pagination: Pagination,
    pub results: Vec<Policy>,
}

/// The position at which to continue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PrepareGCUncommittedRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
}

/// The address of the list of addresses, and the token for the next call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PrepareGCUncommittedResponse {
    pub run_id: String,
    pub gc_uncommitted_location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
}

/// The status of the preparation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PrepareGarbageCollectionCommitsStatus {
    pub task_id: String,
    pub completed: bool,
    pub update_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<GarbageCollectionPrepareResponse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// A multipart upload in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PresignMultipartUpload {
    pub upload_id: String,
    /// The address of the object's bytes.
    pub physical_address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presigned_urls: Option<Vec<String>>,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullRequest {
    pub status: PullRequestStatus,
    pub title: String,
    pub description: String,
    pub id: String,
    /// Seconds since 1970.
    pub creation_date: String,
    pub author: String,
    pub source_branch: String,
    pub destination_branch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_commit_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_date: Option<String>,
}

/// Values of `PullRequestStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullRequestStatus {
    #[serde(rename = "open")]
    Open,
    #[serde(rename = "closed")]
    Closed,
    #[serde(rename = "merged")]
    Merged,
}

impl PullRequestStatus {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Merged => "merged",
        }
    }
}

/// The fields of a pull request that can be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PullRequestBasic {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PullRequestBasicStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Values of `PullRequestBasicStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullRequestBasicStatus {
    #[serde(rename = "open")]
    Open,
    #[serde(rename = "closed")]
    Closed,
    #[serde(rename = "merged")]
    Merged,
}

impl PullRequestBasicStatus {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Merged => "merged",
        }
    }
}

/// The pull request to open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PullRequestCreation {
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub source_branch: String,
    pub destination_branch: String,
}

/// The pull request that was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PullRequestCreationResponse {
    pub id: String,
}

/// A page of pull requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PullRequestsList {
    pub pagination: Pagination,
    pub results: Vec<PullRequest>,
}

/// A stored range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RangeMetadata {
    pub id: String,
    pub min_key: String,
    pub max_key: String,
    pub count: i64,
    pub estimated_size: i64,
}

/// A branch or tag and its commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Ref {
    pub id: String,
    pub commit_id: String,
}

/// A page of branches or tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RefList {
    pub pagination: Pagination,
    pub results: Vec<Ref>,
}

/// A change of a branch or tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReflogEntry {
    /// Ids of later changes sort first.
    pub id: String,
    pub ref_type: ReflogEntryRefType,
    /// Name of the branch or tag.
    pub r#ref: String,
    /// The operation: create, commit, merge, revert, cherry-pick, hard-reset, reset, delete, undo, import or restore. Later versions may add more.
    pub operation: String,
    /// The user who made the change; empty if there was none.
    pub actor: String,
    /// The time of the change, in seconds since 1970.
    pub creation_date: i64,
    /// The first line of the commit's message, or the source as given in the request.
    pub reason: String,
    /// The commit before the change; absent if the branch or tag did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_commit: Option<String>,
    /// The commit after the change; absent if the branch or tag was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_commit: Option<String>,
    /// Whether an undo can restore the uncommitted changes that this change dropped.
    pub uncommitted_kept: bool,
    /// In an undo, the id of the change that was undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
}

/// Values of `ReflogEntryRefType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReflogEntryRefType {
    #[serde(rename = "branch")]
    Branch,
    #[serde(rename = "tag")]
    Tag,
}

impl ReflogEntryRefType {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
        }
    }
}

/// A page of changes, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ReflogEntryList {
    pub pagination: Pagination,
    pub results: Vec<ReflogEntry>,
}

/// The meta-ranges of the dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RefsDump {
    pub commits_meta_range_id: String,
    pub tags_meta_range_id: String,
    pub branches_meta_range_id: String,
}

/// The meta-ranges to restore from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RefsRestore {
    pub commits_meta_range_id: String,
    pub tags_meta_range_id: String,
    pub branches_meta_range_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Repository {
    pub id: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    pub default_branch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_id: Option<String>,
    pub storage_namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// The repository to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RepositoryCreation {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_id: Option<String>,
    pub storage_namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_data: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// The status of a dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RepositoryDumpStatus {
    pub id: String,
    pub done: bool,
    pub update_time: String,
    /// Number of records written so far: commits, tags and branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the caller can do about the error. For people; the wording may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<RefsDump>,
}

/// A page of repositories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RepositoryList {
    pub pagination: Pagination,
    pub results: Vec<Repository>,
}

/// Key-value metadata.
pub type RepositoryMetadata = BTreeMap<String, String>;

/// Keys to delete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RepositoryMetadataKeys {
    pub keys: Vec<String>,
}

/// Keys to set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RepositoryMetadataSet {
    pub metadata: BTreeMap<String, String>,
}

/// The status of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RepositoryRestoreStatus {
    pub id: String,
    pub done: bool,
    pub update_time: String,
    /// Number of records restored so far: commits, tags and branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the caller can do about the error. For people; the wording may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The changes to drop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResetCreation {
    pub r#type: ResetCreationType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// Values of `ResetCreationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResetCreationType {
    #[serde(rename = "object")]
    Object,
    #[serde(rename = "common_prefix")]
    CommonPrefix,
    #[serde(rename = "reset")]
    Reset,
}

impl ResetCreationType {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::CommonPrefix => "common_prefix",
            Self::Reset => "reset",
        }
    }
}

/// The commit to revert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RevertCreation {
    pub r#ref: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_overrides: Option<CommitOverrides>,
    pub parent_number: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
}

/// The first administrator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Setup {
    pub username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<AccessKeyCredentials>,
    #[serde(rename = "firstName")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(rename = "lastName")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(rename = "companyName")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_name: Option<String>,
    #[serde(rename = "featureUpdates")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_updates: Option<bool>,
    #[serde(rename = "securityUpdates")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_updates: Option<bool>,
}

/// Whether the server was set up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct SetupState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SetupStateState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm_prefs_missing: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_config: Option<LoginConfig>,
}

/// Values of `SetupStateState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetupStateState {
    #[serde(rename = "initialized")]
    Initialized,
    #[serde(rename = "not_initialized")]
    NotInitialized,
}

impl SetupStateState {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::NotInitialized => "not_initialized",
        }
    }
}

/// An address to which bytes can be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StagingLocation {
    /// The address of the object's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presigned_url: Option<String>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presigned_url_expiry: Option<i64>,
}

/// The object that was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StagingMetadata {
    pub staging: StagingLocation,
    /// Usually the hex MD5 of the bytes.
    pub checksum: String,
    /// Bytes.
    pub size_bytes: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// A permission: effect, actions, resource and conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    pub effect: StatementEffect,
    pub resource: String,
    pub action: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<BTreeMap<String, PolicyCondition>>,
}

/// Values of `StatementEffect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatementEffect {
    #[serde(rename = "allow")]
    Allow,
    #[serde(rename = "deny")]
    Deny,
}

impl StatementEffect {
    /// Returns the value as it appears on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A usage count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StatsEvent {
    pub class: String,
    pub name: String,
    pub count: i64,
}

/// Usage statistics of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StatsEventsList {
    pub events: Vec<StatsEvent>,
}

/// The capabilities of the block store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StorageConfig {
    pub blockstore_type: String,
    pub blockstore_namespace_example: String,
    #[serde(rename = "blockstore_namespace_ValidityRegex")]
    pub blockstore_namespace_validity_regex: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_namespace_prefix: Option<String>,
    pub pre_sign_support: bool,
    pub pre_sign_support_ui: bool,
    pub import_support: bool,
    pub import_validity_regex: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_sign_multipart_upload: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockstore_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockstore_description: Option<String>,
}

/// The capabilities of each block store.
pub type StorageConfigList = Vec<StorageConfig>;

/// An address in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StorageURI {
    pub location: String,
}

/// The response of the identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct StsAuthRequest {
    pub code: String,
    pub state: String,
    pub redirect_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// The tag to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct TagCreation {
    pub id: String,
    pub r#ref: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// The task that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct TaskCreation {
    pub id: String,
}

/// The task that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct TaskInfo {
    pub id: String,
}

/// Settings of the console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UIConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_viewers: Option<Vec<CustomViewer>>,
}

/// The properties in the block store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UnderlyingObjectProperties {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

/// The change to undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UndoCreation {
    /// Id of the change, from the reflog; the latest one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Also change a read-only repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// A branch or tag after an undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoResult {
    /// Name of the branch or tag.
    pub id: String,
    /// The current commit.
    pub commit_id: String,
    /// Whether the undo restored uncommitted changes.
    pub uncommitted_restored: bool,
    pub undone: ReflogEntry,
}

/// The new metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UpdateObjectUserMetadata {
    pub set: ObjectUserMetadata,
}

/// A staging token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UpdateToken {
    pub staging_token: String,
}

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UploadPart {
    pub part_number: i64,
    pub etag: String,
}

/// The upload of the part, and the object to copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UploadPartCopyFrom {
    /// The address of the object's bytes.
    pub physical_address: String,
    pub copy_source: CopyPartSource,
}

/// The upload of the part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UploadPartFrom {
    /// The address of the object's bytes.
    pub physical_address: String,
}

/// A presigned URL for a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UploadTo {
    pub presigned_url: String,
}

/// Requests in a month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UsageReport {
    pub year: i64,
    pub month: i64,
    pub count: i64,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct User {
    pub id: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// The user to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UserCreation {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_user: Option<bool>,
}

/// A page of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct UserList {
    pub pagination: Pagination,
    pub results: Vec<User>,
}

/// The versions of the contract and of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct VersionConfig {
    /// The version of lakeFS with which this server is compatible. Clients decide by it which features to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of Weir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weir_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_recommended: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_url: Option<String>,
}
