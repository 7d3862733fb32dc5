//! A server-wide budget of bytes that limits how much memory all requests together may hold.
//!
//! Reservations never wait. A reservation that does not fit fails immediately, so that a caller that
//! holds memory for a long time cannot make others queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget of bytes from which reservations are taken. Clones share the same budget.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    total_bytes: usize,
    used_bytes: AtomicUsize,
}

/// The error if a reservation exceeds the rest of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory budget for {name} ({total_bytes} bytes) is exhausted")]
pub struct BudgetExhausted {
    /// What the budget is for.
    pub name: &'static str,
    /// Total size of the budget.
    pub total_bytes: usize,
}

impl ByteBudget {
    /// Creates a budget. `name` is a plural that says what it is for, such as "request bodies".
    #[must_use]
    pub fn new(name: &'static str, total_bytes: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                total_bytes,
                used_bytes: AtomicUsize::new(0),
            }),
        }
    }

    /// Creates a reservation of zero bytes.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            held_bytes: 0,
        }
    }

    /// Returns the number of bytes that are currently reserved.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.shared.used_bytes.load(Ordering::Relaxed)
    }
}

/// Reserved bytes of a [`ByteBudget`], returned when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    held_bytes: usize,
}

impl Reservation {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if they exceed the rest of the budget. The bytes already reserved stay reserved.
    pub fn grow(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let Shared {
            name, total_bytes, ..
        } = *self.budget.shared;
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= total_bytes);
        self.budget
            .shared
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| BudgetExhausted { name, total_bytes })?;
        self.held_bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let used = &self.budget.shared.used_bytes;
        used.fetch_sub(self.held_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::ByteBudget;

    #[test]
    fn reservations_share_a_budget_and_return_their_bytes() {
        let budget = ByteBudget::new("request bodies", 100);
        let (mut one, mut two) = (budget.reservation(), budget.clone().reservation());
        one.grow(60).unwrap();
        two.grow(40).unwrap();
        let refusal = two.grow(1).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the memory budget for request bodies (100 bytes) is exhausted"
        );
        assert_eq!(
            budget.used_bytes(),
            100,
            "a failed reservation takes nothing"
        );
        drop(one);
        two.grow(60).unwrap();
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn reservation_that_would_overflow_is_refused() {
        let budget = ByteBudget::new("request bodies", 100);
        let mut held = budget.reservation();
        held.grow(1).unwrap();
        held.grow(usize::MAX).unwrap_err();
        assert_eq!(budget.used_bytes(), 1);
    }
}
