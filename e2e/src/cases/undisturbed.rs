//! Figures with a time in them, on a machine that has other things to do.
//!
//! Load can only add: an answer comes later, a try that would have started in time does not. So a bound from
//! above (and a number of tries from below) holds when one of a few looks is within it; a mesh that is set
//! otherwise never is. A bound from below has no such excuse, but for the clock's own tolerance: Envoy counts
//! a timer from when its event loop last woke, which is before it has read the request, and callers count
//! whole milliseconds, rounded down. Each lower bound leaves 5 % for the two; seen was 1 ms in 2 s.

use crate::unmet::{Unmet, expect};

/// The looks after which a figure counts as the mesh's own.
const LOOKS: usize = 5;

/// The result of a look that did not refute the claim.
pub(super) enum Look<T> {
    /// It holds.
    Held(T),
    /// It does not, as it would not if the machine was too busy.
    Disturbed(Unmet),
}

/// Looks until the claim holds, at most [`LOOKS`] times. With the value goes a note for the report, which is
/// empty when the first look was enough.
///
/// # Errors
/// The claim that a look refuted, or the reason why the last one did not hold.
pub(super) async fn undisturbed<T>(
    mut look: impl AsyncFnMut() -> Result<Look<T>, Unmet>,
) -> Result<(T, String), Unmet> {
    let mut before = 0;
    loop {
        match look().await? {
            Look::Held(value) if before == 0 => return Ok((value, String::new())),
            Look::Held(value) => {
                return Ok((value, format!(" (look {} of {LOOKS})", before + 1)));
            }
            Look::Disturbed(unmet) => {
                before += 1;
                if before == LOOKS {
                    return Err(unmet);
                }
            }
        }
    }
}

/// Judges a duration by its bounds; one that is too long may be the machine's.
///
/// # Errors
/// [`Unmet::Failed`] when it is too short.
pub(super) fn within(what: &str, millis: u64, least: u64, most: u64) -> Result<Look<u64>, Unmet> {
    let judged = expect(
        (least..=most).contains(&millis),
        format!("{what} between {least} and {most} ms"),
        format!("{millis} ms"),
        "the VirtualServices; when it is too long, the load of this machine too",
    );
    match judged {
        Ok(()) => Ok(Look::Held(millis)),
        Err(unmet) if millis > most => Ok(Look::Disturbed(unmet)),
        Err(unmet) => Err(unmet),
    }
}

/// Judges a number of attempts; a machine that is too busy for the third to begin in time has fewer.
///
/// # Errors
/// [`Unmet::Failed`] when there were none, or more.
pub(super) fn three_attempts(seen: Option<u64>, look: &str) -> Result<Look<()>, Unmet> {
    let unmet = |seen: String| Unmet::failed("3 attempts", seen, look);
    match seen {
        Some(3) => Ok(Look::Held(())),
        Some(few @ 1..3) => Ok(Look::Disturbed(unmet(few.to_string()))),
        Some(other) => Err(unmet(other.to_string())),
        None => Err(unmet("no number of attempts".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_undisturbed_look_is_enough() {
        let mut times = [1300, 1250, 1004].into_iter();
        let look = async || within("x", times.next().unwrap(), 950, 1200);
        let (millis, note) = undisturbed(look).await.unwrap();
        assert_eq!((millis, note.as_str()), (1004, " (look 3 of 5)"));
        let (_, note) = undisturbed(async || within("x", 1000, 950, 1200))
            .await
            .unwrap();
        assert_eq!(note, "");
    }

    #[tokio::test]
    async fn what_is_always_too_late_fails_with_the_last_look() {
        let mut looks = 0;
        let result = undisturbed(async || {
            looks += 1;
            within("x", 2000 + looks, 950, 1200)
        });
        let text = result.await.unwrap_err().to_string();
        assert!(text.contains("2005 ms"), "{text}");
    }

    #[tokio::test]
    async fn what_is_too_early_fails_at_once() {
        let mut looks = 0;
        let result = undisturbed(async || {
            looks += 1;
            within("x", 949, 950, 1200)
        });
        assert!(result.await.is_err());
        assert_eq!(looks, 1);
    }

    #[test]
    fn a_fourth_attempt_is_never_the_machines() {
        assert!(matches!(three_attempts(Some(3), "x"), Ok(Look::Held(()))));
        assert!(matches!(
            three_attempts(Some(2), "x"),
            Ok(Look::Disturbed(_))
        ));
        for refuted in [Some(4), Some(0), None] {
            assert!(three_attempts(refuted, "x").is_err());
        }
    }
}
