//! Retention, as flags say it.

use std::str::FromStr;
use std::time::Duration;

use jiff::{SpanRelativeTo, Unit};

/// The bounds of the store: beyond either, the oldest entries are removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// By the time since an entry was stored.
    pub age: RetainAge,
    /// By the used bytes of the store's file.
    pub bytes: RetainBytes,
}

/// The age at which an entry is removed, counted from its storing; none: at no age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetainAge(pub Option<Duration>);

/// The used bytes of the file beyond which entries are removed; none: at no size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetainBytes(pub Option<u64>);

/// The value that switches either off.
const NONE: &str = "none";

impl FromStr for RetainAge {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a time of a second or more, such as 30d or 12h, or none";
        if text == NONE {
            return Ok(Self(None));
        }
        let span: jiff::Span = text.parse().map_err(|_| EXPECTED)?;
        let seconds = span
            .total((Unit::Second, SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| EXPECTED)?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(age) if age >= Duration::from_secs(1) => Ok(Self(Some(age))),
            _ => Err(EXPECTED),
        }
    }
}

impl RetainBytes {
    /// The smallest bound, in bytes: below it, what SQLite itself takes would count.
    pub const LEAST: u64 = 1024 * 1024;
}

impl FromStr for RetainBytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a number of bytes of 1MiB or more, such as 536870912 or 512MiB, or none";
        if text == NONE {
            return Ok(Self(None));
        }
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let (number, unit) = units
            .into_iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
            .unwrap_or((text, 1));
        let number: u64 = number.trim_end().parse().map_err(|_| EXPECTED)?;
        match number.checked_mul(unit) {
            Some(bytes) if bytes >= Self::LEAST => Ok(Self(Some(bytes))),
            _ => Err(EXPECTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_as_people_write_them() {
        const DAY: u64 = 24 * 60 * 60;
        for (text, seconds) in [
            ("30d", 30 * DAY),
            ("2w", 14 * DAY),
            ("36h", 36 * 3600),
            ("1s", 1),
        ] {
            let age = Some(Duration::from_secs(seconds));
            assert_eq!(text.parse(), Ok(RetainAge(age)), "{text}");
        }
        assert_eq!("none".parse(), Ok(RetainAge(None)));
        for text in [
            "",
            "30",
            "0s",
            "900ms",
            "-1d",
            "1 month",
            "1y",
            "never",
            "99999999999999d",
        ] {
            assert!(text.parse::<RetainAge>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("536870912", 512 << 20),
            ("512MiB", 512 << 20),
            ("1 GiB", 1 << 30),
            ("2048KiB", 2 << 20),
        ] {
            assert_eq!(text.parse(), Ok(RetainBytes(Some(bytes))), "{text}");
        }
        assert_eq!("none".parse(), Ok(RetainBytes(None)));
        for text in [
            "",
            "MiB",
            "-1",
            "1",
            "1023KiB",
            "0.5GiB",
            "512MB",
            "99999999999GiB",
        ] {
            assert!(text.parse::<RetainBytes>().is_err(), "{text}");
        }
    }
}
