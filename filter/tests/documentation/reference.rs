//! The configuration reference: `filter/schema.json` as Markdown.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The reference: a table for the configuration itself, one for each object in `$defs`, and a paragraph for each text
/// there.
pub(crate) fn markdown(schema: &Value) -> String {
    let mut out = String::from("\n");
    writeln!(out, "{}\n", text(schema, "description")).unwrap();
    table(&mut out, schema);
    for (name, definition) in object(schema, "$defs") {
        match text(definition, "type") {
            "object" => {
                writeln!(out, "\n`{name}`:\n").unwrap();
                table(&mut out, definition);
            }
            "string" => writeln!(
                out,
                "\n`{name}`: {} At most {} characters.",
                text(definition, "description"),
                definition["maxLength"]
            )
            .unwrap(),
            other => panic!("{name}: no words for a definition of type {other}"),
        }
    }
    out.push('\n');
    out
}

fn table(out: &mut String, schema: &Value) {
    assert_eq!(
        schema["additionalProperties"], false,
        "unknown keys are refused"
    );
    out.push_str("| key | value | without it | |\n| --- | --- | --- | --- |\n");
    let mut rows: Vec<_> = object(schema, "properties").iter().collect();
    // A schema's keys have no order: what must be there comes first.
    rows.sort_by_key(|(key, _)| {
        (
            !is_required(schema, key),
            alternatives(schema, key).is_empty(),
        )
    });
    for (key, property) in rows {
        let absent = match (property.get("default"), alternatives(schema, key)) {
            _ if is_required(schema, key) => "refused".to_owned(),
            (Some(default), _) => code(default),
            (None, others) if others.is_empty() => String::new(),
            (None, others) => format!("{} must be there", others.join(" or ")),
        };
        let needs = match schema["dependentRequired"][key].as_array() {
            Some(needed) => format!(" Needs {}.", list(&Value::Array(needed.clone()))),
            None => String::new(),
        };
        let cells = format!(
            "`{key}` | {} | {absent} | {}{needs}",
            value(property),
            text(property, "description")
        );
        writeln!(out, "| {cells} |").unwrap();
    }
}

/// What a value may be. Panics at a keyword it has no words for, so that none is left out in silence.
fn value(schema: &Value) -> String {
    let mut keywords: Vec<&str> = schema
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keywords.retain(|keyword| !["description", "default"].contains(keyword));
    keywords.sort_unstable();
    match keywords.as_slice() {
        ["enum"] => list(&schema["enum"]),
        ["type"] if schema["type"] == "boolean" => "`true` or `false`".to_owned(),
        ["$ref"] => reference(schema),
        ["anyOf"] => {
            let all = schema["anyOf"].as_array().unwrap();
            all.iter().map(value).collect::<Vec<_>>().join(" or ")
        }
        ["$ref", "pattern"] => format!(
            "{} that matches {}",
            reference(schema),
            code(&schema["pattern"])
        ),
        ["pattern", "type"] => format!("text that matches {}", code(&schema["pattern"])),
        ["items", "maxItems", "minItems", "type"] => items(schema, ""),
        ["items", "maxItems", "minItems", "type", "uniqueItems"] => items(schema, "different "),
        other => panic!("no words for {other:?} in {schema:#}"),
    }
}

fn items(schema: &Value, kind: &str) -> String {
    let (least, most) = (&schema["minItems"], &schema["maxItems"]);
    format!(
        "list of {least} to {most}, each a {kind}{}",
        value(&schema["items"])
    )
}

/// A name in `$defs`.
fn reference(schema: &Value) -> String {
    let name = text(schema, "$ref")
        .strip_prefix("#/$defs/")
        .expect("a definition");
    format!("`{name}`")
}

fn list(values: &Value) -> String {
    let values: Vec<_> = values.as_array().unwrap().iter().map(code).collect();
    values.join(" or ")
}

fn is_required(schema: &Value, key: &str) -> bool {
    schema["required"]
        .as_array()
        .is_some_and(|keys| keys.iter().any(|one| one == key))
}

/// The other keys of which exactly one must be there, if this is one of them.
fn alternatives(schema: &Value, key: &str) -> Vec<String> {
    let Some(alternatives) = schema["oneOf"].as_array() else {
        return Vec::new();
    };
    let keys: Vec<&Value> = alternatives.iter().map(|one| &one["required"][0]).collect();
    if !keys.iter().any(|one| *one == key) {
        return Vec::new();
    }
    keys.into_iter()
        .filter(|one| *one != key)
        .map(code)
        .collect()
}

/// A value as code in a table's cell.
fn code(value: &Value) -> String {
    let plain = value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned);
    format!("`{}`", plain.replace('|', "\\|"))
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {schema:#}"))
}

fn object<'a>(schema: &'a Value, key: &str) -> &'a Map<String, Value> {
    schema[key]
        .as_object()
        .unwrap_or_else(|| panic!("no {key} in {schema:#}"))
}
