//! Converts user metadata between `x-amz-meta-*` headers and the form in which entries store it.
//!
//! As in lakeFS, stored names have the prefix `X-Amz-Meta-`, followed by the name in lower case.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use s3s::dto::Metadata;

use crate::error::{Result, S3Error};

const STORED_PREFIX: &str = "X-Amz-Meta-";
/// S3's limit on the total length of names and values.
const MAX_METADATA_BYTES: usize = 2048;

/// Converts a request's metadata to the form in which entries store it.
///
/// # Errors
/// [`S3Error::MetadataTooLarge`].
pub(crate) fn to_stored(metadata: Option<Metadata>) -> Result<BTreeMap<String, String>> {
    let metadata = metadata.unwrap_or_default();
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(S3Error::MetadataTooLarge);
    }
    let stored = |(name, value): (String, String)| {
        (
            format!("{STORED_PREFIX}{}", name.to_ascii_lowercase()),
            value,
        )
    };
    Ok(metadata.into_iter().map(stored).collect())
}

/// Converts stored metadata to response headers, or to `None` if there are none. Also returns the number of entries
/// that are left out because they are not valid headers or exceed S3's limit. The REST API accepts such entries.
pub(crate) fn from_stored(stored: &BTreeMap<String, String>) -> (Option<Metadata>, Option<i32>) {
    let (mut shown, mut missing, mut bytes) = (Metadata::new(), 0, 0);
    for (name, value) in stored {
        let Some((prefix, name)) = name.split_at_checked(STORED_PREFIX.len()) else {
            continue;
        };
        if !prefix.eq_ignore_ascii_case(STORED_PREFIX) {
            continue;
        }
        let is_valid =
            HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
        let room = MAX_METADATA_BYTES - bytes;
        if is_valid && name.len() + value.len() <= room {
            bytes += name.len() + value.len();
            shown.insert(name.to_ascii_lowercase(), value.clone());
        } else {
            missing += 1;
        }
    }
    let metadata = (!shown.is_empty()).then_some(shown);
    (metadata, (missing > 0).then_some(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_have_the_prefix_of_lakefs() {
        let sent: Metadata = [("Owner".to_owned(), "Me".to_owned())].into();
        let stored = to_stored(Some(sent)).unwrap();
        assert_eq!(
            stored,
            [("X-Amz-Meta-owner".to_owned(), "Me".to_owned())].into()
        );
        assert_eq!(
            from_stored(&stored),
            (Some([("owner".to_owned(), "Me".to_owned())].into()), None)
        );
    }

    #[test]
    fn metadata_without_the_prefix_is_not_sent() {
        assert_eq!(
            from_stored(&[("key".to_owned(), "v".to_owned())].into()),
            (None, None)
        );
    }

    /// Guards against a bug: metadata that was set through the REST API could be 64 KiB long, and clients failed on
    /// such headers.
    #[test]
    fn metadata_that_headers_cannot_have_is_counted_as_missing() {
        let stored = [
            ("X-Amz-Meta-a", "v".repeat(1500)),
            ("X-Amz-Meta-b", "v".repeat(1500)),
            ("X-Amz-Meta-c", "two\nlines".to_owned()),
            ("X-Amz-Meta-no name", "v".to_owned()),
            ("X-Amz-Meta-z", "v".repeat(500)),
        ];
        let stored = stored.map(|(name, value)| (name.to_owned(), value)).into();
        let (shown, missing) = from_stored(&stored);
        let mut names: Vec<_> = shown.unwrap().into_keys().collect();
        names.sort();
        assert_eq!((names.join(" ").as_str(), missing), ("a z", Some(3)));
    }

    #[test]
    fn metadata_above_two_kibibytes_is_rejected() {
        let of = |len| Some(Metadata::from([("k".to_owned(), "v".repeat(len))]));
        assert!(to_stored(of(2047)).is_ok());
        assert!(matches!(
            to_stored(of(2048)),
            Err(S3Error::MetadataTooLarge)
        ));
    }
}
