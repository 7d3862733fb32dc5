//! Multipart uploads: the parts go to the block store, and a record describes the future object.
//!
//! The record has lakeFS's format and is in the partition `multiparts` under the upload's id. It does not name
//! the repository. Therefore Weir keeps an index in `weir-multiparts`
//! (`<repository partition>/<branch/path>\0<upload id>`). The index orders the listing and
//! ensures that an upload can be completed only in its own repository.
//!
//! `completion.rs` completes and aborts uploads. A record is deleted only after the block store's upload has
//! ended, so every upload that still exists can be listed and aborted. The exception is the deletion of a
//! repository, which deletes the records and leaves all bytes in place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base::{OffsetDateTime, Page};
use block::{ByteStream, Location, PartInfo};
use bytes::Bytes;
use graveler::Repository;
use kv::{Op, Predicate, Versioned};
use prost::Message as _;
use tracing::{instrument, warn};

use crate::limits::{PageRoom, check_upload, size_of};
use crate::upload::content_type;
use crate::{Catalog, Error, MultipartUpload, ObjectTarget, Result, UploadOptions};

const RECORDS: &[u8] = b"multiparts";
const INDEX: &[u8] = b"weir-multiparts";
/// The highest part number; the lowest is 1.
const MAX_PARTS: u32 = 10_000;
/// How many records a listing reads at a time. Each has up to 64 KiB of metadata.
const MAX_RECORDS_READ: usize = 64;

