//! A service's OpenAPI document: the one in the repository is the one that the types make, its routes are those
//! that there are, and each error in it is one that the service gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jsonschema::Validator;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Renews the documents of the repository instead of comparing with them.
const RENEW: &str = "FAULTLINE_RENEW";

/// A document.
#[derive(Debug)]
pub struct Document(Value);

/// An answer with a problem in it.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    media_type: String,
    problem: Value,
}

impl Document {
    /// The document that the types make, when the file of the repository is that.
    pub fn current(file: &Path, made: impl serde::Serialize) -> Self {
        let made = serde_json::to_value(made).expect("a document is JSON");
        let text = format!("{made:#}\n");
        if std::env::var_os(RENEW).is_some() {
            std::fs::write(file, &text).expect("the document can be written");
        }
        let held = std::fs::read_to_string(file).expect("the document is there");
        assert!(
            held == text,
            "{} is not what the types say; renew it:\n    {RENEW}=1 cargo test -p custom-app -p log-agent --test openapi",
            file.display()
        );
        Self(made)
    }

    /// Checks that it is OpenAPI 3.1 whose schemas are JSON Schemas, each with examples that it allows.
    pub fn well_formed(&self) {
        assert_eq!(self.0["openapi"], "3.1.0");
        for (name, schema) in members(&self.0["components"]["schemas"]) {
            jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
            let validator = self.schema(name);
            for example in schema["examples"].as_array().into_iter().flatten() {
                validator
                    .validate(example)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }

    /// One of its schemas, by name.
    fn schema(&self, name: &str) -> Validator {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": self.0["components"],
        });
        jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Checks that what these sources route is what it describes, and that a running service takes the methods that
    /// it describes, and no other.
    pub async fn describes(&self, sources: &[&str], url: &str) {
        let routes = sources
            .iter()
            .flat_map(|text| text.split(".route(").skip(1));
        let routed: BTreeSet<&str> = routes
            .map(|call| {
                let path = call.trim_start().strip_prefix('"');
                path.and_then(|rest| rest.split('"').next())
                    .expect("a route says its path where it is made")
            })
            .collect();
        let described: BTreeSet<&str> = members(&self.0["paths"]).map(|(path, _)| path).collect();
        assert_eq!(routed, described);
        for (path, item) in members(&self.0["paths"]) {
            let refused = Client::new().request(Method::TRACE, format!("{url}{path}"));
            let refused = refused.send().await.expect("the service answers");
            assert_eq!(refused.status(), 405, "{path}");
            let allowed = refused.headers()["allow"].to_str().expect("it is text");
            let allowed: BTreeSet<String> = allowed.split(',').map(str::to_lowercase).collect();
            let described = members(item).map(|(method, _)| method.to_owned());
            let described: BTreeSet<String> = described.chain(["head".to_owned()]).collect();
            assert_eq!(allowed, described, "{path}");
        }
    }

    /// Checks that what was provoked is all the errors that it describes, each by the name of its operation and its
    /// own, and that each answer is like the example: the same but for numbers and ids in its detail.
    pub fn errors_are(&self, provoked: BTreeMap<String, Answer>) {
        let described = self.errors();
        assert_eq!(
            described.keys().collect::<Vec<_>>(),
            provoked.keys().collect::<Vec<_>>(),
            "left: described, right: provoked"
        );
        let schema = self.schema("Problem");
        for (name, example) in described {
            let answer = &provoked[&name];
            assert_eq!(json!(answer.status), example["status"], "{name}");
            assert_eq!(answer.media_type, "application/problem+json", "{name}");
            for problem in [&answer.problem, &example] {
                schema
                    .validate(problem)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            assert_eq!(pattern(&answer.problem), pattern(&example), "{name}");
        }
    }

    fn errors(&self) -> BTreeMap<String, Value> {
        let operations = members(&self.0["paths"]).flat_map(|(_, item)| members(item));
        let own = operations.flat_map(|(_, operation)| {
            let of = operation["operationId"].as_str().expect("it has a name");
            let responses = members(&operation["responses"]);
            responses.map(move |(_, response)| (of, response))
        });
        let common = members(&self.0["components"]["responses"]);
        let mut errors = BTreeMap::new();
        for (of, response) in own.chain(common) {
            let content = &response["content"]["application/problem+json"];
            for (name, example) in members(&content["examples"]) {
                let before = errors.insert(format!("{of} {name}"), example["value"].clone());
                assert_eq!(before, None, "{of} has two errors {name}");
            }
        }
        errors
    }
}

impl Answer {
    /// Reads an answer.
    pub async fn of(response: Response) -> Self {
        let media_type = response.headers().get("content-type");
        let media_type = media_type.and_then(|value| value.to_str().ok());
        Self {
            status: response.status().as_u16(),
            media_type: media_type.unwrap_or_default().to_owned(),
            problem: response.json().await.unwrap_or_default(),
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The answer to a `POST` whose body does not come.
    pub async fn to_slow_body(url: &str, path: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let mut answer = String::new();
        let mut stream = slow_body(address, path).await;
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        let status = field("HTTP/1.1").expect("a status line");
        Self {
            status: status[..3].parse().expect("a status"),
            media_type: field("content-type:").expect("a media type"),
            problem: serde_json::from_str(body).unwrap_or_default(),
        }
    }
}

/// A `POST` that is under way until its body comes, which it does not.
pub async fn slow_body(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: 50\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("it listens");
    stream
}

/// A problem without what differs from one time to the next.
fn pattern(problem: &Value) -> Value {
    let mut problem = problem.clone();
    let detail = problem["detail"].as_str().unwrap_or_default();
    let words = detail.split(' ').map(|word| {
        let bare = word.trim_end_matches([',', ';', ':']);
        let is_id = bare.len() == 36 && bare.matches('-').count() == 4;
        let is_number = bare.starts_with(|first: char| first.is_ascii_digit());
        if is_id || is_number { "#" } else { word }
    });
    problem["detail"] = json!(words.collect::<Vec<_>>().join(" "));
    problem
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object = value.as_object().into_iter().flatten();
    object.map(|(name, value)| (name.as_str(), value))
}
