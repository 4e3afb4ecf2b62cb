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

    /// Whether this line is of the request with this `x-request-id`, at whichever hop.
    #[must_use]
    pub fn is_of(&self, id: &str) -> bool {
        let own = self.text("request_id");
        own.is_some_and(|own| without_note(own) == without_note(id))
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

/// What an `x-request-id` has of its own. The version of the UUID, its 15th character, is Envoy's: each proxy on the way
/// notes there why it traces the request, where it does.
fn without_note(id: &str) -> (&str, &str) {
    let split = id.get(..14).zip(id.get(15..));
    split.unwrap_or((id, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_where_it_is_traced() {
        let id = "7ff8b0ad-4a4a-4e4e-8e59-f89b0a1d4c37";
        let line = &lines(&format!("{{\"request_id\":\"{id}\"}}"))[0];
        assert!(line.is_of(id) && line.is_of("7ff8b0ad-4a4a-9e4e-8e59-f89b0a1d4c37"));
        for other in [
            "7ff8b0ad-4a4a-4e4e-8e59-f89b0a1d4c38",
            "8ff8b0ad-4a4a-4e4e-8e59-f89b0a1d4c37",
            "7ff8b0ad-4a4a",
            "",
        ] {
            assert!(!line.is_of(other), "{other}");
        }
    }

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
