//! From the files of `istio/` to a [`Mesh`].

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::resource::{
    AuthorizationPolicy, DestinationRule, PeerAuthentication, Side, VirtualService, WasmPlugin,
};
use super::{Mesh, Service, Sources};

/// Something in `istio/` that local mode does not understand.
#[derive(Debug, thiserror::Error)]
#[error("istio/{file}, {resource}: {field}: {problem}")]
pub struct Problem {
    file: &'static str,
    resource: String,
    field: String,
    problem: String,
}

/// A file, split into its resources.
struct File {
    name: &'static str,
    resources: Vec<Value>,
}

impl File {
    fn parse(name: &'static str, text: &str) -> Result<Self, Problem> {
        let resources = serde_saphyr::from_multiple(text)
            .map_err(|error| problem(name, "all of it", "YAML", error))?;
        Ok(Self { name, resources })
    }

    /// A part of the resource of this name, as a type.
    fn part<T: DeserializeOwned>(&self, resource: &str, part: &str) -> Result<T, Problem> {
        let named = |value: &&Value| {
            value
                .pointer("/metadata/name")
                .is_some_and(|it| it == resource)
        };
        let found = self.resources.iter().find(named);
        let found =
            found.ok_or_else(|| problem(self.name, resource, "metadata.name", "is not there"))?;
        self.typed(resource, part, found)
    }

    fn typed<T: DeserializeOwned>(
        &self,
        resource: &str,
        part: &str,
        value: &Value,
    ) -> Result<T, Problem> {
        let pointer = format!("/{}", part.replace('.', "/"));
        let value = value.pointer(&pointer).cloned().unwrap_or_default();
        serde_path_to_error::deserialize(value).map_err(|error| {
            let field = format!("{part}.{}", error.path());
            problem(self.name, resource, &field, error.inner())
        })
    }

    /// Fails unless the file has exactly this many resources.
    fn holds(&self, count: usize) -> Result<(), Problem> {
        let found = self.resources.len();
        if found == count {
            return Ok(());
        }
        let what = format!("local mode knows {count} resources here, not {found}");
        Err(problem(self.name, "all of it", "resources", what))
    }
}

fn problem(file: &'static str, resource: &str, field: &str, what: impl ToString) -> Problem {
    Problem {
        file,
        resource: resource.to_owned(),
        field: field.to_owned(),
        problem: what.to_string(),
    }
}

impl Mesh {
    /// Reads the files.
    ///
    /// # Errors
    /// When something is missing, not of the expected form, or unknown to local mode.
    pub fn read(sources: &Sources<'_>) -> Result<Self, Problem> {
        let policies = File::parse("authorizationpolicy.yaml", sources.authorization_policy)?;
        policies.holds(3)?;
        nothing_for_all(&policies)?;
        strict(sources.peer_authentication)?;
        let installation = File::parse("installation.yaml", sources.installation)?;
        let mesh_config: MeshConfig = match installation.resources.as_slice() {
            [only] => installation.typed("IstioOperator", "spec.meshConfig", only)?,
            _ => return Err(installation.holds(1).err().unwrap_or_else(no_resource)),
        };
        let plugins = Plugins::read(sources.wasm_plugin)?;
        Ok(Self {
            gateway_routes: routes(
                "virtualservice.yaml",
                sources.virtual_service,
                "faultline",
                ("*", "faultline-gateway"),
            )?,
            log_agent_routes: routes(
                "log-virtualservice.yaml",
                sources.log_virtual_service,
                "log-agent",
                (Service::LogAgent.host(), "mesh"),
            )?,
            custom_app_rule: rule(
                "destinationrule.yaml",
                sources.destination_rule,
                Service::CustomApp,
            )?,
            log_agent_rule: rule(
                "log-destinationrule.yaml",
                sources.log_destination_rule,
                Service::LogAgent,
            )?,
            custom_app_policy: policy(&policies, Service::CustomApp)?,
            log_agent_policy: policy(&policies, Service::LogAgent)?,
            gateway_plugin: plugins.gateway,
            custom_app_guard: plugins.custom_app_guard,
            log_agent_guard: plugins.log_agent_guard,
            custom_app_observe: plugins.custom_app_observe,
            access_log: serde_json::from_str(&mesh_config.access_log_format).map_err(|error| {
                let field = "spec.meshConfig.accessLogFormat";
                problem(installation.name, "IstioOperator", field, error)
            })?,
            stat_tags: mesh_config.default_config.extra_stat_tags,
        })
    }
}

