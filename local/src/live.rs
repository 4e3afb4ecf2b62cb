//! A line per request, out of the gateway's access log.

use jiff::Timestamp;
use serde_json::Value;

use crate::console::{Colour, Paint};

/// The line above the first request.
pub const HEAD: &str = "time (UTC)    method  path                      status  attempts  outcome             duration";

/// A line of the access log as a person reads it; `None` if it is not one, or of a request that came
/// before `since`.
#[must_use]
pub fn line(json: &str, since: Timestamp, colour: Colour) -> Option<String> {
    let entry: Value = serde_json::from_str(json).ok()?;
    let began: Option<Timestamp> = entry.get("time")?.as_str()?.parse().ok();
    if began.is_none_or(|began| began < since) {
        return None;
    }
    let field = |name: &str| match entry.get(name) {
        Some(Value::String(text)) => printable(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    let status = field("status");
    let shown = colour.paint(paint(&status), &format!("{status:>6}"));
    Some(format!(
        "{:12}  {:6}  {:24}  {shown}  {:>8}  {:18}  {:>5} ms",
        time(&field("time")),
        field("method"),
        field("path"),
        field("attempts"),
        field("outcome"),
        field("duration_ms"),
    ))
}

fn paint(status: &str) -> Paint {
    match status.as_bytes().first() {
        Some(b'2') => Paint::Green,
        Some(b'5') => Paint::Red,
        _ => Paint::Yellow,
    }
}

/// `12:03:59.123` of `2026-11-22T12:03:59.123Z`.
fn time(text: &str) -> &str {
    let clock = text.split_once('T').map_or(text, |(_, clock)| clock);
    clock.trim_end_matches('Z')
}

/// What a caller sent must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '?'
            } else {
                character
            }
        })
        .take(120)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"time":"2026-11-22T12:03:59.123Z","method":"GET","path":"/log","status":504,
        "attempts":3,"outcome":"timeout","duration_ms":1001,"flags":"UT"}"#;

    #[test]
    fn a_request_is_a_line_below_the_head() {
        let line = line(ENTRY, Timestamp::UNIX_EPOCH, Colour::Off).unwrap();
        let expected = "12:03:59.123  GET     /log                         504         3  timeout              1001 ms";
        assert_eq!(line, expected);
        for (title, value) in [("method", "GET"), ("path", "/log"), ("outcome", "timeout")] {
            assert_eq!(HEAD.find(title), line.find(value), "{title}");
        }
    }

    #[test]
    fn what_is_absent_is_a_dash_and_what_steers_is_not_shown() {
        let entry = r#"{"time":"2026-11-22T12:03:59.123Z","path":"/\u001b[2J","outcome":null,"status":200}"#;
        let shown = line(entry, Timestamp::UNIX_EPOCH, Colour::Off).unwrap();
        assert!(
            shown.contains("/?[2J") && !shown.contains('\x1b'),
            "{shown}"
        );
        assert!(shown.contains("  -  "), "{shown}");
        assert_eq!(line("not JSON", Timestamp::UNIX_EPOCH, Colour::Off), None);
    }

    #[test]
    fn what_came_before_is_not_shown() {
        let later = "2026-11-22T12:04:00Z".parse().unwrap();
        assert_eq!(line(ENTRY, later, Colour::Off), None);
    }

    #[test]
    fn only_the_status_is_coloured() {
        let shown = line(ENTRY, Timestamp::UNIX_EPOCH, Colour::On).unwrap();
        assert!(shown.contains("\x1b[31m   504\x1b[0m"));
    }
}
