//! Request checks. Generated from `openapi.yaml` by `cargo xtask codegen`; do not edit.

use crate::schema::{Body, Operation, Parameter, Pattern, Place, Property, Schema};

/// All operations, in the contract's order.
pub(crate) static OPERATIONS: &[Operation] = &[
    Operation {
        id: "setupCommPrefs",
        method: "POST",
        path: "/setup_comm_prefs",
        authenticated: false,
        parameters: &[],
        body: Some(Body {
            name: Some("CommPrefsInput"),
            required: true,
            schema: &COMM_PREFS_INPUT,
        }),
    },
    Operation {
        id: "getSetupState",
        method: "GET",
        path: "/setup_lakefs",
        authenticated: false,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "setup",
        method: "POST",
        path: "/setup_lakefs",
        authenticated: false,
        parameters: &[Parameter {
            name: "X-Weir-Setup-Token",
            place: Place::Header,
            required: false,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("Setup"),
            required: true,
            schema: &SETUP,
        }),
    },
    Operation {
        id: "getCurrentUser",
        method: "GET",
        path: "/user",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "login",
        method: "POST",
        path: "/auth/login",
        authenticated: false,
        parameters: &[],
        body: Some(Body {
            name: Some("LoginInformation"),
            required: false,
            schema: &LOGIN_INFORMATION,
        }),
    },
    Operation {
        id: "externalPrincipalLogin",
        method: "POST",
        path: "/auth/external/principal/login",
        authenticated: false,
        parameters: &[],
        body: Some(Body {
            name: Some("ExternalLoginInformation"),
            required: false,
            schema: &EXTERNAL_LOGIN_INFORMATION,
        }),
    },
    Operation {
        id: "stsLogin",
        method: "POST",
        path: "/sts/login",
        authenticated: false,
        parameters: &[],
        body: Some(Body {
            name: Some("StsAuthRequest"),
            required: true,
            schema: &STS_AUTH_REQUEST,
        }),
    },
    Operation {
        id: "getAuthCapabilities",
        method: "GET",
        path: "/auth/capabilities",
        authenticated: false,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listUsers",
        method: "GET",
        path: "/auth/users",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createUser",
        method: "POST",
        path: "/auth/users",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("UserCreation"),
            required: false,
            schema: &USER_CREATION,
        }),
    },
    Operation {
        id: "getUser",
        method: "GET",
        path: "/auth/users/{userId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteUser",
        method: "DELETE",
        path: "/auth/users/{userId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listGroups",
        method: "GET",
        path: "/auth/groups",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createGroup",
        method: "POST",
        path: "/auth/groups",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("GroupCreation"),
            required: false,
            schema: &GROUP_CREATION,
        }),
    },
    Operation {
        id: "getGroup",
        method: "GET",
        path: "/auth/groups/{groupId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteGroup",
        method: "DELETE",
        path: "/auth/groups/{groupId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listPolicies",
        method: "GET",
        path: "/auth/policies",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createPolicy",
        method: "POST",
        path: "/auth/policies",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("Policy"),
            required: true,
            schema: &POLICY,
        }),
    },
    Operation {
        id: "getPolicy",
        method: "GET",
        path: "/auth/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "updatePolicy",
        method: "PUT",
        path: "/auth/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("Policy"),
            required: true,
            schema: &POLICY,
        }),
    },
    Operation {
        id: "deletePolicy",
        method: "DELETE",
        path: "/auth/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listGroupMembers",
        method: "GET",
        path: "/auth/groups/{groupId}/members",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "addGroupMembership",
        method: "PUT",
        path: "/auth/groups/{groupId}/members/{userId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteGroupMembership",
        method: "DELETE",
        path: "/auth/groups/{groupId}/members/{userId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listUserCredentials",
        method: "GET",
        path: "/auth/users/{userId}/credentials",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createCredentials",
        method: "POST",
        path: "/auth/users/{userId}/credentials",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteCredentials",
        method: "DELETE",
        path: "/auth/users/{userId}/credentials/{accessKeyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getCredentials",
        method: "GET",
        path: "/auth/users/{userId}/credentials/{accessKeyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listUserGroups",
        method: "GET",
        path: "/auth/users/{userId}/groups",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "listUserPolicies",
        method: "GET",
        path: "/auth/users/{userId}/policies",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "effective",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "attachPolicyToUser",
        method: "PUT",
        path: "/auth/users/{userId}/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "detachPolicyFromUser",
        method: "DELETE",
        path: "/auth/users/{userId}/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "createUserExternalPrincipal",
        method: "POST",
        path: "/auth/users/{userId}/external/principals",
        authenticated: true,
        parameters: &[Parameter {
            name: "principalId",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("ExternalPrincipalCreation"),
            required: false,
            schema: &EXTERNAL_PRINCIPAL_CREATION,
        }),
    },
    Operation {
        id: "deleteUserExternalPrincipal",
        method: "DELETE",
        path: "/auth/users/{userId}/external/principals",
        authenticated: true,
        parameters: &[Parameter {
            name: "principalId",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "listUserExternalPrincipals",
        method: "GET",
        path: "/auth/users/{userId}/external/principals/ls",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "getExternalPrincipal",
        method: "GET",
        path: "/auth/external/principals",
        authenticated: true,
        parameters: &[Parameter {
            name: "principalId",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "listGroupPolicies",
        method: "GET",
        path: "/auth/groups/{groupId}/policies",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "attachPolicyToGroup",
        method: "PUT",
        path: "/auth/groups/{groupId}/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "detachPolicyFromGroup",
        method: "DELETE",
        path: "/auth/groups/{groupId}/policies/{policyId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "setGroupACL",
        method: "POST",
        path: "/auth/groups/{groupId}/acl",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("ACL"),
            required: true,
            schema: &ACL,
        }),
    },
    Operation {
        id: "getGroupACL",
        method: "GET",
        path: "/auth/groups/{groupId}/acl",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listRepositories",
        method: "GET",
        path: "/repositories",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "search",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createRepository",
        method: "POST",
        path: "/repositories",
        authenticated: true,
        parameters: &[Parameter {
            name: "bare",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::Boolean,
        }],
        body: Some(Body {
            name: Some("RepositoryCreation"),
            required: true,
            schema: &REPOSITORY_CREATION,
        }),
    },
    Operation {
        id: "getRepository",
        method: "GET",
        path: "/repositories/{repository}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteRepository",
        method: "DELETE",
        path: "/repositories/{repository}",
        authenticated: true,
        parameters: &[Parameter {
            name: "force",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::Boolean,
        }],
        body: None,
    },
    Operation {
        id: "getRepositoryMetadata",
        method: "GET",
        path: "/repositories/{repository}/metadata",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "setRepositoryMetadata",
        method: "POST",
        path: "/repositories/{repository}/metadata",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("RepositoryMetadataSet"),
            required: true,
            schema: &REPOSITORY_METADATA_SET,
        }),
    },
    Operation {
        id: "deleteRepositoryMetadata",
        method: "DELETE",
        path: "/repositories/{repository}/metadata",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("RepositoryMetadataKeys"),
            required: true,
            schema: &REPOSITORY_METADATA_KEYS,
        }),
    },
    Operation {
        id: "getGCRules",
        method: "GET",
        path: "/repositories/{repository}/settings/gc_rules",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "setGCRules",
        method: "PUT",
        path: "/repositories/{repository}/settings/gc_rules",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("GarbageCollectionRules"),
            required: true,
            schema: &GARBAGE_COLLECTION_RULES,
        }),
    },
    Operation {
        id: "deleteGCRules",
        method: "DELETE",
        path: "/repositories/{repository}/settings/gc_rules",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getBranchProtectionRules",
        method: "GET",
        path: "/repositories/{repository}/settings/branch_protection",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "setBranchProtectionRules",
        method: "PUT",
        path: "/repositories/{repository}/settings/branch_protection",
        authenticated: true,
        parameters: &[Parameter {
            name: "If-Match",
            place: Place::Header,
            required: false,
            allow_empty: true,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: None,
            required: true,
            schema: &Schema::Array {
                items: &BRANCH_PROTECTION_RULE,
                min_items: 0,
            },
        }),
    },
    Operation {
        id: "dumpRefs",
        method: "PUT",
        path: "/repositories/{repository}/refs/dump",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "restoreRefs",
        method: "PUT",
        path: "/repositories/{repository}/refs/restore",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("RefsRestore"),
            required: true,
            schema: &REFS_RESTORE,
        }),
    },
    Operation {
        id: "dumpSubmit",
        method: "POST",
        path: "/repositories/{repository}/dump",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "dumpStatus",
        method: "GET",
        path: "/repositories/{repository}/dump",
        authenticated: true,
        parameters: &[Parameter {
            name: "task_id",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "restoreSubmit",
        method: "POST",
        path: "/repositories/{repository}/restore",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("RefsRestore"),
            required: true,
            schema: &REFS_RESTORE,
        }),
    },
    Operation {
        id: "restoreStatus",
        method: "GET",
        path: "/repositories/{repository}/restore",
        authenticated: true,
        parameters: &[Parameter {
            name: "task_id",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "listTags",
        method: "GET",
        path: "/repositories/{repository}/tags",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createTag",
        method: "POST",
        path: "/repositories/{repository}/tags",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("TagCreation"),
            required: true,
            schema: &TAG_CREATION,
        }),
    },
    Operation {
        id: "getTag",
        method: "GET",
        path: "/repositories/{repository}/tags/{tag}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteTag",
        method: "DELETE",
        path: "/repositories/{repository}/tags/{tag}",
        authenticated: true,
        parameters: &[Parameter {
            name: "force",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::Boolean,
        }],
        body: None,
    },
    Operation {
        id: "listBranches",
        method: "GET",
        path: "/repositories/{repository}/branches",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "show_hidden",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "createBranch",
        method: "POST",
        path: "/repositories/{repository}/branches",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("BranchCreation"),
            required: true,
            schema: &BRANCH_CREATION,
        }),
    },
    Operation {
        id: "logCommits",
        method: "GET",
        path: "/repositories/{repository}/refs/{ref}/commits",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "objects",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Array {
                    items: &Schema::String {
                        pattern: None,
                        min_length: 0,
                        date_time: false,
                        variants: &[],
                    },
                    min_items: 0,
                },
            },
            Parameter {
                name: "prefixes",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Array {
                    items: &Schema::String {
                        pattern: None,
                        min_length: 0,
                        date_time: false,
                        variants: &[],
                    },
                    min_items: 0,
                },
            },
            Parameter {
                name: "limit",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "first_parent",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "since",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: true,
                    variants: &[],
                },
            },
            Parameter {
                name: "stop_at",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "commit",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/commits",
        authenticated: true,
        parameters: &[Parameter {
            name: "source_metarange",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("CommitCreation"),
            required: true,
            schema: &COMMIT_CREATION,
        }),
    },
    Operation {
        id: "commitAsync",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/commits/async",
        authenticated: true,
        parameters: &[Parameter {
            name: "source_metarange",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("CommitCreation"),
            required: true,
            schema: &COMMIT_CREATION,
        }),
    },
    Operation {
        id: "commitAsyncStatus",
        method: "GET",
        path: "/repositories/{repository}/branches/{branch}/commits/async/{id}/status",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "CreateCommitRecord",
        method: "POST",
        path: "/repositories/{repository}/commits",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("CommitRecordCreation"),
            required: true,
            schema: &COMMIT_RECORD_CREATION,
        }),
    },
    Operation {
        id: "getBranch",
        method: "GET",
        path: "/repositories/{repository}/branches/{branch}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "deleteBranch",
        method: "DELETE",
        path: "/repositories/{repository}/branches/{branch}",
        authenticated: true,
        parameters: &[Parameter {
            name: "force",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::Boolean,
        }],
        body: None,
    },
    Operation {
        id: "resetBranch",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("ResetCreation"),
            required: true,
            schema: &RESET_CREATION,
        }),
    },
    Operation {
        id: "undoBranch",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/undo",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("UndoCreation"),
            required: false,
            schema: &UNDO_CREATION,
        }),
    },
    Operation {
        id: "undoTag",
        method: "POST",
        path: "/repositories/{repository}/tags/{tag}/undo",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("UndoCreation"),
            required: false,
            schema: &UNDO_CREATION,
        }),
    },
    Operation {
        id: "listReflog",
        method: "GET",
        path: "/repositories/{repository}/reflog",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "branch",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "tag",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "hardResetBranch",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/hard_reset",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "ref",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "force",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "revertBranch",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/revert",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("RevertCreation"),
            required: true,
            schema: &REVERT_CREATION,
        }),
    },
    Operation {
        id: "cherryPick",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/cherry-pick",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("CherryPickCreation"),
            required: true,
            schema: &CHERRY_PICK_CREATION,
        }),
    },
    Operation {
        id: "mergeIntoBranch",
        method: "POST",
        path: "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("Merge"),
            required: false,
            schema: &MERGE,
        }),
    },
    Operation {
        id: "findMergeBase",
        method: "GET",
        path: "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "mergeIntoBranchAsync",
        method: "POST",
        path: "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}/async",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("Merge"),
            required: false,
            schema: &MERGE,
        }),
    },
    Operation {
        id: "mergeIntoBranchAsyncStatus",
        method: "GET",
        path: "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}/async/{id}/status",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "diffBranch",
        method: "GET",
        path: "/repositories/{repository}/branches/{branch}/diff",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "delimiter",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "diffRefs",
        method: "GET",
        path: "/repositories/{repository}/refs/{leftRef}/diff/{rightRef}",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "delimiter",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "type",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &["two_dot", "three_dot"],
                },
            },
            Parameter {
                name: "include_right_stats",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "getCommit",
        method: "GET",
        path: "/repositories/{repository}/commits/{commitId}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getObject",
        method: "GET",
        path: "/repositories/{repository}/refs/{ref}/objects",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "Range",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: Some(&PATTERN_0),
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "If-None-Match",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "presign",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "headObject",
        method: "HEAD",
        path: "/repositories/{repository}/refs/{ref}/objects",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "Range",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: Some(&PATTERN_0),
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createPresignMultipartUpload",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/staging/pmpu",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "parts",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: None,
                    maximum: None,
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "completePresignMultipartUpload",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("CompletePresignMultipartUpload"),
            required: false,
            schema: &COMPLETE_PRESIGN_MULTIPART_UPLOAD,
        }),
    },
    Operation {
        id: "abortPresignMultipartUpload",
        method: "DELETE",
        path: "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("AbortPresignMultipartUpload"),
            required: false,
            schema: &ABORT_PRESIGN_MULTIPART_UPLOAD,
        }),
    },
    Operation {
        id: "uploadPart",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}/parts/{partNumber}",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("UploadPartFrom"),
            required: true,
            schema: &UPLOAD_PART_FROM,
        }),
    },
    Operation {
        id: "uploadPartCopy",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/staging/pmpu/{uploadId}/parts/{partNumber}/copy",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("UploadPartCopyFrom"),
            required: true,
            schema: &UPLOAD_PART_COPY_FROM,
        }),
    },
    Operation {
        id: "getPhysicalAddress",
        method: "GET",
        path: "/repositories/{repository}/branches/{branch}/staging/backing",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "presign",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "linkPhysicalAddress",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/staging/backing",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "If-None-Match",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "If-Match",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: Some(Body {
            name: Some("StagingMetadata"),
            required: true,
            schema: &STAGING_METADATA,
        }),
    },
    Operation {
        id: "importStatus",
        method: "GET",
        path: "/repositories/{repository}/branches/{branch}/import",
        authenticated: true,
        parameters: &[Parameter {
            name: "id",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "importStart",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/import",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("ImportCreation"),
            required: true,
            schema: &IMPORT_CREATION,
        }),
    },
    Operation {
        id: "importCancel",
        method: "DELETE",
        path: "/repositories/{repository}/branches/{branch}/import",
        authenticated: true,
        parameters: &[Parameter {
            name: "id",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "uploadObjectPreflight",
        method: "GET",
        path: "/repositories/{repository}/branches/{branch}/objects/stage_allowed",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "stageObject",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/objects",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("ObjectStageCreation"),
            required: true,
            schema: &OBJECT_STAGE_CREATION,
        }),
    },
    Operation {
        id: "uploadObject",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/objects",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "If-None-Match",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "If-Match",
                place: Place::Header,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "storageClass",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "force",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "deleteObject",
        method: "DELETE",
        path: "/repositories/{repository}/branches/{branch}/objects",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "force",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "no_tombstone",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "deleteObjects",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/objects/delete",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "force",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "no_tombstone",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: Some(Body {
            name: Some("PathList"),
            required: true,
            schema: &PATH_LIST,
        }),
    },
    Operation {
        id: "copyObject",
        method: "POST",
        path: "/repositories/{repository}/branches/{branch}/objects/copy",
        authenticated: true,
        parameters: &[Parameter {
            name: "dest_path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("ObjectCopyCreation"),
            required: true,
            schema: &OBJECT_COPY_CREATION,
        }),
    },
    Operation {
        id: "statObject",
        method: "GET",
        path: "/repositories/{repository}/refs/{ref}/objects/stat",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "path",
                place: Place::Query,
                required: true,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "user_metadata",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "presign",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
        ],
        body: None,
    },
    Operation {
        id: "updateObjectUserMetadata",
        method: "PUT",
        path: "/repositories/{repository}/branches/{branch}/objects/stat/user_metadata",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: Some(Body {
            name: Some("UpdateObjectUserMetadata"),
            required: true,
            schema: &UPDATE_OBJECT_USER_METADATA,
        }),
    },
    Operation {
        id: "getUnderlyingProperties",
        method: "GET",
        path: "/repositories/{repository}/refs/{ref}/objects/underlyingProperties",
        authenticated: true,
        parameters: &[Parameter {
            name: "path",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "listObjects",
        method: "GET",
        path: "/repositories/{repository}/refs/{ref}/objects/ls",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "user_metadata",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "presign",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Boolean,
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "delimiter",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createSymlinkFile",
        method: "POST",
        path: "/repositories/{repository}/refs/{branch}/symlink",
        authenticated: true,
        parameters: &[Parameter {
            name: "location",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "listRepositoryRuns",
        method: "GET",
        path: "/repositories/{repository}/actions/runs",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "branch",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "commit",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "getRun",
        method: "GET",
        path: "/repositories/{repository}/actions/runs/{run_id}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "listRunHooks",
        method: "GET",
        path: "/repositories/{repository}/actions/runs/{run_id}/hooks",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "getRunHookOutput",
        method: "GET",
        path: "/repositories/{repository}/actions/runs/{run_id}/hooks/{hook_run_id}/output",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getMetadataObject",
        method: "GET",
        path: "/repositories/{repository}/metadata/object/{type}/{object_id}",
        authenticated: true,
        parameters: &[Parameter {
            name: "presign",
            place: Place::Query,
            required: false,
            allow_empty: false,
            schema: &Schema::Boolean,
        }],
        body: None,
    },
    Operation {
        id: "getMetaRange",
        method: "GET",
        path: "/repositories/{repository}/metadata/meta_range/{meta_range}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getRange",
        method: "GET",
        path: "/repositories/{repository}/metadata/range/{range}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "setGarbageCollectionRulesPreflight",
        method: "GET",
        path: "/repositories/{repository}/gc/rules/set_allowed",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "internalGetGarbageCollectionRules",
        method: "GET",
        path: "/repositories/{repository}/gc/rules",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "internalSetGarbageCollectionRules",
        method: "POST",
        path: "/repositories/{repository}/gc/rules",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("GarbageCollectionRules"),
            required: true,
            schema: &GARBAGE_COLLECTION_RULES,
        }),
    },
    Operation {
        id: "internalDeleteGarbageCollectionRules",
        method: "DELETE",
        path: "/repositories/{repository}/gc/rules",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "prepareGarbageCollectionCommits",
        method: "POST",
        path: "/repositories/{repository}/gc/prepare_commits",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "prepareGarbageCollectionCommitsAsync",
        method: "POST",
        path: "/repositories/{repository}/gc/prepare_commits/async",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "prepareGarbageCollectionCommitsStatus",
        method: "GET",
        path: "/repositories/{repository}/gc/prepare_commits/status",
        authenticated: true,
        parameters: &[Parameter {
            name: "id",
            place: Place::Query,
            required: true,
            allow_empty: false,
            schema: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
        }],
        body: None,
    },
    Operation {
        id: "prepareGarbageCollectionUncommitted",
        method: "POST",
        path: "/repositories/{repository}/gc/prepare_uncommited",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("PrepareGCUncommittedRequest"),
            required: false,
            schema: &PREPARE_GC_UNCOMMITTED_REQUEST,
        }),
    },
    Operation {
        id: "createBranchProtectionRulePreflight",
        method: "GET",
        path: "/repositories/{repository}/branch_protection/set_allowed",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "internalGetBranchProtectionRules",
        method: "GET",
        path: "/repositories/{repository}/branch_protection",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "internalCreateBranchProtectionRule",
        method: "POST",
        path: "/repositories/{repository}/branch_protection",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("BranchProtectionRule"),
            required: true,
            schema: &BRANCH_PROTECTION_RULE,
        }),
    },
    Operation {
        id: "internalDeleteBranchProtectionRule",
        method: "DELETE",
        path: "/repositories/{repository}/branch_protection",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: None,
            required: true,
            schema: &Schema::Object(&[Property {
                name: "pattern",
                required: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            }]),
        }),
    },
    Operation {
        id: "listPullRequests",
        method: "GET",
        path: "/repositories/{repository}/pulls",
        authenticated: true,
        parameters: &[
            Parameter {
                name: "prefix",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "after",
                place: Place::Query,
                required: false,
                allow_empty: true,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &[],
                },
            },
            Parameter {
                name: "amount",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::Integer {
                    minimum: Some(-1),
                    maximum: Some(1000),
                },
            },
            Parameter {
                name: "status",
                place: Place::Query,
                required: false,
                allow_empty: false,
                schema: &Schema::String {
                    pattern: None,
                    min_length: 0,
                    date_time: false,
                    variants: &["open", "closed", "all"],
                },
            },
        ],
        body: None,
    },
    Operation {
        id: "createPullRequest",
        method: "POST",
        path: "/repositories/{repository}/pulls",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("PullRequestCreation"),
            required: true,
            schema: &PULL_REQUEST_CREATION,
        }),
    },
    Operation {
        id: "getPullRequest",
        method: "GET",
        path: "/repositories/{repository}/pulls/{pull_request}",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "updatePullRequest",
        method: "PATCH",
        path: "/repositories/{repository}/pulls/{pull_request}",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("PullRequestBasic"),
            required: true,
            schema: &PULL_REQUEST_BASIC,
        }),
    },
    Operation {
        id: "mergePullRequest",
        method: "PUT",
        path: "/repositories/{repository}/pulls/{pull_request}/merge",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "healthCheck",
        method: "GET",
        path: "/healthcheck",
        authenticated: false,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getConfig",
        method: "GET",
        path: "/config",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getLakeFSVersion",
        method: "GET",
        path: "/config/version",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getStorageConfig",
        method: "GET",
        path: "/config/storage",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "getGarbageCollectionConfig",
        method: "GET",
        path: "/config/garbage-collection",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "postStatsEvents",
        method: "POST",
        path: "/statistics",
        authenticated: true,
        parameters: &[],
        body: Some(Body {
            name: Some("StatsEventsList"),
            required: true,
            schema: &STATS_EVENTS_LIST,
        }),
    },
    Operation {
        id: "getUsageReportSummary",
        method: "GET",
        path: "/usage-report/summary",
        authenticated: true,
        parameters: &[],
        body: None,
    },
    Operation {
        id: "oauthCallback",
        method: "GET",
        path: "/oidc/callback",
        authenticated: false,
        parameters: &[],
        body: None,
    },
];

