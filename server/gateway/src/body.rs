//! Bodies on their way in: each byte is counted and hashed as it passes, and the end
//! is an error unless what was announced (length, MD5, checksum, trailer) is what came.
//!
//! The stores keep nothing of a body that ends in an error, so a check at the end
//! is in time.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use catalog::ByteStream;
use futures::StreamExt as _;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use s3s::TrailingHeaders;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use s3s::dto::StreamingBlob;

use crate::error::{Fault, Result};

/// The checksums of S3: header or trailer, and what the error calls it.
const CHECKSUMS: [(&str, &str); 5] = [
    ("x-amz-checksum-crc32", "CRC32"),
    ("x-amz-checksum-crc32c", "CRC32C"),
    ("x-amz-checksum-crc64nvme", "CRC64NVME"),
    ("x-amz-checksum-sha1", "SHA1"),
    ("x-amz-checksum-sha256", "SHA256"),
];

/// Why a body is not what was announced. Travels inside an [`io::Error`] through the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the body has another {0} than announced")]
    Digest(&'static str),
    #[error("the body has another SHA-256 than was signed")]
    PayloadHash,
    #[error("a chunk has another signature than announced")]
    ChunkSignature,
    #[error("the body is not of the announced form or length")]
    Incomplete,
    #[error("a signed chunk is larger than allowed")]
    ChunkTooLarge,
}

/// The answer to a body that failed.
pub(crate) fn fault(error: &io::Error) -> Fault {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<BodyFault>())
    {
        Some(BodyFault::Digest(what)) => Fault::BadDigest(what),
        Some(BodyFault::PayloadHash) => Fault::PayloadHashMismatch,
        Some(BodyFault::ChunkSignature) => Fault::ChunkSignatureMismatch,
        Some(BodyFault::ChunkTooLarge) => Fault::EntityTooLarge,
        // Else the connection broke: whoever reads this answer, it is not the client.
        Some(BodyFault::Incomplete) | None => Fault::IncompleteBody,
    }
}

/// A request's body, to be stored: fails at its end if it is not what the headers announce.
///
/// # Errors
/// [`Fault::InvalidDigest`] for announcements that can't be right.
pub(crate) fn receive(
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    body: Option<StreamingBlob>,
) -> Result<ByteStream> {
    let announced = Announced::read(headers, trailers)?;
    let body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    Ok(Box::pin(futures::stream::try_unfold(
        (body, announced),
        |(mut body, mut announced)| async move {
            match body.next().await {
                Some(Ok(bytes)) => {
                    announced.update(&bytes);
                    Ok(Some((bytes, (body, announced))))
                }
                Some(Err(error)) => Err(io::Error::other(classify(error.as_ref()))),
                None => announced.check().map(|()| None).map_err(io::Error::other),
            }
        },
    )))
}

/// The signature layer's stream errors are private types, told apart by their text only.
fn classify(error: &(dyn std::error::Error + 'static)) -> BodyFault {
    let text = base::chain(error);
    if text.contains("Sha256Mismatch") {
        BodyFault::PayloadHash
    } else if text.contains("SignatureMismatch") {
        BodyFault::ChunkSignature
    } else if text.contains(&BodyFault::ChunkTooLarge.to_string()) {
        BodyFault::ChunkTooLarge
    } else {
        BodyFault::Incomplete
    }
}

/// What the headers say of the body, and what has been seen of it.
struct Announced {
    length: Option<u64>,
    seen: u64,
    md5: Option<(Md5, Vec<u8>)>,
    hasher: ChecksumHasher,
    /// By header; without a value where the trailer is to give it.
    checksums: Vec<(&'static str, &'static str, Option<String>)>,
    trailers: Option<TrailingHeaders>,
}

impl Announced {
    fn read(headers: &HeaderMap, trailers: Option<TrailingHeaders>) -> Result<Self> {
        let text = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().map_err(|_| Fault::InvalidDigest))
        };
        let length = headers
            .get("x-amz-decoded-content-length")
            .or_else(|| headers.get("content-length"));
        let md5 = match text("content-md5").transpose()? {
            Some(value) => Some((Md5::new(), digest(value, 16)?)),
            None => None,
        };
        let promised = text("x-amz-trailer").transpose()?.unwrap_or_default();
        let mut announced = Self {
            length: length
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.parse().ok()),
            seen: 0,
            md5,
            hasher: ChecksumHasher::default(),
            checksums: Vec::new(),
            trailers,
        };
        for (header, name) in CHECKSUMS {
            let value = text(header).transpose()?.map(str::to_owned);
            let trails = promised
                .split(',')
                .any(|trailer| trailer.trim().eq_ignore_ascii_case(header));
            if value.is_some() || trails {
                announced.begin(header);
                announced.checksums.push((header, name, value));
            }
        }
        Ok(announced)
    }

    fn begin(&mut self, header: &str) {
        match header {
            "x-amz-checksum-crc32" => self.hasher.crc32 = Some(s3s::crypto::Crc32::new()),
            "x-amz-checksum-crc32c" => self.hasher.crc32c = Some(s3s::crypto::Crc32c::new()),
            "x-amz-checksum-crc64nvme" => {
                self.hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::new());
            }
            "x-amz-checksum-sha1" => self.hasher.sha1 = Some(s3s::crypto::Sha1::new()),
            _ => self.hasher.sha256 = Some(s3s::crypto::Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &Bytes) {
        self.seen += bytes.len() as u64;
        if let Some((hasher, _)) = &mut self.md5 {
            hasher.update(bytes);
        }
        if !self.checksums.is_empty() {
            self.hasher.update(bytes);
        }
    }

    fn check(self) -> std::result::Result<(), BodyFault> {
        // The decoder of chunks takes a body without its last chunk for a whole one.
        if self.length.is_some_and(|length| length != self.seen) {
            return Err(BodyFault::Incomplete);
        }
        if let Some((hasher, expected)) = self.md5
            && hasher.finalize().as_slice() != expected
        {
            return Err(BodyFault::Digest("Content-MD5"));
        }
        let trailers = self
            .trailers
            .and_then(|trailers| trailers.take())
            .unwrap_or_default();
        let computed = self.hasher.finalize();
        for (header, name, value) in self.checksums {
            let trailing = || {
                trailers
                    .get(header)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned)
            };
            let expected = value.or_else(trailing).ok_or(BodyFault::Incomplete)?;
            let computed = match header {
                "x-amz-checksum-crc32" => &computed.checksum_crc32,
                "x-amz-checksum-crc32c" => &computed.checksum_crc32c,
                "x-amz-checksum-crc64nvme" => &computed.checksum_crc64nvme,
                "x-amz-checksum-sha1" => &computed.checksum_sha1,
                _ => &computed.checksum_sha256,
            };
            if computed.as_ref() != Some(&expected) {
                return Err(BodyFault::Digest(name));
            }
        }
        Ok(())
    }
}

fn digest(value: &str, len: usize) -> Result<Vec<u8>> {
    let bytes = STANDARD
        .decode(value.trim())
        .map_err(|_| Fault::InvalidDigest)?;
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(Fault::InvalidDigest)
    }
}
