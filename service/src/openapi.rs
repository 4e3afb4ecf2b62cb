//! A service's OpenAPI document, made of its types: what both services' documents share.
//!
//! A service serves the document as a text that the repository holds; a test says that it is the
//! one that the types make. So none of this is in what ships.

use std::collections::BTreeMap;
use std::fmt::Display;

use http::{Method, header};
use utoipa::OpenApi as _;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::http as routes;
use crate::limits::Limits;
use crate::problem::{MEDIA_TYPE, Problem};

/// What both services serve.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(routes::live, routes::ready, routes::render, routes::describe),
    components(schemas(Problem))
)]
struct Common;

/// What is true of every operation.
const GENERAL: &str = "Every error is an RFC 9457 problem. A path that is not here gets 404, another \
    method 405 with `allow`; HEAD goes wherever GET goes. Texts are bounded in bytes of UTF-8, as their \
    descriptions say, and JSON Schema counts characters: its bounds are necessary ones. A defect of the \
    service, never expected, is a 500.";

/// A service's document: its own operations, those that both have, and the errors that belong to no
/// operation.
pub fn complete(own: OpenApi) -> OpenApi {
    let mut document = own.merge_from(Common::openapi());
    let purpose = document.info.description.take().unwrap_or_default();
    document.info.description = Some(format!("{purpose}\n\n{GENERAL}"));
    let components = document.components.get_or_insert_default();
    for problem in [
        routes::no_such_path(),
        routes::no_such_method(&Method::DELETE),
        routes::defect(),
    ] {
        let name = problem.title().replace(' ', "");
        let responses = Problems::default().with("any", problem).responses();
        let responses = responses
            .into_values()
            .map(|response| (name.clone(), response));
        components.responses.extend(responses);
    }
    document
}

/// A text of 1 to so many bytes of UTF-8. JSON Schema counts characters, so its bound is only a
/// necessary one; the description says the true one, and what else there is to say.
pub fn text(max_bytes: usize, more: impl Display) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(max_bytes))
        .description(Some(format!("1 to {max_bytes} bytes of UTF-8{more}")))
}

/// A header that a request may have.
pub fn optional_header<T: PartialSchema>(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(T::schema()))
        .build()
}

/// The errors of an operation, each with the problem itself as its example.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<(&'static str, Problem)>);

impl Problems {
    /// Those of every operation within limits.
    pub fn limited() -> Self {
        Self::default().with("busy", Limits::busy())
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, name: &'static str, problem: Problem) -> Self {
        self.0.push((name, problem));
        self
    }

    /// One more: what a check says of a bad value.
    #[must_use]
    pub fn refused<T>(self, name: &'static str, checked: Result<T, Problem>) -> Self {
        match checked {
            Ok(_) => self,
            Err(problem) => self.with(name, problem),
        }
    }

    /// Those of an operation that waits for somebody.
    #[must_use]
    pub fn waiting(self, limits: &Limits) -> Self {
        self.with("unanswered", limits.unanswered())
    }

    /// Those of an operation with a JSON body.
    #[must_use]
    pub fn reading(self, limits: &Limits) -> Self {
        let not_json = crate::body::JsonBody::from("hello").parse::<()>();
        self.refused("not-json", not_json)
            .with("slow-body", limits.slow_body())
            .with("large-body", limits.large_body())
            .with("other-than-json", crate::body::other_than_json())
    }

    /// One response for each status.
    pub fn responses(self) -> BTreeMap<String, RefOr<Response>> {
        let mut by_status: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, problem) in self.0 {
            let status = problem.status();
            by_status.entry(status).or_default().push((name, problem));
        }
        let responses = by_status.into_values();
        responses.filter_map(response).collect()
    }
}

fn response(problems: Vec<(&'static str, Problem)>) -> Option<(String, RefOr<Response>)> {
    let (_, first) = problems.first()?;
    let mut response = ResponseBuilder::new().description(first.title());
    let status = first.status().as_u16().to_string();
    if problems.iter().any(|(_, problem)| problem.says_when()) {
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1));
        let retry_after = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds, where trying again helps"));
        response = response.header(header::RETRY_AFTER.as_str(), retry_after.build());
    }
    let examples = problems.into_iter().map(|(name, problem)| {
        let value = serde_json::to_value(problem).ok();
        (name, ExampleBuilder::new().value(value).build().into())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .examples_from_iter(examples.collect::<Vec<(&str, RefOr<_>)>>());
    let response = response.content(MEDIA_TYPE, content.build());
    Some((status, response.build().into()))
}
