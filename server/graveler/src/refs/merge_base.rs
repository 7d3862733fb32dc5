//! The nearest common ancestor of two commits.
//!
//! Commits are visited by generation, highest first. All descendants of a commit are therefore
//! visited before it, and by then it is known which heads reach it. The first visited commit that
//! both heads reach is thus not an ancestor of any other common ancestor. After criss-cross merges, this is true of
//! several commits. The one with the highest generation then wins, and among equal generations the newest.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use base::OffsetDateTime;

use super::RefStore;
use super::walk::Walk;
use crate::{Commit, CommitId, Repository, Result};

const FROM_LEFT: u8 = 1;
const FROM_RIGHT: u8 = 2;
const FROM_BOTH: u8 = FROM_LEFT | FROM_RIGHT;

impl RefStore {
    /// The nearest common ancestor, or `None` if the histories are unrelated.
    pub(crate) async fn merge_base(
        &self,
        repository: &Repository,
        left: &CommitId,
        right: &CommitId,
    ) -> Result<Option<CommitId>> {
        let heads = self
            .commits(repository, &[left.clone(), right.clone()])
            .await?;
        if left == right {
            return Ok(Some(left.clone()));
        }
        let mut walk = Walk::default();
        let mut reached: HashMap<CommitId, u8> = HashMap::new();
        let mut next: BinaryHeap<(i32, OffsetDateTime, CommitId)> = BinaryHeap::new();
        let place =
            |commit: &Arc<Commit>| (commit.generation, commit.creation_date, commit.id.clone());
        for (head, side) in heads.iter().zip([FROM_LEFT, FROM_RIGHT]) {
            reached.insert(head.id.clone(), side);
            next.push(place(head));
        }
        while let Some((_, _, id)) = next.pop() {
            let sides = reached[&id];
            if sides == FROM_BOTH {
                return Ok(Some(id));
            }
            let commit = self.commit(repository, &id).await?;
            for parent in self.step(repository, &commit.parents, &mut walk).await? {
                let known = reached.entry(parent.id.clone()).or_default();
                if *known == 0 {
                    next.push(place(&parent));
                }
                *known |= sides;
            }
        }
        Ok(None)
    }
}
