//! Runs an object gate over every change that it selects.
//!
//! A fresh instance per object, a bounded number at a time on all cores, results
//! taken in order of path. So a report is the same however objects overtake each
//! other, and what waits to be reported is bounded too.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::Instant;

use super::admission::{Waits, fit};
use super::collect::Collector;
use super::host::Inner;
use super::instance::{Deadline, Outcome};
use super::limits::{PAGE, PARALLELISM, TICK};
use super::reads::size_of;
use super::session::{Change, Run};
use super::{Cause, Failure};

/// Feeds the collector until the changes, the hook or its time are at an end.
pub(super) async fn objects(
    host: &Arc<Inner>,
    ready: &Arc<super::cache::Ready>,
    run: &Arc<Run>,
    select: Shown,
    collector: &mut Collector,
) {
    let deadline = Deadline {
        after: run.limits.timeout,
        what: "(timeout)",
    };
    let at_once = select.parallelism.min(fit(run.limits.memory_bytes));
    let judge = async {
        let outcomes = changes(host.clone(), run.clone(), select.max_size_bytes)
            .map(|change| judge(host, ready, run, change))
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
    if within(deadline.after, &run.waits, judge).await.is_none() {
        collector.error(run, None, &deadline.failure());
    }
}

/// What `work` comes to, if it has an end in its time. While it waits for room its clock stands.
async fn within<T>(time: Duration, waits: &Waits, work: impl Future<Output = T>) -> Option<T> {
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

/// Which changes, and how many at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) max_size_bytes: Option<u64>,
    pub(super) parallelism: usize,
}

type Judged = Result<(String, Result<Outcome, Failure>), Failure>;

async fn judge(
    host: &Arc<Inner>,
    ready: &Arc<super::cache::Ready>,
    run: &Arc<Run>,
    change: Result<Change, Failure>,
) -> Judged {
    let change = change?;
    let path = change.path.clone();
    let deadline = Deadline {
        after: run.limits.time_per_object,
        what: "on one object (limits.time_per_object)",
    };
    let call = host.judge(ready.clone(), run.clone(), Some(change), deadline);
    Ok((path, call.await))
}

/// The selected changes in order of path. Matched beside the requests: the globs are the user's.
fn changes(
    host: Arc<Inner>,
    run: Arc<Run>,
    max_size_bytes: Option<u64>,
) -> impl Stream<Item = Result<Change, Failure>> + Send {
    let first = Some(String::new());
    let state = (host, run, first);
    let pages = stream::try_unfold(state, move |(host, run, after)| async move {
        let Some(after) = after else { return Ok(None) };
        let prefix = run.rights.prefix().to_owned();
        let page = run.changes(prefix, after, PAGE).await;
        let (page, next) = page.map_err(|refusal| {
            let message = format!("failed to list the changes: {refusal}");
            Failure::new(Cause::Storage, message)
        })?;
        let rights = Arc::clone(&run.rights);
        let shown = move |c: &Change| {
            rights.selects(c.kind, &c.path)
                && c.after
                    .as_deref()
                    .is_none_or(|o| max_size_bytes.is_none_or(|max| size_of(o) <= max))
        };
        let select = move || page.into_iter().filter(shown).collect::<Vec<_>>();
        let selected = host.guests.compute(select).await?;
        Ok(Some((selected, (host, run, next))))
    });
    pages.flat_map(|page| {
        let rows: Vec<_> = match page {
            Ok(page) => page.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure)],
        };
        stream::iter(rows)
    })
}

#[cfg(test)]
mod tests {
    use futures::future;

    use super::*;

    #[tokio::test]
    async fn the_clock_of_a_hook_stands_while_it_waits_for_room() {
        let waits = Waits::default();
        let mut turn = waits.turn();
        let hook = async {
            // Other hooks have all the room for longer than this one may take.
            let room = tokio::time::timeout(Duration::from_millis(120), future::pending::<()>());
            assert!(room.await.is_err());
            turn.start();
            "pass"
        };
        let brief = Duration::from_millis(40);
        assert_eq!(within(brief, &waits, hook).await, Some("pass"));
        assert_eq!(within(brief, &waits, future::pending::<()>()).await, None);
    }
}
