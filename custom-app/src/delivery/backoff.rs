//! How long to pause after a failed delivery.

use std::time::Duration;

use uuid::Uuid;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_IN_A_HURRY: Duration = Duration::from_millis(500);

/// Pauses that double, from 100 ms to 5 s; each between half of that and the whole, at random, so
/// that instances that failed together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub(super) fn next(&mut self, hurry: bool) -> Duration {
        let whole = whole(
            self.failures,
            if hurry { LONGEST_IN_A_HURRY } else { LONGEST },
        );
        self.failures = self.failures.saturating_add(1);
        jittered(whole, random())
    }

    /// It worked: the next failure is the first again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

fn whole(failures: u32, longest: Duration) -> Duration {
    FIRST
        .saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX))
        .min(longest)
}

fn jittered(whole: Duration, random: f64) -> Duration {
    whole.mul_f64(0.5 + random / 2.0)
}

/// From 0 to 1. (A random id is the randomness that is at hand; it need not be good.)
fn random() -> f64 {
    let [.., byte] = Uuid::new_v4().into_bytes();
    f64::from(byte) / f64::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_is_never_none_and_never_endless(failures: u32, random in 0.0..=1.0_f64) {
            let pause = jittered(whole(failures, LONGEST), random);
            prop_assert!(pause >= FIRST / 2 && pause <= LONGEST);
            prop_assert!(whole(failures, LONGEST_IN_A_HURRY) <= LONGEST_IN_A_HURRY);
        }
    }

    #[test]
    fn pauses_double_and_begin_again() {
        let wholes: Vec<u128> = (0..8).map(|n| whole(n, LONGEST).as_millis()).collect();
        assert_eq!(wholes, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        let mut backoff = Backoff::default();
        for _ in 0..40 {
            backoff.next(false);
        }
        backoff.reset();
        assert!(backoff.next(false) <= FIRST);
    }
}
