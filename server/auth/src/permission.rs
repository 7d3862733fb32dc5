//! Actions and resources, named as in lakeFS's policies.

/// Permission to perform one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The action, such as `fs:ReadObject`.
    pub action: &'static str,
    /// The resource's ARN; see [`arn`].
    pub resource: String,
}

impl Permission {
    /// Creates the permission to perform `action` on `resource`.
    #[must_use]
    pub fn new(action: &'static str, resource: String) -> Self {
        Self { action, resource }
    }
}

/// The resources on which a principal may perform an action. Listings compute it once and check many resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All resources.
    Everything,
}

impl Scope {
    /// Returns whether the action is allowed on a resource.
    #[must_use]
    pub fn covers(&self, _resource: &str) -> bool {
        match self {
            Self::Everything => true,
        }
    }
}

/// Functions that return the ARNs (resource names in the style of AWS) of resources.
pub mod arn {
    /// All resources.
    #[must_use]
    pub fn all() -> String {
        "*".to_owned()
    }
    /// A repository.
    #[must_use]
    pub fn repository(repository: &str) -> String {
        format!("arn:lakefs:fs:::repository/{repository}")
    }
    /// An object on any branch.
    #[must_use]
    pub fn object(repository: &str, path: &str) -> String {
        format!("arn:lakefs:fs:::repository/{repository}/object/{path}")
    }
    /// A branch.
    #[must_use]
    pub fn branch(repository: &str, branch: &str) -> String {
        format!("arn:lakefs:fs:::repository/{repository}/branch/{branch}")
    }
    /// A tag.
    #[must_use]
    pub fn tag(repository: &str, tag: &str) -> String {
        format!("arn:lakefs:fs:::repository/{repository}/tag/{tag}")
    }
    /// A storage namespace.
    #[must_use]
    pub fn namespace(namespace: &str) -> String {
        format!("arn:lakefs:fs:::namespace/{namespace}")
    }
    /// A user.
    #[must_use]
    pub fn user(user: &str) -> String {
        format!("arn:lakefs:auth:::user/{user}")
    }
}
