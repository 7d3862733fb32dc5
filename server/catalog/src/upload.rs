//! Writing objects: upload, copy, delete, and the addresses of new bytes.
//!
//! Bytes are stored first, then the entry is staged. The bytes are deleted again only if the
//! entry was certainly not staged. Otherwise they stay: garbage collection can remove bytes
//! without an entry, but nothing can restore the deleted bytes of an entry.

use block::{ByteStream, Location};
use graveler::{Branch, BranchId, Condition, Repository};
use tracing::{instrument, warn};

use crate::catalog::resolved;
use crate::constants::MAX_PATH_BYTES;
use crate::limits::check_upload;
use crate::{
    AddressType, Catalog, DEFAULT_CONTENT_TYPE, Entry, Error, Object, ObjectTarget, Result,
    UploadOptions, WriteOptions,
};

impl Catalog {
    /// Stores the bytes, then stages the entry. If the body fails, nothing is stored.
    ///
    /// The branch and, with `if_absent`, the path are checked before the body is read. The path
    /// is checked again when the entry is staged.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if the path is empty, or content type or metadata are too large; [`Error::PathTooLong`];
    /// [`Error::Advised`] if the MD5 does not match; [`Error::PreconditionFailed`]; [`Error::Body`]; branch not found;
    /// protected; read-only.
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn upload(
        &self,
        to: ObjectTarget<'_>,
        body: ByteStream,
        options: UploadOptions,
    ) -> Result<Object> {
        check_upload(&options)?;
        self.check_write(to, options.if_absent, options.force)
            .await?;
        let address = self.shared.addresses.next();
        let at = Location::below(&to.repository.storage_namespace, &address);
        let put = self.block.put(&at, body).await?;
        if let Some(expected) = options
            .expected_md5
            .filter(|expected| !expected.eq_ignore_ascii_case(&put.md5))
        {
            self.delete_bytes(&at).await;
            return Err(Error::with_advice(
                format!(
                    "the body has MD5 {}, but the request announced {expected}",
                    put.md5
                ),
                "send the object again",
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

    /// Copies an object and its bytes, also from another repository of the same store.
    ///
    /// Without `options` the copy keeps content type and metadata, and its identity equals the source's. With `options`
    /// it gets their content type and metadata. It always keeps the `ETag`. Like `options.force`, `force` allows writing
    /// to a read-only repository.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`], [`Error::DataGone`] and [`Error::WrongSize`] of the source; otherwise the same as for uploads.
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
        if put.size_bytes != source.size_bytes() {
            self.delete_bytes(&at).await;
            return Err(source.wrong_size(from.0, put.size_bytes));
        }
        staged.owns_bytes = true;
        staged.entry.address = address;
        staged.entry.address_type = AddressType::Relative;
        staged.entry.size_bytes = size(put.size_bytes);
        staged.entry.last_modified = put.last_modified;
        self.stage(to, staged).await
    }

    /// Copies an object within a repository by reference: both entries point to the same bytes.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for another repository; otherwise the same as for [`Catalog::copy`].
    #[instrument(skip_all, fields(repo.id = %to.repository.id, branch.id = to.branch))]
    pub async fn copy_by_reference(
        &self,
        from: (&Repository, &str, &str),
        to: ObjectTarget<'_>,
        options: Option<UploadOptions>,
        force: bool,
    ) -> Result<Object> {
        // Garbage collection of a repository does not see references from other repositories.
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
            check_upload(options)?;
        }
        self.check_write(to, if_absent, force).await?;
        let source = self.reader().stat(repository, reference, path).await?;
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

    /// Deletes paths. Missing paths are not an error. The bytes stay, because earlier commits may need them.
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
            .filter(|path| check_path(path).is_ok()) // an invalid path cannot exist
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

    /// Performs all checks that are possible before bytes are transferred.
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
            return Err(Error::ReadOnly(repository.id.to_string()));
        }
        let id = BranchId::parse(branch)?;
        let branch = self.graveler.branch(repository, &id).await?;
        self.graveler.check_unprotected(repository, &id).await?;
        Ok(branch)
    }

    /// Stages an entry whose bytes are already stored.
    pub(crate) async fn stage(&self, to: ObjectTarget<'_>, staged: Staged) -> Result<Object> {
        self.stage_with(to, staged, |_| Vec::new()).await
    }

    /// Stages an entry and, in the same batch, writes the operations that `also_write` returns for the object.
    ///
    /// # Errors
    /// The same as for uploads; [`Error::ConcurrentChange`] if a predicate of those operations fails.
    pub(crate) async fn stage_with(
        &self,
        to: ObjectTarget<'_>,
        staged: Staged,
        also_write: impl FnOnce(&Object) -> Vec<kv::Op>,
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
        let (force, ops) = (staged.force, also_write(&object));
        let Err(error) = self
            .graveler
            .set_with(to.repository, &id, key, value, condition, force, &ops)
            .await
        else {
            return Ok(object);
        };
        if is_refusal(&error) {
            // The engine retries after a lost race, and its first attempt may have staged this entry.
            if matches!(error, graveler::Error::PreconditionFailed)
                && self.is_staged(to, &object).await?
            {
                return Ok(object);
            }
            if staged.owns_bytes {
                self.delete_bytes(&Location::full(&object.physical_address))
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
        let found = self
            .reader()
            .find(to.repository, &resolved(branch), to.path)
            .await?;
        Ok(found.is_some_and(|found| found.physical_address == object.physical_address))
    }

    /// Deletes bytes that have no entry, best effort. If this fails, garbage collection removes them.
    pub(crate) async fn delete_bytes(&self, at: &Location) {
        if let Err(error) = self.block.delete(at).await {
            warn!(%error, "failed to delete {at}, which has no entry");
        }
    }
}

/// An entry to stage.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) entry: Entry,
    /// Whether the bytes were stored for this entry only. A refused write then deletes them.
    pub(crate) owns_bytes: bool,
    pub(crate) if_absent: bool,
    pub(crate) force: bool,
}

/// Whether the engine rejected the write. Other errors leave it unknown whether the write happened.
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

/// Checks the path of an object.
///
/// # Errors
/// [`Error::InvalidValue`] for an empty path, [`Error::PathTooLong`].
pub fn check_path(path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(Error::InvalidValue("the path is empty".to_owned()));
    }
    check_path_length(path)
}

/// Checks the path of an object to delete. Deleting the empty path succeeds, as in lakeFS.
///
/// # Errors
/// [`Error::PathTooLong`].
pub fn check_path_length(path: &str) -> Result<()> {
    match path.len() {
        0..=MAX_PATH_BYTES => Ok(()),
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
