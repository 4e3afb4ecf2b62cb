//! mTLS on both sides, by SPIFFE names.

use serde_json::{Value, json};

use super::{Files, text};
use crate::mesh::Service;
use crate::topology::Identity;

/// The caller's side: shows who calls, and wants the service's own identity.
pub(super) fn upstream(files: &Files, caller: &Identity, service: Service) -> Value {
    let called = Identity::of(service).to_string();
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": format!("outbound_.8080_._.{}", service.host()),
            "common_tls_context": common(files, caller, &json!({"exact": called}), &["istio"]),
        },
    })
}

/// The called side: no certificate of the mesh, no connection.
pub(super) fn downstream(files: &Files, own: &Identity) -> Value {
    let callers = json!({"prefix": Identity::prefix()});
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "common_tls_context": common(files, own, &callers, &["h2", "http/1.1"]),
        },
    })
}

fn common(files: &Files, own: &Identity, peer: &Value, protocols: &[&str]) -> Value {
    json!({
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
        "alpn_protocols": protocols,
        "tls_certificates": [{
            "certificate_chain": {"filename": text(&files.certificate(own))},
            "private_key": {"filename": text(&files.key(own))},
        }],
        "validation_context": {
            "trusted_ca": {"filename": text(&files.authority())},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}],
        },
    })
}
