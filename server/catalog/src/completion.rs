//! The end of multipart uploads: completed or aborted, once, whichever servers are asked and whatever dies meanwhile.
//!
//! Three steps, each of which can be repeated:
//!
//! 1. The block store joins the parts. Of completions at the same time one list of parts wins; it gives the same
//!    answer to the same list until it is told to forget the upload.
//! 2. One batch stages the entry, deletes the upload's record if it is still there, and notes the answer in
//!    `weir-multiparts-done` (`<repository partition>/<upload id>`). This decides: an abort deletes the same record on
//!    the same condition.
//! 3. The block store forgets the upload.
//!
//! A server that dies before step 2 leaves an upload that is listed, and that the same call completes. Whoever
//! repeats a completion gets the noted answer for [`KEEP_ANSWERS`].

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

const ANSWERS: &[u8] = b"weir-multiparts-done";
/// How long the answer to a completion is kept for clients that did not get it.
pub const KEEP_ANSWERS: Duration = Duration::from_secs(24 * 60 * 60);
/// How many answers are read at a time when old ones are forgotten.
const PAGE: usize = 500;

impl Catalog {
    /// Joins the named parts and stages the object. The upload is unknown afterwards, but that the same parts named
    /// again give the same answer for [`KEEP_ANSWERS`], whatever became of the object.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for no parts or parts out of order; [`Error::InvalidPart`];
    /// [`Error::NoSuchUpload`], also if it was aborted or completed with other parts; [`Error::PreconditionFailed`];
    /// else as of uploads. A failure leaves the upload as it was; once its parts are joined only these
    /// parts complete it.
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
        // Joining takes long and takes the parts: a client that gave up waiting, and perhaps
        // tries again, must not leave an object that is joined but has no name.
        self.see_through(async move {
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
        if let Some(object) = self.answered(to, upload_id, parts).await? {
            return Ok(object);
        }
        match self.complete_open(to, upload_id, parts, if_absent).await {
            // The same call, or another one, completed or aborted the upload meanwhile.
            Err(Error::NoSuchUpload(_) | Error::Engine(graveler::Error::ConcurrentChange(_))) => {
                let object = self.answered(to, upload_id, parts).await?;
                object.ok_or_else(|| Error::NoSuchUpload(upload_id.to_owned()))
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
            // Another server may be staging the same bytes.
            owns_bytes: false,
            if_absent,
            force: false,
        };
        let now = self.shared.clock.now();
        let object = self
            .stage_with(to, staged, |object| {
                let mut ops = end_ops(to, upload_id, &stored);
                ops.push(Op::Set {
                    partition: Bytes::from_static(ANSWERS),
                    key: answer_key(to, upload_id),
                    value: AnswerData::new(to, parts, object, now)
                        .encode_to_vec()
                        .into(),
                    predicate: Some(Predicate::Absent),
                });
                ops
            })
            .await?;
        self.forget(&at, upload_id).await;
        Ok(object)
    }

    /// What was answered to a completion; none if the upload is not known to be completed.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] if it was completed with other parts, or is of another path.
    async fn answered(
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
            .get(ANSWERS, &answer_key(to, upload_id))
            .await?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let answer = AnswerData::read(stored.value)?;
        if answer.path != key_of(to) || answer.parts != digest_of(parts) {
            return Err(Error::NoSuchUpload(upload_id.to_owned()));
        }
        // A server may have died before it said so.
        self.forget(&Location::full(&answer.physical_address), upload_id)
            .await;
        let value = Value {
            identity: answer.identity.into(),
            data: answer.entry.into(),
        };
        let namespace = &to.repository.storage_namespace;
        let object = Object::from_value(namespace, to.path.to_owned(), &value);
        Ok(Some(object.map_err(Error::Engine)?))
    }

    /// Has the block store forget an upload. What it keeps if that fails is small, and goes with the answer.
    async fn forget(&self, at: &Location, upload_id: &str) {
        if let Err(error) = self.block.abort_multipart(at, upload_id).await {
            warn!(%error, "failed to forget completed upload {upload_id}");
        }
    }

    /// Drops an upload and its parts.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], also if it is completed meanwhile.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn abort_multipart(&self, to: ObjectTarget<'_>, upload_id: &str) -> Result<()> {
        let (record, stored) = self.stored_upload(to, upload_id).await?;
        let at = record.at(to.repository);
        self.block.abort_multipart(&at, upload_id).await?;
        let ops = end_ops(to, upload_id, &stored);
        match self.shared.kv.batch(ops).await {
            Err(kv::Error::PredicateFailed { .. }) => {
                return Err(Error::NoSuchUpload(upload_id.to_owned()));
            }
            ended => ended?,
        }
        // It may have been joined by a completion that comes to nothing now.
        self.take_back(&at).await;
        Ok(())
    }

    /// Forgets the answers to completions that are older than [`KEEP_ANSWERS`], and gives their number.
    /// Safe to run concurrently on several servers. A record that cannot be read stays, with a warning.
    ///
    /// # Errors
    /// The record store's; the next call tries again.
    pub async fn forget_completions(&self) -> Result<usize> {
        let before = (self.shared.clock.now() - KEEP_ANSWERS).unix_timestamp();
        let (mut start, mut forgotten) = (Vec::new(), 0);
        loop {
            let rows = self.shared.kv.scan(ANSWERS, &start, PAGE).await?;
            let is_last = rows.len() < PAGE;
            if let Some(last) = rows.last() {
                start = [last.key.as_ref(), &[0]].concat();
            }
            let mut ops = Vec::new();
            for row in rows {
                let answer = match AnswerData::read(row.value) {
                    Ok(answer) => answer,
                    Err(error) => {
                        let key = row.key.escape_ascii();
                        warn!(%error, "skipped the record of completed upload {key}");
                        continue;
                    }
                };
                if answer.completed_secs >= before {
                    continue;
                }
                let id = row.key.rsplit(|byte| *byte == b'/').next();
                let id = id.and_then(|id| std::str::from_utf8(id).ok());
                if let Some(id) = id {
                    self.forget(&Location::full(&answer.physical_address), id)
                        .await;
                }
                ops.push(Op::Delete {
                    partition: Bytes::from_static(ANSWERS),
                    key: row.key,
                });
            }
            forgotten += ops.len();
            if !ops.is_empty() {
                self.shared.kv.batch(ops).await?;
            }
            if is_last {
                return Ok(forgotten);
            }
        }
    }
}

/// What was answered to a completion.
#[derive(Clone, PartialEq, prost::Message)]
struct AnswerData {
    /// `branch/path`.
    #[prost(string, tag = "1")]
    path: String,
    /// SHA-256 of the numbers and tags of the parts.
    #[prost(bytes = "vec", tag = "2")]
    parts: Vec<u8>,
    /// Of the entry that was staged.
    #[prost(bytes = "vec", tag = "3")]
    identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    entry: Vec<u8>,
    /// The whole address, by which the block store knows the upload.
    #[prost(string, tag = "5")]
    physical_address: String,
    /// When, in seconds since 1970.
    #[prost(int64, tag = "6")]
    completed_secs: i64,
}

impl AnswerData {
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
}

/// Reads the record of a completed upload, for [`crate::fuzzing`].
pub(crate) fn try_record(stored: Bytes) {
    drop(AnswerData::read(stored));
}

/// Stands for a list of parts, however their tags are spelled.
fn digest_of(parts: &[CompletedPart]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for CompletedPart { number, etag } in parts {
        let etag = etag.trim_matches('"').to_ascii_lowercase();
        digest.update(format!("{number} {etag}\n"));
    }
    digest.finalize().to_vec()
}

fn answer_key(to: ObjectTarget<'_>, upload_id: &str) -> Bytes {
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
            "part {} is named before part {}: parts are named in ascending order",
            pair[0].number, pair[1].number
        )));
    }
    Ok(())
}
