//! Durations as Istio writes them and as Envoy reads them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

/// A length of time: read as `1s` or `400ms`, shown as Envoy's JSON wants it, `0.400s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.as_secs(), self.0.subsec_millis())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || D::Error::custom(format!("{text:?} is no duration such as 1s or 400ms"));
        let span: jiff::SignedDuration = text.parse().map_err(|_| refused())?;
        Duration::try_from(span).map(Self).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_durations_become_envoys() {
        for (text, expected) in [
            ("1s", "1.000s"),
            ("400ms", "0.400s"),
            ("2m", "120.000s"),
            ("0s", "0.000s"),
        ] {
            let span: Span = serde_json::from_value(text.into()).unwrap();
            assert_eq!(span.to_string(), expected);
        }
        for text in ["", "1", "-1s", "soon"] {
            assert!(
                serde_json::from_value::<Span>(text.into()).is_err(),
                "{text}"
            );
        }
    }
}
