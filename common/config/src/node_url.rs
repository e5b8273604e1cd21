//! `host:port` of one peer.

use core::fmt;
use std::net::IpAddr;

/// Peers of one pipe.
pub const NODE_URLS_MAX: usize = 64;

const HOST_BYTES_MAX: usize = 253;

/// Where a peer listens. The host may be a name: it is looked up when connecting.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeUrl {
    /// IPv4 or IPv6 address without brackets, or host name.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl NodeUrl {
    /// From a host and a port that are given apart.
    pub fn new(host: &str, port: u16) -> Option<Self> {
        (port > 0 && is_host(host)).then(|| Self { host: host.to_owned(), port })
    }

    /// Reads `10.0.0.2:9780`, `gate.example:9780` or `[fd00::2]:9780`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => {
                let host = bracketed.strip_suffix(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                host
            }
            // Without brackets the last colon could belong to the address.
            None if host.contains(':') => return None,
            None => host,
        };
        Self::new(host, parse_port(port)?)
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Digits only (`parse` alone would take a plus sign), 1 to 65535.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    // A name of digits and dots only is an address with a slip, such as 10.0.0.256.
    let looks_numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    !looks_numeric && host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
