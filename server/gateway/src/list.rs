//! Object listings. The root of a repository lists its branches as folders; a prefix that contains
//! a reference lists the objects of that reference.
//!
//! Tags and commits do not appear at the root, but their objects can be listed. Each request reads one page.

use auth::arn;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::{ListRequest, ObjectOrPrefix, Repository};
use http::Extensions;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass, Timestamp,
};
use s3s::{S3Request, S3Response};

use crate::error::{Result, S3Error, is_missing_reference, is_unknown_reference};
use crate::path::{ObjectPath, key};
use crate::response::KeyCount;
use crate::service::S3Api;

/// Maximum number of keys and prefixes in a response.
const MAX_KEYS: i32 = 1000;
/// Characters that `encoding-type=url` escapes.
const URL_ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');
const STORAGE_CLASS: &str = "STANDARD";

/// The parameters that both versions of `ListObjects` share.
struct Query<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: &'a str,
    /// List only keys greater than this one.
    after: &'a str,
    max_keys: i32,
}

/// A page of a listing.
#[derive(Default)]
struct ListPage {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    /// The key to continue after, if there are more pages.
    next: Option<String>,
    /// Whether the prefixes are branches.
    is_root: bool,
}

impl S3Api {
    pub(crate) async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let query = Query {
            bucket: &input.bucket,
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: input.marker.as_deref().unwrap_or_default(),
            max_keys: max_keys(input.max_keys)?,
        };
        let page = self.list(&request.extensions, &query).await?;
        let encode = KeyEncoding::new(input.encoding_type)?;
        // lakeFS does not count branches here.
        let count = if page.is_root {
            0
        } else {
            page.objects.len() + page.prefixes.len()
        };
        let output = ListObjectsOutput {
            name: Some(input.bucket.clone()),
            prefix: Some(encode.text(query.prefix)),
            marker: Some(encode.text(query.after)),
            max_keys: Some(query.max_keys),
            is_truncated: Some(page.next.is_some()),
            delimiter: input
                .delimiter
                .as_deref()
                .map(|delimiter| encode.text(delimiter)),
            // S3 omits the marker if there is no delimiter; clients then continue after the last key. A response cannot
            // contain a key that is not UTF-8 unchanged, so clients need the marker to continue after such a key.
            next_marker: page
                .next
                .filter(|next| {
                    let last = page.objects.last().and_then(|object| object.key.as_ref());
                    !query.delimiter.is_empty() || last.is_some_and(|last| last != next)
                })
                .map(|next| encode.text(&next)),
            contents: Some(encode.objects(page.objects)),
            common_prefixes: Some(encode.prefixes(&page.prefixes)),
            encoding_type: encode.0,
            ..ListObjectsOutput::default()
        };
        let mut response = S3Response::new(output);
        response.extensions.insert(KeyCount(count));
        Ok(response)
    }

    pub(crate) async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let token = input
            .continuation_token
            .as_deref()
            .map(decode_token)
            .transpose()?;
        let query = Query {
            bucket: &input.bucket,
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: token
                .as_deref()
                .or(input.start_after.as_deref())
                .unwrap_or_default(),
            max_keys: max_keys(input.max_keys)?,
        };
        let page = self.list(&request.extensions, &query).await?;
        let encode = KeyEncoding::new(input.encoding_type)?;
        let count = page.objects.len() + page.prefixes.len();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: Some(encode.text(query.prefix)),
            max_keys: Some(query.max_keys),
            key_count: Some(i32::try_from(count).unwrap_or(MAX_KEYS)),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_deref().map(encode_token),
            delimiter: input
                .delimiter
                .as_deref()
                .map(|delimiter| encode.text(delimiter)),
            start_after: input.start_after.as_deref().map(|key| encode.text(key)),
            contents: Some(encode.objects(page.objects)),
            common_prefixes: Some(encode.prefixes(&page.prefixes)),
            encoding_type: encode.0,
            continuation_token: input.continuation_token,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list(&self, request: &Extensions, query: &Query<'_>) -> Result<ListPage> {
        let is_root = !query.prefix.contains('/');
        let action = if is_root && query.delimiter == "/" {
            "fs:ListBranches"
        } else {
            "fs:ListObjects"
        };
        self.allow(request, action, arn::repository(query.bucket))
            .await?;
        let repository = self.repository(request, query.bucket).await?;
        if query.max_keys == 0 {
            return Ok(ListPage {
                is_root,
                ..ListPage::default()
            });
        }
        let limit = usize::try_from(query.max_keys).unwrap_or_default();
        if is_root {
            self.list_branches(&repository, query, limit).await
        } else {
            self.list_below(&repository, query, limit).await
        }
    }

    async fn list_branches(
        &self,
        repository: &Repository,
        query: &Query<'_>,
        limit: usize,
    ) -> Result<ListPage> {
        // If `after` is a key inside a branch, continue with the next branch.
        let after = ObjectPath::parse(query.after).reference;
        let page = self
            .catalog
            .reader()
            .list_branches(repository, query.prefix, after, false, limit)
            .await?;
        let mut branches: Vec<String> = Vec::with_capacity(page.results.len() + 1);
        // The folder `BRANCH/` follows the key `BRANCH`.
        if !after.is_empty() && after == query.after && after.starts_with(query.prefix) {
            match self.catalog.reader().branch(repository, after).await {
                Ok(branch) if branch.record.hidden => {}
                Ok(branch) => branches.push(branch.id.as_str().to_owned()),
                Err(catalog::Error::NotFound { .. } | catalog::Error::InvalidName { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        branches.extend(page.results.iter().map(|b| b.id.as_str().to_owned()));
        let mut next = page.has_more.then_some(page.next_offset);
        if branches.len() > limit {
            branches.truncate(limit);
            next = branches.last().cloned();
        }
        Ok(ListPage {
            next: next.map(|branch| key(&branch, "")),
            prefixes: branches.iter().map(|branch| key(branch, "")).collect(),
            is_root: true,
            ..ListPage::default()
        })
    }

    async fn list_below(
        &self,
        repository: &Repository,
        query: &Query<'_>,
        limit: usize,
    ) -> Result<ListPage> {
        let ObjectPath {
            reference,
            path: prefix,
        } = ObjectPath::parse(query.prefix);
        let root = key(reference, "");
        let after = match query.after.strip_prefix(&root) {
            Some(path) => path,
            // `after` precedes all keys of the reference.
            None if query.after < root.as_str() => "",
            // `after` follows all keys of the reference, so there is nothing left to list.
            None => return Ok(ListPage::default()),
        };
        let list = ListRequest {
            prefix: prefix.to_owned(),
            after: after.to_owned(),
            delimiter: query.delimiter.to_owned(),
            limit,
        };
        let found = match self
            .catalog
            .reader()
            .list_objects(repository, reference, &list)
            .await
        {
            // Clients list a prefix before they write to it. S3 returns an empty page for unknown prefixes.
            Err(error) if is_unknown_reference(&error) => return Ok(ListPage::default()),
            Err(error) if is_missing_reference(&error) => return Err(S3Error::BadRequest),
            found => found?,
        };
        let mut page = ListPage {
            next: found.has_more.then(|| key(reference, &found.next_offset)),
            ..ListPage::default()
        };
        for row in found.results {
            match row {
                ObjectOrPrefix::Prefix(prefix) => page.prefixes.push(key(reference, &prefix)),
                ObjectOrPrefix::Object(object) => page.objects.push(Object {
                    key: Some(key(reference, &object.path)),
                    e_tag: Some(ETag::Strong(object.entry.etag)),
                    last_modified: Some(Timestamp::from(object.entry.last_modified)),
                    size: Some(object.entry.size_bytes),
                    storage_class: Some(ObjectStorageClass::from_static(STORAGE_CLASS)),
                    ..Object::default()
                }),
            }
        }
        Ok(page)
    }
}

fn max_keys(given: Option<i32>) -> Result<i32> {
    match given {
        None => Ok(MAX_KEYS),
        Some(count) if count < 0 => Err(S3Error::InvalidArgument(
            "max-keys must not be negative".to_owned(),
        )),
        Some(count) => Ok(count.min(MAX_KEYS)),
    }
}

/// Encodes a key as a continuation token. Keys may contain characters that XML cannot represent;
/// tokens do not.
pub(crate) fn encode_token(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// Decodes a continuation token to the key it encodes.
///
/// # Errors
/// [`S3Error::InvalidArgument`] if the token is malformed.
pub(crate) fn decode_token(token: &str) -> Result<String> {
    let malformed =
        || S3Error::InvalidArgument("The continuation token provided is incorrect".to_owned());
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?)
        .map_err(|_| malformed())
}

/// How a response encodes keys. Clients ask for URL encoding because XML cannot represent every
/// character of a key.
pub(crate) struct KeyEncoding(pub(crate) Option<EncodingType>);

impl KeyEncoding {
    pub(crate) fn new(asked: Option<EncodingType>) -> Result<Self> {
        if asked
            .as_ref()
            .is_some_and(|kind| kind.as_str() != EncodingType::URL)
        {
            return Err(S3Error::InvalidArgument(
                "Invalid Encoding Method specified in Request".to_owned(),
            ));
        }
        Ok(Self(asked))
    }

    pub(crate) fn text(&self, text: &str) -> String {
        match self.0 {
            Some(_) => utf8_percent_encode(text, &URL_ENCODED).to_string(),
            None => text.to_owned(),
        }
    }

    fn objects(&self, mut objects: Vec<Object>) -> Vec<Object> {
        for object in &mut objects {
            object.key = object.key.as_deref().map(|key| self.text(key));
        }
        objects
    }

    fn prefixes(&self, prefixes: &[String]) -> Vec<CommonPrefix> {
        prefixes
            .iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(self.text(prefix)),
            })
            .collect()
    }
}
