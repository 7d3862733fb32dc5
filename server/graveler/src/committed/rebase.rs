//! Carries a merge over to a destination that has moved since it was worked out.
//!
//! What the merge changed of the old destination is laid onto the new one, at the cost of
//! what has changed between the two. That is the whole merge's result wherever source and
//! destinations changed different keys: a key that the destinations agree on is judged as
//! before, and one that the source has not changed is the new destination's in any case.
//! A key that both changed would have to be judged anew, so then the whole merge is.

use super::Committed;
use super::diff::TreeDiff;
use crate::{MergeStrategy, MetaRangeId, Result};

/// A merge that was worked out: what went in, and the tree that came out.
#[derive(Debug, Clone)]
pub struct Merged {
    pub base: MetaRangeId,
    pub source: MetaRangeId,
    pub destination: MetaRangeId,
    pub strategy: MergeStrategy,
    pub tree: MetaRangeId,
}

impl Committed {
    /// Merges what `source` changed since `base` into `destination`, and makes use of
    /// `before`, the same merge into what the destination was.
    ///
    /// The records are those of [`Self::merge`], and so are its errors.
    ///
    /// # Errors
    /// As [`Self::merge`].
    pub async fn merge_again(
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
            // Onto an unchanged destination the source was taken whole: nothing to carry over.
            Some(before)
                if before.destination != *base
                    && !self.meets(namespace, before, destination).await? =>
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

    /// Whether the source changed a key that has changed between the destinations as well.
    async fn meets(
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
