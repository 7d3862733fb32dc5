//! Generates identifiers: xids (12 bytes as 20 characters of base32hex), UUIDs and nanoids (random URL-safe characters).
//!
//! [`SystemIds`] is for production and [`SeededIds`] for tests. The layout of an xid is a storage format:
//! 4 bytes of seconds, 3 of machine, 2 of process and 3 of counter, all big-endian, so that ids sort by time.
//! Run ids contain a fraction of a second instead of the machine ([`RunTick`]).

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use time::OffsetDateTime;

use crate::Clock;

/// Unix seconds of the year 4000, from which data ids count down.
const DATA_EPOCH_SECS: i64 = 64_060_588_800;
/// Unix seconds of the year 3000, from which run and pull-request ids count down.
const RUN_EPOCH_SECS: i64 = 32_500_915_200;
/// Length of an encoded xid.
const XID_LENGTH: usize = 20;
const BASE32HEX: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const NANOID: &[u8; 64] = b"_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The counter has three bytes.
const COUNTER_MASK: u32 = 0x00ff_ffff;

/// Generates identifiers. Every component that creates ids receives a generator.
pub trait IdGenerator: Debug + Send + Sync {
    /// Returns an ascending xid: ids of a later second sort after those of an earlier one.
    fn xid(&self) -> String;
    /// Returns a descending xid that counts down to the year 4000. For data partitions and garbage-collection runs.
    fn descending_data_id(&self) -> String;
    /// Returns a descending xid that counts down to the year 3000. For action runs and pull requests.
    ///
    /// Ids also descend within a second: the id of a later time sorts first. Of two ids for the same time from one
    /// generator, the later one sorts first. lakeFS's ids ascend within a second.
    fn descending_run_id(&self, at: OffsetDateTime) -> String;
    /// Returns a random version-4 UUID, in lower case with hyphens.
    fn uuid(&self) -> String;
    /// Returns `length` random characters of `A-Za-z0-9_-`.
    fn nanoid(&self, length: usize) -> String;
    /// Fills `out` with random bytes. Those of [`SystemIds`] are suitable for keys and nonces.
    fn random_bytes(&self, out: &mut [u8]);
}

/// Returns the second in which an ascending xid was created, or `None` if `id` is not an xid.
#[must_use]
pub fn xid_time(id: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::from(xid_secs(id)?)).ok()
}

/// Returns the second of a descending run id, or `None` if `id` is not an xid.
#[must_use]
pub fn run_id_time(id: &str) -> Option<OffsetDateTime> {
    descending_time(id, RUN_EPOCH_SECS)
}

/// Returns the second in which a descending data id was created, or `None` if `id` is not an xid.
#[must_use]
pub fn data_id_time(id: &str) -> Option<OffsetDateTime> {
    descending_time(id, DATA_EPOCH_SECS)
}

/// Generates identifiers from a clock and the system's random numbers.
///
/// The machine part of xids is random for each generator. Servers with the same host name, as in containers,
/// therefore do not create the same ids.
#[derive(Debug)]
pub struct SystemIds {
    xids: Xids,
}

impl SystemIds {
    /// Creates a generator that takes the time of xids from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut rng = rand::rng();
        let mut machine = [0; 3];
        rng.fill_bytes(&mut machine);
        let [.., pid_high, pid_low] = std::process::id().to_be_bytes();
        let origin = [machine[0], machine[1], machine[2], pid_high, pid_low];
        Self {
            xids: Xids::new(clock, origin, rng.next_u32()),
        }
    }
}

impl IdGenerator for SystemIds {
    fn xid(&self) -> String {
        self.xids.ascending()
    }

    fn descending_data_id(&self) -> String {
        self.xids.descending(DATA_EPOCH_SECS)
    }

    fn descending_run_id(&self, at: OffsetDateTime) -> String {
        self.xids.run(at)
    }

    fn uuid(&self) -> String {
        uuid_from(&mut rand::rng())
    }

    fn nanoid(&self, length: usize) -> String {
        nanoid_from(&mut rand::rng(), length)
    }

    fn random_bytes(&self, out: &mut [u8]) {
        rand::rng().fill_bytes(out);
    }
}

