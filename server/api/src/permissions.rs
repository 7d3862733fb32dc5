//! Permissions of routes: how the table in `router.rs` declares them, and how the guard checks them.
//!
//! The guard checks all permissions that the request alone determines, before the handler runs. If a resource is
//! known only from stored records, the handler checks the permission; the table then names the action as
//! [`Resource::InHandler`].

use async_trait::async_trait;
use auth::{Auth, Permission, Principal, arn};
use serde_json::Value;

use crate::ApiState;

/// Decides whether callers have permissions. Tests wrap it to record what the API checks.
#[async_trait]
pub trait Authorizer: std::fmt::Debug + Send + Sync {
    /// Checks that `principal` has all of the permissions.
    ///
    /// # Errors
    /// [`auth::Error::Forbidden`] if a permission is missing; otherwise errors of the record store.
    async fn authorize(
        &self,
        principal: &Principal,
        permissions: &[Permission],
    ) -> auth::Result<()>;
}

#[async_trait]
impl Authorizer for Auth {
    async fn authorize(
        &self,
        principal: &Principal,
        permissions: &[Permission],
    ) -> auth::Result<()> {
        Self::authorize(self, principal, permissions).await
    }
}

/// Who may call an operation.
#[derive(Debug)]
pub(crate) enum Access {
    /// Everyone, without credentials.
    Public,
    /// Every authenticated caller.
    Authenticated,
    /// Callers with all of the permissions: actions, and the resources on which they are performed.
    Requires(&'static [(&'static str, Resource)]),
}

/// The resource of a permission.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resource {
    /// All resources.
    All,
    Repository(Field),
    /// A branch of the repository in the path.
    Branch(Field),
    /// A tag of the repository in the path.
    Tag(Field),
    /// An object of the repository in the path.
    Object(Field),
    User(Field),
    /// A storage namespace, in its canonical spelling.
    Namespace(Field),
    /// A resource that only the handler knows. The handler checks the permission itself.
    InHandler,
}

/// The field of a request that names a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Path(&'static str),
    Query(&'static str),
    /// A member of the JSON body.
    Body(&'static str),
}

pub(crate) const REPOSITORY: Resource = Resource::Repository(Field::Path("repository"));
pub(crate) const BRANCH: Resource = Resource::Branch(Field::Path("branch"));
pub(crate) const DESTINATION: Resource = Resource::Branch(Field::Path("destinationBranch"));
pub(crate) const TAG: Resource = Resource::Tag(Field::Path("tag"));
pub(crate) const OBJECT: Resource = Resource::Object(Field::Query("path"));
pub(crate) const USER: Resource = Resource::User(Field::Path("userId"));

impl Access {
    /// The permissions that the guard must check.
    pub(crate) fn permissions(&self, api: &ApiState, request: Fields<'_>) -> Vec<Permission> {
        let Self::Requires(permissions) = self else {
            return Vec::new();
        };
        permissions
            .iter()
            .filter_map(|(action, resource)| {
                Some(Permission::new(action, resource.arn(api, request)?))
            })
            .collect()
    }
}

impl Resource {
    /// The ARN of the resource in a request; none if only the handler knows it.
    fn arn(self, api: &ApiState, request: Fields<'_>) -> Option<String> {
        let repository = || request.text(Field::Path("repository"));
        Some(match self {
            Self::All => arn::all(),
            Self::Repository(field) => arn::repository(request.text(field)),
            Self::Branch(field) => arn::branch(repository(), request.text(field)),
            Self::Tag(field) => arn::tag(repository(), request.text(field)),
            Self::Object(field) => arn::object(repository(), request.text(field)),
            Self::User(field) => arn::user(request.text(field)),
            Self::Namespace(field) => {
                let given = request.text(field);
                let canonical = api.catalog.namespace(given);
                arn::namespace(canonical.as_deref().unwrap_or(given))
            }
            Self::InHandler => return None,
        })
    }
}

/// The decoded fields of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) path: &'a [(String, String)],
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: Option<&'a Value>,
}

impl<'a> Fields<'a> {
    /// The text of a field; empty if it is absent.
    fn text(self, field: Field) -> &'a str {
        let find = |pairs: &'a [(String, String)], name: &str| {
            let found = pairs.iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.as_str())
        };
        let text = match field {
            Field::Path(name) => find(self.path, name),
            Field::Query(name) => find(self.query, name),
            Field::Body(name) => self.body.and_then(|body| body.get(name)?.as_str()),
        };
        text.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Field, Fields};

    #[test]
    fn fields_are_read_from_path_query_and_body() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (path, query) = (
            [pair("tag", "v1")],
            [pair("path", "a b"), pair("path", "c")],
        );
        let body = json!({"name": "dev", "count": 1});
        let request = Fields {
            path: &path,
            query: &query,
            body: Some(&body),
        };
        assert_eq!(request.text(Field::Path("tag")), "v1");
        assert_eq!(request.text(Field::Query("path")), "a b");
        assert_eq!(request.text(Field::Body("name")), "dev");
        for absent in [
            Field::Path("path"),
            Field::Query("tag"),
            Field::Body("count"),
        ] {
            assert_eq!(request.text(absent), "", "{absent:?}");
        }
    }
}
