//! Which address a request comes from when proxies stand in between (security.md, rule 48).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::Server;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are believed.
pub(super) struct Proxies {
    trusted: Vec<IpNet>,
    /// A proxy on the same machine that connects by a Unix socket.
    by_socket: bool,
}

impl Proxies {
    pub(super) fn new(server: &Server) -> Self {
        Self {
            trusted: server.trusted_proxies.clone(),
            by_socket: server.behind_proxy,
        }
    }

    /// The rightmost address of `X-Forwarded-For` that is not a trusted proxy's, if the peer is
    /// one; else the peer's own.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let believed = match peer {
            Some(ip) => self.trusts(ip),
            None => self.by_socket,
        };
        if !believed {
            return peer;
        }
        let mut client = peer;
        let lines: Vec<&[u8]> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(http::HeaderValue::as_bytes)
            .collect();
        // Bytes, hop by hop: what a client wrote before it must not make the proxy's own word
        // unreadable.
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.rsplit(|byte| *byte == b','));
        for hop in hops {
            let hop = std::str::from_utf8(hop).unwrap_or_default();
            let Ok(ip) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            let ip = ip.to_canonical();
            client = Some(ip);
            if !self.trusts(ip) {
                break;
            }
        }
        client
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: Option<&str>, by_socket: bool, lines: &[&str]) -> Option<String> {
        let proxies = Proxies {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            by_socket,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let ip = proxies.client(peer.map(|ip| ip.parse().unwrap()), &headers);
        ip.map(|ip| ip.to_string())
    }

    #[test]
    fn a_stranger_cannot_name_its_own_address() {
        assert_eq!(
            client(Some("192.0.2.1"), true, &["1.1.1.1"]).unwrap(),
            "192.0.2.1"
        );
    }

    #[test]
    fn behind_trusted_proxies_the_rightmost_other_address_counts() {
        let lines = ["6.6.6.6, 203.0.113.7", "10.0.0.9"];
        assert_eq!(
            client(Some("10.0.0.1"), false, &lines).unwrap(),
            "203.0.113.7"
        );
        assert_eq!(client(Some("10.0.0.1"), false, &[]).unwrap(), "10.0.0.1");
        assert_eq!(
            client(Some("10.0.0.1"), false, &["8.8.8.8, nonsense"]).unwrap(),
            "10.0.0.1"
        );
    }

    #[test]
    fn a_unix_socket_is_believed_only_behind_a_proxy() {
        assert_eq!(client(None, true, &["203.0.113.7"]).unwrap(), "203.0.113.7");
        assert_eq!(client(None, false, &["203.0.113.7"]), None);
    }

    #[test]
    fn what_a_client_writes_before_it_cannot_hide_the_proxys_word() {
        let proxies = Proxies {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            by_socket: false,
        };
        let mut headers = HeaderMap::new();
        let line = http::HeaderValue::from_bytes(b"\xff\xfe, 203.0.113.7").unwrap();
        headers.append(X_FORWARDED_FOR, line);
        let ip = proxies.client(Some("10.0.0.1".parse().unwrap()), &headers);
        assert_eq!(ip.unwrap().to_string(), "203.0.113.7");
    }
}
