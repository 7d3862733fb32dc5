//! Background jobs: emptying retired staging tokens, recovering tasks, pruning the reflog,
//! finishing deletions, deleting records of completed uploads, storing usage counts.
//!
//! Each job can be repeated and interrupted at any point.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::wiring::Layers;

/// Interval for compacting histograms.
const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Interval for looking for tasks of servers that died.
const LOOK_AFTER_TASKS_EVERY: Duration = Duration::from_secs(10);
/// Interval for deleting old finished tasks.
const FORGET_TASKS_EVERY: Duration = Duration::from_secs(60 * 60);

/// Interval for deleting responses of completed multipart uploads that are no longer needed for
/// retries.
const FORGET_COMPLETIONS_EVERY: Duration = Duration::from_secs(60 * 60);

/// Interval for looking for interrupted deletions of repositories.
const FINISH_DELETIONS_EVERY: Duration = Duration::from_secs(5 * 60);
/// Interval for retiring discarded staged changes whose retention time is over.
const RETIRE_KEPT_EVERY: Duration = Duration::from_secs(10 * 60);
/// Interval for pruning the reflog. Every run counts all entries.
const PRUNE_REFLOG_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Delay of the first pruning after a start, when the server has other work.
const PRUNE_REFLOG_FIRST_AFTER: Duration = Duration::from_secs(10 * 60);

/// Starts the jobs. They end when `stop` is cancelled.
pub(crate) fn start(
    layers: &Layers,
    usage_every: Duration,
    metrics: PrometheusHandle,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(sweep(layers.clone(), stop.clone()));
    jobs.spawn(recover_tasks(layers.clone(), stop.clone()));
    jobs.spawn(prune_tasks(layers.clone(), stop.clone()));
    jobs.spawn(prune_completions(layers.clone(), stop.clone()));
    jobs.spawn(finish_deletions(layers.clone(), stop.clone()));
    jobs.spawn(retire_kept(layers.clone(), stop.clone()));
    jobs.spawn(prune_reflog(layers.clone(), stop.clone()));
    jobs.spawn(store_usage(layers.clone(), usage_every, stop.clone()));
    jobs.spawn(keep_metrics(metrics, stop.clone()));
    jobs
}

/// Empties tokens that were retired by a server that died before it emptied them.
async fn sweep(layers: Layers, stop: CancellationToken) {
    let work = async {
        if let Err(e) = layers.graveler.sweep_tokens().await {
            tracing::warn!(error = %base::chain(&e), "failed to empty the staging tokens of an earlier server; the next start retries");
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn recover_tasks(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks(LOOK_AFTER_TASKS_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(e) = layers.catalog.recover_tasks().await {
            tracing::warn!(error = %base::chain(&e), "failed to recover the tasks of servers that died; will retry");
        }
    }
}

async fn prune_tasks(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks(FORGET_TASKS_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let work = async {
            if let Err(e) = layers.catalog.prune_tasks().await {
                tracing::warn!(error = %base::chain(&e), "failed to delete old finished tasks; will retry");
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn prune_completions(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks(FORGET_COMPLETIONS_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let work = async {
            if let Err(e) = layers.catalog.prune_completions().await {
                tracing::warn!(error = %base::chain(&e), "failed to delete records of completed multipart uploads; will retry");
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Finishes deletions of repositories that a stopping server left unfinished. Safe to run
/// concurrently with the server that is deleting the same repository.
async fn finish_deletions(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks(FINISH_DELETIONS_EVERY);
    loop {
        let work = async {
            ticks.tick().await;
            match layers.catalog.finish_deletions().await {
                Ok(0) => {}
                Ok(finished) => {
                    tracing::info!("finished {finished} interrupted deletions of repositories");
                }
                Err(e) => {
                    tracing::warn!(error = %base::chain(&e), "failed to finish deletions of repositories; will retry");
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => return,
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    ticks_after(Duration::ZERO, every)
}

fn ticks_after(first: Duration, every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + first, every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

async fn retire_kept(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks(RETIRE_KEPT_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let work = async {
            if let Err(e) = layers.graveler.retire_kept().await {
                tracing::warn!(error = %base::chain(&e), "failed to retire discarded uncommitted changes; will retry");
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn prune_reflog(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks_after(PRUNE_REFLOG_FIRST_AFTER, PRUNE_REFLOG_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let work = async {
            if let Err(e) = layers.graveler.prune_reflog().await {
                tracing::warn!(error = %base::chain(&e), "failed to prune the reflog; will retry");
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn store_usage(layers: Layers, every: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(e) = layers.auth.flush_usage().await {
            tracing::warn!(error = %base::chain(&e), "failed to store the usage count; will retry");
        }
    }
}

async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => metrics.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn start_does_not_prune_the_reflog() {
        let mut pruning = ticks_after(PRUNE_REFLOG_FIRST_AFTER, PRUNE_REFLOG_EVERY);
        // Jobs that are due at start have run by now.
        ticks(RETIRE_KEPT_EVERY).tick().await;
        let due = tokio::select! {
            biased;
            _ = pruning.tick() => true,
            () = std::future::ready(()) => false,
        };
        assert!(!due);
    }
}
