//! Stored records of users and credentials, with lakeFS's keys and field numbers.
//!
//! `docs/reference/formats.md` (auth) describes the formats. Never add fields: a lakeFS server that
//! rewrites a record would drop them.

use prost::Message;
use prost_types::Timestamp;

/// Partition of the single administrator.
pub(crate) const BASIC_PARTITION: &[u8] = b"basicAuth";
/// Partition of the installation's metadata, and of the users of older installations.
pub(crate) const AUTH_PARTITION: &[u8] = b"auth";
/// Key of the administrator's record. It does not contain the user name.
pub(crate) const SUPER_ADMIN_KEY: &[u8] = b"users/superAdmin";
pub(crate) const SETUP_TIMESTAMP_KEY: &[u8] = b"installation_metadata/setup_timestamp";
pub(crate) const SETUP_MODE_KEY: &[u8] = b"installation_metadata/setup_auth_none";
pub(crate) const COMM_PREFS_KEY: &[u8] = b"installation_metadata/comm_prefs_set";
pub(crate) const INSTALLATION_ID_KEY: &[u8] = b"installation_id";
/// Partition of records that lakeFS does not have. lakeFS never reads it.
pub(crate) const WEIR_PARTITION: &[u8] = b"weir-auth";
/// Key of the marker that says how signing keys are derived. Installations set up by lakeFS have no marker.
pub(crate) const SIGNING_KEY: &[u8] = b"signing";

/// Returns the key of the record of an access key.
pub(crate) fn credential_key(access_key_id: &str) -> Vec<u8> {
    format!("uCredentials/superAdmin/credentials/{access_key_id}").into_bytes()
}

/// Prefix of the records of all access keys.
pub(crate) const CREDENTIALS_PREFIX: &str = "uCredentials/superAdmin/credentials/";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserData {
    #[prost(message, optional, tag = "1")]
    pub(crate) created_at: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub(crate) username: String,
    #[prost(string, tag = "3")]
    pub(crate) friendly_name: String,
    #[prost(string, tag = "4")]
    pub(crate) email: String,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) encrypted_password: Vec<u8>,
    #[prost(string, tag = "6")]
    pub(crate) source: String,
    #[prost(string, tag = "7")]
    pub(crate) external_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CredentialData {
    #[prost(string, tag = "1")]
    pub(crate) access_key_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) secret_access_key_encrypted: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    pub(crate) issued_date: Option<Timestamp>,
    /// Contains the user name, despite the name of the field.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) user_id: Vec<u8>,
}
