//! Completes and aborts multipart uploads. Exactly one completion or abort of an upload takes effect, even if several
//! servers receive calls at the same time or a server dies.
//!
//! A completion has three idempotent steps:
//!
//! 1. The block store joins the parts. If completions with different lists of parts race, one list wins. The block
//!    store gives the same result for the same list until it is told to forget the upload.
//! 2. One batch stages the entry, deletes the upload's record if it still exists, and stores the result in
//!    `weir-multiparts-done` (`<repository partition>/<upload id>`). This batch decides the race: an abort deletes
//!    the same record under the same condition.
//! 3. The block store forgets the upload.
//!
//! If a server dies before step 2, the upload is still listed and the client can complete it with the same call.
//! A repeated completion gets the stored result for [`COMPLETION_RETENTION`].
//!
//! An abort first writes a batch that decides the race and stores that the upload was aborted. Then it deletes the parts.
//! If it deleted the parts first, one of two equal completions could find no parts and fail, although the other one completes
//! the upload. If the server dies between the two steps, [`Catalog::prune_completions`] deletes the parts.

use std::time::Duration;

use base::OffsetDateTime;
use block::{CompletedPart, Location};
use bytes::Bytes;
use graveler::Value;
use kv::{Op, Predicate};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tracing::{instrument, warn};

use crate::multipart::{check_number, corrupt, end_ops, key_of};
use crate::upload::{Staged, content_type, size};
use crate::{AddressType, Catalog, Entry, Error, Object, ObjectTarget, Result};

const COMPLETIONS: &[u8] = b"weir-multiparts-done";
/// How long the result of a completion is kept for clients that did not receive the response.
pub const COMPLETION_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// How many results are read at a time when expired ones are deleted.
const PAGE: usize = 500;

