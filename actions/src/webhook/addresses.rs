//! Addresses that webhooks can never call, whatever the configuration: link-local addresses and cloud
//! metadata services, which hand out the server's credentials to every process on the machine.
//!
//! An IPv6 address can embed an IPv4 address in many ways. All of them are checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 addresses of metadata services that are not link-local: Alibaba, Oracle (legacy) and Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// IPv6 addresses of metadata services: Google, Scaleway, Oracle, Akamai and Alibaba. The services of
/// AWS (`fd00:ec2::254`, `::23`, its resolver and its clock) are matched by their network.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),
];

/// Reports whether an address is link-local or a metadata service, or embeds such an address.
pub(super) fn is_never_called(address: IpAddr) -> bool {
    let is_forbidden_v4 = |ip: Ipv4Addr| ip.is_link_local() || METADATA_V4.contains(&ip);
    match address {
        IpAddr::V4(ip) => is_forbidden_v4(ip),
        IpAddr::V6(ip) => {
            let of_aws = ip.segments()[..2] == [0xfd00, 0xec2];
            of_aws
                || METADATA_V6.contains(&ip)
                || ip.segments()[0] & 0xffc0 == 0xfe80
                || inner(ip).into_iter().any(is_forbidden_v4)
        }
    }
}

/// Returns all addresses that a connection to `address` may reach: the address itself and embedded
/// IPv4 addresses. `0.0.0.0` and `::` reach this machine.
pub(super) fn reached(address: IpAddr) -> Vec<IpAddr> {
    let mut all = vec![address];
    if let IpAddr::V6(ip) = address {
        all.extend(inner(ip).into_iter().map(IpAddr::V4));
    }
    if all.iter().any(IpAddr::is_unspecified) {
        all.push(Ipv4Addr::LOCALHOST.into());
        all.push(Ipv6Addr::LOCALHOST.into());
    }
    all
}

/// Returns the IPv4 addresses embedded in an IPv6 address.
fn inner(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bytes = ip.octets();
    let segments = ip.segments();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| bytes[place]));
    let last = at([12, 13, 14, 15]);
    match segments {
        // IPv4-compatible (::/96), mapped (::ffff:0:0/96), translated (::ffff:0:0:0/96).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => vec![last],
        // NAT64, well-known prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![last],
        // NAT64, local-use prefix. The length of the operator's prefix inside it is unknown (RFC
        // 6052, section 2.2), so every possible position is checked.
        [0x64, 0xff9b, 1, ..] => vec![
            last,
            at([9, 10, 11, 12]),
            at([7, 9, 10, 11]),
            at([6, 7, 9, 10]),
        ],
        // 6to4.
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        // Teredo: the server's address and the client's address, which is stored with inverted
        // bits.
        [0x2001, 0, ..] => vec![
            at([4, 5, 6, 7]),
            Ipv4Addr::from(last.octets().map(|byte| !byte)),
        ],
        // ISATAP, under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![last],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_recognized_in_every_form() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fe80::1",
            "febf::1",
            "fe80::a9fe:a9fe",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd00:ec2::253",
            "fd20:ce::254",
            "fd00:42::42",
            "fd00:c1::a9fe:a9fe",
            "fd00:a9fe:a9fe::1",
            "fd00:100::100:200",
            "::ffff:169.254.169.254",
            "::ffff:168.63.129.16",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "::ffff:100.100.100.200",
            "64:ff9b::100.100.100.200",
            "2002:6464:64c8::1",
            // The local NAT64 prefix with operator prefixes of 96, 64, 56 and 48 bits.
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:0:a9:fea9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2002:a83f:8110::",
            // Teredo: client 169.254.169.254, then server 169.254.169.254.
            "2001:0:4136:e378:8000:63bf:5601:5601",
            "2001:0:a9fe:a9fe::1",
            "2001:db8::5efe:169.254.169.254",
            "2001:db8::200:5efe:169.254.169.254",
        ] {
            assert!(is_never_called(ip(address)), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_allowed() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "169.253.255.255",
            "::1",
            "::",
            "0.0.0.0",
            "fd00::1",
            "fd20:ce::1",
            "fd00:c1::1",
            "fd00:a9fe:a9fe::2",
            "fd00:100::100:201",
            "fec0::1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:0a00:0001::1",
            "2001:db8::1",
            "2606:4700::1111",
        ] {
            assert!(!is_never_called(ip(address)), "{address}");
        }
    }

    #[test]
    fn embedded_addresses_are_reached() {
        let reaches = |from: &str, to: &str| reached(ip(from)).contains(&ip(to));
        assert!(reaches("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(reaches("2002:0a00:0001::", "10.0.0.1"));
        assert!(reaches("0.0.0.0", "127.0.0.1") && reaches("::", "::1"));
        assert_eq!(reached(ip("10.0.0.1")), [ip("10.0.0.1")]);
    }
}
