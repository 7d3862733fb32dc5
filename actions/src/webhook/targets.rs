//! Where a webhook may not go: link-local addresses and the metadata services of clouds.
//!
//! Whoever can commit an action file chooses the URL, and the answer is in the log that they read:
//! a metadata service would hand them the server's own credentials. Addresses are looked at after
//! names are resolved, and it is these that are connected to, so a name can't change its mind in
//! between. Loopback and private addresses are allowed: hooks are often services next door.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Metadata services that are not link-local: of AWS by IPv6, of Alibaba, of Oracle.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// An address that no webhook may go to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is a link-local address or a cloud's metadata service: webhooks may not go there")]
pub(super) struct Forbidden(IpAddr);

/// Looks at a URL's host if it is an address; names are looked at by [`Guarded`].
///
/// # Errors
/// When it may not be called.
pub(super) fn check(url: &Url) -> Result<(), Forbidden> {
    match url.host() {
        Some(Host::Ipv4(ip)) => check_address(ip.into()),
        Some(Host::Ipv6(ip)) => check_address(ip.into()),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

fn check_address(address: IpAddr) -> Result<(), Forbidden> {
    let forbidden = match address {
        IpAddr::V4(ip) => is_forbidden(ip),
        IpAddr::V6(ip) => {
            ip == METADATA_V6
                || ip.segments()[0] & 0xffc0 == 0xfe80
                || inner(ip).is_some_and(is_forbidden)
        }
    };
    if forbidden {
        Err(Forbidden(address))
    } else {
        Ok(())
    }
}

fn is_forbidden(ip: Ipv4Addr) -> bool {
    ip.is_link_local() || METADATA_V4.contains(&ip)
}

/// The IPv4 address that an IPv6 address leads to: mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64 (`64:ff9b::/96`).
fn inner(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = ip.segments();
    let leads = matches!(
        [a, b, c, d, e, f],
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0]
    );
    leads.then(|| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// Resolves names as the system does; one that leads to a forbidden address leads nowhere.
#[derive(Debug)]
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            for address in &found {
                check_address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_url(url: &str) -> bool {
        check(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn metadata_services_are_refused_however_they_are_written() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "100.100.100.200",
            "192.0.0.192",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
        ] {
            assert!(!check_url(&format!("http://{host}:80/latest")), "{host}");
        }
    }

    #[test]
    fn services_next_door_are_allowed() {
        for host in [
            "127.0.0.1",
            "[::1]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "[fd00::1]",
            "8.8.8.8",
            "hooks.internal",
        ] {
            assert!(check_url(&format!("http://{host}/")), "{host}");
        }
    }

    #[tokio::test]
    async fn what_a_name_leads_to_is_looked_at() {
        let resolve = |name: &str| Guarded.resolve(name.parse().unwrap());
        assert!(resolve("127.0.0.1").await.unwrap().next().is_some());
        let error = resolve("169.254.169.254").await.err().unwrap();
        let forbidden = Forbidden(Ipv4Addr::new(169, 254, 169, 254).into());
        assert_eq!(error.downcast_ref(), Some(&forbidden));
    }
}