/// `IstioOperator.spec.meshConfig`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MeshConfig {
    default_config: DefaultConfig,
    #[serde(rename = "accessLogFile")]
    _access_log_file: String,
    #[serde(rename = "accessLogEncoding")]
    _access_log_encoding: Encoding,
    access_log_format: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Encoding {
    Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DefaultConfig {
    extra_stat_tags: Vec<String>,
}

fn routes(
    name: &'static str,
    text: &str,
    resource: &str,
    (host, gateway): (&str, &str),
) -> Result<Vec<super::resource::HttpRoute>, Problem> {
    let file = File::parse(name, text)?;
    file.holds(1)?;
    let service: VirtualService = file.part(resource, "spec")?;
    for (field, found, known) in [
        ("spec.hosts", &service.hosts, host),
        ("spec.gateways", &service.gateways, gateway),
    ] {
        if *found != [known] {
            let what = format!("local mode knows [{known}], not {found:?}");
            return Err(problem(name, resource, field, what));
        }
    }
    Ok(service.http)
}

fn rule(name: &'static str, text: &str, of: Service) -> Result<DestinationRule, Problem> {
    let file = File::parse(name, text)?;
    file.holds(1)?;
    let rule: DestinationRule = file.part(of.workload(), "spec")?;
    if rule.host == of.host() {
        Ok(rule)
    } else {
        let what = format!("must be {}, not {}", of.host(), rule.host);
        Err(problem(name, of.workload(), "spec.host", what))
    }
}

fn strict(text: &str) -> Result<(), Problem> {
    let file = File::parse("peerauthentication.yaml", text)?;
    file.holds(1)?;
    file.part::<PeerAuthentication>("default", "spec").map(drop)
}

/// The policy without a rule, for every workload.
fn nothing_for_all(policies: &File) -> Result<(), Problem> {
    let name = "allow-nothing";
    let policy: AuthorizationPolicy = policies.part(name, "spec")?;
    if policy.rules.is_empty() && policy.selector.is_none() && policy.action.is_none() {
        return Ok(());
    }
    Err(problem(policies.name, name, "spec", "must be empty"))
}

fn policy(policies: &File, of: Service) -> Result<AuthorizationPolicy, Problem> {
    let policy: AuthorizationPolicy = policies.part(of.workload(), "spec")?;
    let labels = policy
        .selector
        .as_ref()
        .map(|selector| &selector.match_labels);
    if labels.is_some_and(|labels| {
        labels.len() == 1 && labels.get("app").is_some_and(|app| app == of.workload())
    }) {
        return Ok(policy);
    }
    let what = format!("must be app: {}", of.workload());
    let field = "spec.selector.matchLabels";
    Err(problem(policies.name, of.workload(), field, what))
}

struct Plugins {
    gateway: WasmPlugin,
    custom_app_guard: WasmPlugin,
    custom_app_observe: WasmPlugin,
    log_agent_guard: WasmPlugin,
}

impl Plugins {
    fn read(text: &str) -> Result<Self, Problem> {
        let file = File::parse("wasmplugin.yaml", text)?;
        file.holds(4)?;
        Ok(Self {
            gateway: plugin(&file, "faultline-gateway", ("istio", "ingressgateway"), &[])?,
            custom_app_guard: plugin(
                &file,
                "custom-app-guard",
                ("app", "custom-app"),
                &[Side::Server],
            )?,
            custom_app_observe: plugin(
                &file,
                "custom-app-observe",
                ("app", "custom-app"),
                &[Side::Client],
            )?,
            log_agent_guard: plugin(
                &file,
                "log-agent-guard",
                ("app", "log-agent"),
                &[Side::Server],
            )?,
        })
    }
}

fn plugin(
    file: &File,
    name: &str,
    (label, workload): (&str, &str),
    sides: &[Side],
) -> Result<WasmPlugin, Problem> {
    let plugin: WasmPlugin = file.part(name, "spec")?;
    let labels = &plugin.selector.match_labels;
    if labels.len() != 1 || labels.get(label).is_none_or(|found| found != workload) {
        let what = format!("must be {label}: {workload}");
        return Err(problem(file.name, name, "spec.selector.matchLabels", what));
    }
    if !plugin
        .matches
        .iter()
        .map(|side| side.mode)
        .eq(sides.iter().copied())
    {
        let what = format!("local mode runs this one at {sides:?}");
        return Err(problem(file.name, name, "spec.match", what));
    }
    Ok(plugin)
}

fn no_resource() -> Problem {
    problem("installation.yaml", "IstioOperator", "spec", "is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istio_is_understood() {
        let mesh = Mesh::read(&Sources::COMPILED_IN).unwrap();
        assert_eq!(mesh.gateway_routes.len(), 5);
        assert_eq!(mesh.log_agent_routes.len(), 2);
        assert!(mesh.access_log.contains_key("outcome"));
    }

    /// Every setting that local mode does not have is refused, with its name.
    #[test]
    fn what_local_mode_does_not_know_is_named() {
        let sources = Sources::COMPILED_IN;
        let delayed = sources.log_virtual_service;
        let with_abort = delayed.replace(
            "      fault:\n",
            "      fault:\n        abort: {httpStatus: 500}\n",
        );
        let with_mirror = sources.virtual_service.replace(
            "      timeout: 1s\n",
            "      timeout: 1s\n      mirror: {host: x}\n",
        );
        let with_outlier = sources
            .destination_rule
            .replace("    tls:\n", "    outlierDetection: {}\n    tls:\n");
        let permissive = sources.peer_authentication.replace("STRICT", "PERMISSIVE");
        let denying = sources
            .authorization_policy
            .replacen("action: ALLOW", "action: DENY", 1);
        let late = sources
            .wasm_plugin
            .replacen("phase: AUTHN", "phase: STATS", 1);
        for (sources, field) in [
            (
                Sources {
                    log_virtual_service: &with_abort,
                    ..sources.clone()
                },
                "abort",
            ),
            (
                Sources {
                    virtual_service: &with_mirror,
                    ..sources.clone()
                },
                "mirror",
            ),
            (
                Sources {
                    destination_rule: &with_outlier,
                    ..sources.clone()
                },
                "outlierDetection",
            ),
            (
                Sources {
                    peer_authentication: &permissive,
                    ..sources.clone()
                },
                "spec.mtls.mode",
            ),
            (
                Sources {
                    authorization_policy: &denying,
                    ..sources.clone()
                },
                "spec.action",
            ),
            (
                Sources {
                    wasm_plugin: &late,
                    ..sources.clone()
                },
                "spec.phase",
            ),
        ] {
            let told = Mesh::read(&sources).unwrap_err().to_string();
            assert!(told.contains(field), "{told}");
        }
    }
}
