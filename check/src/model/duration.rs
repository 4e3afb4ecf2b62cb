//! Durations as Go writes them: `1.5s`, `400ms`, `1h30m`.

use std::fmt;

use super::field::{Field, Read, Tree};

/// A duration that prints as a resource would write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

const UNITS: [(&str, u32, u32); 7] = [
    ("ns", 1, 1_000_000_000),
    ("us", 1, 1_000_000),
    ("µs", 1, 1_000_000),
    ("ms", 1, 1_000),
    ("s", 1, 1),
    ("m", 60, 1),
    ("h", 3600, 1),
];

/// Reads a duration; none where Go would refuse it too, and for a negative one.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::default());
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let length = behind
            .find(|it: char| it.is_ascii_digit() || it == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(length)?;
        let (_, times, parts) = UNITS.iter().find(|(name, ..)| *name == unit)?;
        let number: f64 = number.parse().ok()?;
        seconds += number * f64::from(*times) / f64::from(*parts);
        rest = behind;
    }
    // Whole nanoseconds, so that 0.4 s and 400 ms are equal.
    let nanos = (seconds * 1e9).round();
    let whole = std::time::Duration::try_from_secs_f64(nanos / 1e9).ok()?;
    Some(Duration(whole))
}

impl Duration {
    /// A duration of that many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// True for none at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// That many of them, at most the longest there is.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// How many whole ones of `part` are in this one.
    #[must_use]
    pub fn holds(self, part: Self) -> u128 {
        self.0
            .as_nanos()
            .checked_div(part.0.as_nanos())
            .unwrap_or(u128::MAX)
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        if millis >= 1e3 || millis == 0.0 {
            write!(f, "{} s", self.0.as_secs_f64())
        } else {
            write!(f, "{millis} ms")
        }
    }
}

impl Field for Duration {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let text = tree.node.text().unwrap_or_default();
        parse(text).ok_or_else(|| {
            tree.unreadable(format!("expected a duration such as 1.5s, found {text:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, parse};

    #[test]
    fn durations_are_go_s() {
        for (text, millis) in [
            ("1s", 1_000),
            ("400ms", 400),
            ("0.4s", 400),
            ("1h1m1s", 3_661_000),
            ("0s", 0),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1 s", "1x", "-1s", "1s ", "..s"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_unit() {
        let shown = [400, 1_000, 1_500, 60_000].map(|it| Duration::millis(it).to_string());
        assert_eq!(shown, ["400 ms", "1 s", "1.5 s", "60 s"]);
    }
}