/// Generates reproducible identifiers for tests: the same seed and the same calls give the same ids.
#[derive(Debug)]
pub struct SeededIds {
    xids: Xids,
    rng: Mutex<StdRng>,
}

impl SeededIds {
    /// Creates a generator from `seed` that takes the time of xids from `clock`.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut origin = [0; 5];
        rng.fill_bytes(&mut origin);
        Self {
            xids: Xids::new(clock, origin, 0),
            rng: Mutex::new(rng),
        }
    }

    fn with_rng<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(
            &mut self
                .rng
                .lock()
                .expect("no code panics while it holds this lock"),
        )
    }
}

impl IdGenerator for SeededIds {
    fn xid(&self) -> String {
        self.xids.ascending()
    }

    fn descending_data_id(&self) -> String {
        self.xids.descending(DATA_EPOCH_SECS)
    }

    fn descending_run_id(&self, at: OffsetDateTime) -> String {
        self.xids.run(at)
    }

    fn uuid(&self) -> String {
        self.with_rng(uuid_from)
    }

    fn nanoid(&self, length: usize) -> String {
        self.with_rng(|rng| nanoid_from(rng, length))
    }

    fn random_bytes(&self, out: &mut [u8]) {
        self.with_rng(|rng| rng.fill_bytes(out));
    }
}

/// The state from which a generator creates xids.
#[derive(Debug)]
struct Xids {
    clock: Arc<dyn Clock>,
    /// Three bytes that identify the machine and two that identify the process.
    origin: [u8; 5],
    counter: AtomicU32,
    /// The tick of the last run id.
    newest_run: Mutex<RunTick>,
}

/// A time in units of 2^-24 seconds since 1970. Run ids sort by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct RunTick(u64);

impl RunTick {
    const PER_SECOND: u64 = 1 << 24;
    /// If the clock is set back by more than this, ticks follow the clock instead of continuing after the last one.
    const MAX_LEAD: u64 = 60 * Self::PER_SECOND;

    fn of(at: OffsetDateTime) -> Self {
        let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
        let fraction = u64::from(at.nanosecond()) * Self::PER_SECOND / 1_000_000_000;
        Self(seconds.saturating_mul(Self::PER_SECOND) | fraction)
    }

    /// Returns the first tick that is after `newest` and not before this one.
    fn after(self, newest: Self) -> Self {
        let next = newest.0.saturating_add(1);
        if next.saturating_sub(self.0) > Self::MAX_LEAD {
            return self;
        }
        Self(self.0.max(next))
    }
}

impl Xids {
    fn new(clock: Arc<dyn Clock>, origin: [u8; 5], counter: u32) -> Self {
        Self {
            clock,
            origin,
            counter: AtomicU32::new(counter),
            newest_run: Mutex::default(),
        }
    }

    fn ascending(&self) -> String {
        self.encode(self.clock.now().unix_timestamp(), self.count())
    }

    /// Inverts the counter too, so that the newest id sorts first within a second.
    fn descending(&self, epoch_secs: i64) -> String {
        self.encode(
            epoch_secs - self.clock.now().unix_timestamp(),
            !self.count(),
        )
    }

    /// Ids descend by tick. Two bytes of the origin remain in the id, so that two servers of an installation
    /// create the same id only if these bytes, the tick and the counter are all equal.
    fn run(&self, at: OffsetDateTime) -> String {
        let tick = {
            let mut newest = self
                .newest_run
                .lock()
                .expect("no code panics while it holds this lock");
            *newest = RunTick::of(at).after(*newest);
            newest.0
        };
        let seconds = i64::try_from(tick / RunTick::PER_SECOND).unwrap_or(i64::MAX);
        let fraction = low_32_bits_of(!(tick % RunTick::PER_SECOND)).to_be_bytes();
        let mut origin = self.origin;
        origin.copy_within(..2, 3);
        origin[..3].copy_from_slice(&fraction[1..]);
        encode(RUN_EPOCH_SECS.saturating_sub(seconds), origin, self.count())
    }

