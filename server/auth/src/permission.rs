//! Actions on resources, in the words of policies.

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// `fs:ReadObject`.
    pub action: &'static str,
    /// An ARN; see [`arn`].
    pub resource: String,
}

impl Permission {
    /// `action` on `resource`.
    #[must_use]
    pub fn new(action: &'static str, resource: String) -> Self {
        Self { action, resource }
    }
}

/// Where a principal may do one action, asked for once and held against many resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// On every resource.
    Everything,
}

impl Scope {
    /// Whether the action is allowed on a resource.
    #[must_use]
    pub fn covers(&self, _resource: &str) -> bool {
        match self {
            Self::Everything => true,
        }
    }
}

/// Names of resources.
pub mod arn {
    /// Everything.
    #[must_use]
    pub fn all() -> String {
        "*".to_owned()
    }
    /// A repository.
    #[must_use]
    pub fn repository(repository: &str) -> String {
        format!("arn:lakefs:fs:::repository/{repository}")
    }
    /// An object, whatever its branch.
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
