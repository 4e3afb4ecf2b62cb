//! Envoy's response flags: what the proxy noticed about an exchange.

use core::ops::BitOr;

/// A set of response flags, as the property `response.flags` gives it: flag number n is bit n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u64);

/// Envoy's short names by bit, as its access log writes `%RESPONSE_FLAGS%`.
const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
        /// Every flag with a constant, by bit: checked against the names.
        #[cfg(test)]
        const CONSTANTS: &[(&str, usize)] = &[$((stringify!($name), $bit)),*];
    };
}

flags! {
    /// The local health check failed.
    LH = 0;
    /// No healthy upstream.
    UH = 1;
    /// The upstream request timed out, by the route's timeout or the last try's.
    UT = 2;
    /// The proxy reset the upstream stream itself.
    LR = 3;
    /// The upstream reset the stream.
    UR = 4;
    /// The connection to the upstream failed.
    UF = 5;
    /// The upstream closed the connection.
    UC = 6;
    /// A circuit breaker refused the request.
    UO = 7;
    /// No route.
    NR = 8;
    /// A delay was injected.
    DI = 9;
    /// An abort was injected.
    FI = 10;
    /// Rate limited.
    RL = 11;
    /// The rate limit service failed, and the filter is set to deny then.
    RLSE = 13;
    /// The client closed its connection.
    DC = 14;
    /// Every retry was used up.
    URX = 15;
    /// The stream was idle for too long.
    SI = 16;
    /// The client broke the protocol.
    DPE = 18;
    /// The upstream stream lasted too long.
    UMSDR = 19;
    /// The connection or stream lasted too long.
    DT = 22;
    /// The upstream broke the protocol.
    UPE = 23;
    /// The route's cluster does not exist.
    NC = 24;
    /// The overload manager refused the request.
    OM = 25;
    /// The upstream's name does not resolve.
    DF = 26;
    /// Dropped by the load assignment's drop_overload.
    DO = 27;
    /// The client reset the stream.
    DR = 28;
    /// Dropped by an unconditional drop_overload.
    UDO = 29;
}

impl Flags {
    /// No flag at all.
    pub const NONE: Self = Self(0);

    /// The flags of a property's bytes: at most eight, little-endian. An absent, empty or longer
    /// value is no flag: it says nothing that could be counted.
    pub fn from_property(bytes: Option<&[u8]>) -> Self {
        Self(bytes.and_then(little_endian).unwrap_or_default())
    }

    /// Whether any flag of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The short names of the flags set, by bit. Bits newer than this table are left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| *name)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A number as the host writes numeric properties: at most eight bytes, little-endian.
pub fn little_endian(bytes: &[u8]) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_has_its_name() {
        for (name, bit) in CONSTANTS {
            assert_eq!(NAMES[*bit], *name);
        }
    }

    #[test]
    fn a_property_of_any_length_is_read() {
        let flags = |bytes: &[u8]| Flags::from_property(Some(bytes));
        assert_eq!(flags(&[4, 0x80, 0, 0, 0, 0, 0, 0]), Flags::UT | Flags::URX);
        assert_eq!(flags(&[4]), Flags::UT);
        assert_eq!(flags(&[]), Flags::NONE);
        assert_eq!(flags(&[4; 9]), Flags::NONE);
        assert_eq!(Flags::from_property(None), Flags::NONE);
    }

    #[test]
    fn names_come_by_bit_and_unknown_bits_are_left_out() {
        let flags = Flags::URX | Flags::UF | Flags(1 << 63);
        assert_eq!(flags.names().collect::<Vec<_>>(), ["UF", "URX"]);
    }
}
