//! A module of another project, to be measured beside the filter: described by a JSON file, since
//! neither its code nor where it lies belongs here.

use crate::variant::{Guard, Kind, ROUTES};
use anyhow::{Context, ensure};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// A module that is not Faultline's.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Its name in the table.
    pub(crate) name: String,
    /// The module; in the file, relative to the file.
    pub(crate) module: PathBuf,
    /// The plugin's configuration: a text as it is, anything else as JSON.
    #[serde(default)]
    configuration: Value,
    /// How many routes that configuration has: beside which tables the module stands.
    #[serde(default = "smallest_table")]
    pub(crate) routes: usize,
    /// What is asked of it.
    requests: BTreeMap<Kind, PeerRequest>,
}

/// A kind of request, and the answer of a module that does its work.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerRequest {
    /// Paths asked in turn; without this key, those that every guard with as many routes is asked.
    #[serde(default, deserialize_with = "targets")]
    pub(crate) paths: Option<Vec<Uri>>,
    /// Headers that go with the request.
    #[serde(default, deserialize_with = "headers")]
    pub(crate) headers: HeaderMap,
    /// The answer's status.
    #[serde(deserialize_with = "status")]
    pub(crate) status: StatusCode,
    /// The answer's body; without this key, that of a request that passes.
    pub(crate) body: Option<String>,
    /// Headers of the request behind the module: the only trace of one that adds some.
    #[serde(default, deserialize_with = "headers")]
    pub(crate) adds: HeaderMap,
}

/// Reads descriptions.
///
/// What is read lives as long as the process, so that a guard stays a name that can be copied.
///
/// # Errors
/// A file cannot be read or is no description, a module is not there, or two have one name.
pub(crate) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<&'static Peer>> {
    let mut peers: Vec<&'static Peer> = Vec::new();
    for file in files {
        let peer = Peer::read(file).with_context(|| format!("--peer {}", file.display()))?;
        let name = &peer.name;
        let is_new = peers.iter().all(|other| other.name != *name);
        ensure!(is_new, "--peer: two descriptions have the name {name:?}");
        peers.push(Box::leak(Box::new(peer)));
    }
    Ok(peers)
}

impl Peer {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let directory = file.parent().context("not a file")?;
        Self::parse(&fs::read_to_string(file)?, directory)
    }

    /// A description in a file of `directory`.
    fn parse(description: &str, directory: &Path) -> anyhow::Result<Self> {
        let mut peer: Self = serde_json::from_str(description)?;
        peer.check()?;
        let module = directory.join(&peer.module);
        // Envoy reads it from a directory of its own.
        peer.module =
            fs::canonicalize(&module).with_context(|| format!("module: {}", module.display()))?;
        Ok(peer)
    }

    fn check(&self) -> anyhow::Result<()> {
        const LONGEST: usize = 17;
        let Self { name, routes, .. } = self;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (1..=LONGEST).contains(&name.len()) && name.chars().all(is_plain),
            "name: {name:?} is not 1 to {LONGEST} lower-case letters, digits and hyphens"
        );
        ensure!(
            Guard::OURS.iter().all(|ours| ours.name() != name),
            "name: {name:?} is a guard of the benchmark itself"
        );
        ensure!(
            ROUTES.contains(routes),
            "routes: {routes} is not among {ROUTES:?}"
        );
        ensure!(!self.requests.is_empty(), "requests: there are none");
        for (kind, request) in &self.requests {
            let is_empty = request.paths.as_ref().is_some_and(Vec::is_empty);
            ensure!(!is_empty, "requests.{}.paths: there are none", kind.name());
        }
        Ok(())
    }

    /// The plugin's configuration as the module gets it.
    pub(crate) fn configuration(&self) -> String {
        match &self.configuration {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    /// What is asked of it for this kind of path, if anything.
    pub(crate) fn request(&self, path: Kind) -> Option<&PeerRequest> {
        self.requests.get(&path)
    }

    /// Every kind of request that is asked of it.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (Kind, &PeerRequest)> {
        self.requests.iter().map(|(&kind, request)| (kind, request))
    }
}

fn smallest_table() -> usize {
    let [smallest, ..] = ROUTES;
    smallest
}

fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Uri>>, D::Error> {
    let paths = Vec::<String>::deserialize(deserializer)?;
    let targets: Result<_, _> = paths.iter().map(|path| path.parse()).collect();
    targets.map(Some).map_err(Error::custom)
}

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
    let headers = HashMap::<String, String>::deserialize(deserializer)?;
    HeaderMap::try_from(&headers).map_err(Error::custom)
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Modules,
        exchange::Exchange,
        load::Until,
        running::Running,
        variant::{Setup, Variant},
    };
    use serde_json::json;
    use std::sync::Arc;

    /// The filter itself, described as if it were another project's.
    fn description() -> Value {
        json!({
            "name": "other",
            "module": faultline_testbed::filter().unwrap(),
            "configuration": {"routes": [{"path": "/there"}]},
            "requests": {
                "allowed": {"paths": ["/there"], "headers": {"x-token": "a"}, "status": 200, "adds": {"x-token": "a"}},
                "unknown": {"status": 404, "body": faultline_filter_core::problem::unknown_route(&crate::config::NAME).body},
            },
        })
    }

    fn parse(description: &Value) -> anyhow::Result<&'static Peer> {
        let peer = Peer::parse(&description.to_string(), Path::new("."))?;
        Ok(Box::leak(Box::new(peer)))
    }

    /// Asks each kind of request once on two connections of a real Envoy.
    async fn ask(description: &Value) -> anyhow::Result<()> {
        let peer = parse(description)?;
        let setup = Setup::of_peer(peer);
        let not_asked_for = || PathBuf::from("not asked for");
        let modules = Modules {
            wasm: not_asked_for(),
            native: not_asked_for(),
        };
        let mut running = Running::start(setup, &modules, 1, 2).await?;
        for (path, _) in peer.requests() {
            let exchange = Arc::new(Exchange::of(Variant { setup, path })?);
            running.slice(&exchange, path, Until::Answers(1)).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_module_is_asked_what_its_description_says() {
        ask(&description()).await.unwrap();
    }

    #[tokio::test]
    async fn a_module_that_answers_otherwise_fails_the_run() {
        for (pointer, wrong, told) in [
            ("/requests/allowed/status", json!(204), "instead of 204"),
            ("/requests/unknown/body", json!("gone"), "the body was"),
            ("/requests/allowed/adds/x-token", json!("b"), "x-token"),
        ] {
            let mut description = description();
            *description.pointer_mut(pointer).unwrap() = wrong;
            let error = format!("{:#}", ask(&description).await.unwrap_err());
            assert!(error.contains(told), "{pointer}: {error}");
        }
    }

    #[test]
    fn a_description_with_a_mistake_names_it() {
        for (pointer, wrong, told) in [
            ("/name", json!("lua"), "name: \"lua\" is a guard"),
            ("/name", json!("Other"), "name: \"Other\" is not"),
            ("/module", json!("nowhere.wasm"), "module: ./nowhere.wasm"),
            ("/requests", json!({}), "requests: there are none"),
            ("/requests", json!({"passed": {}}), "`passed`"),
            ("/requests/allowed/status", json!(42), "status"),
            (
                "/requests/allowed/paths",
                json!([]),
                "requests.allowed.paths",
            ),
            ("/requests/allowed", json!({"code": 200}), "`code`"),
        ] {
            let mut description = description();
            *description.pointer_mut(pointer).unwrap() = wrong;
            let error = format!("{:#}", parse(&description).unwrap_err());
            assert!(error.contains(told), "{pointer}: {error}");
        }
    }

    #[test]
    fn a_peer_stands_beside_the_guards_with_as_many_routes() {
        let peer = parse(&description()).unwrap();
        let all = crate::variant::all(&[peer]);
        let names: Vec<String> = all.iter().map(Variant::to_string).collect();
        let place = |name: &str| names.iter().position(|one| one == name);
        assert_eq!(
            place("other-10-allowed"),
            place("module-idle-10-allowed").map(|n| n + 1)
        );
        let its = names.iter().filter(|name| name.starts_with("other-"));
        assert_eq!(
            its.collect::<Vec<_>>(),
            ["other-10-allowed", "other-10-unknown"]
        );
    }

    #[test]
    fn the_configuration_is_a_text_or_json() {
        let mut description = description();
        let configuration = |description: &Value| parse(description).unwrap().configuration();
        assert_eq!(
            configuration(&description),
            r#"{"routes":[{"path":"/there"}]}"#
        );
        description["configuration"] = json!("a\nb\n");
        assert_eq!(configuration(&description), "a\nb\n");
        description.as_object_mut().unwrap().remove("configuration");
        assert_eq!(configuration(&description), "");
    }
}
