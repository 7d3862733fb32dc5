//! The object `_lakefs/dummy` that marks a storage namespace as in use, also once its repository is deleted.
//!
//! A creation marks the namespace before the repository exists, which proves that it can be written, but as
//! claimed only. Claims keep nobody out: whoever claims the same namespace as well loses by the records. So a
//! creation that comes to nothing, by whatever failure, leaves a namespace that can be used. Once the
//! repository exists the marker says that, and keeps others out for good.
//!
//! To servers of lakeFS every marker is one, whatever it says.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use block::Location;
use bytes::Bytes;
use futures::TryStreamExt as _;
use graveler::{NamespaceClaim, NamespaceProblem};
use tracing::warn;

use crate::Reader;

const MARKER: &str = "_lakefs/dummy";
/// Where releases of long ago put the marker.
const LEGACY_MARKER: &str = "dummy";
const IN_USE: &[u8] = b"This file marks the storage namespace as in use by a repository.\n";
const CLAIMED: &[u8] = b"A repository is about to be created in this storage namespace.\n";

/// What a marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// A repository is about to be created.
    Claimed,
    /// Anything else, whoever wrote it.
    InUse,
}

/// The marker of one creation.
#[derive(Debug)]
pub(crate) struct Marker<'a> {
    reader: &'a Reader,
    namespace: &'a str,
    /// Whether this creation has written it, or may have.
    is_written: AtomicBool,
}

impl<'a> Marker<'a> {
    pub(crate) fn new(reader: &'a Reader, namespace: &'a str) -> Self {
        Self {
            reader,
            namespace,
            is_written: AtomicBool::new(false),
        }
    }

    fn at(&self) -> Location {
        Location::below(self.namespace, MARKER)
    }

    /// Refuses a namespace in which there is or was a repository.
    pub(crate) async fn check(&self) -> graveler::Result<()> {
        for key in [MARKER, LEGACY_MARKER] {
            let at = Location::below(self.namespace, key);
            if self.text(&at).await? == Some(Text::InUse) {
                return Err(graveler::Error::Namespace(NamespaceProblem::InUse {
                    namespace: self.namespace.to_owned(),
                    key: key.to_owned(),
                }));
            }
        }
        Ok(())
    }

    /// Says in the marker that the repository exists. That it can't be said is no failure of the creation.
    pub(crate) async fn confirm(&self) {
        if let Err(error) = self.write(IN_USE).await {
            warn!(%error, "failed to mark the namespace of a new repository: create {} in the store", self.at());
        }
    }

    /// After a creation that came to nothing: what it wrote goes, unless the namespace is another's by now,
    /// whose marker it may have written over.
    pub(crate) async fn withdraw(&self) {
        if !self.is_written.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.settle().await {
            // The claim that is left keeps nobody out.
            warn!(%error, "failed to free namespace marker {}", self.at());
        }
    }

    async fn settle(&self) -> graveler::Result<()> {
        if !self.has_repository().await? {
            if self.text(&self.at()).await? != Some(Text::Claimed) {
                return Ok(());
            }
            self.reader.block.delete(&self.at()).await?;
            // Whose repository came just now may have been marked before the deletion.
            if !self.has_repository().await? {
                return Ok(());
            }
        }
        self.write(IN_USE).await
    }

    async fn has_repository(&self) -> graveler::Result<bool> {
        self.reader.graveler.has_namespace(self.namespace).await
    }

    async fn write(&self, text: &'static [u8]) -> graveler::Result<()> {
        let body = block::from_bytes(Bytes::from_static(text));
        self.reader.block.put(&self.at(), body).await?;
        Ok(())
    }

    /// What a marker says; none if there is no marker. One look, since a marker can go between two: another's
    /// creation that came to nothing takes its claim away.
    async fn text(&self, at: &Location) -> graveler::Result<Option<Text>> {
        let length = CLAIMED.len() as u64;
        let body = match self.reader.block.get(at, Some(0..length + 1)).await {
            Err(block::Error::NotFound(_)) => return Ok(None),
            // It is empty.
            Err(block::Error::RangeNotSatisfiable { .. }) => return Ok(Some(Text::InUse)),
            body => body?,
        };
        let read: Vec<Bytes> = body.try_collect().await.map_err(block::Error::Body)?;
        Ok(Some(match read.concat() == CLAIMED {
            true => Text::Claimed,
            false => Text::InUse,
        }))
    }
}

#[async_trait]
impl NamespaceClaim for Marker<'_> {
    async fn claim(&self) -> graveler::Result<()> {
        self.check().await?;
        self.is_written.store(true, Ordering::Relaxed);
        self.write(CLAIMED).await
    }
}
