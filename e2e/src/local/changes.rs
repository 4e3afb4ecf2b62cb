//! Changes to the listeners, always undone.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Local;
use crate::part::Piece;

impl Local {
    /// Takes a piece out of the listeners until [`Self::restore`].
    ///
    /// # Errors
    /// When the listeners cannot be read or written, or hold no such piece.
    pub async fn take_out(&self, piece: Piece) -> Result<()> {
        let path = self.run()?.listeners;
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut listeners: Value = serde_json::from_str(&text).context("the listeners")?;
        let taken = match piece {
            Piece::Delay => without_delay(&mut listeners),
            Piece::GatewayPlugin => without_gateway_plugin(&mut listeners),
        };
        anyhow::ensure!(
            taken > 0,
            "the listeners have no {piece:?} that could be taken out"
        );
        let mut saved = self.saved.lock().await;
        saved.get_or_insert(text);
        put(&path, &listeners.to_string())
    }

    /// Puts back what was taken out.
    ///
    /// # Errors
    /// When the listeners cannot be written.
    pub async fn restore(&self) -> Result<()> {
        let mut saved = self.saved.lock().await;
        if let Some(text) = saved.as_deref() {
            put(&self.run()?.listeners, text)?;
            *saved = None;
        }
        Ok(())
    }
}

/// Envoy takes a file that is moved into place; it would read a file that is written there half.
fn put(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("suite");
    fs::write(&fresh, text).with_context(|| format!("writing {}", fresh.display()))?;
    fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))
}

/// How many routes had one.
fn without_delay(value: &mut Value) -> usize {
    match value {
        Value::Object(fields) => {
            let own = usize::from(fields.remove("typed_per_filter_config").is_some());
            own + fields.values_mut().map(without_delay).sum::<usize>()
        }
        Value::Array(items) => items.iter_mut().map(without_delay).sum(),
        _ => 0,
    }
}

/// How many filters went.
fn without_gateway_plugin(value: &mut Value) -> usize {
    match value {
        Value::Object(fields) => fields.values_mut().map(without_gateway_plugin).sum(),
        Value::Array(items) => {
            let before = items.len();
            items.retain(|item| {
                item.get("name")
                    .is_none_or(|name| name != "faultline.gateway")
            });
            let own = before - items.len();
            own + items.iter_mut().map(without_gateway_plugin).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pieces_are_taken_out_wherever_they_are() {
        let mut listeners = json!({"resources": [
            {"http_filters": [{"name": "faultline.gateway"}, {"name": "router"}]},
            {"routes": [{"typed_per_filter_config": {"fault": 1}, "name": "a"}, {"name": "b"}]},
        ]});
        assert_eq!(without_delay(&mut listeners), 1);
        assert_eq!(without_gateway_plugin(&mut listeners), 1);
        let expected = json!({"resources": [
            {"http_filters": [{"name": "router"}]},
            {"routes": [{"name": "a"}, {"name": "b"}]},
        ]});
        assert_eq!(listeners, expected);
        assert_eq!(without_delay(&mut listeners), 0);
    }
}
