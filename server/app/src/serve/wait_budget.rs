//! Limits how long the server waits for a slow client. Waiting consumes a budget, and received
//! bytes refill it.
//!
//! A total time limit would cut off legitimate uploads of many gigabytes. A time limit between
//! bytes would allow a client to send one byte at a time forever. With a budget, a client may
//! pause, but must keep a minimum average rate.

use std::time::Duration;

/// A budget of waiting time.
#[derive(Debug, Clone)]
pub(super) struct WaitBudget {
    max: Duration,
    remaining: Duration,
    bytes_per_second: u64,
}

impl WaitBudget {
    /// Starts with a full budget.
    pub(super) fn new(max: Duration, bytes_per_second: u64) -> Self {
        Self {
            max,
            remaining: max,
            bytes_per_second,
        }
    }

    /// Returns the remaining waiting time.
    pub(super) fn remaining(&self) -> Duration {
        self.remaining
    }

    /// Consumes waiting time.
    pub(super) fn consume(&mut self, time: Duration) {
        self.remaining = self.remaining.saturating_sub(time);
    }

    /// Refills the budget for received bytes, up to its initial size.
    pub(super) fn refill(&mut self, bytes: usize) {
        if self.remaining < self.max {
            self.remaining = self.max.min(self.remaining + self.time_for(bytes));
        }
    }

    /// Returns the time that this many bytes take at the minimum rate.
    pub(super) fn time_for(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second;
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_are_allowed_but_trickling_is_not() {
        let mut budget = WaitBudget::new(30 * SEC, 1000);
        // A pause, and then enough bytes to refill the budget.
        budget.consume(25 * SEC);
        budget.refill(100_000);
        assert_eq!(
            budget.remaining(),
            30 * SEC,
            "the budget must not exceed its initial size"
        );
        // One byte every ten seconds.
        let mut bytes = 0;
        while budget.remaining() >= SEC {
            budget.consume(10 * SEC);
            budget.refill(1);
            bytes += 1;
            assert!(bytes <= 3, "the budget must run out");
        }
        assert_eq!(bytes, 3);
    }

    #[test]
    fn minimum_rate_is_never_cut_off() {
        let mut budget = WaitBudget::new(30 * SEC, 1000);
        for _ in 0..10_000 {
            budget.consume(SEC);
            budget.refill(1000);
        }
        assert_eq!(budget.remaining(), 30 * SEC);
    }
}
