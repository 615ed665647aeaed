//! Networks as people write them: `203.0.113.0/24`, or a single address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A network in its one canonical form: no bit is set behind its prefix, and IPv4 is never written
/// as IPv6 (RFC 4291 §2.5.5.2), so that two spellings of one network are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "203.0.113.0/24")]
pub struct Network(IpNet);

impl Network {
    /// The network.
    #[must_use]
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl From<IpNet> for Network {
    fn from(network: IpNet) -> Self {
        let canonical = match (network, network.addr().to_canonical()) {
            (IpNet::V6(_), IpAddr::V4(ip)) => mapped(ip, network.prefix_len()),
            _ => None,
        };
        Self(canonical.unwrap_or(network).trunc())
    }
}

/// What `::ffff:ip/length` is in IPv4, unless it is more than that.
fn mapped(ip: Ipv4Addr, length: u8) -> Option<IpNet> {
    let net = Ipv4Net::new(ip, length.checked_sub(96)?).ok()?;
    Some(IpNet::V4(net))
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let rule = "must be a network such as 203.0.113.0/24, or an address";
        network
            .map(Self::from)
            .map_err(|_| Error::invalid("network", rule))
    }
}

impl TryFrom<String> for Network {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_network_are_one_network() {
        for (text, canonical) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
            ("2001:DB8:0:0::7/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), canonical);
            assert_eq!(canonical.parse::<Network>().unwrap(), network);
        }
        for text in ["", "203.0.113", "203.0.113.0/33", "example.org", "1.2.3.4/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
