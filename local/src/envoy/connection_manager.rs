//! The HTTP connection manager, as Istio sets it up for each kind of listener.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::text;

/// The kind of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The gateway: its callers are strangers.
    Gateway,
    /// In front of an application: its callers are proxies with a certificate.
    Inbound,
    /// Behind an application: its caller is the application.
    Outbound,
}

impl Kind {
    fn fields(self) -> Value {
        match self {
            Self::Gateway => json!({
                "server_name": "istio-envoy",
                "use_remote_address": true,
                "forward_client_cert_details": "SANITIZE_SET",
                "set_current_client_cert_details": {"subject": true, "cert": true, "dns": true, "uri": true},
            }),
            Self::Inbound => json!({
                "server_name": "istio-envoy",
                "use_remote_address": false,
                "forward_client_cert_details": "APPEND_FORWARD",
                "set_current_client_cert_details": {"subject": true, "dns": true, "uri": true},
            }),
            Self::Outbound => json!({"use_remote_address": false}),
        }
    }
}

/// A listener's network filter.
pub(super) fn filter(
    kind: Kind,
    name: &str,
    routes: &Value,
    filters: &[Value],
    access_logs: &[Value],
) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": routes,
        "http_filters": filters,
        "access_log": access_logs,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "proxy_100_continue": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "request_id_extension": {"typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "use_request_id_for_trace_sampling": true,
        }},
    });
    if let (Some(config), Value::Object(fields)) = (config.as_object_mut(), kind.fields()) {
        config.extend(fields);
    }
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": config})
}

/// An access log: a JSON object of these fields per request.
pub(super) fn access_log(path: &Path, fields: &Map<String, Value>) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": text(path),
            "log_format": {"json_format": fields},
        },
    })
}