impl Catalog {
    /// Joins the given parts and stages the object, which ends the upload. A repeated call with the same parts returns
    /// the same result for [`COMPLETION_RETENTION`], even if the object has changed since.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if the list is empty or out of order; [`Error::InvalidPart`];
    /// [`Error::NoSuchUpload`], also if the upload was aborted or completed with other parts;
    /// [`Error::PreconditionFailed`]; otherwise the same as for uploads. After a failure the upload still exists. Once
    /// its parts are joined, only the same list of parts can complete it.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn complete_multipart(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
        parts: &[CompletedPart],
        if_absent: bool,
    ) -> Result<Object> {
        check_parts(parts)?;
        let (catalog, repository) = (self.clone(), to.repository.clone());
        let (branch, path) = (to.branch.to_owned(), to.path.to_owned());
        let (upload_id, parts) = (upload_id.to_owned(), parts.to_vec());
        // Joining is slow and consumes the parts. If a client that gives up could cancel it, the joined bytes would
        // stay without an entry.
        self.run_detached(async move {
            let to = ObjectTarget {
                repository: &repository,
                branch: &branch,
                path: &path,
            };
            catalog.complete(to, &upload_id, &parts, if_absent).await
        })
        .await
    }

    async fn complete(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
        parts: &[CompletedPart],
        if_absent: bool,
    ) -> Result<Object> {
        if let Some(object) = self.find_completion(to, upload_id, parts).await? {
            return Ok(object);
        }
        match self.complete_open(to, upload_id, parts, if_absent).await {
            // A concurrent call completed or aborted the upload. With `if_absent`, the existing object may be that call's.
            Err(
                error @ (Error::NoSuchUpload(_)
                | Error::ConcurrentChange(_)
                | Error::PreconditionFailed),
            ) => {
                let object = self.find_completion(to, upload_id, parts).await?;
                object.ok_or_else(|| match error {
                    Error::PreconditionFailed => error,
                    _ => Error::NoSuchUpload(upload_id.to_owned()),
                })
            }
            ended => ended,
        }
    }

    async fn complete_open(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
        parts: &[CompletedPart],
        if_absent: bool,
    ) -> Result<Object> {
        let (record, stored) = self.stored_upload(to, upload_id).await?;
        self.check_write(to, if_absent, false).await?;
        let at = record.at(to.repository);
        let put = self.block.complete_multipart(&at, upload_id, parts).await?;
        let staged = Staged {
            entry: Entry {
                address: record.physical_address,
                address_type: AddressType::Relative,
                last_modified: put.last_modified,
                size_bytes: size(put.size_bytes),
                etag: put.md5,
                metadata: record.metadata,
                content_type: content_type(record.content_type),
            },
            // Another server may be staging an entry for the same bytes.
            owns_bytes: false,
            if_absent,
            force: false,
        };
        let now = self.shared.clock.now();
        let object = self
            .stage_with(to, staged, |object| {
                let mut ops = end_ops(to, upload_id, &stored);
                ops.push(CompletionData::new(to, parts, object, now).op(to, upload_id));
                ops
            })
            .await?;
        self.discard_upload(&at, upload_id).await;
        Ok(object)
    }

    /// Returns the stored result of a completion, or none if the upload is not completed.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] if it was completed with other parts or belongs to another path.
    async fn find_completion(
        &self,
        to: ObjectTarget<'_>,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Option<Object>> {
        if upload_id.is_empty() {
            return Ok(None);
        }
        let stored = self
            .shared
            .kv
            .get(COMPLETIONS, &completion_key(to, upload_id))
            .await?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let completion = CompletionData::read(stored.value)?;
        let unknown = || Error::NoSuchUpload(upload_id.to_owned());
        if completion.path != key_of(to) {
            return Err(unknown());
        }
        if completion.is_aborted() {
            // This call may have joined the parts after the abort deleted them.
            self.delete_remains(&completion, upload_id).await;
            return Err(unknown());
        }
        if completion.parts != digest_of(parts) {
            return Err(unknown());
        }
        // The server that stored the result may have died before step 3.
        self.delete_remains(&completion, upload_id).await;
        let value = Value {
            identity: completion.identity.into(),
            data: completion.entry.into(),
        };
        let namespace = &to.repository.storage_namespace;
        let object = Object::from_value(namespace, to.path.to_owned(), &value);
        Ok(Some(object?))
    }

    /// Makes the block store forget an upload that has ended. Best effort; [`Catalog::prune_completions`] tries again.
    async fn discard_upload(&self, at: &Location, upload_id: &str) {
        if let Err(error) = self.block.abort_multipart(at, upload_id).await {
            warn!(%error, "failed to delete the parts of upload {upload_id}, which has ended");
        }
    }

    /// Deletes what an ended upload may have left in the block store: its parts and, after an abort, the joined bytes. Best
    /// effort; [`Catalog::prune_completions`] tries again.
    async fn delete_remains(&self, completion: &CompletionData, upload_id: &str) {
        let at = Location::full(&completion.physical_address);
        self.discard_upload(&at, upload_id).await;
        if completion.is_aborted() {
            self.delete_bytes(&at).await;
        }
    }

    /// Aborts an upload and deletes its parts.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], also if a concurrent call completes it.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn abort_multipart(&self, to: ObjectTarget<'_>, upload_id: &str) -> Result<()> {
        let (record, stored) = self.stored_upload(to, upload_id).await?;
        let now = self.shared.clock.now();
        let aborted = CompletionData::aborted(to, &record.at(to.repository), now);
        let mut ops = end_ops(to, upload_id, &stored);
        ops.push(aborted.op(to, upload_id));
        match self.shared.kv.batch(ops).await {
            Err(kv::Error::PredicateFailed { .. }) => {
                return Err(Error::NoSuchUpload(upload_id.to_owned()));
            }
            ended => ended?,
        }
        self.delete_remains(&aborted, upload_id).await;
        Ok(())
    }

    /// Deletes outcomes of uploads older than [`COMPLETION_RETENTION`] and returns their number.
    /// Safe to run concurrently on several servers. Skips records that it cannot read, with a warning.
    ///
    /// # Errors
    /// Any error of the record store; the next call tries again.
    pub async fn prune_completions(&self) -> Result<usize> {
        let before = (self.shared.clock.now() - COMPLETION_RETENTION).unix_timestamp();
        let (mut next, mut pruned) = (Some(Bytes::new()), 0);
        while let Some(start) = next {
            let page = self.shared.kv.scan(COMPLETIONS, &start, PAGE).await?;
            next = page.next;
            let mut ops = Vec::new();
            for row in page.entries {
                let completion = match CompletionData::read(row.value) {
                    Ok(completion) => completion,
                    Err(error) => {
                        let key = row.key.escape_ascii();
                        warn!(%error, "skipped the record of completed upload {key}");
                        continue;
                    }
                };
                if completion.completed_secs >= before {
                    continue;
                }
                let id = row.key.rsplit(|byte| *byte == b'/').next();
                let id = id.and_then(|id| std::str::from_utf8(id).ok());
                if let Some(id) = id {
                    self.delete_remains(&completion, id).await;
                }
                ops.push(Op::Delete {
                    partition: Bytes::from_static(COMPLETIONS),
                    key: row.key,
                });
            }
            pruned += ops.len();
            if !ops.is_empty() {
                self.shared.kv.batch(ops).await?;
            }
        }
        Ok(pruned)
    }
}

