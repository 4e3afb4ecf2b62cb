//! 404: unknown paths and tricks reach no application.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::case::{Case, Tier};
use crate::cases::sightings::{self, FROM_UPSTREAM};
use crate::cases::tricks::{Refusal, SPELLINGS, Spelling, Trick, UNSETTLED, tricks};
use crate::environment::Environment;
use crate::exchange::Answer;
use crate::gateway::marker;
use crate::part::App;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const NOT_FOUND: Case = Case {
    feature: "404",
    name: "not-found",
    tier: Tier::Quick,
    claim: "60 and more unknown paths and tricks, byte by byte: 404 with the filter's mark or Envoy's own refusal, made by \
            the gateway itself, and none in custom-app's log",
    run: |environment| Box::pin(not_found(environment)),
};

pub(super) const NORMALISED: Case = Case {
    feature: "404",
    name: "normalised",
    tier: Tier::Quick,
    claim: "other spellings of known paths arrive as those paths; one that depends on Envoy's version does, or is refused",
    run: |environment| Box::pin(normalised(environment)),
};

async fn not_found(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("not-found");
    let tricks = tricks();
    let mut wrong = Vec::new();
    let mut refused = [0; 2];
    for (number, trick) in tricks.iter().enumerate() {
        let marker = format!("{marker}/{number}");
        let answer = environment
            .gateway
            .send_raw(trick.method.as_bytes(), &trick.target, &marker)
            .await;
        match answer.and_then(|answer| refusal(trick, &answer)) {
            Ok(404) => refused[0] += 1,
            Ok(_) => refused[1] += 1,
            Err(error) => wrong.push(format!(
                "{} {}: {error:#}",
                trick.method,
                shown(&trick.target)
            )),
        }
    }
    expect(
        wrong.is_empty(),
        "404 with the mark, or Envoy's own refusal, for each",
        wrong.join("; "),
        "the filter's routes in wasmplugin.yaml, then virtualservice.yaml",
    )?;
    let arrived = arrived(environment, &marker, since).await?;
    expect(
        arrived.is_empty(),
        "none of them in custom-app's log",
        arrived.join(", "),
        "the gateway's access log for the request ids",
    )?;
    let [unknown, envoy] = refused;
    let all = tricks.len();
    Ok(format!(
        "{all} requests: {unknown} x 404, {envoy} x Envoy's own 400, 403 or 431; 0 reached custom-app"
    ))
}

/// The marked requests in custom-app's log, once a control request is in it, so that the log is known
/// to show what arrives.
async fn arrived(
    environment: &Environment,
    marker: &str,
    since: Instant,
) -> Result<Vec<String>, Unmet> {
    let control = format!("{marker}/control");
    let answer = environment
        .gateway
        .send_raw(b"GET", b"/status", &control)
        .await?;
    // with the header by which an answer of the gateway's own is told from one of custom-app's
    expect(
        answer.status == 200 && answer.header(FROM_UPSTREAM).is_some(),
        format!("200 with {FROM_UPSTREAM} for the control request"),
        answer.summary(),
        "custom-app",
    )?;
    sightings::requests(environment, App::CustomApp, &control, since, 1).await?;
    let lines = sightings::requests(environment, App::CustomApp, marker, since, 1).await?;
    Ok(lines
        .iter()
        .filter(|line| line.text("user_agent") != Some(control.as_str()))
        .map(|line| {
            let field = |name| line.text(name).unwrap_or("?");
            format!(
                "{} {} ({})",
                field("method"),
                field("path"),
                field("user_agent")
            )
        })
        .collect())
}

fn refusal(trick: &Trick, answer: &Answer) -> Result<u16> {
    match (trick.refusal, answer.status) {
        // an answer to HEAD has no body to look into
        (Refusal::Unknown, 404) if trick.method == "HEAD" => {
            sightings::made_by_the_gateway(answer)?;
            sightings::mark(answer)?;
        }
        (Refusal::Unknown | Refusal::Malformed, 404) => sightings::marked_not_found(answer)?,
        (Refusal::Malformed, 400)
        | (Refusal::TooLarge, 431)
        | (Refusal::NoPath, 400 | 404)
        | (Refusal::Scheme, 403) => {}
        _ => bail!("{}", answer.summary()),
    }
    Ok(answer.status)
}

/// A target for a message: its beginning, escaped.
fn shown(target: &[u8]) -> String {
    let start = target.get(..60).unwrap_or(target);
    start.escape_ascii().to_string()
}