impl Catalog {
    /// Starts an upload. Its parts become an object at completion.
    ///
    /// # Errors
    /// The same as for [`Catalog::upload`], except those of the body.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn create_multipart(
        &self,
        to: ObjectTarget<'_>,
        options: &UploadOptions,
    ) -> Result<MultipartUpload> {
        check_upload(options)?;
        self.check_write(to, options.if_absent, options.force)
            .await?;
        let address = self.shared.addresses.next();
        let at = Location::below(&to.repository.storage_namespace, &address);
        let upload_id = self.block.create_multipart(&at).await?;
        let now = self.shared.clock.now();
        let record = UploadData {
            path: key_of(to),
            creation_date: Some(base::to_timestamp(now)),
            physical_address: address,
            metadata: options.metadata.clone(),
            content_type: content_type(options.content_type.clone()),
            upload_id: upload_id.clone(),
        };
        let batch = vec![
            Op::Set {
                partition: Bytes::from_static(INDEX),
                key: index_key(to, &upload_id),
                value: Bytes::from(upload_id.clone()),
                predicate: None,
            },
            Op::Set {
                partition: Bytes::from_static(RECORDS),
                key: Bytes::from(upload_id.clone()),
                value: record.encode_to_vec().into(),
                predicate: Some(Predicate::Absent),
            },
        ];
        // The guard keeps a concurrent deletion of the repository from missing this record.
        let written = self.graveler.write_unless_deleted(to.repository, batch);
        if let Err(error) = written.await {
            if let Err(error) = self.block.abort_multipart(&at, &upload_id).await {
                warn!(%error, "failed to abort upload {upload_id}, which has no record");
            }
            return Err(error.into());
        }
        record.into_upload(to.repository)
    }

    /// An upload in progress.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], also if it belongs to another path or repository.
    pub async fn multipart(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
    ) -> Result<MultipartUpload> {
        self.open_upload(to, upload_id)
            .await?
            .into_upload(to.repository)
    }

    /// The uploads in progress of a repository, ordered by path (`branch/path`), then upload id: up to `limit`, or
    /// fewer if they are large ([`crate::MAX_PAGE_BYTES`]).
    ///
    /// `after` is exclusive: a path and an upload id. An empty upload id skips all uploads of the
    /// path. The offset of a page is the path of its last upload.
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn list_multiparts(
        &self,
        repository: &Repository,
        prefix: &str,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Page<MultipartUpload>> {
        let mut page: Page<MultipartUpload> = Page::empty();
        if limit == 0 {
            return Ok(page);
        }
        let mut room = PageRoom::new(limit);
        let folder = format!("{}/", repository.partition());
        let first = format!("{folder}{prefix}");
        let start = match after {
            ("", _) => first.clone(),
            (path, "") => format!("{folder}{path}\u{1}"),
            (path, id) => format!("{folder}{path}\0{id}\0"),
        };
        let mut cursor = kv::Cursor::new(
            Arc::clone(&self.shared.kv),
            INDEX,
            start.max(first.clone()).as_bytes(),
        );
        loop {
            // Read one more than fits, to find out whether more follow. lakeFS does not maintain the index:
            // an index entry without a record belongs to an upload that lakeFS ended. Skip it.
            let mut ids = Vec::new();
            while ids.len() <= (limit - page.results.len()).min(MAX_RECORDS_READ) {
                match cursor.next().await? {
                    Some(entry) if entry.key.starts_with(first.as_bytes()) => ids.push(entry.value),
                    _ => break,
                }
            }
            if ids.is_empty() {
                return Ok(page);
            }
            for record in self
                .shared
                .kv
                .get_many(RECORDS, &ids)
                .await?
                .into_iter()
                .flatten()
            {
                let record = UploadData::read(&record.value)?;
                if !room.take(record.text_bytes()) {
                    page.has_more = true;
                    page.next_offset = page
                        .results
                        .last()
                        .map(|last| last.path.clone())
                        .unwrap_or_default();
                    return Ok(page);
                }
                page.results.push(record.into_upload(repository)?);
            }
        }
    }

    /// Stores a part. `number` is 1 to 10,000; an earlier part with the same number is replaced.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::Body`], [`Error::InvalidValue`] for the number.
    pub async fn put_part(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo> {
        check_number(number)?;
        let record = self.open_upload(to, upload_id).await?;
        Ok(self
            .block
            .put_part(&record.at(to.repository), upload_id, number, body)
            .await?)
    }

    /// Copies an object, or a range of it (end exclusive), to a part.
    ///
    /// # Errors
    /// The same as for [`Catalog::put_part`]; [`Error::ObjectNotFound`]; [`Error::DataGone`]; [`Error::WrongSize`];
    /// [`Error::RangeNotSatisfiable`] for a range that is empty or exceeds the object.
    pub async fn put_part_copy(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
        number: u32,
        from: (&Repository, &str, &str),
        range: Option<Range<u64>>,
    ) -> Result<PartInfo> {
        check_number(number)?;
        let record = self.open_upload(to, upload_id).await?;
        let source = self.reader().stat(from.0, from.1, from.2).await?;
        let source_address = source.physical_address.clone();
        let size = source.size_bytes();
        if range
            .as_ref()
            .is_some_and(|range| range.is_empty() || range.end > size)
        {
            return Err(Error::RangeNotSatisfiable { size });
        }
        let body = self.reader().open(from.0, &source, range).await?;
        let at = record.at(to.repository);
        let put = self.block.put_part(&at, upload_id, number, body).await;
        Ok(put.map_err(|error| match error {
            // The body comes from the store, not from the client.
            block::Error::Body(source) => block::Error::Storage {
                operation: "copy",
                location: source_address,
                source,
            },
            error => error,
        })?)
    }

    /// The stored parts, ordered by number.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`].
    pub async fn list_parts(&self, to: ObjectTarget<'_>, upload_id: &str) -> Result<Vec<PartInfo>> {
        let record = self.open_upload(to, upload_id).await?;
        Ok(self
            .block
            .list_parts(&record.at(to.repository), upload_id)
            .await?)
    }

    /// The record of an upload, if it belongs to this repository, branch and path.
    async fn open_upload(&self, to: ObjectTarget<'_>, upload_id: &str) -> Result<UploadData> {
        Ok(self.stored_upload(to, upload_id).await?.0)
    }

    /// The record of an upload as for `open_upload`, and the stored value with its predicate.
    pub(crate) async fn stored_upload(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
    ) -> Result<(UploadData, Versioned)> {
        let unknown = || Error::NoSuchUpload(upload_id.to_owned());
        if upload_id.is_empty() {
            return Err(unknown());
        }
        let index_key = index_key(to, upload_id);
        let (indexed, record) = futures::try_join!(
            self.shared.kv.get(INDEX, &index_key),
            self.shared.kv.get(RECORDS, upload_id.as_bytes()),
        )?;
        let (Some(_), Some(record)) = (indexed, record) else {
            return Err(unknown());
        };
        let data = UploadData::read(&record.value)?;
        if data.path != key_of(to) {
            return Err(unknown());
        }
        Ok((data, record))
    }
}

/// Operations that delete an upload's record. They fail if the record has changed since it was read, so an upload ends
/// only once.
pub(crate) fn end_ops(to: ObjectTarget<'_>, upload_id: &str, stored: &Versioned) -> Vec<Op> {
    let records = || Bytes::from_static(RECORDS);
    let key = || Bytes::from(upload_id.to_owned());
    vec![
        Op::Set {
            partition: records(),
            key: key(),
            value: stored.value.clone(),
            predicate: Some(stored.predicate.clone()),
        },
        Op::Delete {
            partition: records(),
            key: key(),
        },
        Op::Delete {
            partition: Bytes::from_static(INDEX),
            key: index_key(to, upload_id),
        },
    ]
}

/// The record of an upload in progress.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UploadData {
    #[prost(string, tag = "1")]
    upload_id: String,
    /// `branch/path`.
    #[prost(string, tag = "2")]
    path: String,
    #[prost(message, optional, tag = "3")]
    creation_date: Option<prost_types::Timestamp>,
    /// Relative to the storage namespace.
    #[prost(string, tag = "4")]
    pub(crate) physical_address: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    pub(crate) content_type: String,
}

