//! The gateway's plugin, as it is deployed: where Faultline's gateway is, how its pods are known, and for which host.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::Kubectl;

/// The plugin's name.
pub(super) const NAME: &str = "faultline-gateway";
const KIND: &str = "wasmplugins.extensions.istio.io";
const INSTANCE: &str = "/metadata/labels/app.kubernetes.io~1instance";

/// What it says of its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plugin {
    /// Where it is, and the gateway with it.
    pub(super) namespace: String,
    /// The labels of the gateway's pods.
    pub(super) labels: BTreeMap<String, String>,
    /// The one host that it looks at; absent where it is any.
    pub(super) host: Option<String>,
}

/// The plugin of the deployment in a namespace, looked for in one namespace or in all; `None` where there is none.
///
/// # Errors
/// When plugins cannot be listed.
pub(super) async fn find(deployment: &str, within: Option<&str>) -> Result<Option<Plugin>> {
    let mut args = vec!["get", KIND, "-l", "app.kubernetes.io/part-of=faultline"];
    match within {
        Some(namespace) => args.extend(["-n", namespace]),
        None => args.push("-A"),
    }
    Ok(of(&Kubectl.json(&args).await?, deployment))
}

/// Of a list of plugins, that of the deployment in a namespace. Without deploy.sh none says whose it is.
fn of(list: &Value, deployment: &str) -> Option<Plugin> {
    let items = list.get("items").and_then(Value::as_array)?;
    let text = |item: &Value, pointer: &str| item.pointer(pointer)?.as_str().map(str::to_owned);
    let named = items
        .iter()
        .filter(|item| text(item, "/metadata/name").as_deref() == Some(NAME));
    let instance = |item: &Value| text(item, INSTANCE);
    let item = named
        .clone()
        .find(|item| instance(item).as_deref() == Some(deployment))
        .or_else(|| named.clone().find(|item| instance(item).is_none()))?;
    let labels = item.pointer("/spec/selector/matchLabels")?.as_object()?;
    let labels = labels
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Some(Plugin {
        namespace: text(item, "/metadata/namespace")?,
        labels: labels.collect(),
        host: text(item, "/spec/pluginConfig/hosts/0").filter(|host| !host.contains('*')),
    })
}

/// Labels from what is written down.
pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Labels as kubectl selects by them.
pub(super) fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plugin(namespace: &str, instance: &Value, hosts: &Value) -> Value {
        json!({
            "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/instance": instance}},
            "spec": {"selector": {"matchLabels": {"istio": "ingress", "app": "edge"}}, "pluginConfig": {"hosts": hosts}},
        })
    }

    #[test]
    fn a_deployment_has_its_own_plugin() {
        let list = json!({"items": [
            plugin("edge", &json!("other"), &json!(["other.test"])),
            plugin("edge-2", &json!("faultline"), &json!(["shop.test"])),
        ]});
        let found = of(&list, "faultline").unwrap();
        assert_eq!(
            (found.namespace.as_str(), found.host.as_deref()),
            ("edge-2", Some("shop.test"))
        );
        assert_eq!(selector(&found.labels), "app=edge,istio=ingress");
        assert_eq!(of(&list, "third"), None);
    }

    #[test]
    fn without_deploy_sh_it_says_not_whose_it_is() {
        let list = json!({"items": [plugin("edge", &Value::Null, &json!(["*.test"]))]});
        let found = of(&list, "faultline").unwrap();
        assert_eq!((found.namespace.as_str(), found.host), ("edge", None));
    }
}
