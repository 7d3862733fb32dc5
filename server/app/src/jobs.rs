//! Background jobs: one table, and one runner for all of them.
//!
//! Every job can be repeated and interrupted at any point, and is safe to run concurrently on several servers. Each
//! server therefore runs all of them; there is no leader.

use std::any::Any;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::wiring::Layers;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// When a job runs.
#[derive(Debug, Clone, Copy)]
enum Schedule {
    /// Once, at the start.
    Once,
    /// At the start, and again after each interval.
    Every(Duration),
    /// Like `Every`, but the first run is delayed, because the server has other work at the start.
    EveryAfter { first: Duration, interval: Duration },
}

/// What happens to a running job when the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnStop {
    /// The job is dropped. The next start or another server does the rest.
    Interrupt,
    /// The server waits for the job, whose work is short.
    Finish,
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Work = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// A row of the table.
struct Job {
    /// For the log.
    name: &'static str,
    /// What the job does, to complete "failed to ...".
    task: &'static str,
    schedule: Schedule,
    on_stop: OnStop,
    work: Work,
}

/// Creates a row. `work` gets a clone of `parts` in every run.
fn job<P, F, E>(
    name: &'static str,
    task: &'static str,
    schedule: Schedule,
    on_stop: OnStop,
    parts: &P,
    work: impl Fn(P) -> F + Send + Sync + 'static,
) -> Job
where
    P: Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    let parts = parts.clone();
    Job {
        name,
        task,
        schedule,
        on_stop,
        work: Box::new(move || {
            let run = work(parts.clone());
            Box::pin(async move { run.await.map_err(Into::into) })
        }),
    }
}

/// Starts the jobs. They end when `stop` is cancelled.
pub(crate) fn start(
    layers: &Layers,
    usage_every: Duration,
    metrics: &PrometheusHandle,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for job in table(layers, usage_every, metrics) {
        running.spawn(run(job, stop.clone()));
    }
    running
}

fn table(layers: &Layers, usage_every: Duration, metrics: &PrometheusHandle) -> Vec<Job> {
    use OnStop::{Finish, Interrupt};
    use Schedule::{Every, EveryAfter, Once};
    let Layers {
        graveler,
        catalog,
        auth,
        ..
    } = layers;
    let usage_every = usage_every.max(SECOND);
    // Not more often, because every run reads all entries of the reflog.
    let daily = EveryAfter {
        first: 10 * MINUTE,
        interval: 24 * HOUR,
    };
    #[rustfmt::skip]
    let jobs = vec![
        job("sweep_tokens", "empty the staging tokens of an earlier server", Once, Interrupt, graveler,
            |graveler| async move { graveler.sweep_tokens().await.map(drop) }),
        job("recover_tasks", "recover the tasks of servers that died", Every(10 * SECOND), Finish, catalog,
            |catalog| async move { catalog.recover_tasks().await }),
        job("prune_tasks", "delete old finished tasks", Every(HOUR), Interrupt, catalog,
            |catalog| async move { catalog.prune_tasks().await }),
        job("prune_completions", "delete records of completed multipart uploads", Every(HOUR), Interrupt, catalog,
            |catalog| async move { catalog.prune_completions().await.map(drop) }),
        job("finish_deletions", "finish deletions of repositories", Every(5 * MINUTE), Interrupt, catalog,
            |catalog| async move {
                let finished = catalog.finish_deletions().await?;
                if finished > 0 {
                    tracing::info!("finished {finished} interrupted deletions of repositories");
                }
                catalog::Result::Ok(())
            }),
        job("retire_kept", "retire discarded uncommitted changes", Every(10 * MINUTE), Interrupt, graveler,
            |graveler| async move { graveler.retire_kept().await.map(drop) }),
        job("prune_reflog", "prune the reflog", daily, Interrupt, graveler,
            |graveler| async move { graveler.prune_reflog().await.map(drop) }),
        job("store_usage", "store the usage count", Every(usage_every), Finish, auth,
            |auth| async move { auth.flush_usage().await }),
        job("compact_histograms", "compact the histograms of the metrics", Every(5 * SECOND), Finish, metrics,
            |metrics| async move { metrics.run_upkeep(); auth::Result::Ok(()) }),
    ];
    jobs
}

/// Runs a job by its schedule until `stop` is cancelled.
async fn run(job: Job, stop: CancellationToken) {
    let mut ticks = ticks(job.schedule);
    let interrupted = match job.on_stop {
        OnStop::Interrupt => stop.clone(),
        OnStop::Finish => CancellationToken::new(),
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // A panic must not end the job for the lifetime of the server.
        let work = AssertUnwindSafe(async { (job.work)().await }).catch_unwind();
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = interrupted.cancelled() => return,
        };
        let is_last = matches!(job.schedule, Schedule::Once);
        log_failure(&job, outcome, is_last);
        if is_last {
            return;
        }
    }
}

