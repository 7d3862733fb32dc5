//! Converts user metadata between `x-amz-meta-*` headers and the form in which entries store it.
//!
//! As in lakeFS, stored names have the prefix `X-Amz-Meta-`, followed by the name in lower case.

use std::collections::BTreeMap;

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

/// Converts stored metadata to response headers. Returns `None` if there are none.
pub(crate) fn from_stored(stored: &BTreeMap<String, String>) -> Option<Metadata> {
    let shown: Metadata = stored
        .iter()
        .filter_map(|(name, value)| {
            let (prefix, name) = name.split_at_checked(STORED_PREFIX.len())?;
            // Skip names that are not valid header names, which the REST API accepts.
            let fits = prefix.eq_ignore_ascii_case(STORED_PREFIX)
                && http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            fits.then(|| (name.to_ascii_lowercase(), value.clone()))
        })
        .collect();
    (!shown.is_empty()).then_some(shown)
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
            Some([("owner".to_owned(), "Me".to_owned())].into())
        );
    }

    #[test]
    fn metadata_without_the_prefix_is_not_sent() {
        assert_eq!(
            from_stored(&[("key".to_owned(), "v".to_owned())].into()),
            None
        );
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
