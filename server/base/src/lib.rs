//! Utilities that all other crates use: time, identifiers, pages, bounded retries, memory budgets, bounded globs,
//! shortened text.
//!
//! Nothing here refers to the domain: no repositories, objects or users. Other crates read the wall
//! clock and random numbers only through this crate.

mod budget;
mod clock;
pub mod glob;
mod id;
mod joined;
mod page;
mod prefix;
mod retry;
mod shorten;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod timestamp;

pub use budget::{BudgetExhausted, ByteBudget, Reservation};
pub use clock::{Clock, ManualClock, SystemClock};
pub use id::{IdGenerator, SeededIds, SystemIds, data_id_time, run_id_time, xid_time};
pub use joined::joined;
pub use page::Page;
pub use prefix::prefix_end;
pub use retry::{Backoff, Delays};
pub use shorten::shorten;
pub use time::OffsetDateTime;
pub use timestamp::{from_timestamp, from_timestamp_or_epoch, to_timestamp};

/// Formats an error and all its sources on one line, separated by colons.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
