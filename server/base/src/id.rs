//! Identifiers: xid-compatible ids (12 bytes in 20 characters of base32hex), UUIDs, nanoids.
//!
//! Holds both generators: [`SystemIds`] for production and [`SeededIds`] for
//! tests. The layout of an xid is a storage format: 4 bytes of seconds, 3 of
//! machine, 2 of process, 3 of counter, all big-endian, so that ids sort by time.
//! Run ids have a fraction of a second where others have the machine ([`RunTick`]).

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
/// Characters of an encoded xid.
const XID_LENGTH: usize = 20;
const BASE32HEX: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const NANOID: &[u8; 64] = b"_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The counter has three bytes.
const COUNTER_MASK: u32 = 0x00ff_ffff;

/// Makes identifiers. Given to every component that names something new.
pub trait IdGenerator: Debug + Send + Sync {
    /// An ascending xid: ids of a later second sort after those of an earlier one.
    fn xid(&self) -> String;
    /// A descending xid counted from the year 4000: data partitions, garbage-collection runs.
    fn descending_data_id(&self) -> String;
    /// A descending xid counted from the year 3000: action runs, pull requests.
    ///
    /// Descends within a second too: the id of a later time sorts first, and so does the later of two
    /// ids of one time, if one generator made both. Ids of lakeFS ascend within a second.
    fn descending_run_id(&self, at: OffsetDateTime) -> String;
    /// A random version-4 UUID, hyphenated lower case.
    fn uuid(&self) -> String;
    /// `length` random characters of `A-Za-z0-9_-`.
    fn nanoid(&self, length: usize) -> String;
    /// Fills `out` with bytes fit for keys and nonces (from [`SystemIds`]; seeded ones are for tests).
    fn random_bytes(&self, out: &mut [u8]);
}

/// Returns the second at which an ascending xid was made, or none if `id` is no xid.
#[must_use]
pub fn xid_time(id: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::from(xid_secs(id)?)).ok()
}

/// Returns the second at which a descending run id was made, or none if `id` is no xid.
#[must_use]
pub fn run_id_time(id: &str) -> Option<OffsetDateTime> {
    descending_time(id, RUN_EPOCH_SECS)
}

/// Returns the second at which a descending data id was made, or none if `id` is no xid.
#[must_use]
pub fn data_id_time(id: &str) -> Option<OffsetDateTime> {
    descending_time(id, DATA_EPOCH_SECS)
}

/// Identifiers from the machine's clock and random source.
///
/// The machine part is drawn at random for each instance, so that two servers
/// that share a host name (containers do) still never make the same id.
#[derive(Debug)]
pub struct SystemIds {
    xids: Xids,
}

impl SystemIds {
    /// Makes a generator that stamps its ids by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut rng = rand::rng();
        let mut machine = [0; 3];
        rng.fill_bytes(&mut machine);
        let [.., pid_high, pid_low] = std::process::id().to_be_bytes();
        let place = [machine[0], machine[1], machine[2], pid_high, pid_low];
        Self {
            xids: Xids::new(clock, place, rng.next_u32()),
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

/// Reproducible identifiers for tests: the same seed and the same calls give the same ids.
#[derive(Debug)]
pub struct SeededIds {
    xids: Xids,
    rng: Mutex<StdRng>,
}

impl SeededIds {
    /// Makes a generator from `seed`; xids are stamped by `clock`.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut place = [0; 5];
        rng.fill_bytes(&mut place);
        Self {
            xids: Xids::new(clock, place, 0),
            rng: Mutex::new(rng),
        }
    }

    fn with_rng<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock().expect("no holder of the generator panics"))
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

/// What the xids of one generator have in common.
#[derive(Debug)]
struct Xids {
    clock: Arc<dyn Clock>,
    /// Three bytes of machine and two of process.
    place: [u8; 5],
    counter: AtomicU32,
    /// The tick of the newest run id.
    newest_run: Mutex<RunTick>,
}

/// A time in 2^-24 seconds since 1970: what run ids are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct RunTick(u64);

impl RunTick {
    const PER_SECOND: u64 = 1 << 24;
    /// A clock that is set back further than this is followed.
    const MAX_LEAD: u64 = 60 * Self::PER_SECOND;

    fn of(at: OffsetDateTime) -> Self {
        let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
        let fraction = u64::from(at.nanosecond()) * Self::PER_SECOND / 1_000_000_000;
        Self(seconds.saturating_mul(Self::PER_SECOND) | fraction)
    }

    /// The first tick after `newest` that is not before this one.
    fn after(self, newest: Self) -> Self {
        let next = newest.0.saturating_add(1);
        if next.saturating_sub(self.0) > Self::MAX_LEAD {
            return self;
        }
        Self(self.0.max(next))
    }
}

impl Xids {
    fn new(clock: Arc<dyn Clock>, place: [u8; 5], counter: u32) -> Self {
        Self {
            clock,
            place,
            counter: AtomicU32::new(counter),
            newest_run: Mutex::default(),
        }
    }

