//! Whether a front sees who asks: it writes so itself, and where it sees nobody's address but proxies' it lets nobody in.

use core::net::IpAddr;

/// What each such line begins with.
pub(super) const SEES: &str = "the front sees ";
/// Somebody's own address, whatever that is.
pub(super) const KNOWN: &str = "addresses";
/// What stands before an address of a proxy.
pub(super) const HIDDEN: &str = "only ";

/// What a front sees of those who ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has asked, or it is not known.
    #[default]
    Unknown,
    /// No route judges by addresses.
    Unasked,
    /// Addresses come through.
    Known,
    /// Of all who asked only this one, of a proxy.
    Hidden(IpAddr),
}

impl Sight {
    /// What the lines say that a front wrote.
    pub fn of(log: &str) -> Self {
        let mut sight = Self::Unknown;
        for said in log.lines().filter_map(|line| line.strip_prefix(SEES)) {
            if said == KNOWN {
                return Self::Known;
            }
            if let Some(address) = said.strip_prefix(HIDDEN).and_then(|address| address.parse().ok()) {
                sight = Self::Hidden(address);
            }
        }
        sight
    }

    /// What several pods of one front see.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known, _) | (_, Self::Known) => Self::Known,
            (Self::Unknown | Self::Unasked, other) => other,
            (hidden @ Self::Hidden(_), _) => hidden,
        }
    }

    /// What is wrong and what to do, where something is.
    pub fn sentence(self) -> Option<String> {
        let Self::Hidden(address) = self else { return None };
        Some(format!(
            "Whoever asked so far came from {address} as the front sees it, which is one of the cluster's own proxies, so allowFrom lets nobody in: set externalTrafficPolicy: Local on the Service of the ingress controller; or, where a load balancer before it sends X-Forwarded-For, add its addresses to the chart's value front.trustedProxies"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_sees_addresses_as_soon_as_one_came_through() {
        let hidden = "2026/11/27 [warn] something else\nthe front sees only 10.244.0.1\n";
        let proxy = Sight::Hidden("10.244.0.1".parse().expect("an address"));
        assert_eq!(Sight::of(""), Sight::Unknown);
        assert_eq!(Sight::of(hidden), proxy);
        assert_eq!(Sight::of(&format!("{hidden}the front sees addresses\n{hidden}")), Sight::Known);
        // What somebody has nginx write is no such line.
        assert_eq!(Sight::of("the front sees only me\n[error] the front sees addresses\n"), Sight::Unknown);
        assert_eq!((Sight::Unknown.and(proxy), proxy.and(Sight::Unknown)), (proxy, proxy));
        assert_eq!(proxy.and(Sight::Known), Sight::Known);
        let said = proxy.sentence().expect("it is said");
        assert!(said.contains("10.244.0.1") && said.contains("externalTrafficPolicy: Local"), "{said}");
        assert_eq!((Sight::Known.sentence(), Sight::Unknown.sentence()), (None, None));
    }
}
