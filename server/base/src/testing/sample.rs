//! Selects the SSTables that tests keep for another implementation to read back.
//!
//! The first tables of each test are all kept, and later tables with decreasing probability. A test that writes very
//! many tables therefore neither displaces the tables of other tests nor takes minutes to read back.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Number of tables at the start of each test that are always in the sample.
const ALWAYS_SAMPLED: u64 = 250;

/// Number of tables each test has written, by thread name. The test harness names threads after their tests.
static WRITTEN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Returns whether a table of the current thread's test is in the sample. Call it once for each table.
///
/// The first [`ALWAYS_SAMPLED`] tables always are. Any later n-th table is included with probability
/// `ALWAYS_SAMPLED / n`, which adds about 575 tables each time n grows tenfold. The choice depends only on n and on the
/// table's id, which is the digest of its contents.
///
/// # Panics
/// If the id is not a hex digest.
#[must_use]
pub fn is_in_sample(id: &str) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().to_owned();
    let mut written = WRITTEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let nth = written.entry(test).or_default();
    *nth += 1;
    let random = id.get(..8).and_then(|id| u32::from_str_radix(id, 16).ok());
    let random = u64::from(random.expect("the id of a table is a hex digest"));
    random.saturating_mul(*nth) < ALWAYS_SAMPLED << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sampled tables of a test called `name` that writes `tables` tables.
    fn sampled(name: &str, tables: u32) -> Vec<u32> {
        let run = move || {
            let id = |table: u32| format!("{:08x}", table.wrapping_mul(0x9e37_79b1));
            let ids = (1..=tables).filter(|table| is_in_sample(&id(*table)));
            ids.collect()
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(run).expect("a thread");
        thread.join().expect("no panic")
    }

    #[test]
    fn sample_has_a_bounded_share_of_each_test() {
        let greedy = sampled("greedy", 100_000);
        assert_eq!(greedy[..250], Vec::from_iter(1..=250));
        // 250 and 250 * ln(400).
        assert!((1_500..2_000).contains(&greedy.len()), "{}", greedy.len());
        assert!(
            greedy.iter().any(|table| *table > 50_000),
            "late tables are sampled too"
        );
        assert_eq!(sampled("modest", 20).len(), 20);
        assert_eq!(sampled("modest too", 200).len(), 200);
    }
}
