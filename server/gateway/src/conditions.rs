//! Conditional requests (RFC 9110, section 13), as S3 evaluates them.

use base::OffsetDateTime;
use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{
    CopyObjectInput, ETag, ETagCondition, GetObjectInput, HeadObjectInput, Timestamp,
    UploadPartCopyInput,
};

use crate::error::{Result, S3Error};

/// The conditions of a read.
#[derive(Debug, Default)]
pub(crate) struct Conditions<'a> {
    pub(crate) if_match: Option<&'a ETagCondition>,
    pub(crate) if_none_match: Option<&'a ETagCondition>,
    pub(crate) if_modified_since: Option<&'a Timestamp>,
    pub(crate) if_unmodified_since: Option<&'a Timestamp>,
}

/// Reads the conditions from the fields of a request: `If-Match`, `If-None-Match`, `If-Modified-Since` and
/// `If-Unmodified-Since`, in this order.
macro_rules! conditions_of {
    ($($input:ident: $if_match:ident $if_none_match:ident $if_modified:ident $if_unmodified:ident;)*) => {
        $(impl<'a> From<&'a $input> for Conditions<'a> {
            fn from(input: &'a $input) -> Self {
                Self {
                    if_match: input.$if_match.as_ref(),
                    if_none_match: input.$if_none_match.as_ref(),
                    if_modified_since: input.$if_modified.as_ref(),
                    if_unmodified_since: input.$if_unmodified.as_ref(),
                }
            }
        })*
    };
}

conditions_of! {
    GetObjectInput: if_match if_none_match if_modified_since if_unmodified_since;
    HeadObjectInput: if_match if_none_match if_modified_since if_unmodified_since;
    CopyObjectInput: copy_source_if_match copy_source_if_none_match copy_source_if_modified_since copy_source_if_unmodified_since;
    UploadPartCopyInput: copy_source_if_match copy_source_if_none_match copy_source_if_modified_since copy_source_if_unmodified_since;
}

impl Conditions<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }

    /// Checks the conditions against an object. A tag condition overrides the date condition it
    /// is paired with.
    ///
    /// # Errors
    /// [`S3Error::PreconditionFailed`], [`S3Error::NotModified`].
    pub(crate) fn check(&self, etag: &str, modified: OffsetDateTime) -> Result<()> {
        // HTTP dates have a resolution of one second.
        let modified = modified.unix_timestamp();
        let seconds = |date: &Timestamp| OffsetDateTime::from(date.clone()).unix_timestamp();
        let holds = match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => matches_tag(condition, etag),
            (None, Some(date)) => modified <= seconds(date),
            (None, None) => true,
        };
        if !holds {
            return Err(S3Error::PreconditionFailed);
        }
        let is_current = match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => matches_tag(condition, etag),
            (None, Some(date)) => modified <= seconds(date),
            (None, None) => false,
        };
        if is_current {
            Err(S3Error::NotModified(Box::new(validators(etag, modified))))
        } else {
            Ok(())
        }
    }

    /// Checks the conditions on the source of a copy. S3 answers 412 there instead of 304.
    ///
    /// # Errors
    /// [`S3Error::PreconditionFailed`].
    pub(crate) fn check_source(&self, etag: &str, modified: OffsetDateTime) -> Result<()> {
        self.check(etag, modified)
            .map_err(|_| S3Error::PreconditionFailed)
    }
}

/// Returns whether `etag` meets a condition.
pub(crate) fn matches_tag(condition: &ETagCondition, etag: &str) -> bool {
    condition.is_any()
        || condition
            .as_etag()
            .is_some_and(|given| given.value() == etag)
}

/// Returns the headers `ETag` and `Last-Modified`. `modified` is in seconds since 1970.
fn validators(etag: &str, modified: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = ETag::Strong(etag.to_owned()).to_http_header() {
        headers.insert(header::ETAG, tag);
    }
    let mut date = Vec::new();
    let at = OffsetDateTime::from_unix_timestamp(modified).map(Timestamp::from);
    if let Ok(at) = at
        && at
            .format(s3s::dto::TimestampFormat::HttpDate, &mut date)
            .is_ok()
        && let Ok(date) = HeaderValue::from_bytes(&date)
    {
        headers.insert(header::LAST_MODIFIED, date);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_conditions_override_date_conditions() {
        let at = OffsetDateTime::from_unix_timestamp(1000).unwrap();
        let before = Timestamp::from(OffsetDateTime::from_unix_timestamp(999).unwrap());
        let same = Timestamp::from(at);
        let tag = ETagCondition::ETag(ETag::Strong("a".to_owned()));
        let other = ETagCondition::ETag(ETag::Strong("b".to_owned()));
        let status = |conditions: Conditions<'_>| match conditions.check("a", at) {
            Ok(()) => 200,
            Err(S3Error::PreconditionFailed) => 412,
            Err(S3Error::NotModified(_)) => 304,
            Err(_) => 500,
        };
        let none = Conditions::default;
        let if_match = |condition| Conditions {
            if_match: Some(condition),
            ..none()
        };
        let if_none_match = |condition| Conditions {
            if_none_match: Some(condition),
            ..none()
        };
        let if_modified_since = |date| Conditions {
            if_modified_since: Some(date),
            ..none()
        };
        let if_unmodified_since = |date| Conditions {
            if_unmodified_since: Some(date),
            ..none()
        };
        let match_but_modified = Conditions {
            if_match: Some(&tag),
            if_unmodified_since: Some(&before),
            ..none()
        };
        let other_tag_but_unmodified = Conditions {
            if_none_match: Some(&other),
            if_modified_since: Some(&same),
            ..none()
        };
        for (conditions, expected) in [
            (none(), 200),
            (if_match(&tag), 200),
            (if_match(&other), 412),
            (if_match(&ETagCondition::Any), 200),
            (if_none_match(&tag), 304),
            (if_none_match(&other), 200),
            (if_modified_since(&same), 304),
            (if_modified_since(&before), 200),
            (if_unmodified_since(&same), 200),
            (if_unmodified_since(&before), 412),
            (match_but_modified, 200),
            (other_tag_but_unmodified, 200),
        ] {
            let shown = format!("{conditions:?}");
            assert_eq!(status(conditions), expected, "{shown}");
        }
    }
}
