//! Waiting for a changed mesh: configuration reaches each proxy in its own time, so a condition holds
//! only once it has held several times in a row.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::unmet::Unmet;

/// How often in a row a condition has to hold.
const IN_A_ROW: u32 = 5;
/// Between two looks: short, so that no figure includes much of it.
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than Istio has ever needed for one change.
pub const CONVERGENCE: Duration = Duration::from_secs(60);

/// Looks until `check` has succeeded several times in a row and returns its last value.
///
/// # Errors
/// When that has not happened within `limit`: expected `what`, seen the last error.
pub async fn steadily<T>(
    what: &str,
    limit: Duration,
    check: impl AsyncFnMut() -> Result<T>,
) -> Result<T, Unmet> {
    let look = "`istioctl proxy-status` and istiod's log";
    repeat(what, limit, look, IN_A_ROW, check).await
}

/// Looks until `check` has succeeded once: for what only ever goes from no to yes.
///
/// # Errors
/// When that has not happened within `limit`: expected `what`, seen the last error, and where to `look`.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    look: &str,
    check: impl AsyncFnMut() -> Result<T>,
) -> Result<T, Unmet> {
    repeat(what, limit, look, 1, check).await
}

async fn repeat<T>(
    what: &str,
    limit: Duration,
    look: &str,
    times: u32,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T, Unmet> {
    let deadline = Instant::now() + limit;
    let mut row = 0;
    loop {
        let error = match check().await {
            Ok(value) => {
                row += 1;
                if row >= times {
                    return Ok(value);
                }
                None
            }
            Err(error) => {
                row = 0;
                Some(error)
            }
        };
        if let Some(error) = error
            && Instant::now() >= deadline
        {
            return Err(Unmet::failed(
                format!("{what} within {} s", limit.as_secs()),
                format!("{error:#}"),
                look,
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[tokio::test(start_paused = true)]
    async fn one_success_is_luck() {
        let mut looks = 0;
        let value = steadily("x", Duration::from_secs(10), async || {
            looks += 1;
            if looks == 3 || looks == 5 {
                bail!("flap")
            }
            Ok(looks)
        })
        .await
        .unwrap();
        assert_eq!(value, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_holds_names_the_last_error() {
        let result: Result<(), _> =
            eventually("peace", Duration::from_secs(2), "history", async || {
                bail!("war")
            })
            .await;
        let text = result.unwrap_err().to_string();
        assert!(
            text.contains("peace within 2 s") && text.contains("war"),
            "{text}"
        );
    }
}
