//! Where a call comes from, as far as it matters for a lock-out.
//!
//! A caller is the app, the identifier that it claims, and its address: all three. By the identifier alone, anyone could
//! lock out another's backend, whose identifier is no secret; by the address alone, one broken phone would lock out all
//! those that share an address with it.

use std::net::{IpAddr, Ipv6Addr};

/// The part of an address that one subscriber has: all of IPv4's, the first 64 bits of IPv6's, in whose other half a
/// subscriber may choose freely (RFC 4291, section 2.5.1: the interface identifier). Empty if the address is not known.
pub(super) fn origin(source: Option<IpAddr>) -> String {
    match source.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_one_subscriber_has() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.2"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(origin(address.parse().ok()), expected, "{address}");
        }
        assert_eq!(origin(None), "");
    }
}