    fn count(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    fn encode(&self, secs: i64, counter: u32) -> String {
        encode(secs, self.origin, counter)
    }
}

fn encode(secs: i64, origin: [u8; 5], counter: u32) -> String {
    let mut bytes = [0; 12];
    // The format stores the low 32 bits of the seconds for every epoch.
    bytes[..4].copy_from_slice(&low_32_bits(secs).to_be_bytes());
    bytes[4..9].copy_from_slice(&origin);
    bytes[9..].copy_from_slice(&(counter & COUNTER_MASK).to_be_bytes()[1..]);
    encode_xid(&bytes)
}

fn low_32_bits(secs: i64) -> u32 {
    let [.., a, b, c, d] = secs.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn low_32_bits_of(number: u64) -> u32 {
    let [.., a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Encodes 96 bits as 20 digits of 5 bits. The low 4 bits of the last digit are zero.
fn encode_xid(bytes: &[u8; 12]) -> String {
    let mut wide = [0; 16];
    wide[4..].copy_from_slice(bytes);
    let bits = u128::from_be_bytes(wide) << 4;
    (0..XID_LENGTH)
        .rev()
        .map(|digit| char::from(BASE32HEX[(bits >> (5 * digit)) as usize & 31]))
        .collect()
}

/// Returns the first four bytes of an xid, or `None` if it is malformed.
fn xid_secs(id: &str) -> Option<u32> {
    if id.len() != XID_LENGTH {
        return None;
    }
    let mut bits: u128 = 0;
    for character in id.bytes() {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'v' => character - b'a' + 10,
            _ => return None,
        };
        bits = bits << 5 | u128::from(digit);
    }
    if bits & 0xf != 0 {
        return None;
    }
    u32::try_from(bits >> 68).ok()
}

fn descending_time(id: &str, epoch_secs: i64) -> Option<OffsetDateTime> {
    let secs = low_32_bits(epoch_secs).wrapping_sub(xid_secs(id)?);
    OffsetDateTime::from_unix_timestamp(i64::from(secs)).ok()
}

fn uuid_from(rng: &mut impl rand::RngCore) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .hyphenated()
        .to_string()
}

fn nanoid_from(rng: &mut impl rand::RngCore, length: usize) -> String {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    // 256 is a multiple of 64, so all characters are equally likely.
    bytes
        .into_iter()
        .map(|byte| char::from(NANOID[usize::from(byte & 63)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{ManualClock, SystemClock};

    fn at(secs: i64) -> Arc<ManualClock> {
        Arc::new(ManualClock::new(
            OffsetDateTime::from_unix_timestamp(secs).unwrap(),
        ))
    }

    #[test]
    fn published_xid_example_is_encoded_and_decoded() {
        let bytes = [
            0x4d, 0x88, 0xe1, 0x5b, 0x60, 0xf4, 0x86, 0xe4, 0x28, 0x41, 0x2d, 0xc9,
        ];
        assert_eq!(encode_xid(&bytes), "9m4e2mr0ui3e8a215n4g");
        assert_eq!(
            xid_time("9m4e2mr0ui3e8a215n4g").unwrap().unix_timestamp(),
            1_300_816_219
        );
    }

    /// The ids are from a lakeFS installation in `tests/compat/museum`, whose database contains their times.
    #[test]
    fn ids_of_lakefs_are_reproduced_from_their_time() {
        let origin = [0x34, 0xe3, 0x7c, 0xdd, 0x07];
        let ids = |secs, counter| Xids::new(at(secs), origin, counter);
        let began = OffsetDateTime::from_unix_timestamp(1_795_382_646).unwrap();
        assert_eq!(
            ids(0, 0).encode(RUN_EPOCH_SECS - began.unix_timestamp(), 0x2b_47e9),
            "4oojt2hksdudq1pb8vkg"
        );
        assert_eq!(run_id_time("4oojt2hksdudq1pb8vkg"), Some(began));
        assert_eq!(
            ids(1_795_382_627, !0x2b_44aa).descending(DATA_EPOCH_SECS),
            "ft5qb79ksdudq1pb8il0"
        );
        assert_eq!(
            ids(1_795_382_635, 0x2b_44ac).ascending(),
            "dc1lqqpksdudq1pb8im0"
        );
    }

    #[test]
    fn malformed_xid_has_no_time() {
        for id in [
            "",
            "9m4e2mr0ui3e8a215n4",
            "9m4e2mr0ui3e8a215n4gg",
            "9M4e2mr0ui3e8a215n4g",
            "9m4e2mr0ui3e8a215n4w",
        ] {
            assert_eq!(xid_time(id), None, "{id}");
        }
        assert_eq!(
            xid_time("9m4e2mr0ui3e8a215n4h"),
            None,
            "padding bits must be zero"
        );
    }

    #[test]
    fn ids_sort_by_time_in_their_direction() {
        let clock = at(1_700_000_000);
        let ids = SeededIds::new(7, clock.clone());
        let mut rows = Vec::new();
        for step in 0..20 {
            rows.push((ids.xid(), ids.descending_data_id()));
            if step % 3 == 0 {
                clock.advance(Duration::from_secs(1));
            }
        }
        for pair in rows.windows(2) {
            assert!(pair[0].0 < pair[1].0, "ascending");
            assert!(pair[0].1 > pair[1].1, "data ids descend");
        }
    }

    /// Regression test: ids within a second ascended, so the runs of one operation were listed in reverse.
    #[test]
    fn run_ids_descend_within_a_second_and_within_an_instant() {
        let clock = at(1_700_000_000);
        let ids = SeededIds::new(7, clock.clone());
        let mut made = Vec::new();
        for step in [0, 0, 1, 400_000, 0, 999_000_000] {
            clock.advance(Duration::from_nanos(step));
            made.push(ids.descending_run_id(clock.now()));
        }
        assert!(
            made.is_sorted_by(|earlier, later| earlier > later),
            "{made:?}"
        );
    }

    #[test]
    fn run_ids_of_two_servers_descend_by_time() {
        let clock = at(1_700_000_000);
        let servers = [1, 2, 3].map(|seed| SeededIds::new(seed, clock.clone()));
        let mut made = Vec::new();
        for turn in 0..30 {
            clock.advance(Duration::from_micros(1));
            made.push(servers[turn % 3].descending_run_id(clock.now()));
        }
        assert!(
            made.is_sorted_by(|earlier, later| earlier > later),
            "{made:?}"
        );
    }

    #[test]
    fn run_ids_follow_a_clock_that_is_set_back_far() {
        let began = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let ids = SeededIds::new(7, at(0));
        let first = ids.descending_run_id(began);
        let little = ids.descending_run_id(began - Duration::from_secs(30));
        assert!(little < first, "a small step back still sorts first");
        let hour = began - Duration::from_secs(3600);
        assert_eq!(run_id_time(&ids.descending_run_id(hour)), Some(hour));
    }

    #[test]
    fn seeded_ids_are_reproducible_and_system_ids_are_unique() {
        let draw = |seed| {
            let ids = SeededIds::new(seed, at(5));
            let mut bytes = [0; 8];
            ids.random_bytes(&mut bytes);
            (ids.xid(), ids.uuid(), ids.nanoid(20), bytes)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));

        let ids = SystemIds::new(Arc::new(SystemClock));
        let seen: HashSet<String> = (0..1000)
            .flat_map(|_| [ids.xid(), ids.uuid(), ids.nanoid(20)])
            .collect();
        assert_eq!(seen.len(), 3000);
    }

    #[test]
    fn uuids_and_nanoids_have_the_expected_format() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let uuid = ids.uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        let nanoid = ids.nanoid(21);
        assert_eq!(nanoid.len(), 21);
        assert!(nanoid.bytes().all(|byte| NANOID.contains(&byte)));
    }

    proptest! {
        #[test]
        fn time_of_every_kind_of_xid_is_recovered(secs in 0_i64..=i64::from(u32::MAX), seed: u64) {
            let ids = SeededIds::new(seed, at(secs));
            prop_assert_eq!(xid_time(&ids.xid()).unwrap().unix_timestamp(), secs);
            prop_assert_eq!(run_id_time(&ids.descending_run_id(OffsetDateTime::from_unix_timestamp(secs).unwrap())).unwrap().unix_timestamp(), secs);
            prop_assert_eq!(data_id_time(&ids.descending_data_id()).unwrap().unix_timestamp(), secs);
        }
    }
}
