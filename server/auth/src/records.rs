//! Stored records of users and credentials, with lakeFS's field numbers and keys.
//!
//! The formats follow `docs/formats.md` (auth); fields are never added here, since
//! another server of the installation would drop them.

use base::OffsetDateTime;
use prost::Message;
use prost_types::Timestamp;

/// Where the single administrator lives.
pub(crate) const BASIC_PARTITION: &[u8] = b"basicAuth";
/// Installation facts, and the users of older installations.
pub(crate) const AUTH_PARTITION: &[u8] = b"auth";
/// The administrator's record, whatever the user name.
pub(crate) const SUPER_ADMIN_KEY: &[u8] = b"users/superAdmin";
pub(crate) const SETUP_TIMESTAMP_KEY: &[u8] = b"installation_metadata/setup_timestamp";
pub(crate) const SETUP_MODE_KEY: &[u8] = b"installation_metadata/setup_auth_none";
pub(crate) const COMM_PREFS_KEY: &[u8] = b"installation_metadata/comm_prefs_set";
pub(crate) const INSTALLATION_ID_KEY: &[u8] = b"installation_id";
/// What lakeFS does not know; it never reads this partition.
pub(crate) const WEIR_PARTITION: &[u8] = b"weir-auth";
/// How signing keys are derived; absent where the installation was set up without it.
pub(crate) const SIGNING_KEY: &[u8] = b"signing";

/// The key of one of the administrator's access keys.
pub(crate) fn credential_key(access_key_id: &str) -> Vec<u8> {
    format!("uCredentials/superAdmin/credentials/{access_key_id}").into_bytes()
}

/// The prefix of all of the administrator's access keys.
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
    /// Holds the user name, despite its name.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) user_id: Vec<u8>,
}

/// An instant as the records store it.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).expect("below a thousand million"),
    }
}

/// A stored instant; the epoch where none was stored or it can't be told.
pub(crate) fn instant(at: Option<&Timestamp>) -> OffsetDateTime {
    at.and_then(|t| OffsetDateTime::from_unix_timestamp(t.seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
