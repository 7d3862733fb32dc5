//! What moved since a run began: to where the run had been already.
//!
//! An undo takes staged changes from where they are kept to a branch; a refused commit, a reset of one object or
//! another undo writes them there into a fresh token; and a reset or deletion has them kept again. So of each
//! change that moved some, the tokens are gone through, and behind them the branch that they came back to,
//! as it is by then.
//!
//! Changes are told newest first. Those that are made meanwhile are gone through in another round, until in one
//! nothing moved: then all that moved was seen where it moved to last.

use std::collections::BTreeSet;
use std::time::Duration;

use base::OffsetDateTime;
use graveler::MovedStaged;

use super::Run;
use super::mark::{Mark, Moved, Place};
use crate::Result;

/// How many entries of the reflog are looked at at a time; two at least, since the one to go on from is among them.
const PAGE: usize = 500;
/// So much the clocks of two servers may differ: entries of so long before the run count as made since.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

impl Run<'_> {
    /// Goes on at an entry that was seen down to `path`, or to its end, or begins. Gives where it stopped.
    pub(super) async fn gather_moved(
        &mut self,
        mut at: Moved,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Mark>> {
        loop {
            // Of a round that another call began it is not known.
            let mut any_moved = !at.entry.is_empty();
            if let Some(stopped_at) = self
                .gather_round(&mut at, path.take(), &mut any_moved)
                .await?
            {
                return Ok(Some(stopped_at));
            }
            if !any_moved {
                return Ok(None);
            }
            at = Moved {
                until: std::mem::take(&mut at.top),
                ..Moved::default()
            };
        }
    }

    async fn gather_round(
        &mut self,
        at: &mut Moved,
        mut path: Option<Vec<u8>>,
        any_moved: &mut bool,
    ) -> Result<Option<Mark>> {
        let began = base::data_id_time(&self.id).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let since = began - MAX_CLOCK_SKEW;
        // To go on at that entry, once.
        let mut resumed = (!at.entry.is_empty()).then_some(at.anew);
        loop {
            let page = self
                .catalog
                .graveler
                .moved_staged(self.repository, since, &at.entry, PAGE)
                .await?;
            let mut seen = BTreeSet::new();
            for moved in page.results {
                if !at.until.is_empty() && moved.entry >= at.until {
                    return Ok(None);
                }
                if at.top.is_empty() {
                    at.top.clone_from(&moved.entry);
                }
                let (mut anew, mut after) = (false, Some(Vec::new()));
                if moved.entry == at.entry {
                    match resumed.take() {
                        Some(was_anew) => (anew, after) = (was_anew, path.take()),
                        None => continue,
                    }
                }
                at.entry.clone_from(&moved.entry);
                *any_moved |= !moved.tokens.is_empty();
                if !anew {
                    if let Some(stopped_at) = self.gather_tokens(at, &moved, after).await? {
                        return Ok(Some(stopped_at));
                    }
                    after = Some(Vec::new());
                }
                // Newer moves to the same branch were seen with it.
                if let Some(branch) = &moved.back_to
                    && seen.insert(branch.clone())
                    && let Some(stopped_at) = self.gather_anew(at, branch.as_str(), after).await?
                {
                    return Ok(Some(stopped_at));
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

    async fn gather_tokens(
        &mut self,
        at: &Moved,
        moved: &MovedStaged,
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
