//! Which peers may connect: single addresses and networks.

use std::net::IpAddr;

/// Entries of one list.
const ENTRIES_MAX: usize = 1024;

/// An address prefix such as `10.0.0.0/8`; a single address has its full length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    base: u128,
    bits: u8,
    family: Family,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Network {
    /// Reads `10.0.0.1`, `10.0.0.0/8`, `::1` or `fd00::/8`.
    ///
    /// Bits below the prefix must be zero: `10.0.0.5/24` could mean one host or 256.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse::<u8>().ok()?))
            }
            Some(_) => return None,
        };
        let (base, family) = numeric(address.parse().ok()?);
        let bits = bits.unwrap_or_else(|| family.width());
        if bits > family.width() {
            return None;
        }
        let network = Self { base, bits, family };
        (base & !network.mask() == 0).then_some(network)
    }

    /// True when the address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, family) = numeric(address);
        family == self.family && address & self.mask() == self.base
    }

    fn mask(&self) -> u128 {
        let low_bits = u32::from(self.family.width().saturating_sub(self.bits));
        u128::MAX.checked_shl(low_bits).unwrap_or(0)
    }
}

impl Family {
    fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// The address as a number; an IPv4 address that came through an IPv6 socket counts as IPv4.
fn numeric(address: IpAddr) -> (u128, Family) {
    match address.to_canonical() {
        IpAddr::V4(it) => (u128::from(it.to_bits()), Family::V4),
        IpAddr::V6(it) => (it.to_bits(), Family::V6),
    }
}

/// Peers that may connect. Empty means everyone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AllowList(Vec<Network>);

impl AllowList {
    /// Reads a comma-separated list; the empty text is the empty list.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::default());
        }
        if text.split(',').count() > ENTRIES_MAX {
            return None;
        }
        text.split(',').map(|it| Network::parse(it.trim())).collect::<Option<_>>().map(Self)
    }

    /// True when nobody is kept out; the daemon warns about it.
    pub fn admits_everyone(&self) -> bool {
        self.0.is_empty()
    }

    /// True when `peer` may connect.
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.admits_everyone() || self.0.iter().any(|it| it.contains(peer))
    }
}
