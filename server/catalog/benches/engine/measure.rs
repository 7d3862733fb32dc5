//! Measures time, CPU time and memory of this process.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Runs `work` and returns its cost.
pub(crate) async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(T, Cost)> {
    let (begun, before) = (Instant::now(), Load::now()?);
    let result = work.await?;
    let (time, after) = (begun.elapsed(), Load::now()?);
    let cost = Cost {
        time,
        cpu: after.ran.saturating_sub(before.ran),
        waited: after.waited.saturating_sub(before.waited),
    };
    Ok((result, cost))
}

/// The cost of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// CPU time of all threads of the process.
    pub(crate) cpu: Duration,
    /// Total time in which threads were ready to run but waited for a core.
    waited: Duration,
}

impl Cost {
    /// The average number of runnable threads. On an idle machine this is the number of used cores.
    pub(crate) fn busy(self) -> f64 {
        (self.cpu + self.waited).as_secs_f64() / self.time.as_secs_f64()
    }
}

/// Scheduler statistics of this process's threads.
#[derive(Debug, Clone, Copy)]
struct Load {
    ran: Duration,
    waited: Duration,
}

impl Load {
    fn now() -> Result<Self> {
        let (mut ran, mut waited) = (0, 0);
        for thread in std::fs::read_dir("/proc/self/task")? {
            // A thread may end between the two reads.
            let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            let mut fields = text.split_whitespace().map(str::parse::<u64>);
            let mut next = || fields.next().context("schedstat has another form");
            ran += next()??;
            waited += next()??;
        }
        Ok(Self {
            ran: Duration::from_nanos(ran),
            waited: Duration::from_nanos(waited),
        })
    }
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

pub(crate) fn mebibytes(bytes: u64) -> String {
    format!(
        "{:.1} MiB",
        f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
    )
}

/// The median.
pub(crate) fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Resets the peak of resident memory to the current value, and returns it in bytes.
pub(crate) fn reset_peak() -> Result<u64> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    peak()
}

/// The peak of resident memory since the last reset, in bytes.
pub(crate) fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("/proc/self/status has another form")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}
