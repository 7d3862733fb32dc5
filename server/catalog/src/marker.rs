//! The object `_lakefs/dummy`, which marks a storage namespace as in use, even after its repository was deleted.
//!
//! The creation of a repository writes the marker before the repository exists, which also proves that the
//! namespace is writable. At this point the marker says only "claimed". A claim does not exclude others: if two
//! creations claim the same namespace, the repository records decide. A failed creation therefore leaves the
//! namespace usable. Once the repository exists, the marker says "in use" and excludes others for good.
//!
//! Servers of lakeFS treat any marker as "in use", whatever its text.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use block::Location;
use bytes::Bytes;
use futures::TryStreamExt as _;
use graveler::{NamespaceClaim, NamespaceProblem};
use tracing::warn;

use crate::Catalog;

const MARKER: &str = "_lakefs/dummy";
/// Where very old releases of lakeFS put the marker.
const LEGACY_MARKER: &str = "dummy";
const IN_USE: &[u8] = b"This file marks the storage namespace as in use by a repository.\n";
const CLAIMED: &[u8] = b"A repository is about to be created in this storage namespace.\n";

/// The meaning of a marker's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// A repository is about to be created.
    Claimed,
    /// Any other text, including the markers of lakeFS.
    InUse,
}

/// The marker written by one creation.
#[derive(Debug)]
pub(crate) struct Marker<'a> {
    catalog: &'a Catalog,
    namespace: &'a str,
    /// Whether this creation wrote the marker or tried to.
    is_written: AtomicBool,
}

impl<'a> Marker<'a> {
    pub(crate) fn new(catalog: &'a Catalog, namespace: &'a str) -> Self {
        Self {
            catalog,
            namespace,
            is_written: AtomicBool::new(false),
        }
    }

    fn at(&self) -> Location {
        Location::below(self.namespace, MARKER)
    }

    /// Refuses a namespace that a repository uses or has used.
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

    /// Changes the marker to "in use". Best effort: the repository exists even if this fails.
    pub(crate) async fn confirm(&self) {
        if let Err(error) = self.write(IN_USE).await {
            warn!(%error, "failed to mark the namespace of a new repository: create {} in the store", self.at());
        }
    }

    /// Cleans up after a failed creation, best effort. Deletes the claim. If another repository uses the namespace,
    /// writes that repository's marker instead, because this creation may have overwritten it.
    pub(crate) async fn withdraw(&self) {
        if !self.is_written.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.delete_or_restore().await {
            // A leftover claim does not exclude others.
            warn!(%error, "failed to free namespace marker {}", self.at());
        }
    }

    async fn delete_or_restore(&self) -> graveler::Result<()> {
        if !self.has_repository().await? {
            if self.text(&self.at()).await? != Some(Text::Claimed) {
                return Ok(());
            }
            self.catalog.block.delete(&self.at()).await?;
            // A repository created in between may have written its marker before the deletion.
            if !self.has_repository().await? {
                return Ok(());
            }
        }
        self.write(IN_USE).await
    }

    async fn has_repository(&self) -> graveler::Result<bool> {
        self.catalog.graveler.has_namespace(self.namespace).await
    }

    async fn write(&self, text: &'static [u8]) -> graveler::Result<()> {
        let body = block::from_bytes(Bytes::from_static(text));
        self.catalog.block.put(&self.at(), body).await?;
        Ok(())
    }

    /// The meaning of a marker, or none if it does not exist. Uses one request: between two requests, a concurrent
    /// creation that failed may delete its claim.
    async fn text(&self, at: &Location) -> graveler::Result<Option<Text>> {
        let length = CLAIMED.len() as u64;
        let body = match self.catalog.block.get(at, Some(0..length + 1)).await {
            Err(block::Error::NotFound(_)) => return Ok(None),
            // The marker is empty.
            Err(block::Error::RangeNotSatisfiable { .. }) => return Ok(Some(Text::InUse)),
            stored => stored?.body,
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
