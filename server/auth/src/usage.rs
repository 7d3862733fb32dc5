//! Counts API and gateway requests per month, for the usage report.
//!
//! Requests increment a counter in memory. [`Usage::flush`] adds it to the stored record later, so that
//! requests do not wait for the store.

use std::sync::atomic::{AtomicU64, Ordering};

use base::OffsetDateTime;
use bytes::Bytes;
use kv::{Predicate, Store, first_entries};

use crate::Result;

const PARTITION: &[u8] = b"usage";
/// Maximum attempts to update the record if other servers change it concurrently. Afterwards the count is kept for
/// the next flush.
const MAX_TRIES: usize = 8;
/// Maximum number of months in a report.
const MAX_REPORTS: usize = 10_000;

/// Number of requests in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthlyUsage {
    pub year: i32,
    pub month: u8,
    pub count: u64,
}

/// Number of requests that are not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Usage(AtomicU64);

impl Usage {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds the count to the record of the month of `now`.
    pub(crate) async fn flush(
        &self,
        store: &dyn Store,
        installation: &str,
        now: OffsetDateTime,
    ) -> Result<()> {
        let counted = self.0.swap(0, Ordering::Relaxed);
        if counted == 0 {
            return Ok(());
        }
        let stored = add(store, installation, now, counted).await;
        if !matches!(stored, Ok(true)) {
            self.0.fetch_add(counted, Ordering::Relaxed);
        }
        stored.map(|_| ())
    }
}

/// Adds `counted` to the stored count. Returns false if other servers changed the record during every attempt.
async fn add(
    store: &dyn Store,
    installation: &str,
    now: OffsetDateTime,
    counted: u64,
) -> Result<bool> {
    let key = format!(
        "{}{:04}{:02}",
        prefix(installation),
        now.year(),
        u8::from(now.month())
    );
    for _ in 0..MAX_TRIES {
        let old = store.get(PARTITION, key.as_bytes()).await?;
        let before = old.as_ref().and_then(|v| number(&v.value)).unwrap_or(0);
        let predicate = old.map_or(Predicate::Absent, |v| v.predicate);
        let value = Bytes::from((before + counted).to_string());
        match store
            .set_if(PARTITION, key.as_bytes(), value, predicate)
            .await
        {
            Ok(()) => return Ok(true),
            Err(kv::Error::PredicateFailed { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(false)
}

/// Returns the stored months of an installation, oldest first.
pub(crate) async fn reports(store: &dyn Store, installation: &str) -> Result<Vec<MonthlyUsage>> {
    let prefix = prefix(installation);
    let mut out = Vec::new();
    for entry in first_entries(store, PARTITION, prefix.as_bytes(), MAX_REPORTS).await? {
        let month = &entry.key[prefix.len()..];
        let month = std::str::from_utf8(month).ok().filter(|m| m.len() == 6);
        let parsed = month.and_then(|m| Some((m[..4].parse().ok()?, m[4..].parse().ok()?)));
        if let (Some((year, month)), Some(count)) = (parsed, number(&entry.value)) {
            out.push(MonthlyUsage { year, month, count });
        }
    }
    Ok(out)
}

fn prefix(installation: &str) -> String {
    format!("usage/monthly/{installation}/")
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
