//! Where webhooks may connect to: `actions.webhook.allow` and `deny`, and addresses that are never
//! called.
//!
//! Everyone who can commit an action file chooses the URL and can read the response in the log.
//! Addresses are therefore checked after name resolution, on every direct connection, and the
//! connection uses exactly the checked addresses. The name cannot resolve differently in between.
//! Loopback and private addresses are allowed by default, because the services that hooks call often
//! run next to the server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::addresses::{is_never_called, reached};
use crate::error::Malformed;

/// Hosts and networks that webhooks may call. By default, everything is allowed except link-local
/// addresses and metadata services, which no configuration can allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookTargets {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

/// One entry of `actions.webhook.allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Network(Network),
    Host(String),
    /// `*.example.com`, stored with its leading dot.
    HostsBelow(String),
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

/// A target that webhooks must not call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forbidden {
    #[error("{0} is a link-local address or a cloud's metadata service: webhooks cannot call it")]
    Never(IpAddr),
    #[error("{0} is in actions.webhook.deny in the server's configuration")]
    Denied(String),
    #[error("{0} is not in actions.webhook.allow in the server's configuration")]
    NotAllowed(String),
    /// Only if a proxy would resolve the name.
    #[error(
        "{0} does not resolve on the server, so its address cannot be checked before the request goes to a proxy: add the name to actions.webhook.allow in the server's configuration"
    )]
    Unresolved(String),
}

impl WebhookTargets {
    /// Parses both lists. Entries are addresses, networks (`10.0.0.0/8`), host names, and wildcards
    /// (`*.example.com`).
    ///
    /// An empty `allow` allows everything. `deny` takes precedence over `allow`.
    ///
    /// # Errors
    /// The list (`allow` or `deny`) and what is wrong with its entry.
    pub fn parse(allow: &[String], deny: &[String]) -> Result<Self, (&'static str, Malformed)> {
        let read = |list, entries: &[String]| -> Result<Vec<Pattern>, _> {
            let read = entries.iter().map(|entry| Pattern::parse(entry));
            read.map(|read| read.map_err(|why| (list, why))).collect()
        };
        Ok(Self {
            allow: read("allow", allow)?,
            deny: read("deny", deny)?,
        })
    }

    /// Checks a URL's host: an address, or a name without its addresses. [`CheckedResolver`] checks
    /// the addresses of a name when a connection is made.
    ///
    /// # Errors
    /// If the host must not be called.
    pub(super) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_address(ip.into(), None),
            Some(Host::Ipv6(ip)) => self.check_address(ip.into(), None),
            Some(Host::Domain(name)) => self.check_name(name),
            None => Ok(()),
        }
    }

    /// Resolves a URL's host name and checks the addresses, for a request whose name a proxy will
    /// resolve again.
    ///
    /// # Errors
    /// If one of the addresses must not be called, or if the name does not resolve and is not
    /// allowed by name.
    pub(super) async fn check_resolved(&self, url: &Url) -> Result<(), Forbidden> {
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        match tokio::net::lookup_host((name, 0)).await {
            Ok(mut found) => found.try_for_each(|ip| self.check_address(ip.ip(), Some(name))),
            Err(_) if self.allows_by_name(name) => Ok(()),
            Err(_) => Err(Forbidden::Unresolved(name.to_owned())),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Forbidden> {
        if self.deny.iter().any(|pattern| pattern.covers_name(name)) {
            return Err(Forbidden::Denied(name.to_owned()));
        }
        let may_be_allowed = self.allow.is_empty()
            || self.allows_by_name(name)
            || self.allow.iter().any(|p| matches!(p, Pattern::Network(_)));
        if may_be_allowed {
            Ok(())
        } else {
            Err(Forbidden::NotAllowed(name.to_owned()))
        }
    }

    fn allows_by_name(&self, name: &str) -> bool {
        self.allow.iter().any(|pattern| pattern.covers_name(name))
    }

    /// Checks an address, and the name that resolved to it, if any.
    fn check_address(&self, address: IpAddr, name: Option<&str>) -> Result<(), Forbidden> {
        if is_never_called(address) {
            return Err(Forbidden::Never(address));
        }
        let shown = || match name {
            Some(name) => format!("{name} ({address})"),
            None => address.to_string(),
        };
        let reached = reached(address);
        let denied = |pattern: &Pattern| reached.iter().any(|ip| pattern.covers_address(*ip));
        if self.deny.iter().any(denied) {
            return Err(Forbidden::Denied(shown()));
        }
        let plain = address.to_canonical();
        let is_allowed = self.allow.is_empty()
            || name.is_some_and(|name| self.allows_by_name(name))
            || self.allow.iter().any(|p| p.covers_address(plain));
        if is_allowed {
            Ok(())
        } else {
            Err(Forbidden::NotAllowed(shown()))
        }
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, Malformed> {
        let text = entry.trim();
        if let Some((address, bits)) = text.split_once('/') {
            return Network::parse(address, bits)
                .map(Self::Network)
                .ok_or_else(|| {
                    Malformed::new(format!(
                        "{text} is not a network such as 10.0.0.0/8 or fd00::/8 without host bits"
                    ))
                });
        }
        let address = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(address) = address.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self::Network(Network::single(address.to_canonical())));
        }
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let is_name = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        match Host::parse(name) {
            Ok(Host::Domain(host)) if is_name => {
                let host = plain_name(&host);
                Ok(if below {
                    Self::HostsBelow(format!(".{host}"))
                } else {
                    Self::Host(host)
                })
            }
            _ => Err(Malformed::new(format!(
                "{text} is not an address, network or host name: write 10.0.0.0/8, hooks.example.com or *.example.com, without scheme and port"
            ))),
        }
    }

    fn covers_name(&self, name: &str) -> bool {
        let name = plain_name(name);
        match self {
            Self::Network(_) => false,
            Self::Host(host) => name == *host,
            Self::HostsBelow(end) => name.ends_with(end),
        }
    }

    fn covers_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(address))
    }
}

