//! Objects that come and go: upload, copy, delete, and the addresses of new bytes.
//!
//! Bytes are stored first, then the entry is staged. Bytes are taken back only if
//! the entry was certainly not staged; in doubt they stay, for garbage collection
//! can remove bytes without an entry, and nothing can restore an entry's bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime};
use block::{ByteStream, Location};
use graveler::{Branch, BranchId, Condition, Repository};
use tracing::{instrument, warn};

use crate::catalog::resolved;
use crate::limits::check_user_metadata;
use crate::{
    AddressType, Catalog, DEFAULT_CONTENT_TYPE, Entry, Error, Object, ObjectTarget, Result,
    UploadOptions, WriteOptions,
};

/// The longest path.
pub const MAX_PATH_BYTES: usize = 1024;
/// How many addresses are made in one folder before another is begun.
const PARTITION_ADDRESSES: u32 = 50_000;
/// How long addresses are made in one folder before another is begun.
const PARTITION_AGE: Duration = Duration::from_secs(60 * 60);

impl Catalog {
    /// Stores the bytes, then stages the entry. A body that fails leaves nothing.
    ///
    /// The branch and, with `if_absent`, the path are checked before the body is
    /// read; the latter again when the entry is staged.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a path that is empty or too long, too much metadata, or another
    /// MD5 than expected;
    /// [`Error::PreconditionFailed`]; [`Error::Body`]; branch not found, protected, read-only.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn upload(
        &self,
        to: ObjectTarget<'_>,
        body: ByteStream,
        options: UploadOptions,
    ) -> Result<Object> {
        check_user_metadata(&options.metadata)?;
        self.check_write(to, options.if_absent, options.force)
            .await?;
        let address = self.shared.addresses.next();
        let at = Location::below(&to.repository.storage_namespace, &address);
        let put = self.block.put(&at, body).await?;
        if let Some(expected) = options
            .expected_md5
            .filter(|expected| !expected.eq_ignore_ascii_case(&put.md5))
        {
            self.take_back(&at).await;
            return Err(Error::advised(
                format!("the body has MD5 {}, not {expected} as announced", put.md5),
                "send it again",
            ));
        }
        let entry = Entry {
            address,
            address_type: AddressType::Relative,
            last_modified: put.last_modified,
            size_bytes: size(put.size_bytes),
            etag: put.md5,
            metadata: options.metadata,
            content_type: content_type(options.content_type),
        };
        let staged = Staged {
            entry,
            owns_bytes: true,
            if_absent: options.if_absent,
            force: options.force,
        };
        self.stage(to, staged).await
    }

    /// Copies an object (also from another repository of the same store) to bytes of its own.
    ///
    /// Without `options` the copy keeps type and metadata, else it gets those of the
    /// options. It keeps the tag, so that it counts as equal content. `force` writes to
    /// a read-only repository, as `options.force` does.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`] and [`Error::DataGone`] of the source; else as of uploads.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn copy(
        &self,
        from: (&Repository, &str, &str),
        to: ObjectTarget<'_>,
        options: Option<UploadOptions>,
        force: bool,
    ) -> Result<Object> {
        let (source, mut staged) = self.prepare_copy(from, to, options, force).await?;
        let address = self.shared.addresses.next();
        let at = Location::below(&to.repository.storage_namespace, &address);
        let put = match self
            .block
            .copy(&Location::full(&source.physical_address), &at)
            .await
        {
            Err(block::Error::NotFound(_)) => return Err(Error::DataGone(source.path)),
            copied => copied?,
        };
        staged.owns_bytes = true;
        staged.entry.address = address;
        staged.entry.address_type = AddressType::Relative;
        staged.entry.size_bytes = size(put.size_bytes);
        staged.entry.last_modified = put.last_modified;
        self.stage(to, staged).await
    }

    /// Copies an object within a repository by reference: both entries name the same bytes.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for another repository; else as of [`Catalog::copy`].
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn copy_by_reference(
        &self,
        from: (&Repository, &str, &str),
        to: ObjectTarget<'_>,
        options: Option<UploadOptions>,
        force: bool,
    ) -> Result<Object> {
        // Garbage collection looks at one repository's references only.
        if from.0.partition() != to.repository.partition() {
            return Err(Error::InvalidValue(
                "only a full copy can cross repositories".to_owned(),
            ));
        }
        let (_, mut staged) = self.prepare_copy(from, to, options, force).await?;
        staged.entry.last_modified = self.shared.clock.now();
        self.stage(to, staged).await
    }

    async fn prepare_copy(
        &self,
        (repository, reference, path): (&Repository, &str, &str),
        to: ObjectTarget<'_>,
        options: Option<UploadOptions>,
        force: bool,
    ) -> Result<(Object, Staged)> {
        let if_absent = options.as_ref().is_some_and(|options| options.if_absent);
        let force = force || options.as_ref().is_some_and(|options| options.force);
        if let Some(options) = &options {
            check_user_metadata(&options.metadata)?;
        }
        self.check_write(to, if_absent, force).await?;
        let source = self.stat(repository, reference, path).await?;
        let mut entry = source.entry.clone();
        if let Some(options) = options {
            entry.content_type = content_type(options.content_type);
            entry.metadata = options.metadata;
        }
        let staged = Staged {
            entry,
            owns_bytes: false,
            if_absent,
            force,
        };
        Ok((source, staged))
    }

    /// Deletes paths; those that do not exist are no error. Their bytes stay for earlier commits.
    ///
    /// # Errors
    /// Branch not found, protected, read-only.
    #[instrument(skip_all, fields(repo.id = %repository.id, branch.id = branch))]
    pub async fn delete_objects(
        &self,
        repository: &Repository,
        branch: &str,
        paths: &[String],
        options: WriteOptions,
    ) -> Result<()> {
        let branch = self
            .writable_branch(repository, branch, options.force)
            .await?;
        let keys: Vec<_> = paths
            .iter()
            .filter(|path| check_path(path).is_ok()) // what can't exist needs no deletion
            .map(|path| path.clone().into_bytes())
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        Ok(self
            .graveler
            .delete(repository, &branch.id, &keys, options.force)
            .await?)
    }

    /// All that can be refused before bytes are moved.
    pub(crate) async fn check_write(
        &self,
        to: ObjectTarget<'_>,
        if_absent: bool,
        force: bool,
    ) -> Result<()> {
        check_path(to.path)?;
        let branch = resolved(
            self.writable_branch(to.repository, to.branch, force)
                .await?,
        );
        if if_absent
            && self
                .graveler
                .get(to.repository, &branch, to.path.as_bytes())
                .await?
                .is_some()
        {
            return Err(Error::PreconditionFailed);
        }
        Ok(())
    }

    async fn writable_branch(
        &self,
        repository: &Repository,
        branch: &str,
        force: bool,
    ) -> Result<Branch> {
        if repository.read_only && !force {
            return Err(Error::Engine(graveler::Error::ReadOnly(
                repository.id.to_string(),
            )));
        }
        let id = BranchId::parse(branch)?;
        let branch = self.graveler.branch(repository, &id).await?;
        self.graveler.check_unprotected(repository, &id).await?;
        Ok(branch)
    }

    /// Stages an entry whose bytes are stored.
    pub(crate) async fn stage(&self, to: ObjectTarget<'_>, staged: Staged) -> Result<Object> {
        self.stage_with(to, staged, |_| Vec::new()).await
    }

    /// Stages an entry, and writes with it what `receipt` wants for the object, or neither.
    ///
    /// # Errors
    /// As of uploads; [`graveler::Error::ConcurrentChange`] if a condition of the receipt does not hold.
    pub(crate) async fn stage_with(
        &self,
        to: ObjectTarget<'_>,
        staged: Staged,
        receipt: impl FnOnce(&Object) -> Vec<kv::Op>,
    ) -> Result<Object> {
        let namespace = &to.repository.storage_namespace;
        let id = BranchId::trusted(to.branch);
        let value = staged.entry.to_value();
        let object = Object {
            path: to.path.to_owned(),
            identity: value.identity.clone(),
            physical_address: staged.entry.location(namespace).as_str().to_owned(),
            entry: staged.entry,
        };
        let condition = if staged.if_absent {
            Condition::IfAbsent
        } else {
            Condition::Always
        };
        let key = to.path.as_bytes();
        let (force, receipt) = (staged.force, receipt(&object));
        let Err(error) = self
            .graveler
            .set_with(to.repository, &id, key, value, condition, force, &receipt)
            .await
        else {
            return Ok(object);
        };
        if is_refusal(&error) {
            // A conditional write that is repeated after a lost race may meet itself.
            if matches!(error, graveler::Error::PreconditionFailed)
                && self.is_staged(to, &object).await?
            {
                return Ok(object);
            }
            if staged.owns_bytes {
                self.take_back(&Location::full(&object.physical_address))
                    .await;
            }
        }
        Err(error.into())
    }

    async fn is_staged(&self, to: ObjectTarget<'_>, object: &Object) -> Result<bool> {
        let branch = self
            .graveler
            .branch(to.repository, &BranchId::trusted(to.branch))
            .await?;
        let found = self.find(to.repository, &resolved(branch), to.path).await?;
        Ok(found.is_some_and(|found| found.physical_address == object.physical_address))
    }

    /// Deletes bytes that no entry names. If that fails they are left to garbage collection.
    pub(crate) async fn take_back(&self, at: &Location) {
        if let Err(error) = self.block.delete(at).await {
            warn!(%error, "failed to delete {at}, which no entry names");
        }
    }
}

