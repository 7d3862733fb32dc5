//! Verifies request bodies while they stream.
//!
//! Bytes are counted and hashed as they pass. If the length, MD5 or checksum differs from the
//! headers or trailers, the stream ends with an error. Block stores discard such a body, so
//! checking at the end is early enough.

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

use crate::body_error::BodyError;
use crate::error::{Result, S3Error};

/// S3's checksums: name of the header or trailer, and name in error messages.
const CHECKSUMS: [(&str, &str); 5] = [
    ("x-amz-checksum-crc32", "CRC32"),
    ("x-amz-checksum-crc32c", "CRC32C"),
    ("x-amz-checksum-crc64nvme", "CRC64NVME"),
    ("x-amz-checksum-sha1", "SHA1"),
    ("x-amz-checksum-sha256", "SHA256"),
];

/// Wraps a request body in a stream that fails at its end if the body does not match the headers.
///
/// # Errors
/// [`S3Error::InvalidDigest`] if `Content-MD5` is not a digest, or a checksum header is not ASCII.
pub(crate) fn receive(
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    body: Option<StreamingBlob>,
) -> Result<ByteStream> {
    let announced = BodyCheck::read(headers, trailers)?;
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

/// Classifies an error of s3s's body stream. Its error types are private, so only the text
/// distinguishes them.
fn classify(error: &(dyn std::error::Error + 'static)) -> BodyError {
    let text = base::error_chain(error);
    if text.contains("Sha256Mismatch") {
        BodyError::PayloadHash
    } else if text.contains("SignatureMismatch") {
        BodyError::ChunkSignature
    } else if text.contains(&BodyError::ChunkTooLarge.to_string()) {
        BodyError::ChunkTooLarge
    } else if text.contains(&BodyError::OutOfMemory.to_string()) {
        BodyError::OutOfMemory
    } else {
        BodyError::Incomplete
    }
}

/// The length and digests that the headers announce, and those of the bytes received so far.
struct BodyCheck {
    length: Option<u64>,
    received: u64,
    md5: Option<(Md5, Vec<u8>)>,
    hasher: ChecksumHasher,
    /// Header name, display name and expected value. The value is `None` if a trailer carries it.
    checksums: Vec<(&'static str, &'static str, Option<String>)>,
    trailers: Option<TrailingHeaders>,
}

impl BodyCheck {
    fn read(headers: &HeaderMap, trailers: Option<TrailingHeaders>) -> Result<Self> {
        let text = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().map_err(|_| S3Error::InvalidDigest))
        };
        let length = headers
            .get("x-amz-decoded-content-length")
            .or_else(|| headers.get("content-length"));
        let md5 = match text("content-md5").transpose()? {
            Some(value) => Some((Md5::new(), digest(value, 16)?)),
            None => None,
        };
        let trailer_names = text("x-amz-trailer").transpose()?.unwrap_or_default();
        let mut announced = Self {
            length: length
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.parse().ok()),
            received: 0,
            md5,
            hasher: ChecksumHasher::default(),
            checksums: Vec::new(),
            trailers,
        };
        for (header, name) in CHECKSUMS {
            let value = text(header).transpose()?.map(str::to_owned);
            let is_trailer = trailer_names
                .split(',')
                .any(|trailer| trailer.trim().eq_ignore_ascii_case(header));
            if value.is_some() || is_trailer {
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
        self.received += bytes.len() as u64;
        if let Some((hasher, _)) = &mut self.md5 {
            hasher.update(bytes);
        }
        if !self.checksums.is_empty() {
            self.hasher.update(bytes);
        }
    }

    fn check(self) -> std::result::Result<(), BodyError> {
        // s3s's chunk decoder accepts a body whose final chunk is missing, so compare the length.
        if self.length.is_some_and(|length| length != self.received) {
            return Err(BodyError::Incomplete);
        }
        if let Some((hasher, expected)) = self.md5
            && hasher.finalize().as_slice() != expected
        {
            return Err(BodyError::Digest("Content-MD5"));
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
            let expected = value.or_else(trailing).ok_or(BodyError::Incomplete)?;
            let computed = match header {
                "x-amz-checksum-crc32" => &computed.checksum_crc32,
                "x-amz-checksum-crc32c" => &computed.checksum_crc32c,
                "x-amz-checksum-crc64nvme" => &computed.checksum_crc64nvme,
                "x-amz-checksum-sha1" => &computed.checksum_sha1,
                _ => &computed.checksum_sha256,
            };
            if computed.as_ref() != Some(&expected) {
                return Err(BodyError::Digest(name));
            }
        }
        Ok(())
    }
}

/// Decodes a base64 digest of `len` bytes.
fn digest(value: &str, len: usize) -> Result<Vec<u8>> {
    let bytes = STANDARD
        .decode(value.trim())
        .map_err(|_| S3Error::InvalidDigest)?;
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(S3Error::InvalidDigest)
    }
}
