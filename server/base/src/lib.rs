//! The ground every other crate stands on: time, identifiers, pages, bounded retries, budgets of memory,
//! bounded globs.
//!
//! Knows no word of the domain: no repositories, objects or users. No other
//! crate reads the wall clock or draws randomness except through what is here.

mod budget;
mod clock;
pub mod glob;
mod id;
mod page;
mod retry;
pub mod testing;

pub use budget::{BudgetExhausted, ByteBudget, Reservation};
pub use clock::{Clock, ManualClock, SystemClock};
pub use id::{IdGenerator, SeededIds, SystemIds, data_id_time, run_id_time, xid_time};
pub use page::Page;
pub use retry::{Backoff, Delays};
pub use time::OffsetDateTime;

/// An error with all its sources in one line: what failed, because of what.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