async fn normalised(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("normalised");
    // the dot ends the number: 1. does not begin 12.
    let own = |number: usize| format!("{marker}/{number}.");
    let look = "the gateway's normalisation: meshConfig.pathNormalization";
    for (number, spelling) in SPELLINGS.iter().enumerate() {
        let target = spelling.target.as_bytes();
        let answer = environment
            .gateway
            .send_raw(b"GET", target, &own(number))
            .await?;
        let status = if spelling.path == "/log" { 504 } else { 200 };
        expect(
            answer.status == status,
            format!("{status} for {} as for {}", spelling.target, spelling.path),
            answer.summary(),
            look,
        )?;
    }
    // three attempts of each that is /log
    let attempts = |spelling: &Spelling| if spelling.path == "/log" { 3 } else { 1 };
    let logged = SPELLINGS.iter().map(attempts).sum();
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, logged).await?;
    for (number, spelling) in SPELLINGS.iter().enumerate() {
        let own = own(number);
        let paths: Vec<_> = lines
            .iter()
            .filter(|line| line.is_from(&own))
            .filter_map(|line| line.text("path"))
            .collect();
        expect(
            !paths.is_empty() && paths.iter().all(|path| *path == spelling.path),
            format!("{} to arrive as {}", spelling.target, spelling.path),
            paths.join(", "),
            look,
        )?;
    }
    let unsettled = unsettled(environment).await?;
    Ok(format!(
        "{} spellings of /, /status and /log arrived as these; {unsettled}",
        SPELLINGS.len()
    ))
}

async fn unsettled(environment: &Environment) -> Result<String, Unmet> {
    let mut seen = Vec::new();
    for Spelling { target, path } in UNSETTLED {
        let since = Instant::now();
        let marker = marker("unsettled");
        let answer = environment
            .gateway
            .send_raw(b"GET", target.as_bytes(), &marker)
            .await?;
        if sightings::marked_not_found(&answer).is_ok() {
            let arrived = arrived(environment, &marker, since).await?;
            expect(
                arrived.is_empty(),
                format!("{target} refused and not in custom-app's log"),
                arrived.join(", "),
                "the gateway's access log",
            )?;
            seen.push(format!("{target} refused"));
            continue;
        }
        let lines = sightings::requests(environment, App::CustomApp, &marker, since, 1).await?;
        let paths: Vec<_> = lines.iter().filter_map(|line| line.text("path")).collect();
        expect(
            answer.status == 200 && paths == [*path],
            format!("{target} refused, or as {path}"),
            format!(
                "{}; in custom-app's log: {}",
                answer.summary(),
                paths.join(", ")
            ),
            "the gateway's normalisation: meshConfig.pathNormalization",
        )?;
        seen.push(format!("{target} as {path}"));
    }
    Ok(seen.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, mark: &str) -> Answer {
        Answer {
            status,
            headers: vec![
                (
                    "content-type".to_owned(),
                    "application/problem+json".to_owned(),
                ),
                ("proxy-status".to_owned(), mark.to_owned()),
            ],
            body: r#"{"status":404}"#.to_owned(),
            elapsed_ms: 0,
        }
    }

    #[test]
    fn only_the_expected_refusal_counts() {
        let trick = |refusal| Trick {
            method: "GET",
            target: Vec::new(),
            refusal,
        };
        let mark = r#"faultline; error=destination_not_found; details="outcome=unknown_route""#;
        assert!(refusal(&trick(Refusal::Unknown), &answer(404, mark)).is_ok());
        assert!(refusal(&trick(Refusal::Malformed), &answer(400, "")).is_ok());
        assert!(refusal(&trick(Refusal::Unknown), &answer(400, "")).is_err());
        assert!(refusal(&trick(Refusal::Unknown), &answer(404, "other")).is_err());
        assert!(refusal(&trick(Refusal::Unknown), &answer(200, mark)).is_err());
        assert!(refusal(&trick(Refusal::TooLarge), &answer(404, mark)).is_err());
        // the guard in front of custom-app says the same, but the gateway had let the request pass
        let mut passed = answer(404, mark);
        let header = (FROM_UPSTREAM.to_owned(), "1".to_owned());
        passed.headers.push(header);
        for method in ["GET", "HEAD"] {
            let trick = Trick {
                method,
                ..trick(Refusal::Unknown)
            };
            assert!(refusal(&trick, &passed).is_err(), "{method}");
        }
    }

    #[test]
    fn targets_are_shown_escaped() {
        assert_eq!(shown(b"/log\0\xff"), "/log\\x00\\xff");
    }
}
