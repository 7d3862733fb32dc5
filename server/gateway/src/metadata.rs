//! User metadata: `x-amz-meta-*` headers and how entries keep them.
//!
//! Entries keep the key with lakeFS's prefix `X-Amz-Meta-` and the name in lower case.

use std::collections::BTreeMap;

use s3s::dto::Metadata;

use crate::error::{Fault, Result};

const STORED_PREFIX: &str = "X-Amz-Meta-";
/// The bound of S3: names and values together, in bytes.
const MAX_METADATA_BYTES: usize = 2048;

/// What an entry keeps of a request's metadata.
///
/// # Errors
/// [`Fault::MetadataTooLarge`].
pub(crate) fn store(metadata: Option<Metadata>) -> Result<BTreeMap<String, String>> {
    let metadata = metadata.unwrap_or_default();
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_METADATA_BYTES {
        return Err(Fault::MetadataTooLarge);
    }
    let stored = |(name, value): (String, String)| {
        (
            format!("{STORED_PREFIX}{}", name.to_ascii_lowercase()),
            value,
        )
    };
    Ok(metadata.into_iter().map(stored).collect())
}

/// The metadata of an entry that S3 clients are shown, none if there is none.
pub(crate) fn show(stored: &BTreeMap<String, String>) -> Option<Metadata> {
    let shown: Metadata = stored
        .iter()
        .filter_map(|(name, value)| {
            let (prefix, name) = name.split_at_checked(STORED_PREFIX.len())?;
            // A name that is no header can't be shown as one.
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
    fn names_are_kept_with_the_prefix_of_lakefs() {
        let sent: Metadata = [("Owner".to_owned(), "Me".to_owned())].into();
        let stored = store(Some(sent)).unwrap();
        assert_eq!(
            stored,
            [("X-Amz-Meta-owner".to_owned(), "Me".to_owned())].into()
        );
        assert_eq!(
            show(&stored),
            Some([("owner".to_owned(), "Me".to_owned())].into())
        );
    }

    #[test]
    fn what_the_api_stored_without_the_prefix_is_not_shown() {
        assert_eq!(show(&[("key".to_owned(), "v".to_owned())].into()), None);
    }

    #[test]
    fn two_kibibytes_are_the_most() {
        let of = |len| Some(Metadata::from([("k".to_owned(), "v".repeat(len))]));
        assert!(store(of(2047)).is_ok());
        assert!(matches!(store(of(2048)), Err(Fault::MetadataTooLarge)));
    }
}
