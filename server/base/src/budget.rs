//! A server-wide budget of bytes: what many requests may hold in memory together.
//!
//! Nobody waits here: what does not fit is refused at once, so that a caller that
//! holds its share for long can't make others queue behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that reservations are taken from. Clones share it.
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

/// A reservation does not fit into what is left of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server holds as many {name} as it has memory for ({total_bytes} bytes)")]
pub struct BudgetExhausted {
    /// What the budget is for.
    pub name: &'static str,
    /// How much there is in all.
    pub total_bytes: usize,
}

impl ByteBudget {
    /// A budget for what `name` says, in the plural: "request bodies".
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

    /// A reservation of nothing yet.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            held_bytes: 0,
        }
    }

    /// How many bytes are reserved at the moment.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.shared.used_bytes.load(Ordering::Relaxed)
    }
}

/// A share of a [`ByteBudget`], given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    held_bytes: usize,
}

impl Reservation {
    /// Takes `bytes` more.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if they are not left; what is held already stays.
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
    fn reservations_share_a_budget_and_give_back() {
        let budget = ByteBudget::new("request bodies", 100);
        let (mut one, mut two) = (budget.reservation(), budget.clone().reservation());
        one.grow(60).unwrap();
        two.grow(40).unwrap();
        let refusal = two.grow(1).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the server holds as many request bodies as it has memory for (100 bytes)"
        );
        assert_eq!(budget.used_bytes(), 100, "a refusal takes nothing");
        drop(one);
        two.grow(60).unwrap();
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn sizes_beyond_every_number_are_refused() {
        let budget = ByteBudget::new("request bodies", 100);
        let mut held = budget.reservation();
        held.grow(1).unwrap();
        held.grow(usize::MAX).unwrap_err();
        assert_eq!(budget.used_bytes(), 1);
    }
}
