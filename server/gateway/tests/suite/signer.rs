//! Signs requests with AWS Signature Version 4, in headers and in query parameters.

use base::OffsetDateTime;
use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::macros::format_description;

pub(crate) const HOST: &str = "127.0.0.1:8000";
const PATH: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');
const QUERY: AsciiSet = PATH.add(b'/');

/// An access key and the time at which it signs.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) at: OffsetDateTime,
}

/// The parts of a request that its signature covers.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// Encoded.
    pub(crate) path: &'a str,
    /// Names and values, decoded.
    pub(crate) query: &'a [(String, String)],
    /// In lower case.
    pub(crate) headers: &'a [(String, String)],
    pub(crate) payload: &'a str,
}

impl Signer {
    pub(crate) fn amz_date(&self) -> String {
        self.at
            .format(format_description!(
                "[year][month][day]T[hour][minute][second]Z"
            ))
            .unwrap()
    }

    fn scope(&self) -> String {
        format!("{}/eu-north-7/s3/aws4_request", &self.amz_date()[..8])
    }

    pub(crate) fn hmac(&self, text: &str) -> String {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in self.scope().split('/') {
            key = mac(&key, part);
        }
        hex::encode(mac(&key, text))
    }

    fn signature(&self, what: &Signed<'_>) -> String {
        let mut headers = what.headers.to_vec();
        headers.sort();
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        let request = [
            what.method,
            what.path,
            &encode_query(what.query),
            &lines,
            &signed_headers(what.headers),
            what.payload,
        ]
        .join("\n");
        let hash = hex::encode(Sha256::digest(request));
        self.hmac(&format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{hash}",
            self.amz_date(),
            self.scope()
        ))
    }

    /// Returns the Authorization header and the signature that seeds the chunk signatures.
    pub(crate) fn authorization(&self, what: &Signed<'_>) -> (String, String) {
        let signature = self.signature(what);
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.access_key,
            self.scope(),
            signed_headers(what.headers),
        );
        (header, signature)
    }

    /// Returns the query of a presigned URL.
    pub(crate) fn presign(
        &self,
        method: &str,
        path: &str,
        mut query: Vec<(String, String)>,
        expires: &str,
    ) -> String {
        let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
        add("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned());
        add(
            "X-Amz-Credential",
            format!("{}/{}", self.access_key, self.scope()),
        );
        add("X-Amz-Date", self.amz_date());
        add("X-Amz-Expires", expires.to_owned());
        add("X-Amz-SignedHeaders", "host".to_owned());
        let headers = [("host".to_owned(), HOST.to_owned())];
        let what = Signed {
            method,
            path,
            query: &query,
            headers: &headers,
            payload: "UNSIGNED-PAYLOAD",
        };
        format!(
            "{}&X-Amz-Signature={}",
            encode_query(&query),
            self.signature(&what)
        )
    }

    /// Returns the signature of a chunk. `previous` is the signature of the chunk before it.
    pub(crate) fn chunk(&self, previous: &str, data: &[u8]) -> String {
        let (empty, hash) = (
            hex::encode(Sha256::digest("")),
            hex::encode(Sha256::digest(data)),
        );
        let date = self.amz_date();
        self.hmac(&format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{}\n{previous}\n{empty}\n{hash}",
            self.scope()
        ))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn signed_headers(headers: &[(String, String)]) -> String {
    let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.join(";")
}

pub(crate) fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, &PATH).to_string()
}

pub(crate) fn encode_query(query: &[(String, String)]) -> String {
    let mut query = query.to_vec();
    query.sort();
    let pairs: Vec<_> = query
        .iter()
        .map(|(name, value)| {
            format!(
                "{}={}",
                utf8_percent_encode(name, &QUERY),
                utf8_percent_encode(value, &QUERY)
            )
        })
        .collect();
    pairs.join("&")
}
