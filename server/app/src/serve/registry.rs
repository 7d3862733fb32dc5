//! Registry of open connections: admission, eviction, and the sweep that closes connections past a
//! deadline.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Http;

use super::connection_state::{ConnectionState, Epoch, Millis, Verdict};

/// Number of connections beyond the limit that get one short response each; see [`super::reserved`].
pub(super) const RESERVED_CONNECTIONS: usize = 64;
/// Maximum number of reserved connections per address.
const RESERVED_PER_ADDRESS: usize = 8;
/// Bounds of the sweep interval. Short deadlines need a shorter interval.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
const MIN_SWEEP_INTERVAL: Duration = Duration::from_millis(20);

/// The open connections of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: Http,
    epoch: Epoch,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    open: HashMap<u64, Entry>,
    per_address: HashMap<IpAddr, usize>,
    reserved: usize,
    reserved_per_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    track: Arc<ConnectionState>,
    /// The IPv4 address or IPv6 network toward whose limit this connection counts.
    origin: IpAddr,
}

/// Decision about a new connection.
#[derive(Debug)]
pub(super) enum Admission {
    Served(Ticket),
    /// All regular slots are taken: the connection gets one short response.
    Reserved(Ticket),
    Refused,
}

/// A connection's slot. Released on drop.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Registry,
    kind: Kind,
    pub(super) track: Arc<ConnectionState>,
}

#[derive(Debug)]
enum Kind {
    Served(u64),
    Reserved(IpAddr),
}

impl Registry {
    pub(super) fn new(limits: Http) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                epoch: Epoch::begin(),
                table: Mutex::default(),
            }),
        }
    }

    /// Admits a connection to a free slot, to the slot of the longest idle connection, or to a
    /// reserved slot.
    pub(super) fn admit(&self, address: IpAddr) -> Admission {
        let limits = &self.shared.limits;
        let origin = origin(address);
        let is_capped = !limits
            .uncapped_addresses
            .iter()
            .any(|network| network.contains(address));
        let track = ConnectionState::new(self.shared.epoch, origin);
        let mut table = self.table();
        let own = table.per_address.get(&origin).copied().unwrap_or(0);
        let has_place = if is_capped && own >= limits.max_connections_per_address {
            self.make_room(&mut table, Some(origin))
        } else if table.open.len() >= limits.max_connections {
            self.make_room(&mut table, None)
        } else {
            true
        };
        if has_place {
            let id = table.next_id;
            table.next_id += 1;
            *table.per_address.entry(origin).or_default() += 1;
            let entry = Entry {
                track: Arc::clone(&track),
                origin,
            };
            table.open.insert(id, entry);
            metrics::gauge!("http_connections_open").set(as_gauge(table.open.len()));
            return Admission::Served(self.ticket(Kind::Served(id), track));
        }
        let own = table
            .reserved_per_address
            .get(&origin)
            .copied()
            .unwrap_or(0);
        if table.reserved >= RESERVED_CONNECTIONS || (is_capped && own >= RESERVED_PER_ADDRESS) {
            metrics::counter!("http_connections_refused_total").increment(1);
            return Admission::Refused;
        }
        table.reserved += 1;
        *table.reserved_per_address.entry(origin).or_default() += 1;
        Admission::Reserved(self.ticket(Kind::Reserved(origin), track))
    }

    /// Closes the longest idle connection, either of one origin or of all. Returns whether there
    /// was one.
    fn make_room(&self, table: &mut Table, of: Option<IpAddr>) -> bool {
        let now = self.shared.epoch.now();
        let longest = table
            .open
            .iter()
            .filter(|(_, entry)| of.is_none_or(|origin| entry.origin == origin))
            .filter_map(|(id, entry)| Some((entry.track.evictable_since(now)?, *id)))
            .min();
        let Some((_, id)) = longest else {
            return false;
        };
        if let Some(entry) = table.remove(id) {
            entry.track.kill();
            closed_because(&entry.track, "room");
        }
        true
    }

    /// Asks all clients to disconnect.
    pub(super) fn close_all(&self) {
        self.table().open.values().for_each(|e| e.track.close());
    }

    /// Closes all connections and aborts their requests.
    pub(super) fn kill_all(&self) {
        self.table().open.values().for_each(|e| e.track.kill());
    }

    /// Returns how often [`Registry::sweep`] must be called.
    pub(super) fn sweep_interval(&self) -> Duration {
        let limits = &self.shared.limits;
        let shortest = limits
            .first_byte_timeout
            .min(limits.headers_timeout)
            .min(limits.response_timeout)
            .min(limits.idle_timeout);
        (shortest / 4).clamp(MIN_SWEEP_INTERVAL, MAX_SWEEP_INTERVAL)
    }

    /// Closes the connections that are past a deadline.
    pub(super) fn sweep(&self) {
        self.sweep_at(self.shared.epoch.now());
    }

    fn sweep_at(&self, now: Millis) {
        for Entry { track, .. } in self.table().open.values() {
            match track.verdict(now, &self.shared.limits) {
                Verdict::Keep => {}
                Verdict::Close => {
                    closed_because(track, "idle");
                    track.close();
                }
                Verdict::Kill(reason) => {
                    tracing::debug!(address = %track.address, reason, "closing the connection");
                    closed_because(track, reason);
                    track.kill();
                }
            }
        }
    }

    fn ticket(&self, kind: Kind, track: Arc<ConnectionState>) -> Ticket {
        Ticket {
            registry: self.clone(),
            kind,
            track,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // After a panic the table is still consistent, because no code can panic in the middle of a
        // change.
        let table = &self.shared.table;
        table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        count_down(&mut self.per_address, entry.origin);
        metrics::gauge!("http_connections_open").set(as_gauge(self.open.len()));
        Some(entry)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.registry.table();
        match self.kind {
            // The entry is already gone if it was evicted.
            Kind::Served(id) => drop(table.remove(id)),
            Kind::Reserved(origin) => {
                table.reserved -= 1;
                count_down(&mut table.reserved_per_address, origin);
            }
        }
    }
}