    fn ascending(&self) -> String {
        self.encode(self.clock.now().unix_timestamp(), self.count())
    }

    /// Counts down within a second as well, so that the newest sorts first there too.
    fn descending(&self, epoch_secs: i64) -> String {
        self.encode(
            epoch_secs - self.clock.now().unix_timestamp(),
            !self.count(),
        )
    }

    /// Descends by the tick. Two bytes of the place are left, so that servers of one installation do not
    /// make the same id: they would also have to have the same count at the same tick.
    fn run(&self, at: OffsetDateTime) -> String {
        let tick = {
            let mut newest = self.newest_run.lock().expect("no holder panics");
            *newest = RunTick::of(at).after(*newest);
            newest.0
        };
        let seconds = i64::try_from(tick / RunTick::PER_SECOND).unwrap_or(i64::MAX);
        let fraction = low_32_bits_of(!(tick % RunTick::PER_SECOND)).to_be_bytes();
        let mut place = self.place;
        place.copy_within(..2, 3);
        place[..3].copy_from_slice(&fraction[1..]);
        encode(RUN_EPOCH_SECS.saturating_sub(seconds), place, self.count())
    }

    fn count(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    fn encode(&self, secs: i64, counter: u32) -> String {
        encode(secs, self.place, counter)
    }
}

fn encode(secs: i64, place: [u8; 5], counter: u32) -> String {
    let mut bytes = [0; 12];
    // The format keeps the low 32 bits of the seconds, whatever the epoch.
    bytes[..4].copy_from_slice(&low_32_bits(secs).to_be_bytes());
    bytes[4..9].copy_from_slice(&place);
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

/// 96 bits in 20 digits of 5 bits; the last digit's 4 low bits are zero.
fn encode_xid(bytes: &[u8; 12]) -> String {
    let mut wide = [0; 16];
    wide[4..].copy_from_slice(bytes);
    let bits = u128::from_be_bytes(wide) << 4;
    (0..XID_LENGTH)
        .rev()
        .map(|digit| char::from(BASE32HEX[(bits >> (5 * digit)) as usize & 31]))
        .collect()
}

/// The first four bytes of a well-formed xid.
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
    // 64 characters divide 256 evenly: no character is likelier than another.
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
    fn the_published_xid_vector_encodes_and_decodes() {
        let bytes = [
            0x4d, 0x88, 0xe1, 0x5b, 0x60, 0xf4, 0x86, 0xe4, 0x28, 0x41, 0x2d, 0xc9,
        ];
        assert_eq!(encode_xid(&bytes), "9m4e2mr0ui3e8a215n4g");
        assert_eq!(
            xid_time("9m4e2mr0ui3e8a215n4g").unwrap().unix_timestamp(),
            1_300_816_219
        );
    }

    /// Ids that lakeFS made for the installation in `tests/compat/museum`, of which the database tells the time.
    #[test]
    fn ids_of_lakefs_are_made_from_their_time() {
        let place = [0x34, 0xe3, 0x7c, 0xdd, 0x07];
        let ids = |secs, counter| Xids::new(at(secs), place, counter);
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
    fn what_is_no_xid_has_no_time() {
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
    fn later_ids_ascend_and_descending_ids_descend() {
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

    /// Ids of one second ascended, so the runs of one operation were listed in reverse.
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
    fn a_clock_that_is_set_back_does_not_hold_run_ids_back_for_long() {
        let began = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let ids = SeededIds::new(7, at(0));
        let first = ids.descending_run_id(began);
        let little = ids.descending_run_id(began - Duration::from_secs(30));
        assert!(little < first, "still listed first");
        let hour = began - Duration::from_secs(3600);
        assert_eq!(run_id_time(&ids.descending_run_id(hour)), Some(hour));
    }

    #[test]
    fn one_seed_gives_one_sequence_and_the_system_never_repeats() {
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
    fn uuids_and_nanoids_have_their_shape() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let uuid = ids.uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        let nanoid = ids.nanoid(21);
        assert_eq!(nanoid.len(), 21);
        assert!(nanoid.bytes().all(|byte| NANOID.contains(&byte)));
    }

    proptest! {
        #[test]
        fn every_kind_of_id_gives_back_its_second(secs in 0_i64..=i64::from(u32::MAX), seed: u64) {
            let ids = SeededIds::new(seed, at(secs));
            prop_assert_eq!(xid_time(&ids.xid()).unwrap().unix_timestamp(), secs);
            prop_assert_eq!(run_id_time(&ids.descending_run_id(OffsetDateTime::from_unix_timestamp(secs).unwrap())).unwrap().unix_timestamp(), secs);
            prop_assert_eq!(data_id_time(&ids.descending_data_id()).unwrap().unix_timestamp(), secs);
        }
    }
}
