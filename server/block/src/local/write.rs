//! Writes a file: creates it in the temporary folder, flushes it to disk and renames it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::OffsetDateTime;
use bytes::Bytes;
use futures::StreamExt as _;
use md5::{Digest as _, Md5};

use super::folder::modified;
use super::paths::split;
use super::sink::Sink;
use super::temp::TempFolder;
use super::{Inner, LocalStore};
use crate::{ByteStream, Error, Location, Result};

/// Number of bytes of a body that are collected before they are written.
const WRITE_CHUNK_BYTES: usize = 256 << 10;

/// A stored file.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) size_bytes: u64,
    pub(super) md5: [u8; 16],
    pub(super) last_modified: OffsetDateTime,
}

/// A temporary file. Dropping it before it is published removes it.
pub(super) struct TempFile {
    sink: Box<dyn Sink>,
    temp: Arc<TempFolder>,
    name: String,
    md5: Md5,
    size_bytes: u64,
    published: bool,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        if let Err(error) = self.temp.folder().remove(&self.name) {
            // The next process that opens the store removes the file.
            tracing::warn!(%error, name = %self.name, "failed to remove a temporary file");
        }
    }
}

impl TempFile {
    pub(super) fn create(inner: &Inner, at: &Location) -> Result<Self> {
        let name = inner.temp.next_name();
        let file = inner.temp.folder().create(&name);
        let file = file.map_err(|source| Error::failed("write", at, source))?;
        Ok(Self {
            sink: (inner.create_sink)(file),
            temp: Arc::clone(&inner.temp),
            name,
            md5: Md5::new(),
            size_bytes: 0,
            published: false,
        })
    }

    pub(super) fn write(&mut self, at: &Location, bytes: &[u8]) -> Result<()> {
        self.sink
            .write_all(bytes)
            .map_err(|source| Error::failed("write", at, source))?;
        self.md5.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file durable and renames it to `to`, unless the request was cancelled. The last step flushes the
    /// folder. If it fails, the file remains at `to` although this function returns an error.
    pub(super) fn publish(
        mut self,
        inner: &Inner,
        at: &Location,
        to: &Path,
        cancelled: &CancelFlag,
    ) -> Result<Stored> {
        let failed = |source| Error::failed("write", at, source);
        self.sink.sync().map_err(failed)?;
        let modified = self.modified().map_err(failed)?;
        let (temp, name) = (Arc::clone(&self.temp), split(to).1);
        let mut folder = inner.paths.create_parent(at, to)?;
        if cancelled.is_set() {
            return Err(failed(io::Error::from(io::ErrorKind::Interrupted)));
        }
        let renamed = match temp.folder().rename(&self.name, &folder, name) {
            // Another process has removed the folder since it was opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder = inner.paths.create_parent(at, to)?;
                temp.folder().rename(&self.name, &folder, name)
            }
            other => other,
        };
        renamed.map_err(failed)?;
        self.published = true;
        folder.sync().map_err(failed)?;
        Ok(Stored {
            size_bytes: self.size_bytes,
            md5: std::mem::take(&mut self.md5).finalize().into(),
            last_modified: modified,
        })
    }

    fn modified(&self) -> io::Result<OffsetDateTime> {
        let stat = self.temp.folder().stat(&self.name)?;
        modified(&stat.ok_or(io::ErrorKind::NotFound)?)
    }
}

/// Set when the future that waits for disk work is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Part of the waiting future. Dropping it sets the [`CancelFlag`].
#[derive(Debug, Default)]
pub(super) struct CancelOnDrop(CancelFlag);

impl CancelOnDrop {
    pub(super) fn flag(&self) -> CancelFlag {
        self.0.clone()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

impl LocalStore {
    /// Stores a body as the file `to`, a path below the store's folder.
    pub(super) async fn store(
        &self,
        at: &Location,
        to: PathBuf,
        mut body: ByteStream,
    ) -> Result<Stored> {
        let cancel = CancelOnDrop::default();
        let mut pending: Option<TempFile> = None;
        loop {
            let (pieces, is_last) = next_chunk(&mut body).await?;
            let (at, to, cancelled) = (at.clone(), to.clone(), cancel.flag());
            let written = self
                .run(move |inner| {
                    let mut pending = match pending {
                        Some(pending) => pending,
                        None => TempFile::create(inner, &at)?,
                    };
                    for piece in &pieces {
                        pending.write(&at, piece)?;
                    }
                    if is_last {
                        pending
                            .publish(inner, &at, &to, &cancelled)
                            .map(Written::Completely)
                    } else {
                        Ok(Written::Partly(pending))
                    }
                })
                .await?;
            match written {
                Written::Completely(stored) => return Ok(stored),
                Written::Partly(file) => pending = Some(file),
            }
        }
    }
}

enum Written {
    Completely(Stored),
    Partly(TempFile),
}

/// Collects the next chunk of a body and returns whether it is the last.
async fn next_chunk(body: &mut ByteStream) -> Result<(Vec<Bytes>, bool)> {
    let mut pieces = Vec::new();
    let mut len = 0;
    while len < WRITE_CHUNK_BYTES {
        match body.next().await {
            Some(piece) => {
                let piece = piece.map_err(Error::Body)?;
                len += piece.len();
                pieces.push(piece);
            }
            None => return Ok((pieces, true)),
        }
    }
    Ok((pieces, false))
}