/// The stored outcome of an upload: the result of its completion, or that it was aborted.
#[derive(Clone, PartialEq, prost::Message)]
struct CompletionData {
    /// `branch/path`.
    #[prost(string, tag = "1")]
    path: String,
    /// SHA-256 of the part numbers and `ETag`s. Empty if the upload was aborted.
    #[prost(bytes = "vec", tag = "2")]
    parts: Vec<u8>,
    /// Identity and value of the staged entry. Empty if the upload was aborted.
    #[prost(bytes = "vec", tag = "3")]
    identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    entry: Vec<u8>,
    /// The full URI, by which the block store identifies the upload.
    #[prost(string, tag = "5")]
    physical_address: String,
    /// Time of the completion or abort, in seconds since 1970.
    #[prost(int64, tag = "6")]
    completed_secs: i64,
}

impl CompletionData {
    fn read(stored: Bytes) -> Result<Self> {
        Self::decode(stored).map_err(corrupt)
    }

    fn new(
        to: ObjectTarget<'_>,
        parts: &[CompletedPart],
        object: &Object,
        now: OffsetDateTime,
    ) -> Self {
        let value = object.entry.to_value();
        Self {
            path: key_of(to),
            parts: digest_of(parts),
            identity: value.identity.to_vec(),
            entry: value.data.to_vec(),
            physical_address: object.physical_address.clone(),
            completed_secs: now.unix_timestamp(),
        }
    }

    fn aborted(to: ObjectTarget<'_>, at: &Location, now: OffsetDateTime) -> Self {
        Self {
            path: key_of(to),
            physical_address: at.as_str().to_owned(),
            completed_secs: now.unix_timestamp(),
            ..Self::default()
        }
    }

    fn is_aborted(&self) -> bool {
        self.parts.is_empty()
    }

    /// The write that stores the outcome. It fails if the upload already has one.
    fn op(&self, to: ObjectTarget<'_>, upload_id: &str) -> Op {
        Op::Set {
            partition: Bytes::from_static(COMPLETIONS),
            key: completion_key(to, upload_id),
            value: self.encode_to_vec().into(),
            predicate: Some(Predicate::Absent),
        }
    }
}

/// Reads the outcome of an upload, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_record(stored: Bytes) {
    drop(CompletionData::read(stored));
}

/// Identifies a list of parts, independent of the spelling of their `ETag`s.
fn digest_of(parts: &[CompletedPart]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for CompletedPart { number, etag } in parts {
        let etag = etag.trim_matches('"').to_ascii_lowercase();
        digest.update(format!("{number} {etag}\n"));
    }
    digest.finalize().to_vec()
}

fn completion_key(to: ObjectTarget<'_>, upload_id: &str) -> Bytes {
    format!("{}/{upload_id}", to.repository.partition()).into()
}

fn check_parts(parts: &[CompletedPart]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::InvalidValue("the list of parts is empty".to_owned()));
    }
    for part in parts {
        check_number(part.number)?;
    }
    if let Some(pair) = parts
        .windows(2)
        .find(|pair| pair[0].number >= pair[1].number)
    {
        return Err(Error::InvalidValue(format!(
            "part {} is listed before part {}; list parts in ascending order",
            pair[0].number, pair[1].number
        )));
    }
    Ok(())
}
