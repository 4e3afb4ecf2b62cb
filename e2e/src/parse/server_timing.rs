//! The `server-timing` field (W3C Server Timing): `name;dur=1.5;desc="text", …`.

use anyhow::{Context as _, Result, bail};

/// One metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Duration in milliseconds.
    pub duration: Option<f64>,
    /// Description.
    pub description: Option<String>,
}

/// Reads a field value.
///
/// # Errors
/// When it does not follow the specification's grammar. Browsers pass over what they cannot read; a
/// test must not.
pub fn parse(value: &str) -> Result<Vec<Metric>> {
    split(value, ',')?.into_iter().map(metric).collect()
}

fn metric(text: &str) -> Result<Metric> {
    let mut parts = split(text, ';')?.into_iter();
    let name = parts.next().unwrap_or_default().trim();
    let mut metric = Metric {
        name: token(name)?.to_owned(),
        ..Metric::default()
    };
    for parameter in parts {
        let (key, value) = parameter
            .split_once('=')
            .with_context(|| format!("server-timing parameter without a value: {parameter:?}"))?;
        let value = unquote(value.trim())?;
        match token(key.trim())? {
            "dur" => {
                let duration = value.parse().with_context(|| format!("dur={value:?}"))?;
                metric.duration = Some(duration);
            }
            "desc" => metric.description = Some(value),
            _ => {}
        }
    }
    Ok(metric)
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: char) -> Result<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.extend(text.get(start..at));
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    if quoted {
        bail!("server-timing has an open quote: {text:?}");
    }
    parts.extend(text.get(start..));
    Ok(parts)
}

fn token(text: &str) -> Result<&str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        bail!("not a token in server-timing: {text:?}");
    }
    Ok(text)
}

fn unquote(value: &str) -> Result<String> {
    let Some(inner) = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return token(value).map(ToOwned::to_owned);
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.push(match c {
            '\\' => characters
                .next()
                .context("server-timing ends in an escape")?,
            other => other,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_descriptions_are_read() {
        let metrics =
            parse(r#"faultline;dur=1000.2;desc="timeout", attempts;desc="3, \"so\"""#).unwrap();
        assert_eq!(metrics[0].name, "faultline");
        assert_eq!(metrics[0].duration, Some(1000.2));
        assert_eq!(metrics[0].description.as_deref(), Some("timeout"));
        assert_eq!(metrics[1].name, "attempts");
        assert_eq!(metrics[1].description.as_deref(), Some("3, \"so\""));
    }

    #[test]
    fn what_is_not_the_grammar_is_refused() {
        for value in [
            "",
            "a b",
            "a;dur",
            "a;dur=x",
            "a;desc=\"open",
            "a,,b",
            "a;desc=two words",
            ";dur=1",
        ] {
            assert!(parse(value).is_err(), "{value:?}");
        }
    }
}
