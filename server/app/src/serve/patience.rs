//! How long to wait for a client that is slow: an allowance that waiting uses up and bytes earn back.
//!
//! A total time would cut off honest uploads of many gigabytes; a time between bytes
//! alone lets a client send one byte at a time for ever. Here a client may pause, but
//! must keep up the least rate on the average.

use std::time::Duration;

/// An allowance of waiting.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    most: Duration,
    left: Duration,
    bytes_per_second: u64,
}

impl Patience {
    /// Begins with all of it.
    pub(super) fn new(most: Duration, bytes_per_second: u64) -> Self {
        Self {
            most,
            left: most,
            bytes_per_second,
        }
    }

    /// How long may be waited now.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// Uses up what was waited.
    pub(super) fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// Earns what the bytes are worth, up to where it began.
    pub(super) fn came(&mut self, bytes: usize) {
        if self.left < self.most {
            self.left = self.most.min(self.left + self.worth(bytes));
        }
    }

    /// How long the least rate would take for so many bytes.
    pub(super) fn worth(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second;
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_are_allowed_trickles_are_not() {
        let mut patience = Patience::new(30 * SEC, 1000);
        // A pause, made good by what follows.
        patience.waited(25 * SEC);
        patience.came(100_000);
        assert_eq!(patience.left(), 30 * SEC, "no more than at the beginning");
        // A byte every ten seconds.
        let mut bytes = 0;
        while patience.left() > Duration::ZERO {
            patience.waited(10 * SEC);
            patience.came(1);
            bytes += 1;
            assert!(bytes < 100, "ends at some time");
            if patience.left() < SEC {
                break;
            }
        }
        assert!(bytes <= 4, "{bytes}");
    }

    #[test]
    fn the_least_rate_goes_on_for_ever() {
        let mut patience = Patience::new(30 * SEC, 1000);
        for _ in 0..10_000 {
            patience.waited(SEC);
            patience.came(1000);
        }
        assert_eq!(patience.left(), 30 * SEC);
    }
}
