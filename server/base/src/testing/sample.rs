//! Which of the tables that tests write are left to be read back by another implementation.
//!
//! Each test has a share: all of the first ones, and of the later ones ever fewer, so that a test
//! that tries many cases neither takes the place of others nor takes minutes to read back.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// So many tables of each test are in the sample, whatever they are.
const FIRST: u64 = 250;

/// How many tables each test has written, by the name of its thread, which the harness gives it.
static WRITTEN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Whether a table of the test that this thread runs is in the sample. Asked once for each table.
///
/// The first [`FIRST`] are; later the n-th of them with a chance of `FIRST` in n, so that some hundreds come of
/// each tenfold. The dice are its id, the digest of what it holds: what is in it decides, and nothing else.
///
/// # Panics
/// If the id is no hex digest.
#[must_use]
pub fn is_in_sample(id: &str) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().to_owned();
    let mut written = WRITTEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let nth = written.entry(test).or_default();
    *nth += 1;
    let dice = id.get(..8).and_then(|id| u32::from_str_radix(id, 16).ok());
    let dice = u64::from(dice.expect("the id of a table is a digest in hex"));
    dice.saturating_mul(*nth) < FIRST << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a test of this name that writes so many tables.
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
    fn each_test_has_its_share_and_none_takes_all() {
        let greedy = sampled("greedy", 100_000);
        assert_eq!(greedy[..250], Vec::from_iter(1..=250));
        // 250 and 250 * ln(400).
        assert!((1_500..2_000).contains(&greedy.len()), "{}", greedy.len());
        assert!(greedy.iter().any(|table| *table > 50_000), "to its end");
        assert_eq!(sampled("modest", 20).len(), 20);
        assert_eq!(sampled("modest too", 200).len(), 200);
    }
}