impl UploadData {
    fn read(bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes).map_err(corrupt)
    }

    pub(crate) fn at(&self, repository: &Repository) -> Location {
        Location::below(&repository.storage_namespace, &self.physical_address)
    }

    fn text_bytes(&self) -> usize {
        let texts = [&self.path, &self.physical_address, &self.content_type];
        texts.map(String::len).iter().sum::<usize>() + size_of(&self.metadata)
    }

    fn created(&self) -> Result<OffsetDateTime> {
        base::from_timestamp(&self.creation_date.unwrap_or_default()).map_err(corrupt)
    }

    fn into_upload(self, repository: &Repository) -> Result<MultipartUpload> {
        let physical_address = self.at(repository).as_str().to_owned();
        let creation_date = self.created()?;
        Ok(MultipartUpload {
            upload_id: self.upload_id,
            path: self.path,
            physical_address,
            metadata: self.metadata,
            content_type: self.content_type,
            creation_date,
        })
    }
}

pub(crate) fn corrupt(reason: impl std::fmt::Display) -> Error {
    Error::Corrupt {
        what: "multipart upload".to_owned(),
        reason: reason.to_string(),
    }
}

/// Reads the record of an upload, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_record(stored: &[u8]) {
    if let Ok(upload) = UploadData::read(stored) {
        drop(upload.created());
    }
}

pub(crate) fn key_of(to: ObjectTarget<'_>) -> String {
    format!("{}/{}", to.branch, to.path)
}

fn index_key(to: ObjectTarget<'_>, upload_id: &str) -> Bytes {
    format!(
        "{}/{}/{}\0{upload_id}",
        to.repository.partition(),
        to.branch,
        to.path
    )
    .into()
}

pub(crate) fn check_number(number: u32) -> Result<()> {
    if !(1..=MAX_PARTS).contains(&number) {
        return Err(Error::InvalidValue(format!(
            "part number {number} is not between 1 and {MAX_PARTS}"
        )));
    }
    Ok(())
}
