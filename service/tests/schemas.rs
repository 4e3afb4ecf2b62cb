//! The schemas of the types and what the types take are the same, but for bounds in bytes: a schema counts characters.
#![cfg(test)]

use faultline_service::cursor::Cursor;
use faultline_service::entry::{Level, Message, Source};
use faultline_service::query::{Limit, LogQuery, Substring};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use utoipa::{IntoParams, PartialSchema};

fn schema<T: PartialSchema>() -> Validator {
    let schema = serde_json::to_value(T::schema()).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Checks that a text is taken where its schema allows it, and there alone.
fn same<T: PartialSchema>(text: &str, max_bytes: usize, taken: bool) {
    let allowed = schema::<T>().is_valid(&json!(text)) && text.len() <= max_bytes;
    assert_eq!(allowed, taken, "{text:?}");
}

#[test]
fn bounds_are_the_types_own() {
    for length in [0, 1, 253, 254, 1024, 1025, 61_440, 61_441] {
        let text = "x".repeat(length);
        let taken = Message::try_from(text.clone()).is_ok();
        same::<Message>(&text, Message::MAX_BYTES, taken);
        let taken = Source::try_from(text.clone()).is_ok();
        same::<Source>(&text, Source::MAX_BYTES, taken);
        let taken = Cursor::try_from(text.clone()).is_ok();
        same::<Cursor>(&text, Cursor::MAX_BYTES, taken);
        let taken = Substring::try_from(text.as_str()).is_ok();
        same::<Substring>(&text, Substring::MAX_BYTES, taken);
    }
    for limit in [0, 1, 100, 1000, 1001] {
        let taken = Limit::try_from(limit.to_string().as_str()).is_ok();
        assert_eq!(schema::<Limit>().is_valid(&json!(limit)), taken, "{limit}");
    }
}

#[test]
fn a_query_has_the_parameters_that_it_describes() {
    let parameters = serde_json::to_value(LogQuery::into_params(|| None)).unwrap();
    let names = parameters.as_array().unwrap().iter();
    let names: Vec<&str> = names
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["limit", "id", "after", "level", "q"]);
    for name in names {
        let refusal = LogQuery::parse(&format!("{name}=")).unwrap_err();
        assert!(!refusal.detail().contains("unknown"), "{refusal:?}");
    }
    let refusal = LogQuery::parse("colour=red").unwrap_err();
    assert!(
        refusal
            .detail()
            .ends_with("there are limit, after, level, q and id")
    );
}

proptest! {
    #[test]
    fn texts_are_taken_as_described(text in "(?s).{0,20}|[A-Za-z0-9._~-]{1,140}|[a-z]{3,6}") {
        same::<Source>(&text, Source::MAX_BYTES, Source::try_from(text.clone()).is_ok());
        same::<Cursor>(&text, Cursor::MAX_BYTES, Cursor::try_from(text.clone()).is_ok());
        let level: Result<Level, _> = serde_json::from_value(Value::from(text.as_str()));
        same::<Level>(&text, usize::MAX, level.is_ok());
    }
}
