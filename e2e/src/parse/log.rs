//! The applications' JSON logs: one flat object per line.

use serde_json::Value;

/// One line of an application's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line(Value);

/// Reads a log. Lines that are not JSON objects (a runtime's last words) are passed over.
#[must_use]
pub fn lines(text: &str) -> Vec<Line> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(Value::is_object)
        .map(Line)
        .collect()
}

impl Line {
    /// A field's text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// A field's number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.0.get(field)?.as_u64()
    }

    /// Whether this line reports a finished request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.text("message") == Some("request")
    }

    /// Whether this line reports a request whose user agent begins with `marker`.
    #[must_use]
    pub fn is_from(&self, marker: &str) -> bool {
        self.is_request()
            && self
                .text("user_agent")
                .is_some_and(|agent| agent.starts_with(marker))
    }

    /// Whether the text occurs anywhere in the line.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        fn within(value: &Value, text: &str) -> bool {
            match value {
                Value::String(string) => string.contains(text),
                Value::Array(items) => items.iter().any(|item| within(item, text)),
                Value::Object(fields) => fields.values().any(|field| within(field, text)),
                Value::Null | Value::Bool(_) | Value::Number(_) => false,
            }
        }
        within(&self.0, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_by_their_marker() {
        let lines = lines(concat!(
            "{\"message\":\"request\",\"user_agent\":\"m/1\",\"status\":499,\"attempt\":2}\n",
            "thread panicked\n",
            "[1]\n",
            "{\"message\":\"entry accepted\",\"id\":\"x\",\"user_agent\":\"m/1\"}\n",
            "{\"message\":\"request\",\"user_agent\":null,\"attempt\":null}\n",
        ));
        assert_eq!(lines.len(), 3);
        let found: Vec<_> = lines.iter().filter(|line| line.is_from("m/")).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].number("attempt"), found[0].number("status")),
            (Some(2), Some(499))
        );
        assert_eq!(lines[2].number("attempt"), None);
        assert!(lines[1].mentions("x") && !lines[2].mentions("x"));
    }
}
