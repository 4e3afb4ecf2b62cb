//! Which Envoy a proxy is.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The minor version, such as 39, of Envoy's `/server_info`, which says `REVISION/1.39.3/Clean/RELEASE/BoringSSL`.
///
/// # Errors
/// When the page is not of its form.
pub fn minor(server_info: &str) -> Result<u32> {
    let server: Value = serde_json::from_str(server_info).context("server_info is not JSON")?;
    let build = server.get("version").and_then(Value::as_str);
    let build = build.context("server_info names no version")?;
    let minor = build
        .split('/')
        .nth(1)
        .and_then(|version| version.split('.').nth(1)?.parse().ok());
    minor.with_context(|| format!("{build} is no version of Envoy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read() {
        let of = |version: &str| minor(&format!(r#"{{"version": "{version}"}}"#));
        assert_eq!(of("c0ffee/1.39.3/Clean/RELEASE/BoringSSL").unwrap(), 39);
        assert_eq!(
            of("c0ffee/1.40.1-dev/Modified/RELEASE/BoringSSL").unwrap(),
            40
        );
        for other in ["", "1.39.3", "c0ffee/latest/Clean"] {
            assert!(of(other).is_err(), "{other}");
        }
        assert!(minor("{}").is_err());
    }
}
