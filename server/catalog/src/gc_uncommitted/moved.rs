//! What moved since a run began: to where the run had been already.
//!
//! An undo takes staged changes from where they are kept to a branch; a refused commit, a reset of one object or
//! another undo writes them there into a fresh token; and a reset or deletion has them kept again. So of each
//! change that moved some, the tokens are gone through, and behind them the branch that they came back to,
//! as it is by then.
//!
//! Changes are told newest first. Those that are made meanwhile are gone through in another round, until in one
//! nothing moved: then all that moved was seen where it moved to last.
//!
//! Newest is by the clocks of the servers that made them, so a change may land behind one that is known. So each
//! round goes on below where the one before began, by as much as clocks may differ, and comes to some changes again.
//! It is the last if the changes that it came to are just those of the round before.

use std::collections::BTreeSet;
use std::time::Duration;

use base::OffsetDateTime;
use graveler::StagedMove;
use sha2::{Digest as _, Sha256};

use super::Run;
use super::mark::{Mark, Moved, Place};
use crate::Result;

/// How many entries of the reflog are looked at at a time; two at least, since the one to go on from is among them.
const PAGE: usize = 500;
/// So much the clocks of two servers may differ: entries of so long before the run, or before those of a round,
/// count as made since.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);
/// How many changes a call knows to have gone through: more are gone through again, which does no harm.
pub(super) const MAX_SEEN: usize = 10_000;
/// How much of a hash tells one set of changes from another, in bytes.
const SUM_BYTES: usize = 16;

impl Run<'_> {
    /// Goes on at an entry that was seen down to `path`, or to its end, or begins. Gives where it stopped.
    pub(super) async fn gather_moved(
        &mut self,
        mut at: Moved,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Mark>> {
        loop {
            if let Some(stopped_at) = self.gather_round(&mut at, path.take()).await? {
                return Ok(Some(stopped_at));
            }
            if at.sum == at.before {
                return Ok(None);
            }
            at = Moved {
                until: at.top,
                before: at.near,
                ..Moved::default()
            };
        }
    }

    async fn gather_round(
        &mut self,
        at: &mut Moved,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Mark>> {
        let since = self.since(&at.until);
        // To go on at that entry, once.
        let mut resumed = (!at.entry.is_empty()).then_some(at.anew);
        loop {
            let page = self
                .catalog
                .graveler
                .staged_moves(self.repository, since, &at.entry, PAGE)
                .await?;
            let mut branches = BTreeSet::new();
            for moved in page.results {
                if at.top.is_empty() {
                    at.top.clone_from(&moved.entry);
                }
                let (mut anew, mut after) = (false, Some(Vec::new()));
                if moved.entry == at.entry {
                    match resumed.take() {
                        Some(was_anew) => (anew, after) = (was_anew, path.take()),
                        None => continue,
                    }
                } else {
                    self.count(at, &moved);
                }
                at.entry.clone_from(&moved.entry);
                if moved.tokens.is_empty() || self.seen.contains(&moved.entry) {
                    continue;
                }
                if !anew {
                    if let Some(stopped_at) = self.gather_tokens(at, &moved, after).await? {
                        return Ok(Some(stopped_at));
                    }
                    after = Some(Vec::new());
                }
                // Newer moves to the same branch were seen with it.
                if let Some(branch) = &moved.restored_to
                    && branches.insert(branch.clone())
                    && let Some(stopped_at) = self.gather_anew(at, branch.as_str(), after).await?
                {
                    return Ok(Some(stopped_at));
                }
                if self.seen.len() < MAX_SEEN {
                    self.seen.insert(moved.entry);
                }
            }
            if !page.has_more {
                return Ok(None);
            }
            if self.is_over() {
                return Ok(Some(self.stop(at, true)));
            }
        }
    }

    /// Down to when a round goes whose predecessor began at an entry, or the first.
    fn since(&self, until: &str) -> OffsetDateTime {
        let began = base::data_id_time(&self.id).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        StagedMove::made(until).map_or(began, |made| made.max(began)) - MAX_CLOCK_SKEW
    }

    /// Notes that a round came to a change.
    fn count(&self, at: &mut Moved, moved: &StagedMove) {
        if moved.tokens.is_empty() {
            return;
        }
        let sum = Sha256::new()
            .chain_update(&at.sum)
            .chain_update(&moved.entry)
            .finalize();
        at.sum = hex::encode(&sum[..SUM_BYTES]);
        if StagedMove::made(&moved.entry).is_some_and(|made| made >= self.since(&at.top)) {
            at.near.clone_from(&at.sum);
        }
    }

    async fn gather_tokens(
        &mut self,
        at: &Moved,
        moved: &StagedMove,
        after: Option<Vec<u8>>,
    ) -> Result<Option<Mark>> {
        let Some(after) = after.filter(|_| !moved.tokens.is_empty()) else {
            return Ok(None);
        };
        let records = self.catalog.graveler.tokens_cursor(&moved.tokens);
        let place = self.stop(at, false).place;
        if let Some(stopped_at) = self.gather_records(records, &place, &after).await? {
            return Ok(Some(stopped_at));
        }
        Ok(self.is_over().then(|| self.stop(at, false)))
    }

    async fn gather_anew(
        &mut self,
        at: &Moved,
        branch: &str,
        after: Option<Vec<u8>>,
    ) -> Result<Option<Mark>> {
        let Some(after) = after else {
            return Ok(None);
        };
        let place = self.stop(at, true).place;
        if let Some(stopped_at) = self.gather_branch(branch, &place, &after).await? {
            return Ok(Some(stopped_at));
        }
        Ok(self.is_over().then(|| self.stop(at, true)))
    }

    /// The end of what is at this entry.
    fn stop(&self, at: &Moved, anew: bool) -> Mark {
        let place = Place::Moved(Moved { anew, ..at.clone() });
        self.mark(place, None)
    }
}