fn count_down(counts: &mut HashMap<IpAddr, usize>, origin: IpAddr) {
    if let Some(count) = counts.get_mut(&origin) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&origin);
        }
    }
}

/// Returns the origin of an address. For IPv6 it is the /64 network, because a client usually
/// controls all of its addresses.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Counts a closed connection once, for the first reason: a client that was asked to disconnect and lingers is closed
/// later.
fn closed_because(track: &ConnectionState, reason: &'static str) {
    if track.count_as_closed() {
        metrics::counter!("http_connections_closed_total", "reason" => reason).increment(1);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "far fewer than 2^52 connections"
)]
fn as_gauge(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(all: usize, per_address: usize) -> Registry {
        Registry::new(Http {
            max_connections: all,
            max_connections_per_address: per_address,
            ..Http::default()
        })
    }

    fn served(registry: &Registry, address: &str) -> Ticket {
        match registry.admit(address.parse().unwrap()) {
            Admission::Served(ticket) => ticket,
            other => panic!("{address}: {other:?}"),
        }
    }

    #[test]
    fn slots_are_counted_and_released() {
        let registry = registry(3, 2);
        let one = served(&registry, "192.0.2.1");
        let two = served(&registry, "192.0.2.1");
        let over_share = registry.admit("192.0.2.1".parse().unwrap());
        assert!(
            matches!(over_share, Admission::Reserved(_)),
            "the address must be at its limit"
        );
        let three = served(&registry, "192.0.2.2");
        let over_all = registry.admit("192.0.2.3".parse().unwrap());
        assert!(
            matches!(over_all, Admission::Reserved(_)),
            "all slots must be taken"
        );
        drop((one, two, three, over_share, over_all));
        let table = registry.table();
        assert!(table.open.is_empty() && table.per_address.is_empty());
        assert!(table.reserved == 0 && table.reserved_per_address.is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit() {
        let registry = registry(10, 1);
        let _one = served(&registry, "2001:db8::1");
        let same = registry.admit("2001:db8::ffff:1".parse().unwrap());
        assert!(matches!(same, Admission::Reserved(_)));
        let _other = served(&registry, "2001:db8:0:1::1");
        let _mapped = served(&registry, "::ffff:192.0.2.1");
        let same = registry.admit("192.0.2.1".parse().unwrap());
        assert!(matches!(same, Admission::Reserved(_)));
    }

    #[test]
    fn loopback_addresses_have_no_limit() {
        let registry = registry(10, 1);
        let _both = (
            served(&registry, "127.0.0.1"),
            served(&registry, "127.0.0.1"),
        );
        let _v6 = (served(&registry, "::1"), served(&registry, "::1"));
    }

    #[test]
    fn loopback_addresses_have_a_limit_if_the_configuration_says_so() {
        let registry = Registry::new(Http {
            max_connections: 10,
            max_connections_per_address: 1,
            uncapped_addresses: vec!["192.0.2.7".parse().unwrap()],
            ..Http::default()
        });
        for address in ["127.0.0.1", "::1"] {
            let _one = served(&registry, address);
            let another = registry.admit(address.parse().unwrap());
            assert!(matches!(another, Admission::Reserved(_)), "{address}");
        }
        let _balancer = [
            served(&registry, "192.0.2.7"),
            served(&registry, "192.0.2.7"),
        ];
    }

    #[test]
    fn reserved_slots_are_limited_in_total_and_per_address() {
        let registry = registry(1, 1);
        let _all = served(&registry, "192.0.2.1");
        let ask = |address: String| registry.admit(address.parse().unwrap());
        let held: Vec<_> = (0..RESERVED_PER_ADDRESS)
            .map(|_| ask("192.0.2.2".to_owned()))
            .collect();
        assert!(held.iter().all(|a| matches!(a, Admission::Reserved(_))));
        assert!(matches!(ask("192.0.2.2".to_owned()), Admission::Refused));
        let others: Vec<_> = (0..RESERVED_CONNECTIONS - RESERVED_PER_ADDRESS)
            .map(|n| ask(format!("198.51.100.{n}")))
            .collect();
        assert!(others.iter().all(|a| matches!(a, Admission::Reserved(_))));
        assert!(matches!(ask("203.0.113.1".to_owned()), Admission::Refused));
    }

    #[tokio::test]
    async fn sweep_closes_connections_past_their_deadline() {
        let limits = Http {
            first_byte_timeout: Duration::from_millis(1),
            ..Http::default()
        };
        let registry = Registry::new(limits);
        let ticket = served(&registry, "192.0.2.1");
        let swept = async {
            let mut interval = tokio::time::interval(registry.sweep_interval());
            loop {
                interval.tick().await;
                registry.sweep();
            }
        };
        tokio::select! {
            () = ticket.track.killed() => {}
            () = swept => {}
        }
    }

    /// Guards against a bug: an idle connection was counted when its client was asked to disconnect, and again when it was
    /// closed.
    #[test]
    fn closed_connection_is_counted_once() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let registry = registry(2, 2);
            let ticket = served(&registry, "192.0.2.1");
            drop(ticket.track.begin_request());
            let now = registry.shared.epoch.now();
            for hour in 1..4 {
                registry.sweep_at(now + hour * 3_600_000);
            }
            assert!(ticket.track.is_killed());
        });
        let metrics = recorder.handle().render();
        let counted = "http_connections_closed_total{reason=\"idle\"} 1\n";
        assert!(metrics.contains(counted), "{metrics}");
    }
}
