//! Query parameters of handlers: one generated struct per operation.
//!
//! The guard validates the parameters against the contract before the handler runs. An absent text is empty. A boolean
//! or number is none if it is absent or its value is empty.

mod generated;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::Error;
use crate::schema::boolean;

pub(crate) use generated::*;

/// The maximum number of results per page.
pub(crate) const MAX_PER_PAGE: usize = 1000;
/// The default number of results per page.
const DEFAULT_PER_PAGE: usize = 100;

/// The query parameters of an operation.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// A struct of query parameters. Only generated code implements this trait.
pub(crate) trait FromParams {
    fn from_params(params: &Params) -> Self;
}

impl<S: Sync, T: FromParams> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let params = parts.extensions.get::<Params>();
        Ok(Self(match params {
            Some(params) => T::from_params(params),
            None => T::from_params(&Params::default()),
        }))
    }
}

/// A text parameter; none if it is absent or empty.
pub(crate) fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The validated query parameters, decoded, in the order of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(pub(crate) Arc<[(String, String)]>);

impl Params {
    /// The value of a parameter; none if it is absent or empty.
    fn non_empty(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> String {
        self.non_empty(name).unwrap_or_default().to_owned()
    }

    /// All values of a repeated parameter.
    fn list(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(given, _)| given == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.non_empty(name).and_then(boolean)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.non_empty(name).and_then(|number| number.parse().ok())
    }

    /// The number of results per page. 0 and -1 mean the maximum.
    fn page_size(&self, name: &str) -> usize {
        match self.number(name) {
            None => DEFAULT_PER_PAGE,
            Some(amount) => match usize::try_from(amount) {
                Ok(amount @ 1..=MAX_PER_PAGE) => amount,
                _ => MAX_PER_PAGE,
            },
        }
    }
}

/// Reads the parameters of two operations that together have every kind, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn try_params(params: &Params) {
    LogCommitsQuery::from_params(params);
    ListObjectsQuery::from_params(params);
}

#[cfg(test)]
mod tests {
    use super::{CreateRepositoryQuery, FromParams, ListObjectsQuery, LogCommitsQuery, Params};

    fn read<T: FromParams>(query: &str) -> T {
        T::from_params(&Params(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }

    #[test]
    fn amount_has_a_default_and_a_maximum() {
        for (query, expected) in [
            ("", 100),
            ("amount=", 100),
            ("amount=7", 7),
            ("amount=0", 1000),
            ("amount=-1", 1000),
        ] {
            assert_eq!(read::<LogCommitsQuery>(query).amount, expected, "{query}");
        }
    }

    #[test]
    fn boolean_and_list_parameters_are_parsed() {
        let log: LogCommitsQuery = read("limit=true&objects=a%2Fb&objects=c&after=");
        assert_eq!((log.limit, log.first_parent), (Some(true), None));
        assert_eq!(log.objects, ["a/b", "c"]);
        assert_eq!((log.after.as_str(), log.prefixes.len()), ("", 0));
        let python_style: ListObjectsQuery = read("user_metadata=False&presign=True");
        assert_eq!(python_style.user_metadata, Some(false));
        assert_eq!(python_style.presign, Some(true));
        assert_eq!(read::<CreateRepositoryQuery>("bare=").bare, None);
    }
}
