//! YAML as JSON values, for what is handed on as it is.

use serde_json::{Map, Number, Value as Json};

use crate::yaml::{self, Limits, Node, Refused, Value};

/// Every document of a text.
///
/// # Errors
/// The first that cannot be read.
pub fn documents(text: &str) -> Result<Vec<Json>, Refused> {
    let read = yaml::read(text, Limits::default());
    read.into_iter().map(|it| it.map(|it| json(&it))).collect()
}

/// A value as JSON.
#[must_use]
pub fn json(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter();
            Json::Object(
                entries
                    .map(|entry| (entry.key.to_string(), json(&entry.node)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Scalar { text, .. } => scalar(node, text),
    }
}

fn scalar(node: &Node, text: &str) -> Json {
    if let Some(string) = node.string() {
        string.into()
    } else if node.is_null() {
        Json::Null
    } else if let Some(boolean) = node.boolean() {
        boolean.into()
    } else if let Some(integer) = node.integer() {
        integer.into()
    } else {
        let number = node.number().and_then(Number::from_f64);
        number.map_or_else(|| text.into(), Json::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::documents;
    use serde_json::json;

    #[test]
    fn each_scalar_keeps_its_type() {
        let text = "a: 1\nb: 1.5\nc: \"1\"\nd: true\ne: ~\nf: [x, {g: 1s}]\n---\n- 'true'\n";
        let expected = [
            json!({"a": 1, "b": 1.5, "c": "1", "d": true, "e": null, "f": ["x", {"g": "1s"}]}),
            json!(["true"]),
        ];
        assert_eq!(documents(text).unwrap(), expected);
    }
}
