//! mTLS: plaintext is refused, and who called is known.

use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::converge::{self, CONVERGENCE};
use crate::environment::{Environment, Identities};
use crate::exchange::{Ask, Reply};
use crate::gateway::marker;
use crate::parse::log::Line;
use crate::part::{App, Caller, Proxy};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const PLAINTEXT: Case = Case {
    feature: "mTLS",
    name: "plaintext-refused",
    tier: Tier::Quick,
    claim: "whoever has no certificate of the mesh (the API server) gets no answer from either service (refused, not timed \
            out), though it reaches both pods' agents; the gateway, which has one, does",
    run: |environment| Box::pin(plaintext(environment)),
};

pub(super) const IDENTITIES: Case = Case {
    feature: "mTLS",
    name: "identities",
    tier: Tier::Quick,
    claim: "x-forwarded-client-cert names both ends of gateway -> custom-app and of custom-app -> log agent (SPIFFE)",
    run: |environment| Box::pin(identities(environment)),
};

async fn plaintext(environment: &Environment) -> Outcome {
    let mesh = &environment.mesh;
    let marker = marker("plaintext");
    // over both hops, each with mTLS, what is refused below is answered
    converge::steadily("200 with mTLS", CONVERGENCE, async || {
        let answer = environment.gateway.fetch("/logs?limit=1", &marker).await?;
        if answer.status != 200 {
            bail!("{}", answer.summary());
        }
        Ok(())
    })
    .await?;
    let mut seen = Vec::new();
    for (app, path) in [(App::CustomApp, "/"), (App::LogAgent, "/logs?limit=1")] {
        // the same way to the same pod, at a port that mTLS does not guard
        mesh.stats(Proxy::Sidecar(app)).await?;
        let ask = Ask::get(mesh.url(app, path)).marked(&marker);
        let patience = ask.timeout.as_millis();
        match mesh.call(Caller::Outsider, &ask).await? {
            Reply::NoAnswer { elapsed_ms, error }
                if u128::from(elapsed_ms) < patience && !error.contains("dns") =>
            {
                let cause = error.rsplit(": ").next().unwrap_or_default();
                seen.push(format!("{}: {cause} after {elapsed_ms} ms", app.name()));
            }
            Reply::NoAnswer { error, .. } if never_arrived(&error) => {
                return Err(Unmet::Skipped(format!(
                    "the network lets nobody else reach {} (networkpolicy.yaml), so that mTLS had nothing to refuse: {error}",
                    app.name()
                )));
            }
            reply => {
                return Err(Unmet::failed(
                    format!("{} to refuse plaintext", app.name()),
                    reply.summary(),
                    "peerauthentication.yaml",
                ));
            }
        }
    }
    Ok(seen.join("; "))
}

/// Whether the API server's connection was dropped on its way, as a network policy does, not refused at its end.
fn never_arrived(error: &str) -> bool {
    error.contains("dial tcp") && error.contains("timeout")
}

async fn identities(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("identities");
    environment.gateway.fetch("/logs?limit=1", &marker).await?;
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 1).await?;
    let first = lines.first().context("no line")?;
    let id = sightings::field(first, "request_id")?;
    let second = sightings::request_with_id(environment, App::LogAgent, id, since).await?;
    let Identities { own, gateway } = environment.mesh.identities().await?;
    let hops = [
        (first, gateway, format!("/ns/{own}/sa/custom-app")),
        (
            &second,
            format!("/ns/{own}/sa/custom-app"),
            format!("/ns/{own}/sa/log-agent"),
        ),
    ];
    let mut seen = Vec::new();
    for (line, caller, called) in hops {
        let (by, uri) = ends(line)?;
        expect(
            by.ends_with(&called) && uri.ends_with(&caller),
            format!("By=…{called} and URI=…{caller}"),
            format!("By={by} and URI={uri}"),
            "peerauthentication.yaml and the DestinationRules' tls",
        )?;
        seen.push(format!("{uri} -> {by}"));
    }
    Ok(seen.join("; "))
}

/// The two ends that the last proxy before the service recorded: who was called (By), who called (URI).
fn ends(line: &Line) -> Result<(String, String), Unmet> {
    let header = sightings::field(line, "forwarded_client_cert")?;
    let last = header.rsplit(',').next().unwrap_or_default();
    let part = |key: &str| {
        let value = last.split(';').find_map(|part| part.strip_prefix(key));
        value
            .filter(|value| value.starts_with("spiffe://"))
            .map(ToOwned::to_owned)
    };
    part("By=").zip(part("URI=")).ok_or_else(|| {
        Unmet::failed(
            "By= and URI= with SPIFFE names",
            header,
            "x-forwarded-client-cert in the service's log",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::log;

    #[test]
    fn a_connection_that_was_dropped_is_told_from_one_that_was_refused() {
        assert!(never_arrived("dial tcp 192.0.2.5:8080: i/o timeout"));
        for refused in [
            "dial tcp 192.0.2.5:8080: connect: connection refused",
            "read tcp 192.0.2.1:1->192.0.2.5:8080: read: connection reset by peer",
            "read tcp 192.0.2.1:1->192.0.2.5:8080: i/o timeout",
        ] {
            assert!(!never_arrived(refused), "{refused}");
        }
    }

    #[test]
    fn the_last_hop_is_read() {
        let cert = "By=spiffe://x/ns/a/sa/b;URI=spiffe://x/ns/c/sa/d,\
                    By=spiffe://t/ns/f/sa/custom-app;Hash=00;Subject=\\\"\\\";URI=spiffe://t/ns/i/sa/gw";
        let lines = log::lines(&format!("{{\"forwarded_client_cert\":\"{cert}\"}}"));
        let (by, uri) = ends(&lines[0]).unwrap();
        assert_eq!(
            (by.as_str(), uri.as_str()),
            ("spiffe://t/ns/f/sa/custom-app", "spiffe://t/ns/i/sa/gw")
        );
        assert!(ends(&log::lines("{\"forwarded_client_cert\":\"Hash=1\"}")[0]).is_err());
    }
}
