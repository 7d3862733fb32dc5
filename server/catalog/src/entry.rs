//! The encoding of objects in the tree: entry and identity.
//!
//! The bytes equal those that lakeFS writes with Go's protobuf library: fields in ascending
//! number, map keys sorted, and both key and value of each map entry written even when empty.
//! Equal entries therefore have equal bytes. All other code treats stored bytes as opaque and
//! never re-encodes them.

use std::collections::BTreeMap;

use base::OffsetDateTime;
use block::Location;
use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// The content type of objects that were stored without one.
pub const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// How to interpret an entry's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    /// In old entries: a full URI if it looks like one, otherwise relative.
    ByPrefix,
    /// Relative to the storage namespace.
    Relative,
    /// A complete URI.
    Full,
}

/// An object's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A key below the storage namespace, or a URI; see `address_type`.
    pub address: String,
    /// How to interpret `address`.
    pub address_type: AddressType,
    /// When the object was written, in UTC.
    pub last_modified: OffsetDateTime,
    /// The object's size, in bytes.
    pub size_bytes: i64,
    /// Without quotes: MD5 in hex, or the value that the store returned.
    pub etag: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Empty for imported objects; see [`Entry::content_type_or_default`].
    pub content_type: String,
}

impl Entry {
    /// Encodes the entry as the value that the tree stores.
    #[must_use]
    pub fn to_value(&self) -> graveler::Value {
        graveler::Value {
            identity: self.identity(),
            data: self.encode(),
        }
    }

    /// Decodes a stored value. Fields of later versions are ignored.
    ///
    /// # Errors
    /// [`graveler::Error::Corrupt`].
    pub fn from_value(value: &graveler::Value) -> graveler::Result<Self> {
        let stored = Stored::decode(&value.data[..]).map_err(corrupt)?;
        Ok(Self {
            address_type: match stored.address_type {
                0 => AddressType::ByPrefix,
                1 => AddressType::Relative,
                2 => AddressType::Full,
                other => return Err(corrupt(format!("address type {other} is not known"))),
            },
            last_modified: read_time(stored.last_modified)?,
            address: stored.address,
            size_bytes: stored.size,
            etag: stored.e_tag,
            metadata: stored.metadata,
            content_type: stored.content_type,
        })
    }

    /// The object's content type, never empty.
    #[must_use]
    pub fn content_type_or_default(&self) -> &str {
        if self.content_type.is_empty() {
            DEFAULT_CONTENT_TYPE
        } else {
            &self.content_type
        }
    }

    /// The location of the object's bytes. `namespace` is the storage namespace of its repository.
    #[must_use]
    pub fn location(&self, namespace: &str) -> Location {
        match self.address_type {
            AddressType::Full => Location::full(&self.address),
            AddressType::ByPrefix if self.address.contains("://") => Location::full(&self.address),
            AddressType::Relative | AddressType::ByPrefix => {
                Location::below(namespace, &self.address)
            }
        }
    }

    /// 32 bytes: a hash of size, etag, metadata and content type, but not of address, path and time.
    fn identity(&self) -> Bytes {
        let mut hash = Sha256::new();
        frame_int(&mut hash, self.size_bytes);
        frame_text(&mut hash, &self.etag);
        hash.update([4]);
        frame_int(&mut hash, length(self.metadata.len()));
        for (key, value) in &self.metadata {
            frame_text(&mut hash, key);
            frame_text(&mut hash, value);
        }
        if !self.content_type.is_empty() {
            frame_text(&mut hash, &self.content_type);
        }
        Bytes::copy_from_slice(&hash.finalize())
    }

    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(128);
        put_text(&mut out, 1, &self.address);
        let mut time = Vec::with_capacity(16);
        put_int(&mut time, 1, self.last_modified.unix_timestamp());
        put_int(&mut time, 2, i64::from(self.last_modified.nanosecond()));
        put_bytes(&mut out, 2, &time);
        put_int(&mut out, 3, self.size_bytes);
        put_text(&mut out, 4, &self.etag);
        for (key, value) in &self.metadata {
            let mut pair = Vec::with_capacity(key.len() + value.len() + 8);
            put_bytes(&mut pair, 1, key.as_bytes());
            put_bytes(&mut pair, 2, value.as_bytes());
            put_bytes(&mut out, 5, &pair);
        }
        let address_type = match self.address_type {
            AddressType::ByPrefix => 0,
            AddressType::Relative => 1,
            AddressType::Full => 2,
        };
        put_int(&mut out, 6, address_type);
        put_text(&mut out, 7, &self.content_type);
        out.into()
    }
}

/// The protobuf message, used for decoding only: prost's encoder would omit empty map values.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(message, optional, tag = "2")]
    last_modified: Option<prost_types::Timestamp>,
    #[prost(int64, tag = "3")]
    size: i64,
    #[prost(string, tag = "4")]
    e_tag: String,
    #[prost(btree_map = "string, string", tag = "5")]
    metadata: BTreeMap<String, String>,
    #[prost(int32, tag = "6")]
    address_type: i32,
    #[prost(string, tag = "7")]
    content_type: String,
}

