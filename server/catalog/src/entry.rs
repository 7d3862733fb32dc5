//! Objects as they are stored in the tree: the entry codec and its identity.

use std::collections::BTreeMap;

use base::OffsetDateTime;

/// How an entry's address is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    ByPrefix,
    /// Below the storage namespace.
    Relative,
    /// A complete URI.
    Full,
}

/// An object's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub address: String,
    pub address_type: AddressType,
    pub last_modified: OffsetDateTime,
    pub size_bytes: i64,
    /// Unquoted: hex MD5, or what the store returned.
    pub etag: String,
    pub metadata: BTreeMap<String, String>,
    /// Empty for imported objects.
    pub content_type: String,
}

impl Entry {
    /// The value as the tree stores it.
    #[must_use]
    pub fn to_value(&self) -> graveler::Value {
        todo!()
    }
    /// Reads a stored value.
    ///
    /// # Errors
    /// [`graveler::Error::Corrupt`].
    pub fn from_value(_value: &graveler::Value) -> graveler::Result<Self> {
        todo!()
    }
}
