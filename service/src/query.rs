//! The query of `GET /logs`: text in, a typed query or the name of the bad parameter out.

use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema};
use uuid::Uuid;

use crate::cursor::Cursor;
use crate::entry::{Invalid, Level};
use crate::openapi::text;
use crate::problem::Problem;

/// Which entries `GET /logs` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// How many at most.
    #[param(inline, required = false)]
    pub limit: Limit,
    /// Only the entry of this id; goes with no other condition.
    #[param(required = false, nullable = false)]
    pub id: Option<Uuid>,
    /// Only entries stored before this place.
    #[param(inline, required = false, nullable = false)]
    pub after: Option<Cursor>,
    /// Only entries of exactly this level.
    #[param(inline, required = false, nullable = false)]
    pub level: Option<Level>,
    /// Only entries whose message contains this text, byte for byte.
    #[param(inline, rename = "q", required = false, nullable = false)]
    pub contains: Option<Substring>,
}

/// How many entries one page holds at most: 1 to 1,000, and 100 when nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// A single entry.
    pub const ONE: Self = Self(1);

    /// The most.
    pub const MAX: Self = Self(1000);

    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<&str> for Limit {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(limit) if (Self::ONE.0..=Self::MAX.0).contains(&limit) => Ok(Self(limit)),
            _ => Err(Invalid("expected a whole number from 1 to 1000")),
        }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(Self::ONE.0))
            .maximum(Some(Self::MAX.0))
            .default(Some(Self::default().0.into()))
            .into()
    }
}

/// A text to look for: 1 to [`Substring::MAX_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substring(String);

impl Substring {
    /// The longest text to look for, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Substring {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        match text.len() {
            0 => Err(Invalid(
                "must not be empty; leave it out to find everything",
            )),
            1..=Self::MAX_BYTES => Ok(Self(text.to_owned())),
            _ => Err(Invalid("must be at most 1024 bytes")),
        }
    }
}

impl PartialSchema for Substring {
    fn schema() -> RefOr<Schema> {
        text(Self::MAX_BYTES, "").into()
    }
}

impl LogQuery {
    /// Reads the query of a URL (without `?`).
    ///
    /// # Errors
    /// A 400 naming the parameter that is unknown, given twice, not UTF-8 or not what it must be.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        refuse_other_than_utf8(query)?;
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                _ if seen.contains(&name) => {
                    return Err(Problem::bad_field(name, "given more than once"));
                }
                "limit" => parsed.limit = named(&name, Limit::try_from(value.as_ref()))?,
                "id" => parsed.id = Some(named(&name, entry_id(&value))?),
                "after" => parsed.after = Some(named(&name, value.into_owned().try_into())?),
                "level" => parsed.level = Some(named(&name, value.parse())?),
                "q" => parsed.contains = Some(named(&name, Substring::try_from(value.as_ref()))?),
                _ => {
                    let reason = "unknown parameter; there are limit, after, level, q and id";
                    return Err(Problem::bad_field(name, reason));
                }
            }
            seen.push(name);
        }
        let others = parsed.after.is_some() || parsed.level.is_some() || parsed.contains.is_some();
        if parsed.id.is_some() && others {
            return Err(Problem::bad_field("id", "goes with no other condition"));
        }
        Ok(parsed)
    }

    /// The query for one entry.
    pub fn of(id: Uuid) -> Self {
        Self {
            limit: Limit::ONE,
            id: Some(id),
            ..Self::default()
        }
    }

    /// The query of a URL (without `?`) that [`LogQuery::parse`] reads back as this.
    pub fn to_query_string(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.get().to_string());
        if let Some(id) = self.id {
            query.append_pair("id", &id.to_string());
        }
        if let Some(cursor) = &self.after {
            query.append_pair("after", cursor.as_str());
        }
        if let Some(level) = self.level {
            query.append_pair("level", level.as_str());
        }
        if let Some(text) = &self.contains {
            query.append_pair("q", text.as_str());
        }
        query.finish()
    }
}

/// The form decoder replaces what is not UTF-8, and would then look for the replacement.
fn refuse_other_than_utf8(query: &str) -> Result<(), Problem> {
    let decodes = |text| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .is_ok()
    };
    match query.split('&').find(|pair| !decodes(pair)) {
        None => Ok(()),
        Some(pair) => {
            let name = pair.split('=').next().unwrap_or_default();
            Err(Problem::bad_field(name, "must be UTF-8"))
        }
    }
}

fn entry_id(text: &str) -> Result<Uuid, Invalid> {
    Uuid::try_parse(text).map_err(|_| Invalid("expected an entry's id"))
}

fn named<T>(name: &str, value: Result<T, Invalid>) -> Result<T, Problem> {
    value.map_err(|invalid| Problem::bad_field(name, invalid))
}

impl<S: Sync> FromRequestParts<S> for LogQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=ten", "limit"),
            ("limit=+5", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("after=", "after"),
            ("after=a+b", "after"),
            ("id=newest", "id"),
            ("id=018f0000-0000-7000-8000-000000000000&level=info", "id"),
            ("level=INFO", "level"),
            ("level=loud", "level"),
            ("q=", "q"),
            ("q=%ff", "q"),
            ("order=asc", "order"),
            ("a%26b=1", "a&b"),
        ] {
            let problem = LogQuery::parse(query).expect_err(query);
            assert_eq!(problem, problem.clone().about(field), "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_query_is_read_back_as_it_was_written(
            limit in 1..=1000_u16,
            after in prop::option::of("[A-Za-z0-9._~-]{1,128}"),
            level in prop::option::of(prop::sample::select(vec!["trace", "debug", "info", "warn", "error"])),
            text in prop::option::of("(?s).{1,200}"),
        ) {
            let query = LogQuery {
                limit: Limit(limit),
                id: None,
                after: after.map(|text| text.try_into().unwrap()),
                level: level.map(|name| name.parse().unwrap()),
                contains: text.map(|text| Substring::try_from(text.as_str()).unwrap()),
            };
            prop_assert_eq!(LogQuery::parse(&query.to_query_string()), Ok(query));
        }

        #[test]
        fn the_query_for_one_entry_is_read_back(id: u128) {
            let query = LogQuery::of(Uuid::from_u128(id));
            prop_assert_eq!(LogQuery::parse(&query.to_query_string()), Ok(query));
        }

        #[test]
        fn no_query_panics(query in "(?s).{0,100}") {
            let _ = LogQuery::parse(&query);
        }
    }
}
