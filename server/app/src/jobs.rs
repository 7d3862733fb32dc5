//! Work behind the requests: emptying retired staging tokens, looking after tasks, tending the
//! reflog, finishing deletions, forgetting completed uploads, storing usage counts.
//!
//! Each job can be repeated and cut short at any point.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::wiring::Layers;

/// How often histograms are compacted.
const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How often tasks of servers that died are looked for.
const LOOK_AFTER_TASKS_EVERY: Duration = Duration::from_secs(10);
/// How often tasks are forgotten that were done long ago.
const FORGET_TASKS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often answers to completed multipart uploads are forgotten that nobody asks for again.
const FORGET_COMPLETIONS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often deletions of repositories that were cut short are looked for.
const FINISH_DELETIONS_EVERY: Duration = Duration::from_secs(5 * 60);
/// How often staged changes are retired that were thrown away and kept for long enough.
const RETIRE_KEPT_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often entries of the reflog are forgotten that are too old or too many: each time counts all of them.
const PRUNE_REFLOG_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after a start that is done first: a server that starts has other work.
const PRUNE_REFLOG_FIRST_AFTER: Duration = Duration::from_secs(10 * 60);

/// Starts the jobs; they end when `stop` is cancelled.
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

/// Tokens that were retired by a server that died before it emptied them.
async fn sweep(layers: Layers, stop: CancellationToken) {
    let work = async {
        if let Err(e) = layers.graveler.sweep_tokens().await {
            tracing::warn!(error = %base::chain(&e), "failed to finish what an earlier server left; the next start tries again");
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
            tracing::warn!(error = %base::chain(&e), "failed to look after the tasks of servers that died; it is tried again");
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
                tracing::warn!(error = %base::chain(&e), "failed to forget tasks that are long done; it is tried again");
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
                tracing::warn!(error = %base::chain(&e), "failed to forget completed multipart uploads; it is tried again");
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Deletions of repositories in which a server, this one or another, was stopped. One that another
/// server is at just now is not disturbed by doing the same.
async fn finish_deletions(layers: Layers, stop: CancellationToken) {
    let mut ticks = ticks(FINISH_DELETIONS_EVERY);
    loop {
        let work = async {
            ticks.tick().await;
            match layers.catalog.finish_deletions().await {
                Ok(0) => {}
                Ok(finished) => tracing::info!("finished {finished} deletions of repositories"),
                Err(e) => {
                    tracing::warn!(error = %base::chain(&e), "failed to finish deletions of repositories; the next round tries again");
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
                tracing::warn!(error = %base::chain(&e), "failed to retire uncommitted changes that were thrown away; it is tried again");
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
                tracing::warn!(error = %base::chain(&e), "failed to forget old entries of the reflog; it is tried again");
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
            tracing::warn!(error = %base::chain(&e), "failed to store the usage count; it is kept for the next time");
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
    async fn a_start_does_not_count_the_reflog() {
        let mut pruning = ticks_after(PRUNE_REFLOG_FIRST_AFTER, PRUNE_REFLOG_EVERY);
        // What is due at the start is due by now.
        ticks(RETIRE_KEPT_EVERY).tick().await;
        let due = tokio::select! {
            biased;
            _ = pruning.tick() => true,
            () = std::future::ready(()) => false,
        };
        assert!(!due);
    }
}
