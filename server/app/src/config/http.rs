//! Connection settings: limits, trusted networks, and deadlines.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use super::source::{Error, Source};

/// Limits and deadlines of connections, and the memory limit for request bodies.
#[derive(Debug, Clone)]
pub struct Http {
    /// Maximum number of served connections. A few more can request only `/_health` and `/metrics`.
    pub max_connections: usize,
    /// Maximum number of connections per address; for IPv6, per /64 network.
    pub max_connections_per_address: usize,
    /// Networks that are exempt from the limit per address.
    pub uncapped_addresses: Vec<IpNetwork>,
    /// From accepting the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From the first byte of a request to the end of its headers.
    pub headers_timeout: Duration,
    /// Total time that the reader of a request body may wait for bytes. Received bytes extend it; see
    /// `min_bytes_per_second`.
    pub body_timeout: Duration,
    /// Total time for which a client may pause reading a response. Bytes that it reads extend it; see
    /// `min_bytes_per_second`.
    pub response_timeout: Duration,
    /// Every `min_bytes_per_second` bytes extend a deadline by one second.
    pub min_bytes_per_second: u64,
    /// How long a connection may stay open between requests.
    pub idle_timeout: Duration,
    /// Interval between pings on a silent HTTP/2 connection.
    pub http2_ping_interval: Duration,
    /// Timeout for the response to a ping.
    pub http2_ping_timeout: Duration,
    /// Total memory for decoded JSON and XML bodies of all requests.
    pub body_memory_bytes: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 1024,
            uncapped_addresses: LOOPBACK_NETWORKS.map(network).to_vec(),
            first_byte_timeout: Duration::from_secs(30),
            headers_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(60),
            min_bytes_per_second: 1024,
            idle_timeout: Duration::from_secs(120),
            http2_ping_interval: Duration::from_secs(30),
            http2_ping_timeout: Duration::from_secs(20),
            body_memory_bytes: 256 << 20,
        }
    }
}

/// Loopback addresses: through a reverse proxy on the same machine, all clients have one of them.
const LOOPBACK_NETWORKS: [&str; 2] = ["127.0.0.0/8", "::1/128"];

fn network(text: &str) -> IpNetwork {
    text.parse().expect("the default networks are well-formed")
}

/// A network such as `192.0.2.0/24`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix_bits: u8,
}

impl IpNetwork {
    /// Reports whether the network contains an address. IPv4-mapped IPv6 addresses count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl FromStr for IpNetwork {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| ())?,
            None => most,
        };
        if prefix_bits > most {
            return Err(());
        }
        Ok(Self {
            address,
            prefix_bits,
        })
    }
}

pub(super) fn http(source: &Source) -> Result<Http, Error> {
    let default = Http::default();
    let max_connections = source.number_or(
        "http.max_connections",
        default.max_connections,
        1..=1_000_000,
    )?;
    Ok(Http {
        max_connections,
        max_connections_per_address: source.number_or(
            "http.max_connections_per_address",
            default.max_connections_per_address.min(max_connections),
            1..=1_000_000,
        )?,
        uncapped_addresses: read_uncapped_addresses(source)?.unwrap_or(default.uncapped_addresses),
        first_byte_timeout: timeout(
            source,
            "http.first_byte_timeout",
            default.first_byte_timeout,
        )?,
        headers_timeout: timeout(source, "http.headers_timeout", default.headers_timeout)?,
        body_timeout: timeout(source, "http.body_timeout", default.body_timeout)?,
        response_timeout: timeout(source, "http.response_timeout", default.response_timeout)?,
        min_bytes_per_second: source.number_or(
            "http.min_bytes_per_second",
            default.min_bytes_per_second,
            1..=1_000_000_000,
        )?,
        idle_timeout: timeout(source, "http.idle_timeout", default.idle_timeout)?,
        http2_ping_interval: timeout(
            source,
            "http.http2_ping_interval",
            default.http2_ping_interval,
        )?,
        http2_ping_timeout: timeout(
            source,
            "http.http2_ping_timeout",
            default.http2_ping_timeout,
        )?,
        body_memory_bytes: source.number_or(
            "http.body_memory_bytes",
            default.body_memory_bytes,
            MIN_BODY_MEMORY_BYTES..=1 << 40,
        )?,
    })
}

/// Enough to decode the largest JSON body or the largest XML document, such as a completion with 10,000 parts and all
/// checksums. An eighth of it is for bodies of requests without credentials.
const MIN_BODY_MEMORY_BYTES: usize = 128 << 20;
/// Shorter timeouts would cut off well-behaved clients on a busy machine.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

fn timeout(source: &Source, key: &str, default: Duration) -> Result<Duration, Error> {
    let given = source.duration_or(key, default)?;
    if given < MIN_TIMEOUT {
        return Err(source.unusable(
            key,
            "is shorter than 100ms, which is too short for any client",
        ));
    }
    Ok(given)
}

fn read_uncapped_addresses(source: &Source) -> Result<Option<Vec<IpNetwork>>, Error> {
    const KEY: &str = "http.uncapped_addresses";
    let Some(given) = source.list(KEY)? else {
        return Ok(None);
    };
    let parsed: Result<Vec<IpNetwork>, ()> = given.iter().map(|text| text.parse()).collect();
    parsed.map(Some).map_err(|()| {
        source.unusable(
            KEY,
            "has an entry that is neither an IP address nor a network, such as 192.0.2.7 or 10.0.0.0/8",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::IpNetwork;

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "fd00::1", false),
            ("fd00::/8", "fd12::1", true),
            ("::1/128", "::1", true),
            ("::1", "::2", false),
        ] {
            let parsed: IpNetwork = network.parse().unwrap();
            assert_eq!(
                parsed.contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "ten/8",
            "10.0.0.0/-1",
            "10.0.0/8",
        ] {
            assert!(wrong.parse::<IpNetwork>().is_err(), "{wrong}");
        }
    }

    /// Guards against a bug: with the smallest budget, the largest XML documents were always refused with `SlowDown`.
    #[test]
    fn smallest_body_memory_fits_the_largest_document() {
        let bodies = api::BodyBudgets::new(super::MIN_BODY_MEMORY_BYTES);
        let mut held = bodies.known.reservation();
        held.grow(gateway::MAX_DOCUMENT_MEMORY_BYTES).unwrap();
    }
}