/// Returns a name in lowercase, without the trailing dot of a fully qualified name.
fn plain_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Network {
    fn single(address: IpAddr) -> Self {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self { address, bits }
    }

    fn parse(address: &str, bits: &str) -> Option<Self> {
        let network = Self {
            address: address.parse().ok()?,
            bits: bits.parse().ok()?,
        };
        let length = Self::single(network.address).bits;
        let is_whole = network.bits <= length && network.masked(network.address) == network.value();
        is_whole.then_some(network)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.masked(address) == self.value()
    }

    fn value(&self) -> u128 {
        value(self.address)
    }

    /// Returns an address of this family with the host bits cleared.
    fn masked(&self, address: IpAddr) -> u128 {
        let host_bits = Self::single(self.address).bits - self.bits;
        let cleared = value(address).checked_shr(host_bits).unwrap_or(0);
        cleared.checked_shl(host_bits).unwrap_or(0)
    }
}

fn value(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// Resolves names like the system does, and refuses forbidden names and names that resolve to a
/// forbidden address.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    targets: Arc<WebhookTargets>,
    /// Whether the names are those of the operator's proxies. For proxies, only the addresses that
    /// are never called are refused.
    of_proxies: bool,
}

impl fmt::Debug for CheckedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedResolver").finish_non_exhaustive()
    }
}

impl CheckedResolver {
    /// Resolver for direct connections to targets.
    pub(super) fn direct(targets: Arc<WebhookTargets>) -> Self {
        Self {
            targets,
            of_proxies: false,
        }
    }

