//! The names that are put into an example: its namespaces, and the label's value that chooses its gateway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Keys whose strings are namespaces.
const NAMESPACES: [&str; 5] = [
    "namespace",
    "namespaces",
    "notNamespaces",
    "sourceNamespace",
    "exportTo",
];

/// The names of one example on the cluster.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The namespace of what names none.
    pub(super) base: String,
    /// The namespaces that the example names.
    named: BTreeSet<String>,
    /// The labels that choose the gateway.
    gateway: BTreeMap<String, String>,
}

impl Names {
    pub(super) fn new(
        base: String,
        named: BTreeSet<String>,
        gateway: BTreeMap<String, String>,
    ) -> Self {
        Self {
            base,
            named,
            gateway,
        }
    }

    /// The name of a namespace on the cluster.
    pub(super) fn namespace(&self, name: Option<&str>) -> String {
        match name {
            None | Some("default") => self.base.clone(),
            Some(name) => format!("{}-{name}", self.base),
        }
    }

    /// All namespaces on the cluster.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        let named = self.named.iter().map(|it| self.namespace(Some(it)));
        named.chain([self.base.clone()]).collect()
    }

    /// The labels of the gateway's pods on the cluster.
    pub(super) fn gateway(&self) -> BTreeMap<String, String> {
        let labels = self.gateway.iter();
        labels
            .map(|(key, value)| (key.clone(), self.gateway_value(value)))
            .collect()
    }

    fn gateway_value(&self, value: &str) -> String {
        format!("{value}-{}", self.base)
    }

    /// Puts them into a resource.
    pub(super) fn put_into(&self, value: &mut Value, key: &str) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let chooses = value
                        .as_str()
                        .is_some_and(|it| self.gateway.get(key).is_some_and(|label| label == it));
                    match value {
                        Value::String(text) if chooses => *text = self.gateway_value(text),
                        value => self.put_into(value, key),
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.put_into(item, key);
                }
            }
            Value::String(text) => *text = self.in_text(text, key),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn in_text(&self, text: &str, key: &str) -> String {
        let default = "default".to_owned();
        let mut names = self.named.iter().chain([&default]);
        let found = names.find_map(|name| {
            if NAMESPACES.contains(&key) && text == name {
                return Some(self.namespace(Some(name)));
            }
            self.in_reference(text, name)
        });
        found.unwrap_or_else(|| text.to_owned())
    }

    /// `NAMESPACE/name`, `host.NAMESPACE`, `host.NAMESPACE.svc…`, `…/ns/NAMESPACE/sa/…`.
    fn in_reference(&self, text: &str, name: &str) -> Option<String> {
        let put = self.namespace(Some(name));
        if let Some(rest) = text.strip_prefix(name)
            && rest.starts_with('/')
        {
            return Some(format!("{put}{rest}"));
        }
        if let Some((before, rest)) = text.split_once(&format!("/ns/{name}/")) {
            return Some(format!("{before}/ns/{put}/{rest}"));
        }
        let (host, rest) = text.split_once('.')?;
        let rest = rest.strip_prefix(name)?;
        let ends = rest.is_empty() || rest.starts_with(".svc");
        ends.then(|| format!("{host}.{put}{rest}"))
    }

    /// Puts them into a URL's host.
    pub(super) fn in_host(&self, host: &str) -> String {
        self.in_text(host, "host")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn namespaces_and_the_gateways_label_are_put_in_and_nothing_else() {
        let names = Names::new(
            "r".to_owned(),
            BTreeSet::from(["shop".to_owned()]),
            BTreeMap::from([("istio".to_owned(), "ingress".to_owned())]),
        );
        let mut value = json!({
            "metadata": {"name": "shop", "namespace": "shop"},
            "hosts": ["shop.example.com", "a.shop", "a.shop.svc.cluster.local", "a.default.svc.cluster.local"],
            "gateways": ["shop/public", "mesh"],
            "from": {"namespaces": ["shop", "other"], "principals": ["cluster.local/ns/shop/sa/a"]},
            "selector": {"istio": "ingress", "app": "ingress"},
        });
        names.put_into(&mut value, "");
        let expected = json!({
            "metadata": {"name": "shop", "namespace": "r-shop"},
            "hosts": ["shop.example.com", "a.r-shop", "a.r-shop.svc.cluster.local", "a.r.svc.cluster.local"],
            "gateways": ["r-shop/public", "mesh"],
            "from": {"namespaces": ["r-shop", "other"], "principals": ["cluster.local/ns/r-shop/sa/a"]},
            "selector": {"istio": "ingress-r", "app": "ingress"},
        });
        assert_eq!(value, expected);
        assert_eq!(
            names.namespaces(),
            ["r".to_owned(), "r-shop".to_owned()].into()
        );
    }
}
