//! The version of the layout of all records, stored beside them as in lakeFS. It is the only record that this crate
//! interprets.

use bytes::Bytes;

use crate::{Error, Predicate, Result, Store};

const PARTITION: &[u8] = b"kv-internal-metadata";
const KEY: &[u8] = b"kv/schema/version";
/// The version that this program reads and writes.
const SUPPORTED: u32 = 4;

/// Checks that the records of a store have the layout of this program. Call it right after opening the store.
///
/// Records the version in a new store. Several servers may do so concurrently.
///
/// # Errors
/// [`Error::SchemaVersion`] if the layout has another version; any error of the store.
pub async fn check_schema_version(store: &dyn Store) -> Result<()> {
    let supported = Bytes::from(SUPPORTED.to_string());
    match store.get(PARTITION, KEY).await? {
        None => {
            let written = store.set_if(PARTITION, KEY, supported, Predicate::Absent);
            match written.await {
                // Another server was faster.
                Err(Error::PredicateFailed { .. }) => Ok(()),
                written => written,
            }
        }
        Some(found) if found.value == supported => Ok(()),
        Some(found) => Err(Error::SchemaVersion {
            found: String::from_utf8_lossy(&found.value).into_owned(),
            supported: SUPPORTED,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn new_store_gets_the_supported_version() {
        let store = MemoryStore::default();
        for _ in 0..2 {
            check_schema_version(&store).await.expect("a known layout");
            let stored = store.get(PARTITION, KEY).await.expect("a read");
            assert_eq!(stored.expect("a version").value, "4");
        }
    }

    #[tokio::test]
    async fn error_for_another_version_names_both_and_leaves_the_store_unchanged() {
        let store = MemoryStore::default();
        let other = Bytes::from_static(b"5");
        store.set(PARTITION, KEY, other).await.expect("a write");
        let error = check_schema_version(&store).await.expect_err("a refusal");
        let text = error.to_string();
        assert!(
            text.contains("version 5") && text.contains("version 4"),
            "{text}"
        );
        let stored = store.get(PARTITION, KEY).await.expect("a read");
        assert_eq!(stored.expect("a version").value, "5");
    }
}