/// An entry to stage.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) entry: Entry,
    /// Whether the bytes were stored for this entry and nothing else names them.
    pub(crate) owns_bytes: bool,
    pub(crate) if_absent: bool,
    pub(crate) force: bool,
}

/// Whether the engine decided against a write, rather than failed somewhere in it.
fn is_refusal(error: &graveler::Error) -> bool {
    matches!(
        error,
        graveler::Error::PreconditionFailed
            | graveler::Error::Protected { .. }
            | graveler::Error::ReadOnly(_)
            | graveler::Error::InvalidValue(_)
            | graveler::Error::Advised { .. }
            | graveler::Error::InvalidName { .. }
    )
}

/// Checks a path that an object is to have, or is asked for by.
///
/// # Errors
/// [`Error::InvalidValue`] for none, [`Error::PathTooLong`].
pub fn check_path(path: &str) -> Result<()> {
    match path.len() {
        0 => Err(Error::InvalidValue("the path is empty".to_owned())),
        1..=MAX_PATH_BYTES => Ok(()),
        bytes => Err(Error::PathTooLong { bytes }),
    }
}

pub(crate) fn content_type(given: String) -> String {
    if given.is_empty() {
        DEFAULT_CONTENT_TYPE.to_owned()
    } else {
        given
    }
}

pub(crate) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("no object reaches eight exbibytes")
}

/// Makes relative addresses of new bytes: `data/<descending xid>/<xid>`.
///
/// The folder is this process's own and changes now and then, so that a listing
/// of the storage shows new folders first and none grows without end.
#[derive(Debug)]
pub(crate) struct Addresses {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    partition: Mutex<Option<Partition>>,
}

#[derive(Debug)]
struct Partition {
    id: String,
    since: OffsetDateTime,
    made: u32,
}

impl Addresses {
    pub(crate) fn new(clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        Self {
            clock,
            ids,
            partition: Mutex::new(None),
        }
    }

    pub(crate) fn next(&self) -> String {
        let now = self.clock.now();
        let mut current = self
            .partition
            .lock()
            .expect("no holder of the partition panics");
        let partition = current
            .take_if(|partition| {
                partition.made < PARTITION_ADDRESSES && now - partition.since < PARTITION_AGE
            })
            .unwrap_or_else(|| Partition {
                id: self.ids.descending_data_id(),
                since: now,
                made: 0,
            });
        let address = format!("data/{}/{}", partition.id, self.ids.xid());
        *current = Some(Partition {
            made: partition.made + 1,
            ..partition
        });
        address
    }
}
