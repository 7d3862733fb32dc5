//! A closed-loop load generator: every client sends its next request when the previous one is
//! answered.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::process::Server;

/// Results of one measurement.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
    /// CPU time of the server, user and system.
    pub(crate) cpu_per_operation: Duration,
}

/// Runs `operation` with `clients` concurrent clients for about `time`. Every call gets a different
/// number.
pub(crate) async fn measure<F, R>(
    server: &Arc<Server>,
    clients: usize,
    time: Duration,
    operation: F,
) -> Result<Measured>
where
    F: Fn(Arc<Server>, u64) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    measure_up_to(u64::MAX, server, clients, time, operation).await
}

/// Like [`measure`], but runs at most `count` operations.
pub(crate) async fn measure_up_to<F, R>(
    count: u64,
    server: &Arc<Server>,
    clients: usize,
    time: Duration,
    operation: F,
) -> Result<Measured>
where
    F: Fn(Arc<Server>, u64) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let cpu_before = server.cpu_time()?;
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (server, next, operation) = (Arc::clone(server), Arc::clone(&next), operation.clone());
        running.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                let sent = Instant::now();
                operation(Arc::clone(&server), number).await?;
                latencies.push(sent.elapsed());
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = running.join_next().await {
        latencies.extend(done??);
    }
    let elapsed = started.elapsed();
    let cpu = server.cpu_time()?.saturating_sub(cpu_before);
    ensure!(!latencies.is_empty(), "no operation finished in time");
    latencies.sort_unstable();
    let done = latencies.len();
    let operations = u32::try_from(done)?;
    Ok(Measured {
        per_second: f64::from(operations) / elapsed.as_secs_f64(),
        p50: latencies[done / 2],
        p99: latencies[(done * 99 / 100).min(done - 1)],
        longest: latencies[done - 1],
        cpu_per_operation: cpu / operations,
    })
}

/// Formats a duration in milliseconds for a table.
pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}
