//! The facts of `istio/`, read from the files as they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::facts::{Facts, millis, none, text};

const FILES: [&str; 8] = [
    "virtualservice",
    "log-virtualservice",
    "destinationrule",
    "log-destinationrule",
    "peerauthentication",
    "authorizationpolicy",
    "wasmplugin",
    "installation",
];

/// The resources, by file.
#[derive(Clone)]
pub(crate) struct Istio(BTreeMap<&'static str, Value>);

impl Istio {
    pub(crate) fn on_disk() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../istio");
        let read = |name: &'static str| {
            let file = folder.join(name).with_extension("yaml");
            let yaml = fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let resources: Vec<Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
            (name, Value::Array(resources))
        };
        Self(FILES.into_iter().map(read).collect())
    }

    /// A value, to be changed.
    pub(crate) fn at(&mut self, file: &str, pointer: &str) -> &mut Value {
        let resources = self
            .0
            .get_mut(file)
            .unwrap_or_else(|| panic!("no file {file}"));
        resources
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("nothing at {file}{pointer}"))
    }

    fn resources(&self, file: &str) -> &[Value] {
        self.0[file].as_array().expect("resources")
    }

    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        routes(&mut facts, "gateway", &self.resources("virtualservice")[0]);
        routes(
            &mut facts,
            "log-agent",
            &self.resources("log-virtualservice")[0],
        );
        for file in ["destinationrule", "log-destinationrule"] {
            rule(&mut facts, &self.resources(file)[0]);
        }
        for app in ["custom-app", "log-agent"] {
            let mode = &self.resources("peerauthentication")[0]["spec"]["mtls"]["mode"];
            facts.add(format!("in front of {app}: mTLS"), text(mode));
        }
        for policy in self.resources("authorizationpolicy") {
            allowed(&mut facts, policy);
        }
        for plugin in self.resources("wasmplugin") {
            filter(&mut facts, plugin);
        }
        let mesh = &self.resources("installation")[0]["spec"]["meshConfig"];
        facts.add("metrics: labels", &mesh["defaultConfig"]["extraStatTags"]);
        let format: Value = serde_json::from_str(&text(&mesh["accessLogFormat"])).expect("JSON");
        facts.add("access log: fields", format);
        // What Istio does at every gateway.
        facts.add("normalisation", true);
        facts.add("gateway: remote address", true);
        facts
    }
}

fn routes(facts: &mut Facts, of: &str, service: &Value) {
    let routes = service["spec"]["http"].as_array().expect("routes");
    let names: Vec<String> = routes.iter().map(|route| text(&route["name"])).collect();
    facts.add(format!("{of} routes"), names.join(", "));
    for route in routes {
        let field = |name: &str| format!("{of} route {}: {name}", text(&route["name"]));
        match route.get("match") {
            None => facts.add(field("path"), "any"),
            Some(matches) => {
                for taken in matches.as_array().expect("matches") {
                    facts.take(field("path"), taken, "/uri/exact");
                    facts.take(field("methods"), taken, "/method/regex");
                }
            }
        }
        facts.take(field("destination"), route, "/route/0/destination/host");
        facts.add(
            field("timeout"),
            route.get("timeout").map_or_else(none, millis),
        );
        facts.take(field("retries.attempts"), route, "/retries/attempts");
        let try_for = route.pointer("/retries/perTryTimeout");
        facts.add(
            field("retries.perTryTimeout"),
            try_for.map_or_else(none, millis),
        );
        facts.take(field("retries.retryOn"), route, "/retries/retryOn");
        let delay = route.pointer("/fault/delay/fixedDelay");
        facts.add(field("delay"), delay.map_or_else(none, millis));
        let share = route
            .pointer("/fault/delay/percentage/value")
            .and_then(Value::as_f64);
        facts.add(field("delay percentage"), share.unwrap_or(0.0));
        facts.take(field("status"), route, "/directResponse/status");
        facts.take(field("body"), route, "/directResponse/body/string");
        let headers = route
            .pointer("/headers/response/set")
            .and_then(Value::as_object);
        for (name, value) in headers.into_iter().flatten() {
            facts.add(field(&format!("header {name}")), text(value));
        }
    }
}

fn rule(facts: &mut Facts, rule: &Value) {
    let spec = &rule["spec"];
    let field = |name: &str| format!("to {}: {name}", text(&spec["host"]));
    let policy = &spec["trafficPolicy"];
    facts.take(field("balancing"), policy, "/loadBalancer/simple");
    facts.take(
        field("maxConnections"),
        policy,
        "/connectionPool/tcp/maxConnections",
    );
    facts.take(
        field("http1MaxPendingRequests"),
        policy,
        "/connectionPool/http/http1MaxPendingRequests",
    );
    facts.take(field("tls"), policy, "/tls/mode");
}

fn allowed(facts: &mut Facts, policy: &Value) {
    // The empty one allows nothing, so it adds nothing.
    let Some(app) = policy.pointer("/spec/selector/matchLabels/app") else {
        return;
    };
    let (mut callers, mut requests) = (BTreeSet::new(), BTreeSet::new());
    for rule in list(&policy["spec"]["rules"]) {
        for account in list(&rule["from"])
            .iter()
            .flat_map(|from| list(&from["source"]["serviceAccounts"]))
        {
            let account = text(account);
            let (namespace, name) = account.split_once('/').unwrap_or(("faultline", &account));
            callers.insert(format!("{namespace}/{name}"));
        }
        for operation in list(&rule["to"]).iter().map(|to| &to["operation"]) {
            for path in list(&operation["paths"]) {
                for method in list(&operation["methods"]) {
                    requests.insert(format!("{} {}", text(method), text(path)));
                }
            }
        }
    }
    facts.all(format!("in front of {}: callers", text(app)), &callers);
    facts.all(format!("in front of {}: allowed", text(app)), &requests);
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn filter(facts: &mut Facts, plugin: &Value) {
    let field = |name: &str| format!("filter {}: {name}", text(&plugin["metadata"]["name"]));
    facts.add(field("configuration"), &plugin["spec"]["pluginConfig"]);
    facts.take(field("failStrategy"), plugin, "/spec/failStrategy");
}
