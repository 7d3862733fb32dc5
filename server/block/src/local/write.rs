//! Writing one file: to a temporary name, to the disk, then to its place.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::OffsetDateTime;
use bytes::Bytes;
use futures::StreamExt as _;
use md5::{Digest as _, Md5};

use super::folder::modified;
use super::paths::split;
use super::temp::TempFolder;
use super::{Inner, LocalStore};
use crate::{ByteStream, Error, Location, Result};

/// What is gathered of a body before it is handed to the disk, in bytes.
const WRITE_CHUNK_BYTES: usize = 256 << 10;

/// A file that is being written. Tests put one in between that fails.
pub(super) trait Sink: Write + Send {
    /// Flushes what was written to the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Makes a new file what is written to.
pub(super) type CreateSink = fn(File) -> Box<dyn Sink>;

pub(super) fn write_to_file(file: File) -> Box<dyn Sink> {
    Box::new(file)
}

/// A file that was stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) size_bytes: u64,
    pub(super) md5: [u8; 16],
    pub(super) last_modified: OffsetDateTime,
}

/// A temporary file, removed when it is dropped before it was put into its place.
pub(super) struct Pending {
    sink: Box<dyn Sink>,
    temp: Arc<TempFolder>,
    name: String,
    md5: Md5,
    size_bytes: u64,
    placed: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        if let Err(error) = self.temp.folder().remove(&self.name) {
            // Removed when the store is opened next.
            tracing::warn!(%error, name = %self.name, "a temporary file stays");
        }
    }
}

impl Pending {
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
            placed: false,
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

    /// Makes the file durable under its name, unless its writer has gone.
    pub(super) fn place(
        mut self,
        inner: &Inner,
        at: &Location,
        to: &Path,
        gone: &Gone,
    ) -> Result<Stored> {
        let failed = |source| Error::failed("write", at, source);
        self.sink.sync().map_err(failed)?;
        let modified = self.modified().map_err(failed)?;
        let (temp, name) = (Arc::clone(&self.temp), split(to).1);
        let mut folder = inner.paths.make_parent(at, to)?;
        if gone.is() {
            return Err(failed(io::Error::from(io::ErrorKind::Interrupted)));
        }
        let renamed = match temp.folder().rename(&self.name, &folder, name) {
            // The folder was removed since it was opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder = inner.paths.make_parent(at, to)?;
                temp.folder().rename(&self.name, &folder, name)
            }
            other => other,
        };
        renamed.map_err(failed)?;
        self.placed = true;
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

/// Whether the future that waits for disk work was dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone(Arc<AtomicBool>);

impl Gone {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Lives in the future, and tells when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Waiter(Gone);

impl Waiter {
    pub(super) fn gone(&self) -> Gone {
        self.0.clone()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

impl LocalStore {
    /// Stores a body as the file `to`.
    pub(super) async fn store(
        &self,
        at: &Location,
        to: PathBuf,
        mut body: ByteStream,
    ) -> Result<Stored> {
        let waiter = Waiter::default();
        let mut pending: Option<Pending> = None;
        loop {
            let (pieces, last) = gather(&mut body).await?;
            let (at, to, gone) = (at.clone(), to.clone(), waiter.gone());
            let written = self
                .run(move |inner| {
                    let mut pending = match pending {
                        Some(pending) => pending,
                        None => Pending::create(inner, &at)?,
                    };
                    for piece in &pieces {
                        pending.write(&at, piece)?;
                    }
                    if last {
                        pending.place(inner, &at, &to, &gone).map(Written::All)
                    } else {
                        Ok(Written::Some(pending))
                    }
                })
                .await?;
            match written {
                Written::All(stored) => return Ok(stored),
                Written::Some(more) => pending = Some(more),
            }
        }
    }
}

enum Written {
    All(Stored),
    Some(Pending),
}

/// Gathers a chunk of a body, and tells whether it was the last.
async fn gather(body: &mut ByteStream) -> Result<(Vec<Bytes>, bool)> {
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
