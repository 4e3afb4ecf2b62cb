//! Authorization policies as Envoy's RBAC filter, in the form that Istio gives them.

use serde_json::{Map, Value, json};

use crate::mesh::Service;
use crate::mesh::resource::{AuthorizationPolicy, Rule};
use crate::topology::{Identity, NAMESPACE};

impl AuthorizationPolicy {
    /// Every account that its rules name, as they name it.
    #[must_use]
    pub fn accounts(&self) -> Vec<&str> {
        self.rules.iter().flat_map(accounts).collect()
    }
}

fn accounts(rule: &Rule) -> impl Iterator<Item = &str> {
    rule.from
        .iter()
        .flat_map(|from| from.source.service_accounts.iter().map(String::as_str))
}

/// The filter that refuses what no rule allows.
pub(super) fn filter(policy: &AuthorizationPolicy, of: Service) -> Value {
    let policies: Map<String, Value> = policy
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let name = format!("ns[{NAMESPACE}]-policy[{}]-rule[{index}]", of.workload());
            (name, allowed(rule))
        })
        .collect();
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": policies},
        },
    })
}

fn allowed(rule: &Rule) -> Value {
    let permissions: Vec<Value> = rule
        .to
        .iter()
        .map(|to| {
            let methods = to.operation.methods.iter().map(
                |method| json!({"header": {"name": ":method", "string_match": {"exact": method}}}),
            );
            let paths = to
                .operation
                .paths
                .iter()
                .map(|path| json!({"url_path": {"path": {"exact": path}}}));
            json!({"and_rules": {"rules": [
                {"or_rules": {"rules": methods.collect::<Vec<_>>()}},
                {"or_rules": {"rules": paths.collect::<Vec<_>>()}},
            ]}})
        })
        .collect();
    let principals: Vec<Value> = accounts(rule)
        .map(|account| {
            let Identity { namespace, account } = Identity::of_account(account);
            let regex = format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?");
            json!({"authenticated": {"principal_name": {"safe_regex": {"regex": regex}}}})
        })
        .collect();
    json!({
        "permissions": permissions,
        "principals": [{"and_ids": {"ids": [{"or_ids": {"ids": principals}}]}}],
    })
}
