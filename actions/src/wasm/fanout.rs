//! Runs an object gate on every selected change.
//!
//! Each object gets a fresh instance. A limited number of instances runs concurrently, and results
//! are collected in path order. The report is therefore deterministic, and the number of results
//! waiting to be collected is limited.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::Instant;

use super::admission::{Waits, fit};
use super::calls::Calls;
use super::capability::Rights;
use super::collect::Collector;
use super::instance::{Deadline, Outcome};
use super::limits::{PAGE, PARALLELISM, TICK};
use super::reads::size_of;
use super::ready::Ready;
use super::report::{Cause, Failure};
use super::session::{Change, Run};
use crate::computations::{Progress, TimeSlice};

/// Feeds the collector until all changes are checked, the hook is stopped, or its time is up.
pub(super) async fn objects(
    calls: &Arc<Calls>,
    ready: &Arc<Ready>,
    run: &Arc<Run>,
    select: Selection,
    collector: &mut Collector,
) {
    let deadline = Deadline {
        after: run.limits.timeout,
        what: "(timeout)",
    };
    let at_once = select.parallelism.min(fit(run.limits.memory_bytes));
    let check_all = async {
        let outcomes = changes(calls.clone(), run.clone(), select.max_size_bytes)
            .map(|change| check_object(calls, ready, run, change))
            .buffered(at_once.clamp(1, PARALLELISM));
        let mut outcomes = std::pin::pin!(outcomes);
        while let Some(outcome) = outcomes.next().await {
            let go_on = match outcome {
                Ok((path, Ok(outcome))) => collector.add(run, Some(&path), outcome),
                Ok((path, Err(failure))) => collector.error(run, Some(&path), &failure),
                Err(failure) => collector.error(run, None, &failure),
            };
            if !go_on {
                break;
            }
        }
    };
    if with_time_limit(deadline.after, &run.waits, check_all)
        .await
        .is_none()
    {
        collector.error(run, None, &deadline.failure());
    }
}

/// Runs `work` with a time limit. Returns `None` on timeout. Time during which all instances of the
/// hook wait for admission does not count.
async fn with_time_limit<T>(
    time: Duration,
    waits: &Waits,
    work: impl Future<Output = T>,
) -> Option<T> {
    let start = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        let now = Instant::now();
        let used = now.duration_since(start).saturating_sub(waits.total(now));
        if used >= time {
            return None;
        }
        let left = (time - used).max(TICK.min(time));
        if let Ok(done) = tokio::time::timeout(left, work.as_mut()).await {
            return Some(done);
        }
    }
}

/// The selection of changes and the concurrency of a hook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub(super) max_size_bytes: Option<u64>,
    pub(super) parallelism: usize,
}

type CheckedObject = Result<(String, Result<Outcome, Failure>), Failure>;

async fn check_object(
    calls: &Arc<Calls>,
    ready: &Arc<Ready>,
    run: &Arc<Run>,
    change: Result<Change, Failure>,
) -> CheckedObject {
    let change = change?;
    let path = change.path.clone();
    let deadline = Deadline {
        after: run.limits.time_per_object,
        what: "on one object (limits.time_per_object)",
    };
    let call = calls.call(ready.clone(), run.clone(), Some(change), deadline);
    Ok((path, call.await))
}

/// Streams the selected changes in path order. Matching runs off the serving threads, because users
/// supply the globs.
fn changes(
    calls: Arc<Calls>,
    run: Arc<Run>,
    max_size_bytes: Option<u64>,
) -> impl Stream<Item = Result<Change, Failure>> + Send {
    let first = Some(String::new());
    let state = (calls, run, first);
    let pages = stream::try_unfold(state, move |(calls, run, after)| async move {
        let Some(after) = after else { return Ok(None) };
        let prefix = run.rights.prefix().to_owned();
        let page = run.changes(prefix, after, PAGE).await;
        let (page, next) = page.map_err(|refusal| {
            let message = format!("failed to list the changes: {refusal}");
            Failure::new(Cause::Storage, message)
        })?;
        let filter = Filter {
            rights: Arc::clone(&run.rights),
            max_size_bytes,
            page: page.into_iter(),
            selected: Vec::new(),
        };
        let repository = run.event.repository.partition();
        let filtered = calls
            .computations
            .run_in_slices(&repository, filter, Filter::step);
        let selected = filtered.await?.selected;
        Ok(Some((selected, (calls, run, next))))
    });
    pages.flat_map(|page| {
        let rows: Vec<_> = match page {
            Ok(page) => page.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure)],
        };
        stream::iter(rows)
    })
}

/// Selects the changes of a page that the hook checks.
struct Filter {
    rights: Arc<Rights>,
    max_size_bytes: Option<u64>,
    /// The changes that have not been compared yet.
    page: std::vec::IntoIter<Change>,
    selected: Vec<Change>,
}

impl Filter {
    fn step(&mut self, slice: &TimeSlice) -> Progress {
        while let Some(change) = self.page.next() {
            if self.selects(&change) {
                self.selected.push(change);
            }
            if slice.is_used_up() && self.page.len() > 0 {
                return Progress::Paused;
            }
        }
        Progress::Done
    }

    fn selects(&self, change: &Change) -> bool {
        let is_small_enough = |max: u64| change.after.as_deref().is_none_or(|o| size_of(o) <= max);
        self.max_size_bytes.is_none_or(is_small_enough)
            && self.rights.selects(change.kind, &change.path)
    }
}

#[cfg(test)]
mod tests {
    use futures::future;

    use super::super::capability::ChangeKind;
    use super::super::request::Select;
    use super::*;

    #[tokio::test]
    async fn hook_time_stands_still_while_waiting_for_room() {
        let waits = Waits::default();
        let mut waiter = waits.register();
        let hook = async {
            // Other hooks occupy the pool for longer than this hook's time limit.
            let room = tokio::time::timeout(Duration::from_millis(120), future::pending::<()>());
            assert!(room.await.is_err());
            waiter.start();
            "pass"
        };
        let brief = Duration::from_millis(40);
        assert_eq!(with_time_limit(brief, &waits, hook).await, Some("pass"));
        assert_eq!(
            with_time_limit(brief, &waits, future::pending::<()>()).await,
            None
        );
    }

    /// Regression test: a page of changes was matched in one piece, which took minutes with slow globs.
    #[test]
    fn selection_can_pause_after_each_change() {
        let select = Select {
            paths: vec!["b*".to_owned()],
            ..Select::default()
        };
        let change = |path: &str| Change {
            kind: ChangeKind::Added,
            path: path.to_owned(),
            before: None,
            after: None,
        };
        let page = ["a", "b1", "b2", "c"].map(change);
        let mut filter = Filter {
            rights: Arc::new(Rights::new(&select, &[], &[]).unwrap()),
            max_size_bytes: None,
            page: Vec::from(page).into_iter(),
            selected: Vec::new(),
        };
        for _ in 0..3 {
            assert_eq!(filter.step(&TimeSlice::of_one_item()), Progress::Paused);
        }
        assert_eq!(filter.step(&TimeSlice::of_one_item()), Progress::Done);
        let selected: Vec<_> = filter.selected.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(selected, ["b1", "b2"]);
    }
}