    /// Resolver for connections to proxies. [`WebhookTargets::check_resolved`] has already checked
    /// the target.
    pub(super) fn of_proxies() -> Self {
        Self {
            targets: Arc::default(),
            of_proxies: true,
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            if !resolver.of_proxies {
                resolver.targets.check_name(name)?;
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            for address in &found {
                resolver.targets.check_address(address.ip(), Some(name))?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(allow: &[&str], deny: &[&str]) -> WebhookTargets {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        WebhookTargets::parse(&owned(allow), &owned(deny)).unwrap()
    }

    fn check(targets: &WebhookTargets, host: &str) -> Result<(), Forbidden> {
        targets.check(&format!("http://{host}:80/latest").parse().unwrap())
    }

    async fn resolve(targets: WebhookTargets, name: &str) -> Result<(), String> {
        let resolver = CheckedResolver::direct(Arc::new(targets));
        let found = resolver.resolve(name.parse().unwrap()).await;
        found.map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn metadata_services_are_always_refused() {
        let everything = targets(&["0.0.0.0/0", "::/0", "169.254.169.254"], &[]);
        for host in [
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "[fd00:ec2::23]",
            "[fd20:ce::254]",
            "168.63.129.16",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
        ] {
            for targets in [&WebhookTargets::default(), &everything] {
                assert!(
                    matches!(check(targets, host), Err(Forbidden::Never(_))),
                    "{host}"
                );
            }
        }
    }

    #[test]
    fn private_addresses_are_allowed_by_default() {
        for host in [
            "127.0.0.1",
            "[::1]",
            "10.0.0.1",
            "192.168.1.1",
            "[fd00::1]",
            "8.8.8.8",
            "hooks.internal",
        ] {
            assert_eq!(check(&WebhookTargets::default(), host), Ok(()), "{host}");
        }
    }

    #[test]
    fn denied_targets_are_refused_in_every_form() {
        let targets = targets(
            &[],
            &[
                "127.0.0.0/8",
                "::1",
                "10.1.0.0/16",
                "bad.example",
                "*.internal",
            ],
        );
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::10.1.2.3]",
            "10.1.255.255",
            "bad.example",
            "BAD.example.",
            "hooks.internal",
            "a.b.internal",
        ] {
            assert!(
                matches!(check(&targets, host), Err(Forbidden::Denied(_))),
                "{host}"
            );
        }
        for host in [
            "10.2.0.1",
            "verybad.example",
            "x.bad.example",
            "internal",
            "8.8.8.8",
        ] {
            assert_eq!(check(&targets, host), Ok(()), "{host}");
        }
    }

    #[test]
    fn allow_list_excludes_everything_else() {
        let targets = targets(
            &["10.0.0.0/8", "2001:db8::/32", "hooks.example"],
            &["10.0.0.66", "evil.hooks.example"],
        );
        for host in [
            "10.9.9.9",
            "[::ffff:10.9.9.9]",
            "[2001:db8::7]",
            "hooks.example",
        ] {
            assert_eq!(check(&targets, host), Ok(()), "{host}");
        }
        for host in ["127.0.0.1", "11.0.0.1", "[::1]", "[64:ff9b::10.9.9.9]"] {
            assert!(
                matches!(check(&targets, host), Err(Forbidden::NotAllowed(_))),
                "{host}"
            );
        }
        assert!(matches!(
            check(&targets, "10.0.0.66"),
            Err(Forbidden::Denied(_))
        ));
        let names_only = self::targets(&["hooks.example"], &[]);
        let message = check(&names_only, "other.example").unwrap_err().to_string();
        assert_eq!(
            message,
            "other.example is not in actions.webhook.allow in the server's configuration"
        );
    }

    #[tokio::test]
    async fn resolved_addresses_are_checked_on_connect() {
        // `localhost` stands for a name whose owner points it to this machine.
        resolve(WebhookTargets::default(), "localhost")
            .await
            .unwrap();
        let denied = resolve(targets(&[], &["127.0.0.0/8", "::1"]), "localhost")
            .await
            .unwrap_err();
        assert!(
            denied.contains("localhost (") && denied.contains("actions.webhook.deny"),
            "{denied}"
        );
        let elsewhere = resolve(targets(&["10.0.0.0/8"], &[]), "localhost")
            .await
            .unwrap_err();
        assert!(elsewhere.contains("actions.webhook.allow"), "{elsewhere}");
        resolve(targets(&["localhost"], &[]), "localhost")
            .await
            .unwrap();
        // Resolvers accept addresses as names.
        let error = resolve(WebhookTargets::default(), "169.254.169.254")
            .await
            .unwrap_err();
        assert!(error.contains("metadata service"), "{error}");
        let by_proxy = CheckedResolver::of_proxies()
            .resolve("169.254.169.254".parse().unwrap())
            .await;
        assert!(by_proxy.is_err());
    }

    #[tokio::test]
    async fn targets_behind_a_proxy_are_checked_first() {
        let check = async |targets: WebhookTargets, host: &str| {
            let url: Url = format!("http://{host}/x").parse().unwrap();
            targets.check_resolved(&url).await
        };
        assert_eq!(check(WebhookTargets::default(), "localhost").await, Ok(()));
        let denied = check(targets(&[], &["127.0.0.0/8", "::1"]), "localhost").await;
        assert!(matches!(denied, Err(Forbidden::Denied(_))), "{denied:?}");
        let unknown = check(WebhookTargets::default(), "no-such-host.invalid").await;
        assert_eq!(
            unknown,
            Err(Forbidden::Unresolved("no-such-host.invalid".to_owned()))
        );
        assert_eq!(
            check(targets(&["*.invalid"], &[]), "no-such-host.invalid").await,
            Ok(())
        );
    }

    #[test]
    fn invalid_entries_are_reported_with_their_list() {
        for (entry, why) in [
            ("10.0.0.0/33", "is not a network"),
            ("10.0.0.1/8", "without host bits"),
            ("fd00::/129", "is not a network"),
            ("http://hooks.example", "is not a network"),
            ("hooks.example:8080", "without scheme and port"),
            ("*", "not an address, network or host name"),
            ("*.*.example", "not an address, network or host name"),
            ("", "not an address, network or host name"),
            ("a b", "not an address, network or host name"),
        ] {
            let (list, error) = WebhookTargets::parse(&[], &[entry.to_owned()]).unwrap_err();
            assert!(
                list == "deny" && error.to_string().contains(why),
                "{entry}: {error}"
            );
        }
        let whole = targets(&["0.0.0.0/0", "::/0", "[::1]", "10.0.0.1"], &[]);
        assert_eq!(whole.allow.len(), 4);
    }
}
