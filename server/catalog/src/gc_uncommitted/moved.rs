//! Finds staged objects that moved, during a run, to a place that the run had already processed.
//!
//! An undo moves kept staged changes back to a branch. From there, a refused commit, a reset of one object or another
//! undo copies them to a fresh token, and a reset or deletion keeps them in the reflog again. So for each change that
//! moved staged objects, the run processes the moved tokens and then the branch that they moved to, in its current
//! state.
//!
//! A round lists such changes newest first. Changes made during a round are processed in the next round. The run is
//! complete after a round in which nothing moved: the run has then seen every moved object where it is now.
//!
//! "Newest" depends on the clocks of the servers that made the changes, so a change may be inserted behind a known one.
//! Each round therefore ends at entries that are older, by the maximum clock skew, than the first entry of the previous
//! round, and visits some changes again. A round is the last one if its digest equals the overlap digest of the
//! previous round: it then visited only changes that the previous round had visited too.

use std::collections::BTreeSet;
use std::time::Duration;

use base::OffsetDateTime;
use graveler::StagedMove;
use sha2::{Digest as _, Sha256};

use super::Run;
use super::continuation::{Continuation, MovedScan, Source};
use crate::Result;

/// How many reflog entries are listed at a time. At least two, because a page includes the entry to resume from.
const PAGE: usize = 500;
/// The assumed maximum difference between the clocks of two servers. A round also visits entries that are older than
/// its lower bound by up to this much.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);
/// How many processed changes a call remembers. Further ones may be processed again, which is harmless.
pub(super) const MAX_SEEN: usize = 10_000;
/// The length of the digests, in bytes.
const DIGEST_BYTES: usize = 16;

impl Run<'_> {
    /// Processes the changes that moved staged objects. If `scan` names an entry, continues within it after `path`, or
    /// without a `path` after the whole entry. Returns the position at which the time ran out, or none if the run is
    /// complete.
    pub(super) async fn gather_moved(
        &mut self,
        mut scan: MovedScan,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Continuation>> {
        loop {
            if let Some(stopped_at) = self.gather_round(&mut scan, path.take()).await? {
                return Ok(Some(stopped_at));
            }
            if scan.digest == scan.previous_digest {
                return Ok(None);
            }
            scan = MovedScan {
                previous_first_entry: scan.first_entry,
                previous_digest: scan.overlap_digest,
                ..MovedScan::default()
            };
        }
    }

    async fn gather_round(
        &mut self,
        scan: &mut MovedScan,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Continuation>> {
        let since = self.lower_bound(&scan.previous_first_entry);
        // Set only for the entry at which this call resumes.
        let mut resumed_in_branch = (!scan.entry.is_empty()).then_some(scan.in_branch);
        loop {
            let page = self
                .catalog
                .graveler
                .staged_moves(self.repository, since, &scan.entry, PAGE)
                .await?;
            let mut branches = BTreeSet::new();
            for moved in page.results {
                if scan.first_entry.is_empty() {
                    scan.first_entry.clone_from(&moved.entry);
                }
                let (mut in_branch, mut after) = (false, Some(Vec::new()));
                if moved.entry == scan.entry {
                    match resumed_in_branch.take() {
                        Some(resumed) => (in_branch, after) = (resumed, path.take()),
                        None => continue,
                    }
                } else {
                    self.update_digests(scan, &moved);
                }
                scan.entry.clone_from(&moved.entry);
                if moved.tokens.is_empty() || self.seen.contains(&moved.entry) {
                    continue;
                }
                if !in_branch {
                    if let Some(stopped_at) = self.gather_tokens(scan, &moved, after).await? {
                        return Ok(Some(stopped_at));
                    }
                    after = Some(Vec::new());
                }
                // The entries are newest first: an earlier one in this page may have processed this branch.
                if let Some(branch) = &moved.restored_to
                    && branches.insert(branch.clone())
                    && let Some(stopped_at) = self
                        .gather_moved_branch(scan, branch.as_str(), after)
                        .await?
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
            if self.is_past_deadline() {
                return Ok(Some(self.end_of_entry(scan, true)));
            }
        }
    }

    /// The creation time of the oldest changes that a round lists. `previous_first_entry` is empty in the first round.
    fn lower_bound(&self, previous_first_entry: &str) -> OffsetDateTime {
        let started_at = base::data_id_time(&self.id).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let previous = StagedMove::made(previous_first_entry);
        previous.map_or(started_at, |made| made.max(started_at)) - MAX_CLOCK_SKEW
    }

    /// Adds a visited change to the round's digests.
    fn update_digests(&self, scan: &mut MovedScan, moved: &StagedMove) {
        if moved.tokens.is_empty() {
            return;
        }
        let digest = Sha256::new()
            .chain_update(&scan.digest)
            .chain_update(&moved.entry)
            .finalize();
        scan.digest = hex::encode(&digest[..DIGEST_BYTES]);
        let next_lower_bound = self.lower_bound(&scan.first_entry);
        if StagedMove::made(&moved.entry).is_some_and(|made| made >= next_lower_bound) {
            scan.overlap_digest.clone_from(&scan.digest);
        }
    }

    async fn gather_tokens(
        &mut self,
        scan: &MovedScan,
        moved: &StagedMove,
        after: Option<Vec<u8>>,
    ) -> Result<Option<Continuation>> {
        let Some(after) = after.filter(|_| !moved.tokens.is_empty()) else {
            return Ok(None);
        };
        let records = self.catalog.graveler.tokens_cursor(&moved.tokens);
        let source = self.end_of_entry(scan, false).source;
        if let Some(stopped_at) = self.gather_records(records, &source, &after).await? {
            return Ok(Some(stopped_at));
        }
        Ok(self
            .is_past_deadline()
            .then(|| self.end_of_entry(scan, false)))
    }

    async fn gather_moved_branch(
        &mut self,
        scan: &MovedScan,
        branch: &str,
        after: Option<Vec<u8>>,
    ) -> Result<Option<Continuation>> {
        let Some(after) = after else {
            return Ok(None);
        };
        let source = self.end_of_entry(scan, true).source;
        if let Some(stopped_at) = self.gather_branch(branch, &source, &after).await? {
            return Ok(Some(stopped_at));
        }
        Ok(self
            .is_past_deadline()
            .then(|| self.end_of_entry(scan, true)))
    }

    /// The position after all objects of the current entry: of its tokens or, with `in_branch`, of its branch.
    fn end_of_entry(&self, scan: &MovedScan, in_branch: bool) -> Continuation {
        let source = Source::Moved(MovedScan {
            in_branch,
            ..scan.clone()
        });
        self.continuation(source, None)
    }
}
