//! Waiting for a condition instead of for a time.

use crate::Error;
use std::{fmt::Display, time::Duration};
use tokio::time::{Instant, sleep};

/// How long [`until`] waits at most: long enough for a loaded machine, since a test that passes
/// never waits so long.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Asks `probe` again and again until it gives a value.
///
/// # Errors
/// [`Error::Deadline`] if it gives none within [`DEADLINE`]; `what` names the condition.
pub async fn until<T>(
    what: impl Display,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return Ok(value);
        }
        if start.elapsed() > DEADLINE {
            return Err(Error::Deadline {
                what: what.to_string(),
                waited: DEADLINE,
            });
        }
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_value_ends_the_wait() {
        let mut asked = 0;
        let value = until("the third question", async || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!(value.await.unwrap(), "yes");
        assert_eq!(asked, 3);
    }
}
