//! The driver for local disks. Objects are files below one folder, at the same paths as in lakeFS:
//! `<path>/<namespace without local://>/<key>`.
//!
//! A put streams into a temporary file, flushes it to disk and renames it, so every file is a complete
//! object. All disk work runs on tokio's blocking pool; storing a small object takes a single task there.

mod folder;
mod multipart;
mod parts;
mod paths;
mod sink;
mod temp;
mod upload_locks;
mod write;

#[cfg(test)]
mod completion_tests;
#[cfg(test)]
mod symlink_tests;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use base::{IdGenerator, joined};
use bytes::Bytes;

use self::paths::{Paths, split};
use self::sink::{CreateSink, write_to_file};
use self::temp::TempFolder;
use self::upload_locks::UploadLocks;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::{parts::try_upload_file, paths::try_address};
use crate::store::clamp_range;
use crate::{
    BlockStore, ByteStream, CompletedPart, Error, Location, ObjectProperties, PartInfo, PutResult,
    Result, StoreInfo, StoredBytes,
};

/// Number of bytes read from a file in one step.
const READ_CHUNK_BYTES: u64 = 256 << 10;

/// Settings of a [`LocalStore`].
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The folder of all namespaces.
    pub path: PathBuf,
    /// Prefix of the namespaces that clients suggest.
    pub default_namespace_prefix: String,
    /// Whether objects below the folder may be imported.
    pub import_enabled: bool,
    /// Absolute paths of folders outside `path` that may be read as `local:///absolute/path`.
    pub allowed_external_prefixes: Vec<String>,
}

/// A store on a local disk. Clones share the same store.
#[derive(Debug, Clone)]
pub struct LocalStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    paths: Paths,
    temp: Arc<TempFolder>,
    upload_locks: UploadLocks,
    ids: Arc<dyn IdGenerator>,
    create_sink: CreateSink,
    default_namespace_prefix: String,
    import_enabled: bool,
}

impl LocalStore {
    /// Opens the store. Creates the folder if it does not exist, checks that it is writable, and removes
    /// temporary files of processes that have exited. `ids` generates upload ids.
    ///
    /// # Errors
    /// [`Error::Storage`] if the folder cannot be created or written.
    pub async fn open(options: LocalOptions, ids: Arc<dyn IdGenerator>) -> Result<Self> {
        Self::open_with(options, ids, write_to_file).await
    }

    async fn open_with(
        options: LocalOptions,
        ids: Arc<dyn IdGenerator>,
        create_sink: CreateSink,
    ) -> Result<Self> {
        blocking(move || {
            let failed = |source| Error::failed("open", &options.path.display(), source);
            let paths =
                Paths::open(&options.path, &options.allowed_external_prefixes).map_err(failed)?;
            let temp = TempFolder::claim(&paths.store).map_err(failed)?;
            Ok(Self(Arc::new(Inner {
                paths,
                temp: Arc::new(temp),
                upload_locks: UploadLocks::default(),
                ids,
                create_sink,
                default_namespace_prefix: options.default_namespace_prefix,
                import_enabled: options.import_enabled,
            })))
        })
        .await
    }

    /// Runs disk work on the blocking pool with access to the store's state.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner)).await
    }
}

/// Runs disk work on the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(tokio::task::spawn_blocking(work)).await
}

impl Inner {
    /// Opens an object for reading. Folders and devices are not objects.
    fn open_object(&self, at: &Location) -> Result<(File, std::fs::Metadata)> {
        let file = self.paths.open_file(at, &self.paths.resolve(at)?)?;
        let metadata = file
            .metadata()
            .map_err(|source| Error::storage("read", at, source))?;
        if !metadata.is_file() {
            return Err(Error::NotFound(at.clone()));
        }
        Ok((file, metadata))
    }
}

/// Reads the next chunk of a range, or returns `None` at its end.
fn read_chunk(file: &File, range: &mut Range<u64>) -> io::Result<Option<Bytes>> {
    let wanted = (range.end - range.start).min(READ_CHUNK_BYTES);
    if wanted == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; usize::try_from(wanted).expect("a chunk is small")];
    // If the file has been truncated, fail instead of returning fewer bytes.
    file.read_exact_at(&mut chunk, range.start)?;
    range.start += wanted;
    Ok(Some(chunk.into()))
}