/// Go's protobuf library reads a missing time as the epoch.
fn read_time(time: Option<prost_types::Timestamp>) -> graveler::Result<OffsetDateTime> {
    let time = time.unwrap_or_default();
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(corrupt("nanoseconds are out of range"));
    }
    base::from_timestamp(&time).map_err(corrupt)
}

fn corrupt(reason: impl std::fmt::Display) -> graveler::Error {
    graveler::Error::Corrupt {
        what: "entry".to_owned(),
        reason: reason.to_string(),
    }
}

// ---- identity frames: a type tag, a length, the content

fn frame_int(hash: &mut Sha256, value: i64) {
    hash.update([2, 8]);
    hash.update(value.to_be_bytes());
}

fn frame_text(hash: &mut Sha256, text: &str) {
    hash.update([1]);
    frame_int(hash, length(text.len()));
    hash.update(text);
}

fn length(len: usize) -> i64 {
    i64::try_from(len).expect("nothing in memory is longer than i64::MAX")
}

// ---- protobuf fields

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Omits zero. A negative number takes ten bytes, as the protobuf encoding requires.
fn put_int(out: &mut Vec<u8>, field: u8, value: i64) {
    if value != 0 {
        out.push(field << 3);
        put_varint(out, value.cast_unsigned());
    }
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Omits an empty text.
fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        Entry {
            address: "data/p/x".to_owned(),
            address_type: AddressType::Relative,
            last_modified: OffsetDateTime::from_unix_timestamp(300).expect("in range")
                + std::time::Duration::from_nanos(5),
            size_bytes: 8,
            etag: "344fd2323dd33d5c058b7cf27de029e8".to_owned(),
            metadata: [("owner", "Me"), ("b", "2")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            content_type: "text/csv".to_owned(),
        }
    }

    #[test]
    fn encoded_bytes_match_the_format() {
        let expected = [
            "0a08",
            "646174612f702f78", // 1 address "data/p/x"
            "1205",
            "08ac02",
            "1005", // 2 last_modified { 300 s, 5 ns }
            "1808", // 3 size
            "2220",
            "3334346664323332336464333364356330353862376366323764653032396538", // 4 e_tag
            "2a06",
            "0a0162",
            "120132", // 5 metadata b=2, keys ascending
            "2a0b",
            "0a056f776e6572",
            "12024d65", // 5 metadata owner=Me
            "3001",     // 6 relative
            "3a08",
            "746578742f637376", // 7 content_type
        ];
        assert_eq!(hex::encode(entry().to_value().data), expected.concat());
    }

    #[test]
    fn empty_map_values_are_encoded_and_empty_fields_are_omitted() {
        let bare = Entry {
            address: String::new(),
            address_type: AddressType::ByPrefix,
            last_modified: OffsetDateTime::UNIX_EPOCH,
            size_bytes: 0,
            etag: String::new(),
            metadata: [("k".to_owned(), String::new())].into(),
            content_type: String::new(),
        };
        assert_eq!(
            hex::encode(bare.to_value().data),
            "1200".to_owned() + "2a050a016b1200"
        );
    }

    #[test]
    fn zero_time_of_go_round_trips() {
        let zero = Entry {
            last_modified: OffsetDateTime::from_unix_timestamp(-62_135_596_800)
                .expect("the year 1"),
            ..entry()
        };
        let value = zero.to_value();
        assert!(
            hex::encode(&value.data).contains("120b088092b8c398feffffff01"),
            "{}",
            hex::encode(&value.data)
        );
        assert_eq!(Entry::from_value(&value).expect("reads"), zero);
    }

    #[test]
    fn identity_matches_the_format() {
        // Expected values computed from the frames with an independent implementation of SHA-256.
        assert_eq!(
            hex::encode(entry().to_value().identity),
            "cd05636b9f9154238a34a17c997f477009740b9a7bb91dfa150421e444a0afda"
        );
        let plain = Entry {
            size_bytes: 4,
            etag: "5bbf5a52328e7439ae6e719dfe712200".to_owned(),
            metadata: BTreeMap::new(),
            content_type: DEFAULT_CONTENT_TYPE.to_owned(),
            ..entry()
        };
        assert_eq!(
            hex::encode(plain.to_value().identity),
            "2c717e50a5494af077ba5811453f443067c20384e4b92fb697037fb1324cb93b"
        );
        let imported = Entry {
            size_bytes: 0,
            etag: String::new(),
            content_type: String::new(),
            ..plain
        };
        assert_eq!(
            hex::encode(imported.to_value().identity),
            "50ea63d5dfe7d03af61561b46517c13f6ad3cd9a6f42ed5b53df52435501f803"
        );
    }

    /// Entries that lakeFS staged in the installation in `tests/compat/museum`: identity and bytes.
    #[test]
    fn entries_of_lakefs_round_trip_byte_for_byte() {
        for (identity, data) in [
            (
                "48b5e6f37915b05a570a9bd0041f7e2c368ef091bc766e072a65899729b7c6b5",
                "0a2e646174612f667435716237396b736475647131706238696c302f6463316c7174686b736475647131706238766730120c08f6ba8dd806108afbb6820218032220323261663634356431383539636235636136646130633438346631663337656130013a186170706c69636174696f6e2f6f637465742d73747265616d",
            ),
            // With metadata: one written through the REST API, one through the S3 gateway.
            (
                "2f97a0609e90033d34018db268f8ac297696dac9949b933a620ef9c066bf61db",
                "0a2e646174612f667435716237396b736475647131706238696c302f6463316c7174686b736475647131706238766830120c08f6ba8dd8061084b28395021801222036663866353737313530393064613236333234353339383864396131353031622a0b0a056f776e657212026d6530013a186170706c69636174696f6e2f6f637465742d73747265616d",
            ),
            (
                "6d6d9ad405185a0d748a4abf6e8e43b4f0827462ca13dc22473555106d95b94b",
                "0a2e646174612f667435716237396b736475647131706238696c302f6463316c7176706b736475647131706238766e30120c08ffba8dd80610b69ef9e6021803222066393763356432393934316266623162326664616230383734393036616238322a130a0d582d416d7a2d4d6574612d62791202733330013a0a746578742f706c61696e",
            ),
        ] {
            let stored = graveler::Value {
                identity: hex::decode(identity).expect("hex").into(),
                data: hex::decode(data).expect("hex").into(),
            };
            let entry = Entry::from_value(&stored).expect("reads");
            assert_eq!(entry.to_value(), stored);
        }
    }

    #[test]
    fn identity_ignores_address_and_time() {
        let moved = Entry {
            address: "s3://elsewhere/x".to_owned(),
            address_type: AddressType::Full,
            last_modified: OffsetDateTime::UNIX_EPOCH,
            ..entry()
        };
        assert_eq!(moved.to_value().identity, entry().to_value().identity);
        let retyped = Entry {
            content_type: String::new(),
            ..entry()
        };
        assert_ne!(retyped.to_value().identity, entry().to_value().identity);
    }

    #[test]
    fn unknown_fields_are_skipped_and_invalid_bytes_are_corrupt_entries() {
        let mut value = entry().to_value();
        let mut longer = value.data.to_vec();
        longer.extend_from_slice(&hex::decode("7a0568656c6c6fa00607").expect("hex"));
        value.data = longer.into();
        assert_eq!(Entry::from_value(&value).expect("reads"), entry());

        for broken in [
            "0a",
            "3009",
            "1209088080808080808002",
            "120b10ffffffffffffffffff01",
        ] {
            value.data = hex::decode(broken).expect("hex").into();
            let error = Entry::from_value(&value).expect_err(broken);
            assert!(
                matches!(error, graveler::Error::Corrupt { ref what, .. } if what == "entry"),
                "{broken}: {error}"
            );
        }
    }

    #[test]
    fn addresses_resolve_by_their_type() {
        let at = |address: &str, address_type| {
            let entry = Entry {
                address: address.to_owned(),
                address_type,
                ..entry()
            };
            entry.location("mem://ns/").as_str().to_owned()
        };
        assert_eq!(at("data/p/x", AddressType::Relative), "mem://ns/data/p/x");
        assert_eq!(at("s3://b/x", AddressType::Full), "s3://b/x");
        assert_eq!(at("s3://b/x", AddressType::ByPrefix), "s3://b/x");
        assert_eq!(at("x/y", AddressType::ByPrefix), "mem://ns/x/y");
    }

    proptest! {
        #[test]
        fn encoded_entries_round_trip(
            address in ".{0,20}",
            kind in 0..3_u8,
            secs in -62_135_596_800_i64..253_402_300_799,
            nanos in 0..1_000_000_000_u32,
            size_bytes in any::<i64>(),
            etag in "[0-9a-f]{0,32}",
            metadata in proptest::collection::btree_map(".{0,5}", ".{0,5}", 0..4),
            content_type in ".{0,12}",
        ) {
            let entry = Entry {
                address,
                address_type: [AddressType::ByPrefix, AddressType::Relative, AddressType::Full][usize::from(kind)],
                last_modified: OffsetDateTime::from_unix_timestamp(secs).expect("in range").replace_nanosecond(nanos).expect("in range"),
                size_bytes,
                etag,
                metadata,
                content_type,
            };
            prop_assert_eq!(Entry::from_value(&entry.to_value()).expect("reads"), entry);
        }
    }
}
