//! Which addresses are public: nobody's own network, and not ours.
//!
//! Whoever writes a webhook's URL chooses where our function connects to, from inside our network. Only addresses that
//! anyone could reach are let through. (The standard library's `is_global` is not stable.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

/// Blocks of IPv4 that are not globally reachable, or not one host (IANA, "IPv4 Special-Purpose Address Registry", and
/// "IPv4 Multicast Address Space Registry").
const NOT_PUBLIC_V4: [(&str, &str); 16] = [
    ("0.0.0.0/8", "this network, RFC 791"),
    ("10.0.0.0/8", "private use, RFC 1918"),
    ("100.64.0.0/10", "shared address space of carriers, RFC 6598"),
    ("127.0.0.0/8", "loopback, RFC 1122"),
    ("169.254.0.0/16", "link local, RFC 3927; the metadata of machines in a cloud"),
    ("172.16.0.0/12", "private use, RFC 1918"),
    ("192.0.0.0/24", "protocol assignments, RFC 6890"),
    ("192.0.2.0/24", "documentation, RFC 5737"),
    ("192.88.99.0/24", "6to4 relays, RFC 7526"),
    ("192.168.0.0/16", "private use, RFC 1918"),
    ("198.18.0.0/15", "benchmarking, RFC 2544"),
    ("198.51.100.0/24", "documentation, RFC 5737"),
    ("203.0.113.0/24", "documentation, RFC 5737"),
    ("224.0.0.0/4", "multicast, RFC 5771"),
    ("240.0.0.0/4", "reserved, RFC 1112; limited broadcast, RFC 919"),
    ("168.63.129.16/32", "Azure's own services inside its networks"),
];

/// The one block of IPv6 from which hosts have global addresses (IANA, "IPv6 Global Unicast Address Assignments"). All
/// others are loopback, unique local (fc00::/7), link local (fe80::/10), multicast (ff00::/8), or nobody's.
const GLOBAL_UNICAST: &str = "2000::/3";

/// What of it is not (IANA, "IPv6 Special-Purpose Address Registry").
const NOT_PUBLIC_V6: [(&str, &str); 4] = [
    ("2001::/23", "protocol assignments, RFC 2928; among them Teredo, which carries an IPv4 address"),
    ("2001:db8::/32", "documentation, RFC 3849"),
    ("2002::/16", "6to4, which carries an IPv4 address, RFC 3056"),
    ("3fff::/20", "documentation, RFC 9637"),
];

/// Prefixes whose last four bytes are an IPv4 address, which is then what counts: mapped addresses (RFC 4291) and those
/// that a network's NAT64 makes of public ones (RFC 6052).
const CARRIES_V4: [&str; 2] = ["::ffff:0:0/96", "64:ff9b::/96"];

/// Whether an address is public.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !BLOCKS.not_public_v4.iter().any(|block| block.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if BLOCKS.carries_v4.iter().any(|prefix| prefix.contains(&address)) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let inside = |blocks: &[Ipv6Net]| blocks.iter().any(|block| block.contains(&address));
    inside(&BLOCKS.global_unicast) && !inside(&BLOCKS.not_public_v6)
}

struct Blocks {
    not_public_v4: Vec<Ipv4Net>,
    global_unicast: Vec<Ipv6Net>,
    not_public_v6: Vec<Ipv6Net>,
    carries_v4: Vec<Ipv6Net>,
}

static BLOCKS: LazyLock<Blocks> = LazyLock::new(|| Blocks {
    not_public_v4: NOT_PUBLIC_V4.iter().map(|(block, _)| parsed(block)).collect(),
    global_unicast: vec![parsed(GLOBAL_UNICAST)],
    not_public_v6: NOT_PUBLIC_V6.iter().map(|(block, _)| parsed(block)).collect(),
    carries_v4: CARRIES_V4.iter().map(|block| parsed(block)).collect(),
});

/// The tables are ours, and a test reads all of them.
fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(block: &str) -> T {
    block.parse().expect("a block of the table is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    #[test]
    fn addresses_that_anyone_reaches_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn addresses_of_networks_of_ones_own_are_not() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "169.254.100.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            // As they were once written for IPv4 hosts.
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            // Translation that is not NAT64's well-known prefix, or of what is not public.
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            // Teredo and 6to4, whatever they carry.
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }
}
