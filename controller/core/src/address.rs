//! Which addresses a spec may make drover connect to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether `address` is this machine, link-local (where clouds keep their credentials), or no address of a host at all.
pub fn is_private_to_the_node(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4_is(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| v6_is(v6), v4_is),
    }
}

fn v4_is(a: Ipv4Addr) -> bool {
    a.is_loopback()
        || a.is_link_local()
        || a.is_unspecified()
        || a.is_broadcast()
        || a.is_multicast()
        || a.octets()[0] == 0
}

fn v6_is(a: Ipv6Addr) -> bool {
    // The metadata service that some clouds put at a unique local address.
    let metadata = a == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    a.is_loopback() || a.is_unicast_link_local() || a.is_unspecified() || a.is_multicast() || metadata
}

/// Whether a spec may lead to `address`.
pub fn allowed(address: SocketAddr, refused: &[SocketAddr]) -> bool {
    !is_private_to_the_node(address.ip()) && !refused.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_other_hosts_are_allowed() {
        let api: SocketAddr = "10.96.0.1:443".parse().expect("an address");
        for (address, expected) in [
            ("127.0.0.1:5000", false),
            ("127.8.8.8:443", false),
            ("169.254.169.254:80", false),
            ("0.0.0.0:80", false),
            ("[::1]:443", false),
            ("[::ffff:127.0.0.1]:443", false),
            ("[fe80::1]:443", false),
            ("[fd00:ec2::254]:80", false),
            ("10.96.0.1:443", false),
            ("10.96.0.1:5000", true),
            ("192.168.1.5:5000", true),
            ("203.0.113.2:5000", true),
        ] {
            assert_eq!(allowed(address.parse().expect(address), &[api]), expected, "{address}");
        }
    }
}
