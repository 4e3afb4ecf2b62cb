//! What both sides must agree on: a value for each named field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// By the field's name, every value that is somewhere in force: one, if all is well.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<String, BTreeSet<String>>);

impl Facts {
    pub(crate) fn add(&mut self, field: impl Into<String>, value: impl ToString) {
        self.0
            .entry(field.into())
            .or_default()
            .insert(value.to_string());
    }

    /// The value at a pointer, or that there is none: in one of several places that would not show else.
    pub(crate) fn take(&mut self, field: impl Into<String>, from: &Value, pointer: &str) {
        self.add(field, from.pointer(pointer).map_or_else(none, text));
    }

    /// Several values that hold together.
    pub(crate) fn all(&mut self, field: impl Into<String>, values: &BTreeSet<String>) {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        self.add(field, values.join(", "));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// That there is no value.
pub(crate) fn none() -> String {
    "none".to_owned()
}

/// A text as it is, anything else as JSON.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Milliseconds of `1s`, `400ms` or `0.400s`.
pub(crate) fn millis(duration: &Value) -> String {
    let text = duration.as_str().expect("a duration is a text");
    let (number, unit) = text.strip_suffix("ms").map_or_else(
        || (text.trim_end_matches('s'), 1000.0),
        |number| (number, 1.0),
    );
    let number: f64 = number.parse().expect("a number");
    format!("{} ms", number * unit)
}

/// One line for each field in which they differ, beginning with its name.
pub(crate) fn differences(istio: &Facts, envoy: &Facts) -> Vec<String> {
    let fields: BTreeSet<&String> = istio.0.keys().chain(envoy.0.keys()).collect();
    let nothing = BTreeSet::new();
    fields
        .into_iter()
        .filter_map(|field| {
            let [istio, envoy] = [istio, envoy].map(|side| side.0.get(field).unwrap_or(&nothing));
            (istio != envoy)
                .then(|| format!("{field}: istio/ says {istio:?}, local mode {envoy:?}"))
        })
        .collect()
}
