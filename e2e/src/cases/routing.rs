//! Routing: the known paths reach custom-app.

use std::time::Instant;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::environment::Environment;
use crate::gateway::marker;
use crate::part::App;
use crate::unmet::{Outcome, expect};

pub(super) const ROUTES: Case = Case {
    feature: "routing",
    name: "routing",
    tier: Tier::Quick,
    claim: "/, /status, /logs and /log reach custom-app, each seen in its own log (that nothing else does: not-found)",
    run: |environment| Box::pin(routes(environment)),
};

/// Path and the status expected; `/log` runs into the timeout.
const KNOWN: [(&str, u16); 4] = [("/", 200), ("/status", 200), ("/logs", 200), ("/log", 504)];

async fn routes(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("routing");
    let mut seen = Vec::new();
    for (path, status) in KNOWN {
        let marker = format!("{marker}{path}");
        let answer = environment.gateway.fetch(path, &marker).await?;
        expect(
            answer.status == status,
            format!("{status} from {path}"),
            answer.summary(),
            "virtualservice.yaml and `kubectl logs deploy/custom-app`",
        )?;
        let lines = sightings::requests(environment, App::CustomApp, &marker, since, 1).await?;
        // "/" begins every marker of this case, so the path itself must be there too
        expect(
            lines.iter().any(|line| line.text("path") == Some(path)),
            format!("{path} in custom-app's log"),
            format!("{} other requests", lines.len()),
            "`kubectl logs -l app=custom-app -c custom-app`",
        )?;
        seen.push(format!("{path} {}", answer.status));
    }
    Ok(format!("{}, all in custom-app's log", seen.join(", ")))
}
