//! Streams a file to the block store while its content is being generated.
//!
//! An unfinished file is not stored: dropping the writer ends the body with an error, so readers
//! never see a truncated file.

use std::sync::Arc;

use base::joined;
use block::{BlockStore, ByteStream, Location, PutResult};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::Result;

/// How many bytes are buffered before they are sent to the store.
const PIECE_BYTES: usize = 64 << 10;
/// The maximum number of pieces that wait for the store.
const MAX_WAITING_PIECES: usize = 4;

/// An internal file of the server that is being written.
#[derive(Debug)]
pub(crate) struct FileWriter {
    gathered: BytesMut,
    /// `None` marks the end of the file.
    pieces: mpsc::Sender<Option<Bytes>>,
    put: JoinHandle<block::Result<PutResult>>,
}

impl FileWriter {
    /// Starts a file at `at`. [`Self::finish`] replaces an existing file.
    pub(crate) fn create(store: &Arc<dyn BlockStore>, at: Location) -> Self {
        let (pieces, waiting) = mpsc::channel(MAX_WAITING_PIECES);
        let store = Arc::clone(store);
        let put = async move { store.put(&at, body(waiting)).await };
        Self {
            gathered: BytesMut::new(),
            pieces,
            put: tokio::spawn(put.in_current_span()),
        }
    }

    /// Appends bytes. Waits while the store is slower than the caller.
    ///
    /// # Errors
    /// Any error of the store. The writer must not be used after an error.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES {
            let piece = self.gathered.split().freeze();
            self.send(Some(piece)).await?;
        }
        Ok(())
    }

    /// Completes the file and makes it visible.
    ///
    /// # Errors
    /// Any error of the store. No file is stored then.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let piece = self.gathered.split().freeze();
        self.send(Some(piece)).await?;
        self.send(None).await?;
        self.stored().await
    }

    async fn send(&mut self, piece: Option<Bytes>) -> Result<()> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // The store stopped reading because it failed; return its error.
        self.stored().await
    }

    async fn stored(&mut self) -> Result<()> {
        Ok(joined(&mut self.put).await.map(drop)?)
    }
}

fn body(pieces: mpsc::Receiver<Option<Bytes>>) -> ByteStream {
    let next = |mut pieces: mpsc::Receiver<Option<Bytes>>| async move {
        match pieces.recv().await {
            Some(Some(piece)) => Ok(Some((piece, pieces))),
            Some(None) => Ok(None),
            None => Err(std::io::Error::other("the file was not finished")),
        }
    };
    Box::pin(futures::stream::try_unfold(pieces, next))
}
