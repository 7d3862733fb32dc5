//! Rebases a finished merge onto a destination that has moved since.
//!
//! The merge's changes to the old destination are applied to the new one, so the cost depends only on
//! the difference between the two destinations. The result equals a full merge if the source changed
//! no key on which the destinations differ:
//!
//! - For a key on which they agree, the decision is the same as before.
//! - For a key on which they differ, the source has no change, so the new destination wins.
//!
//! If the source changed such a key, the full merge is repeated.

use super::Committed;
use super::diff::TreeDiff;
use crate::{MergeStrategy, MetaRangeId, Result};

/// A finished merge: its inputs and the resulting tree.
#[derive(Debug, Clone)]
pub struct Merged {
    pub base: MetaRangeId,
    pub source: MetaRangeId,
    pub destination: MetaRangeId,
    pub strategy: MergeStrategy,
    pub tree: MetaRangeId,
}

impl Committed {
    /// Merges the changes of `source` since `base` into `destination`, reusing `before`, the result
    /// of the same merge into an earlier destination, if possible.
    ///
    /// The result has the same records as that of [`Self::merge`].
    ///
    /// # Errors
    /// As [`Self::merge`].
    pub async fn merge_incrementally(
        &self,
        namespace: &str,
        before: Option<&Merged>,
        base: &MetaRangeId,
        source: &MetaRangeId,
        destination: &MetaRangeId,
        strategy: MergeStrategy,
    ) -> Result<Merged> {
        let before = before.filter(|before| {
            before.base == *base && before.source == *source && before.strategy == strategy
        });
        let tree = match before {
            Some(before) if before.destination == *destination => before.tree.clone(),
            // If the old destination equaled the base, the source was taken whole and there is no
            // difference to rebase.
            Some(before)
                if before.destination != *base
                    && !self
                        .destination_touches_source(namespace, before, destination)
                        .await? =>
            {
                let (old, new) = (&before.destination, &before.tree);
                self.merge(namespace, old, new, destination, MergeStrategy::None)
                    .await?
            }
            _ => {
                self.merge(namespace, base, source, destination, strategy)
                    .await?
            }
        };
        Ok(Merged {
            base: base.clone(),
            source: source.clone(),
            destination: destination.clone(),
            strategy,
            tree,
        })
    }

    /// Whether the source changed a key that differs between the two destinations.
    async fn destination_touches_source(
        &self,
        namespace: &str,
        before: &Merged,
        destination: &MetaRangeId,
    ) -> Result<bool> {
        let mut moved = TreeDiff::new(
            self.walk(namespace, &before.destination).await?,
            self.walk(namespace, destination).await?,
        );
        let mut changed = TreeDiff::new(
            self.walk(namespace, &before.base).await?,
            self.walk(namespace, &before.source).await?,
        );
        while let Some(pair) = moved.next_pair().await? {
            if changed.differs_at(&pair.key).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
