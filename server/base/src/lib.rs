//! The ground every other crate stands on: time, identifiers, pages, bounded retries.
//!
//! Knows no word of the domain: no repositories, objects or users. No other
//! crate reads the wall clock or draws randomness except through what is here.

mod clock;
mod id;
mod page;
mod retry;

pub use clock::{Clock, ManualClock, SystemClock};
pub use id::{IdGenerator, SeededIds, SystemIds, data_id_time, run_id_time, xid_time};
pub use page::Page;
pub use retry::{Backoff, Delays};
pub use time::OffsetDateTime;