/// Logs a run that failed or panicked.
fn log_failure(job: &Job, outcome: Result<Outcome, Box<dyn Any + Send>>, is_last: bool) {
    let task = job.task;
    let retry = if is_last {
        "the next start retries"
    } else {
        "will retry"
    };
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(e)) => {
            tracing::warn!(job = job.name, error = %base::error_chain(e.as_ref()), "failed to {task}; {retry}");
        }
        Err(panic) => {
            let panic = crate::telemetry::panic_text(panic.as_ref());
            tracing::error!(
                job = job.name,
                panic,
                "a background job panicked while trying to {task}; {retry}"
            );
        }
    }
}

fn ticks(schedule: Schedule) -> tokio::time::Interval {
    let (first, interval) = match schedule {
        // Only the first tick is used.
        Schedule::Once => (Duration::ZERO, HOUR),
        Schedule::Every(interval) => (Duration::ZERO, interval),
        Schedule::EveryAfter { first, interval } => (first, interval),
    };
    let mut ticks = tokio::time::interval_at(Instant::now() + first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::sync::{Notify, watch};

    use super::*;

    /// A job that reports its runs, and fails every time.
    fn reporting(schedule: Schedule) -> (Job, UnboundedReceiver<()>) {
        let (ran, runs) = unbounded_channel();
        let work = |ran: UnboundedSender<()>| async move {
            ran.send(()).expect("the test receives");
            Err("it always fails")
        };
        let job = job("report", "report", schedule, OnStop::Finish, &ran, work);
        (job, runs)
    }

    #[tokio::test]
    async fn job_runs_by_its_schedule_although_it_fails() {
        let stop = CancellationToken::new();
        let (once, mut runs_once) = reporting(Schedule::Once);
        run(once, stop.clone()).await;
        runs_once.recv().await.expect("one run");
        assert_eq!(runs_once.recv().await, None, "the job has ended");

        let (later, mut runs_later) = reporting(Schedule::EveryAfter {
            first: HOUR,
            interval: Duration::from_millis(1),
        });
        let later = tokio::spawn(run(later, stop.clone()));
        let (often, mut runs) = reporting(Schedule::Every(Duration::from_millis(1)));
        let often = tokio::spawn(run(often, stop.clone()));
        for _ in 0..3 {
            runs.recv().await.expect("another run");
        }
        assert!(runs_later.is_empty(), "it does not run at the start");
        stop.cancel();
        often.await.expect("the job ends");
        later.await.expect("the job ends");
        assert_eq!(runs_later.recv().await, None);
    }

    /// Guards against a bug: after a panic, the job never ran again, and nothing was logged.
    #[tokio::test]
    async fn job_runs_again_after_a_panic() {
        let stop = CancellationToken::new();
        let (ran, mut runs) = unbounded_channel();
        let work = |ran: UnboundedSender<()>| async move {
            ran.send(()).expect("the test receives");
            if true {
                panic!("the test panics");
            }
            auth::Result::Ok(())
        };
        let schedule = Schedule::Every(Duration::from_millis(1));
        let job = job("panic", "panic", schedule, OnStop::Finish, &ran, work);
        drop(ran);
        let panicking = tokio::spawn(run(job, stop.clone()));
        for _ in 0..3 {
            runs.recv().await.expect("another run");
        }
        stop.cancel();
        panicking.await.expect("the job ends");
    }

    #[tokio::test]
    async fn stop_interrupts_a_run_or_waits_for_it() {
        for on_stop in [OnStop::Interrupt, OnStop::Finish] {
            let state = Arc::new((watch::Sender::new("waiting"), Notify::new()));
            let work = |state: Arc<(watch::Sender<&'static str>, Notify)>| async move {
                state.0.send_replace("running");
                state.1.notified().await;
                state.0.send_replace("finished");
                auth::Result::Ok(())
            };
            let slow = job("slow", "be slow", Schedule::Once, on_stop, &state, work);
            let stop = CancellationToken::new();
            let ending = tokio::spawn(run(slow, stop.clone()));
            let mut seen = state.0.subscribe();
            seen.wait_for(|state| *state == "running")
                .await
                .expect("the job starts");
            stop.cancel();
            if on_stop == OnStop::Finish {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                assert!(!ending.is_finished());
                state.1.notify_one();
            }
            ending.await.expect("the job ends");
            let expected = match on_stop {
                OnStop::Interrupt => "running",
                OnStop::Finish => "finished",
            };
            assert_eq!(*seen.borrow(), expected);
        }
    }
}