/// Streams a range whose first chunk has been read. `range` is the rest.
fn stream_range(file: File, first: Option<Bytes>, range: Range<u64>) -> ByteStream {
    let file = Arc::new(file);
    Box::pin(futures::stream::try_unfold(
        (first, range),
        move |(first, mut range)| {
            let file = Arc::clone(&file);
            async move {
                if let Some(first) = first {
                    return Ok(Some((first, (None, range))));
                }
                if range.is_empty() {
                    return Ok(None);
                }
                let read = tokio::task::spawn_blocking(move || {
                    read_chunk(&file, &mut range).map(|chunk| (chunk, range))
                });
                let (chunk, range) = joined(read).await?;
                Ok(chunk.map(|chunk| (chunk, (None, range))))
            }
        },
    ))
}

#[async_trait]
impl BlockStore for LocalStore {
    fn info(&self) -> StoreInfo {
        StoreInfo {
            kind: "local",
            namespace_validity_regex: "^local://".to_owned(),
            namespace_example: "local://example-bucket/".to_owned(),
            default_namespace_prefix: self.0.default_namespace_prefix.clone(),
            presign_support: false,
            import_support: self.0.import_enabled,
            import_validity_regex: "^local://".to_owned(),
        }
    }

    fn check_namespace(&self, namespace: &str) -> Result<String> {
        self.0.paths.namespace(namespace)
    }

    async fn canonical_namespaces(&self, namespaces: Vec<String>) -> Vec<String> {
        let inner = Arc::clone(&self.0);
        let resolve = move || {
            let canonical = |namespace: &String| inner.paths.canonical(namespace);
            namespaces.iter().map(canonical).collect()
        };
        joined(tokio::task::spawn_blocking(resolve)).await
    }

    async fn put(&self, at: &Location, body: ByteStream) -> Result<PutResult> {
        let path = self.0.paths.inside(at)?;
        let stored = self.store(at, path, body).await?;
        Ok(PutResult {
            size_bytes: stored.size_bytes,
            md5: hex::encode(stored.md5),
            last_modified: stored.last_modified,
        })
    }

    async fn get(&self, at: &Location, range: Option<Range<u64>>) -> Result<StoredBytes> {
        let at = at.clone();
        self.run(move |inner| {
            let (file, metadata) = inner.open_object(&at)?;
            let mut range = clamp_range(range, metadata.len())?;
            let first = read_chunk(&file, &mut range)
                .map_err(|source| Error::failed("read", &at, source))?;
            Ok(StoredBytes {
                object_size_bytes: metadata.len(),
                body: stream_range(file, first, range),
            })
        })
        .await
    }

    async fn properties(&self, at: &Location) -> Result<Option<ObjectProperties>> {
        let at = at.clone();
        self.run(move |inner| {
            let metadata = match inner.open_object(&at) {
                Ok((_, metadata)) => metadata,
                Err(Error::NotFound(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let modified = metadata
                .modified()
                .map_err(|source| Error::failed("stat", &at, source))?;
            Ok(Some(ObjectProperties {
                size_bytes: metadata.len(),
                last_modified: modified.into(),
                storage_class: None,
            }))
        })
        .await
    }

    async fn delete(&self, at: &Location) -> Result<()> {
        let at = at.clone();
        self.run(move |inner| {
            let path = inner.paths.inside(&at)?;
            let deleted = inner.paths.parent(&at, &path).and_then(|folder| {
                let removed = folder.remove(split(&path).1);
                removed.map_err(|source| Error::storage("delete", &at, source))
            });
            match deleted {
                Err(Error::NotFound(_)) => Ok(()),
                other => other,
            }
        })
        .await
    }

    async fn copy(&self, from: &Location, to: &Location) -> Result<PutResult> {
        let body = self.get(from, None).await?.body;
        // The body is read from the store, so an error of the body is a storage error.
        self.put(to, body).await.map_err(|error| match error {
            Error::Body(source) => Error::failed("copy", from, source),
            other => other,
        })
    }

    async fn create_multipart(&self, at: &Location) -> Result<String> {
        self.begin_upload(at).await
    }

    async fn put_part(
        &self,
        at: &Location,
        upload_id: &str,
        number: u32,
        body: ByteStream,
    ) -> Result<PartInfo> {
        self.store_part(at, upload_id, number, body).await
    }

    async fn list_parts(&self, at: &Location, upload_id: &str) -> Result<Vec<PartInfo>> {
        let (at, id) = (at.clone(), upload_id.to_owned());
        self.run(move |inner| inner.open_upload(&at, &id)?.parts())
            .await
    }

    async fn complete_multipart(
        &self,
        at: &Location,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> Result<PutResult> {
        self.join_parts(at, upload_id, parts).await
    }

    async fn abort_multipart(&self, at: &Location, upload_id: &str) -> Result<()> {
        self.end_upload(at, upload_id).await
    }
}
