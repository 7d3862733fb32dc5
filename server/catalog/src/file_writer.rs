//! A file that is written to the block store while its content is still being found out.
//!
//! What is not finished is not kept: a writer that is dropped ends its body with an error, so that
//! no reader takes the beginning of a file for all of it.

use std::sync::Arc;

use block::{BlockStore, ByteStream, Location, Put};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::Result;

/// How much is gathered before it is handed on.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the store.
const MAX_WAITING_PIECES: usize = 4;

/// A file of the server's own in the making.
#[derive(Debug)]
pub(crate) struct FileWriter {
    gathered: BytesMut,
    /// None is the end.
    pieces: mpsc::Sender<Option<Bytes>>,
    put: JoinHandle<block::Result<Put>>,
}

impl FileWriter {
    /// Begins a file, in place of one that may be there.
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

    /// Adds bytes; waits while the store is behind.
    ///
    /// # Errors
    /// The store's. The writer is of no more use then.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES {
            let piece = self.gathered.split().freeze();
            self.send(Some(piece)).await?;
        }
        Ok(())
    }

    /// Makes the file visible, whole.
    ///
    /// # Errors
    /// The store's: then there is no file.
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
        // The store takes no more: it failed, and says how.
        self.stored().await
    }

    async fn stored(&mut self) -> Result<()> {
        match (&mut self.put).await {
            Ok(put) => Ok(put.map(drop)?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and whoever waits here with it.
                Err(_) => std::future::pending().await,
            },
        }
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
