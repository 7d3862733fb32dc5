//! Operations that this server does not implement. Callers without the permission get 401, others 501.

use auth::{Permission, arn};
use axum::Extension;
use axum::extract::{RawPathParams, State};

use crate::ApiState;
use crate::error::{Error, Result};
use crate::extract::Caller;
use crate::schema::Operation;

/// The permissions for each operation, as in lakeFS. Operations that are not listed need none.
const ACTIONS: &[(&str, &[&str])] = &[
    ("deleteUser", &["auth:DeleteUser"]),
    ("listGroups", &["auth:ListGroups"]),
    ("createGroup", &["auth:CreateGroup"]),
    ("getGroup", &["auth:ReadGroup"]),
    ("deleteGroup", &["auth:DeleteGroup"]),
    ("listPolicies", &["auth:ListPolicies"]),
    ("createPolicy", &["auth:CreatePolicy"]),
    ("getPolicy", &["auth:ReadPolicy"]),
    ("updatePolicy", &["auth:UpdatePolicy"]),
    ("deletePolicy", &["auth:DeletePolicy"]),
    ("listGroupMembers", &["auth:ReadGroup"]),
    ("addGroupMembership", &["auth:AddGroupMember"]),
    ("deleteGroupMembership", &["auth:RemoveGroupMember"]),
    ("listUserCredentials", &["auth:ListCredentials"]),
    ("deleteCredentials", &["auth:DeleteCredentials"]),
    ("listUserGroups", &["auth:ReadUser"]),
    ("listUserPolicies", &["auth:ReadUser"]),
    ("attachPolicyToUser", &["auth:AttachPolicy"]),
    ("detachPolicyFromUser", &["auth:DetachPolicy"]),
    (
        "createUserExternalPrincipal",
        &["auth:CreateUserExternalPrincipal"],
    ),
    (
        "deleteUserExternalPrincipal",
        &["auth:DeleteUserExternalPrincipal"],
    ),
    ("listUserExternalPrincipals", &["auth:ReadUser"]),
    ("getExternalPrincipal", &["auth:ReadExternalPrincipal"]),
    ("listGroupPolicies", &["auth:ReadGroup"]),
    ("attachPolicyToGroup", &["auth:AttachPolicy"]),
    ("detachPolicyFromGroup", &["auth:DetachPolicy"]),
    (
        "setGroupACL",
        &["auth:ReadGroup", "auth:AttachPolicy", "auth:UpdatePolicy"],
    ),
    ("getGroupACL", &["auth:ReadGroup", "auth:ReadPolicy"]),
    ("createPresignMultipartUpload", &["fs:WriteObject"]),
    ("completePresignMultipartUpload", &["fs:WriteObject"]),
    ("abortPresignMultipartUpload", &["fs:WriteObject"]),
    ("uploadPart", &["fs:WriteObject"]),
    ("uploadPartCopy", &["fs:WriteObject", "fs:ReadObject"]),
    ("getPhysicalAddress", &["fs:WriteObject"]),
    ("linkPhysicalAddress", &["fs:WriteObject"]),
    ("importStatus", &["fs:ReadBranch"]),
    (
        "importStart",
        &["fs:WriteObject", "fs:CreateCommit", "fs:ImportFromStorage"],
    ),
    ("importCancel", &["fs:ImportCancel"]),
    ("stageObject", &["fs:WriteObject"]),
    ("updateObjectUserMetadata", &["fs:WriteObject"]),
    ("getUnderlyingProperties", &["fs:ReadObject"]),
];

/// Operations that are possible only with a block store that supports presigned URLs.
const PRESIGNED_MULTIPART: &[&str] = &[
    "createPresignMultipartUpload",
    "completePresignMultipartUpload",
    "abortPresignMultipartUpload",
];

/// Whether this server implements an operation, by operation id.
pub(crate) fn is_implemented(operation: &str) -> bool {
    !ACTIONS.iter().any(|(id, _)| *id == operation)
}

/// Answers 501 with the operation id, or 401 without the permission.
pub(crate) async fn not_implemented(
    State(api): State<ApiState>,
    caller: Option<Extension<Caller>>,
    Extension(operation): Extension<&'static Operation>,
    path: RawPathParams,
) -> Result<()> {
    if let Some(Extension(caller)) = caller {
        let repository = path.iter().find(|(name, _)| *name == "repository");
        let permissions = permissions(operation.id, repository.map(|(_, id)| id));
        api.auth.authorize(&caller.0, &permissions).await?;
    }
    if PRESIGNED_MULTIPART.contains(&operation.id) && !api.catalog.store_info().presign_support {
        return Err(Error::NoPresignMultipart);
    }
    Err(Error::NotImplemented(operation.id))
}

/// The permissions for an operation, on the repository in the path or on all resources.
fn permissions(operation: &str, repository: Option<&str>) -> Vec<Permission> {
    let actions = ACTIONS.iter().find(|(id, _)| *id == operation);
    let resource = || repository.map_or_else(arn::all, arn::repository);
    actions
        .into_iter()
        .flat_map(|(_, actions)| *actions)
        .map(|action| Permission::new(action, resource()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ACTIONS, permissions};
    use crate::generated::OPERATIONS;

    #[test]
    fn listed_operations_exist_and_are_authenticated() {
        for (id, actions) in ACTIONS {
            let operation = OPERATIONS.iter().find(|o| o.id == *id);
            assert!(operation.is_some_and(|o| o.authenticated), "{id}");
            assert!(!actions.is_empty(), "{id}");
            assert_eq!(ACTIONS.iter().filter(|(other, _)| other == id).count(), 1);
        }
    }

    #[test]
    fn permissions_name_the_repository_in_the_path() {
        let asked = permissions("importStart", Some("lake"));
        let actions: Vec<_> = asked.iter().map(|p| p.action).collect();
        assert_eq!(
            actions,
            ["fs:WriteObject", "fs:CreateCommit", "fs:ImportFromStorage"]
        );
        assert!(
            asked
                .iter()
                .all(|p| p.resource.ends_with("repository/lake"))
        );
        assert_eq!(permissions("listGroups", None)[0].resource, "*");
        assert_eq!(permissions("stsLogin", None), []);
    }
}