static PATTERN_0: Pattern = Pattern::new("^bytes=((\\d*-\\d*,? ?)+)$");

static PATTERN_1: Pattern = Pattern::new("^[a-z0-9][a-z0-9-]{2,62}$");

static PATTERN_2: Pattern = Pattern::new("^(s3|gs|https?|mem|local|transient)://.*$");

static ACL: Schema = Schema::Object(&[Property {
    name: "permission",
    required: true,
    schema: &Schema::String {
        pattern: None,
        min_length: 0,
        date_time: false,
        variants: &[],
    },
}]);

static ABORT_PRESIGN_MULTIPART_UPLOAD: Schema = Schema::Object(&[Property {
    name: "physical_address",
    required: true,
    schema: &Schema::String {
        pattern: None,
        min_length: 0,
        date_time: false,
        variants: &[],
    },
}]);

static ACCESS_KEY_CREDENTIALS: Schema = Schema::Object(&[
    Property {
        name: "access_key_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 1,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "secret_access_key",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 1,
            date_time: false,
            variants: &[],
        },
    },
]);

static BRANCH_CREATION: Schema = Schema::Object(&[
    Property {
        name: "name",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "source",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "hidden",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static BRANCH_PROTECTION_RULE: Schema = Schema::Object(&[Property {
    name: "pattern",
    required: true,
    schema: &Schema::String {
        pattern: None,
        min_length: 1,
        date_time: false,
        variants: &[],
    },
}]);

static CHERRY_PICK_CREATION: Schema = Schema::Object(&[
    Property {
        name: "ref",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "parent_number",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "commit_overrides",
        required: false,
        schema: &COMMIT_OVERRIDES,
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static COMM_PREFS_INPUT: Schema = Schema::Object(&[
    Property {
        name: "firstName",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "lastName",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "email",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "companyName",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "featureUpdates",
        required: true,
        schema: &Schema::Boolean,
    },
    Property {
        name: "securityUpdates",
        required: true,
        schema: &Schema::Boolean,
    },
]);

static COMMIT_CREATION: Schema = Schema::Object(&[
    Property {
        name: "message",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "metadata",
        required: false,
        schema: &Schema::Map(&Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        }),
    },
    Property {
        name: "date",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "allow_empty",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static COMMIT_OVERRIDES: Schema = Schema::Object(&[
    Property {
        name: "message",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "metadata",
        required: false,
        schema: &Schema::Map(&Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        }),
    },
]);

static COMMIT_RECORD_CREATION: Schema = Schema::Object(&[
    Property {
        name: "commit_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "version",
        required: true,
        schema: &Schema::Integer {
            minimum: Some(0),
            maximum: Some(1),
        },
    },
    Property {
        name: "committer",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "message",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "metarange_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "creation_date",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "parents",
        required: true,
        schema: &Schema::Array {
            items: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
            min_items: 0,
        },
    },
    Property {
        name: "metadata",
        required: false,
        schema: &Schema::Map(&Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        }),
    },
    Property {
        name: "generation",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static COMPLETE_PRESIGN_MULTIPART_UPLOAD: Schema = Schema::Object(&[
    Property {
        name: "physical_address",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "parts",
        required: true,
        schema: &Schema::Array {
            items: &UPLOAD_PART,
            min_items: 0,
        },
    },
    Property {
        name: "user_metadata",
        required: false,
        schema: &Schema::Map(&Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        }),
    },
    Property {
        name: "content_type",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static COPY_PART_SOURCE: Schema = Schema::Object(&[
    Property {
        name: "repository",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "ref",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "path",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "range",
        required: false,
        schema: &Schema::String {
            pattern: Some(&PATTERN_0),
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static EXTERNAL_LOGIN_INFORMATION: Schema = Schema::Object(&[
    Property {
        name: "token_expiration_duration",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "identityRequest",
        required: true,
        schema: &Schema::Free,
    },
]);

static EXTERNAL_PRINCIPAL_CREATION: Schema = Schema::Object(&[Property {
    name: "settings",
    required: false,
    schema: &Schema::Free,
}]);

static GARBAGE_COLLECTION_RULE: Schema = Schema::Object(&[
    Property {
        name: "branch_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "retention_days",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
]);

static GARBAGE_COLLECTION_RULES: Schema = Schema::Object(&[
    Property {
        name: "default_retention_days",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "branches",
        required: true,
        schema: &Schema::Array {
            items: &GARBAGE_COLLECTION_RULE,
            min_items: 0,
        },
    },
]);

static GROUP_CREATION: Schema = Schema::Object(&[
    Property {
        name: "id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "description",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static IMPORT_CREATION: Schema = Schema::Object(&[
    Property {
        name: "paths",
        required: true,
        schema: &Schema::Array {
            items: &IMPORT_LOCATION,
            min_items: 0,
        },
    },
    Property {
        name: "commit",
        required: true,
        schema: &COMMIT_CREATION,
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static IMPORT_LOCATION: Schema = Schema::Object(&[
    Property {
        name: "type",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &["common_prefix", "object"],
        },
    },
    Property {
        name: "path",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "destination",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static LOGIN_INFORMATION: Schema = Schema::Object(&[
    Property {
        name: "access_key_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "secret_access_key",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static MERGE: Schema = Schema::Object(&[
    Property {
        name: "message",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "metadata",
        required: false,
        schema: &Schema::Map(&Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        }),
    },
    Property {
        name: "strategy",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "allow_empty",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "squash_merge",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static OBJECT_COPY_CREATION: Schema = Schema::Object(&[
    Property {
        name: "src_path",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "src_ref",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "shallow",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static OBJECT_STAGE_CREATION: Schema = Schema::Object(&[
    Property {
        name: "physical_address",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "checksum",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "size_bytes",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "mtime",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "metadata",
        required: false,
        schema: &OBJECT_USER_METADATA,
    },
    Property {
        name: "content_type",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static OBJECT_USER_METADATA: Schema = Schema::Map(&Schema::String {
    pattern: None,
    min_length: 0,
    date_time: false,
    variants: &[],
});

static PATH_LIST: Schema = Schema::Object(&[Property {
    name: "paths",
    required: true,
    schema: &Schema::Array {
        items: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
        min_items: 0,
    },
}]);

static POLICY: Schema = Schema::Object(&[
    Property {
        name: "id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "creation_date",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "statement",
        required: true,
        schema: &Schema::Array {
            items: &STATEMENT,
            min_items: 1,
        },
    },
]);

static POLICY_CONDITION: Schema = Schema::Map(&Schema::Array {
    items: &Schema::String {
        pattern: None,
        min_length: 0,
        date_time: false,
        variants: &[],
    },
    min_items: 0,
});

static PREPARE_GC_UNCOMMITTED_REQUEST: Schema = Schema::Object(&[Property {
    name: "continuation_token",
    required: false,
    schema: &Schema::String {
        pattern: None,
        min_length: 0,
        date_time: false,
        variants: &[],
    },
}]);

static PULL_REQUEST_BASIC: Schema = Schema::Object(&[
    Property {
        name: "status",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &["open", "closed", "merged"],
        },
    },
    Property {
        name: "title",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "description",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static PULL_REQUEST_CREATION: Schema = Schema::Object(&[
    Property {
        name: "title",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "description",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "source_branch",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "destination_branch",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static REFS_RESTORE: Schema = Schema::Object(&[
    Property {
        name: "commits_meta_range_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "tags_meta_range_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "branches_meta_range_id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static REPOSITORY_CREATION: Schema = Schema::Object(&[
    Property {
        name: "name",
        required: true,
        schema: &Schema::String {
            pattern: Some(&PATTERN_1),
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "storage_id",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "storage_namespace",
        required: true,
        schema: &Schema::String {
            pattern: Some(&PATTERN_2),
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "default_branch",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "sample_data",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "read_only",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static REPOSITORY_METADATA_KEYS: Schema = Schema::Object(&[Property {
    name: "keys",
    required: true,
    schema: &Schema::Array {
        items: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
        min_items: 0,
    },
}]);

static REPOSITORY_METADATA_SET: Schema = Schema::Object(&[Property {
    name: "metadata",
    required: true,
    schema: &Schema::Map(&Schema::String {
        pattern: None,
        min_length: 0,
        date_time: false,
        variants: &[],
    }),
}]);

static RESET_CREATION: Schema = Schema::Object(&[
    Property {
        name: "type",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &["object", "common_prefix", "reset"],
        },
    },
    Property {
        name: "path",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static REVERT_CREATION: Schema = Schema::Object(&[
    Property {
        name: "ref",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "commit_overrides",
        required: false,
        schema: &COMMIT_OVERRIDES,
    },
    Property {
        name: "parent_number",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "allow_empty",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static SETUP: Schema = Schema::Object(&[
    Property {
        name: "username",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "key",
        required: false,
        schema: &ACCESS_KEY_CREDENTIALS,
    },
    Property {
        name: "firstName",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "lastName",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "email",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "companyName",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "featureUpdates",
        required: false,
        schema: &Schema::Boolean,
    },
    Property {
        name: "securityUpdates",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static STAGING_LOCATION: Schema = Schema::Object(&[
    Property {
        name: "physical_address",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "presigned_url",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "presigned_url_expiry",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
]);

static STAGING_METADATA: Schema = Schema::Object(&[
    Property {
        name: "staging",
        required: true,
        schema: &STAGING_LOCATION,
    },
    Property {
        name: "checksum",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "size_bytes",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "user_metadata",
        required: false,
        schema: &Schema::Map(&Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        }),
    },
    Property {
        name: "content_type",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "mtime",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static STATEMENT: Schema = Schema::Object(&[
    Property {
        name: "effect",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &["allow", "deny"],
        },
    },
    Property {
        name: "resource",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "action",
        required: true,
        schema: &Schema::Array {
            items: &Schema::String {
                pattern: None,
                min_length: 0,
                date_time: false,
                variants: &[],
            },
            min_items: 1,
        },
    },
    Property {
        name: "condition",
        required: false,
        schema: &Schema::Map(&POLICY_CONDITION),
    },
]);

static STATS_EVENT: Schema = Schema::Object(&[
    Property {
        name: "class",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "name",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "count",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
]);

static STATS_EVENTS_LIST: Schema = Schema::Object(&[Property {
    name: "events",
    required: true,
    schema: &Schema::Array {
        items: &STATS_EVENT,
        min_items: 0,
    },
}]);

static STS_AUTH_REQUEST: Schema = Schema::Object(&[
    Property {
        name: "code",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "state",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "redirect_uri",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "ttl_seconds",
        required: false,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
]);

static TAG_CREATION: Schema = Schema::Object(&[
    Property {
        name: "id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "ref",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static UNDO_CREATION: Schema = Schema::Closed(&[
    Property {
        name: "entry",
        required: false,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "force",
        required: false,
        schema: &Schema::Boolean,
    },
]);

static UPDATE_OBJECT_USER_METADATA: Schema = Schema::Object(&[Property {
    name: "set",
    required: true,
    schema: &OBJECT_USER_METADATA,
}]);

static UPLOAD_PART: Schema = Schema::Object(&[
    Property {
        name: "part_number",
        required: true,
        schema: &Schema::Integer {
            minimum: None,
            maximum: None,
        },
    },
    Property {
        name: "etag",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
]);

static UPLOAD_PART_COPY_FROM: Schema = Schema::Object(&[
    Property {
        name: "physical_address",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "copy_source",
        required: true,
        schema: &COPY_PART_SOURCE,
    },
]);

static UPLOAD_PART_FROM: Schema = Schema::Object(&[Property {
    name: "physical_address",
    required: true,
    schema: &Schema::String {
        pattern: None,
        min_length: 0,
        date_time: false,
        variants: &[],
    },
}]);

static USER_CREATION: Schema = Schema::Object(&[
    Property {
        name: "id",
        required: true,
        schema: &Schema::String {
            pattern: None,
            min_length: 0,
            date_time: false,
            variants: &[],
        },
    },
    Property {
        name: "invite_user",
        required: false,
        schema: &Schema::Boolean,
    },
]);
