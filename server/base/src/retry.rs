//! Delays for bounded retries with exponential back-off.
//!
//! This module only computes the delays; the caller sleeps. ARCHITECTURE.md lists the few requests that may sleep.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// The number of retries and the delays between them.
///
/// The iterator yields one [`Duration`] before each retry and ends when no retries are left:
///
/// ```
/// # use std::time::Duration;
/// let backoff = base::Backoff::new(Duration::from_millis(10), Duration::from_secs(1), 5);
/// assert_eq!(backoff.into_iter().count(), 5);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    retries: u32,
}

impl Backoff {
    /// Creates a policy of `retries` delays that double from `initial` up to `max`.
    ///
    /// Each delay is chosen at random between 50 % and 100 % of its nominal length, so that callers that collided
    /// once do not collide again.
    #[must_use]
    pub const fn new(initial: Duration, max: Duration, retries: u32) -> Self {
        Self {
            initial,
            max,
            retries,
        }
    }

    /// Returns the delays with jitter from `seed`, for reproducible tests.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Delays {
        Delays {
            next: self.initial,
            max: self.max,
            left: self.retries,
            rng: StdRng::seed_from_u64(seed),
        }
    }
}

impl IntoIterator for Backoff {
    type Item = Duration;
    type IntoIter = Delays;

    fn into_iter(self) -> Delays {
        self.seeded(rand::rng().random())
    }
}

/// Iterator over the delays of a [`Backoff`].
#[derive(Debug)]
pub struct Delays {
    next: Duration,
    max: Duration,
    left: u32,
    rng: StdRng,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let ceiling = self.next.min(self.max);
        self.next = ceiling.saturating_mul(2);
        Some(ceiling.mul_f64(self.rng.random_range(0.5..1.0)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left as usize;
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_end() {
        let millis = Duration::from_millis;
        let backoff = Backoff::new(millis(10), millis(50), 6);
        for seed in 0..100 {
            let delays: Vec<_> = backoff.seeded(seed).collect();
            assert_eq!(delays.len(), 6);
            for (delay, ceiling) in delays.iter().zip([10, 20, 40, 50, 50, 50]) {
                assert!(
                    *delay <= millis(ceiling) && *delay >= millis(ceiling) / 2,
                    "{delay:?} of {ceiling}"
                );
            }
        }
        assert_ne!(
            backoff.seeded(1).collect::<Vec<_>>(),
            backoff.seeded(2).collect::<Vec<_>>(),
            "jitter"
        );
    }

    #[test]
    fn zero_retries_give_no_delay() {
        assert_eq!(
            Backoff::new(Duration::ZERO, Duration::MAX, 0)
                .into_iter()
                .next(),
            None
        );
        assert_eq!(
            Backoff::new(Duration::MAX, Duration::MAX, 3)
                .seeded(0)
                .count(),
            3,
            "no overflow"
        );
    }
}
