//! Runs an object gate over every change that it selects.
//!
//! A fresh instance per object, a bounded number at a time on all cores, results
//! taken in order of path. So a report is the same however objects overtake each
//! other, and what waits to be reported is bounded too.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt as _, stream};
use tokio::task::JoinHandle;

use super::collect::Collector;
use super::host::Inner;
use super::instance::{Deadline, Outcome};
use super::limits::{PAGE, PARALLELISM};
use super::reads::size_of;
use super::session::{Change, Refusal, Run};
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
    let judge = async {
        let outcomes = changes(run.clone(), select.max_size_bytes)
            .map(|change| judge(host, ready, run, change))
            .buffered(select.parallelism.clamp(1, PARALLELISM));
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
    if tokio::time::timeout(deadline.after, judge).await.is_err() {
        collector.error(run, None, &deadline.failure());
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
    change: Result<Change, Refusal>,
) -> Judged {
    let change = change.map_err(|refusal| {
        Failure::new(
            Cause::Storage,
            format!("failed to list the changes: {refusal}"),
        )
    })?;
    let path = change.path.clone();
    let deadline = Deadline {
        after: run.limits.time_per_object,
        what: "on one object (limits.time_per_object)",
    };
    let call = host
        .clone()
        .judge(ready.clone(), run.clone(), Some(change), deadline);
    Ok((path, Task(tokio::spawn(call)).await))
}

/// The selected changes in order of path.
fn changes(
    run: Arc<Run>,
    max_size_bytes: Option<u64>,
) -> impl Stream<Item = Result<Change, Refusal>> + Send {
    let first = Some(String::new());
    let pages = stream::try_unfold((run.clone(), first), |(run, after)| async move {
        let Some(after) = after else { return Ok(None) };
        let (page, next) = run.changes(run.rights.prefix(), &after, PAGE).await?;
        Ok(Some((page, (run, next))))
    });
    pages.flat_map(move |page| {
        let shown = |c: &Change| {
            run.rights.selects(c.kind, &c.path)
                && c.after
                    .as_deref()
                    .is_none_or(|o| max_size_bytes.is_none_or(|max| size_of(o) <= max))
        };
        let rows: Vec<_> = match page {
            Ok(page) => page.into_iter().filter(shown).map(Ok).collect(),
            Err(refusal) => vec![Err(refusal)],
        };
        stream::iter(rows)
    })
}

/// A task that ends with whoever waits for it.
pub(super) struct Task(pub(super) JoinHandle<Outcome>);

impl Future for Task {
    type Output = Result<Outcome, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|e| {
            tracing::error!(error = %e, "the host of a hook failed");
            Failure::new(
                Cause::Trap,
                "the server failed while it ran this hook: see its log",
            )
        })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
