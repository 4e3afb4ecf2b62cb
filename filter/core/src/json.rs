//! Reading JSON by hand, so that every error can name the key and the value it is about.
//!
//! Nothing is kept of what has been read: a value stays the text it is until somebody asks what
//! is in it. So reading takes no memory but the text and what is made of it, where a tree of
//! values takes ten times the text, and a WebAssembly memory never shrinks.

use crate::text::around_number;
use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
};
use core::{fmt, iter};
use hifijson::{
    Error, Expect, SliceLexer, escape,
    num::Lex as _,
    str::{self, Lex as _, LexAlloc as _},
    token::Lex,
};

/// How deep values may be nested: several times what any configuration needs.
const DEEPEST: usize = 16;

/// How much of an offending value an error shows, in characters.
const SHOWN: usize = 80;

/// What is wrong with a configuration, where, and with which value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, e.g. `routes[2].methods[0]`; `configuration` for the whole.
    pub key: String,
    /// The offending value, shortened, or its kind; `None` if the key is missing.
    pub value: Option<String>,
    /// What is wrong with it and what is expected.
    pub problem: String,
}

impl ConfigError {
    /// All of it on one line: `routes[0].path = "log": must start with "/"`.
    pub fn line(&self) -> String {
        match &self.value {
            Some(value) => [&*self.key, " = ", value, ": ", &self.problem].concat(),
            None => [&*self.key, ": ", &self.problem].concat(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl core::error::Error for ConfigError {}

/// A place in the configuration: a chain of borrowed steps, spelt out only when an error needs it.
#[derive(Clone, Copy)]
pub(crate) enum Key<'k> {
    Root,
    Field(&'k Key<'k>, &'k str),
    Item(&'k Key<'k>, usize),
}

impl Key<'_> {
    /// An error about this place, whatever is there.
    pub(crate) fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError {
            key: self.spelt(),
            value: None,
            problem: problem.into(),
        }
    }

    /// As in the file: `routes[2].methods[0]`.
    fn spelt(&self) -> String {
        match self {
            Self::Root => "configuration".to_owned(),
            Self::Field(Self::Root, name) => (*name).to_owned(),
            Self::Field(parent, name) => parent.spelt() + "." + name,
            Self::Item(parent, index) => around_number(&(parent.spelt() + "["), *index, "]"),
        }
    }
}

/// A value, as the text it is written in, and the place it was found at.
#[derive(Clone, Copy)]
pub(crate) struct Node<'t, 'k> {
    pub(crate) key: Key<'k>,
    /// One JSON value and nothing around it. Its syntax has been checked; in its strings, escapes
    /// may still name what is no character.
    text: &'t [u8],
}

impl<'t> Node<'t, '_> {
    /// The whole of `bytes`.
    pub(crate) fn root(bytes: &'t [u8]) -> Result<Self, ConfigError> {
        let mut lexer = SliceLexer::new(bytes);
        let key = Key::Root;
        match lexer.exactly_one(Lex::ws_peek, value) {
            Ok(text) => Ok(Self { key, text }),
            Err(error) => {
                let read = bytes.len() - lexer.as_slice().len();
                let lines = bytes.split_at(read).0.split(|byte| *byte == b'\n');
                let (line, column) = lines.fold((0, 0), |(line, _), text| (line + 1, text.len()));
                let mut error = not_json(&key, &error);
                error.problem +=
                    &around_number(", at line ", line, &around_number(" column ", column, ""));
                Err(error)
            }
        }
    }

    /// An error about this value.
    pub(crate) fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError {
            value: Some(shown(self.text)),
            ..self.key.error(problem)
        }
    }

    /// How many bytes it is written in.
    pub(crate) fn length(&self) -> usize {
        self.text.len()
    }

    /// This value's fields, in the order of `known`: an object with no other keys, each once.
    pub(crate) fn fields<const N: usize>(
        &self,
        known: [&'static str; N],
    ) -> Result<[Option<Node<'t, '_>>; N], ConfigError> {
        let mut found = [None; N];
        self.read_fields(&known, &mut found)?;
        let mut names = known.into_iter();
        Ok(found.map(|text| {
            // There are as many of one as of the other.
            let key = Key::Field(&self.key, names.next().unwrap_or_default());
            text.map(|text| Node { key, text })
        }))
    }

    fn read_fields(
        &self,
        known: &[&'static str],
        found: &mut [Option<&'t [u8]>],
    ) -> Result<(), ConfigError> {
        let mut lexer = self
            .inside(b'{')
            .ok_or_else(|| self.error("must be an object"))?;
        let not_json = |error: Error| not_json(&self.key, &error);
        while next_in_sequence(&mut lexer) == Some(b'"') {
            let name = string(&mut lexer).map_err(not_json)?;
            let text = value_of_name(&mut lexer).map_err(not_json)?;
            let place = known.iter().position(|known| *known == name);
            let problem = match place.and_then(|place| found.get_mut(place)) {
                Some(empty @ None) => {
                    *empty = Some(text);
                    continue;
                }
                Some(_) => "is there twice".to_owned(),
                None => "unknown key; known are ".to_owned() + &known.join(", "),
            };
            let name = printable_name(&name);
            let key = Key::Field(&self.key, &name);
            return Err(Node { key, text }.error(problem));
        }
        Ok(())
    }

    /// This value as a list of at least one and at most `most` items.
    pub(crate) fn list(&self, most: usize) -> Result<List<'t, '_>, ConfigError> {
        let lexer = self
            .inside(b'[')
            .ok_or_else(|| self.error("must be a list"))?;
        let mut list = List {
            key: &self.key,
            text: lexer.as_slice(),
            length: 0,
        };
        list.length = list.iter().count();
        match list.length {
            0 => Err(self.error("must not be empty")),
            found if found > most => {
                let problem = around_number("has ", found, " items; at most ");
                Err(self.error(around_number(&problem, most, " are allowed")))
            }
            _ => Ok(list),
        }
    }

    /// What comes behind `bracket`, if this value begins with it.
    fn inside(&self, bracket: u8) -> Option<SliceLexer<'t>> {
        self.text.strip_prefix(&[bracket]).map(SliceLexer::new)
    }

    /// This value as a string.
    pub(crate) fn string(&self) -> Result<Cow<'t, str>, ConfigError> {
        match self.text.first() {
            Some(b'"') => {
                string(&mut SliceLexer::new(self.text)).map_err(|error| not_json(&self.key, &error))
            }
            _ => Err(self.error("must be a string")),
        }
    }

    /// This value as a boolean.
    pub(crate) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.text {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(self.error("must be true or false")),
        }
    }
}

/// The items of a list.
#[derive(Clone, Copy)]
pub(crate) struct List<'t, 'k> {
    key: &'k Key<'k>,
    /// What stands behind its bracket.
    text: &'t [u8],
    length: usize,
}

impl<'t, 'k> List<'t, 'k> {
    /// How many there are.
    pub(crate) fn length(self) -> usize {
        self.length
    }

    /// All of them, read anew at each call.
    pub(crate) fn iter(self) -> impl Iterator<Item = Node<'t, 'k>> {
        let mut lexer = SliceLexer::new(self.text);
        let texts = iter::from_fn(move || {
            let next = next_in_sequence(&mut lexer)?;
            // At the closing bracket there is none.
            value(next, &mut lexer).ok()
        });
        texts.enumerate().map(move |(index, text)| Node {
            key: Key::Item(self.key, index),
            text,
        })
    }
}

/// Where the next item or name of a sequence begins, in text whose syntax has been checked.
fn next_in_sequence(lexer: &mut SliceLexer<'_>) -> Option<u8> {
    // Before the first there is no comma.
    let _ = lexer.expect(Lex::ws_peek, b',');
    lexer.ws_peek()
}

/// The text of the value that begins with `next`.
fn value<'t>(next: u8, lexer: &mut SliceLexer<'t>) -> Result<&'t [u8], Error> {
    let start = lexer.as_slice();
    skip(next, lexer, DEEPEST)?;
    let length = start.len() - lexer.as_slice().len();
    Ok(start.split_at(length).0)
}

/// The text of the value behind the name that has just been read.
fn value_of_name<'t>(lexer: &mut SliceLexer<'t>) -> Result<&'t [u8], Error> {
    lexer.expect(Lex::ws_peek, b':').ok_or(Expect::Colon)?;
    value(lexer.ws_peek().ok_or(Expect::Value)?, lexer)
}

/// Goes behind the value that begins with `next`.
///
/// The library can do that too, but goes as deep as the text: then the text decides how much
/// stack it takes.
fn skip(next: u8, lexer: &mut SliceLexer<'_>, deeper: usize) -> Result<(), Error> {
    let next_deeper = || deeper.checked_sub(1).ok_or(Error::Depth);
    match next {
        b'[' => {
            let deeper = next_deeper()?;
            let item = |next, lexer: &mut _| skip(next, lexer, deeper);
            lexer.discarded().seq(b']', Lex::ws_peek, item)
        }
        b'{' => {
            let deeper = next_deeper()?;
            let field = |next, lexer: &mut SliceLexer<'_>| {
                lexer.expect(|_| Some(next), b'"').ok_or(Expect::String)?;
                lexer.str_ignore()?;
                lexer.expect(Lex::ws_peek, b':').ok_or(Expect::Colon)?;
                skip(lexer.ws_peek().ok_or(Expect::Value)?, lexer, deeper)
            };
            lexer.discarded().seq(b'}', Lex::ws_peek, field)
        }
        b'"' => Ok(lexer.discarded().str_ignore()?),
        b'-' | b'0'..=b'9' => Ok(lexer.num_ignore().validate().map(|_| ())?),
        _ => Ok(lexer.null_or_bool().map(|_| ()).ok_or(Expect::Value)?),
    }
}

/// The string that begins here.
fn string<'t>(lexer: &mut SliceLexer<'t>) -> Result<Cow<'t, str>, Error> {
    Ok(lexer.discarded().str_string()?)
}

/// An error that the lexer found.
fn not_json(key: &Key<'_>, error: &Error) -> ConfigError {
    let problem = match error {
        Error::Depth => "values are nested more than 16 deep",
        Error::Num(_) => "a digit is expected",
        Error::Str(str::Error::Control) => "a string holds a control character",
        Error::Str(str::Error::Eof) | Error::Str(str::Error::Escape(escape::Error::Eof)) => {
            "a string does not end"
        }
        Error::Str(str::Error::Escape(_)) => "a string holds an escape that is none",
        Error::Str(str::Error::Utf8(_)) => "a string is not UTF-8",
        Error::Token(Expect::Value) => "a value is expected",
        Error::Token(Expect::ValueOrEnd) => "a value or the end of the sequence is expected",
        Error::Token(Expect::CommaOrEnd) => "a comma or the end of the sequence is expected",
        Error::Token(Expect::String) => "a string is expected",
        Error::Token(Expect::Colon) => "a colon is expected",
        Error::Token(Expect::Eof) => "the end of the text is expected",
    };
    key.error("is not JSON: ".to_owned() + problem)
}

/// A value as an error may show it: a short scalar as JSON, of anything else its kind.
fn shown(text: &[u8]) -> String {
    let kind = match text.first() {
        Some(b'"') => match string(&mut SliceLexer::new(text)) {
            Ok(string) => return ["\"", &printable(&string), "\""].concat(),
            Err(_) => "a string",
        },
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        // As long as any whole number of 64 bits, or true, false or null.
        _ if text.len() <= 20 => core::str::from_utf8(text).unwrap_or_default(),
        _ => "a number",
    };
    kind.to_owned()
}

/// A key's name as an error may show it: an empty one can be seen.
fn printable_name(name: &str) -> String {
    match name {
        "" => "\"\"".to_owned(),
        _ => printable(name),
    }
}

/// Text as an error may show it: shortened, and on one line whatever it holds.
///
/// By hand, since the standard library's escapes bring its Unicode tables into the module.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(SHOWN) {
        match character {
            '"' | '\\' => shown.extend(['\\', character]),
            control if control.is_control() => shown.push('?'),
            plain => shown.push(plain),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_spelt_as_in_the_file() {
        let routes = Key::Field(&Key::Root, "routes");
        let third = Key::Item(&routes, 2);
        assert_eq!(Key::Field(&third, "path").spelt(), "routes[2].path");
        assert_eq!(Key::Root.spelt(), "configuration");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let text = shown(format!("\"{}\"", "é".repeat(200)).as_bytes());
        assert_eq!(text, format!("\"{}…\"", "é".repeat(SHOWN)));
    }

    #[test]
    fn an_error_is_one_line() {
        let root = Node::root(br#"{"a\nb": "c\nd\"e"}"#).unwrap();
        let error = root.fields(["routes"]).err().unwrap().to_string();
        assert_eq!(error, r#"a?b = "c?d\"e": unknown key; known are routes"#);
    }

    #[test]
    fn a_field_may_stand_once() {
        let root = Node::root(br#" { "a" : 1 , "b" : [ 2 ] , "a" : 3 } "#)
            .ok()
            .unwrap();
        let error = root.fields(["a", "b"]).err().unwrap().to_string();
        assert_eq!(error, "a = 3: is there twice");
    }

    #[test]
    fn an_error_of_syntax_says_where() {
        let error = |text: &str| Node::root(text.as_bytes()).err().unwrap().problem;
        assert_eq!(
            error("{\n  \"a\": [1, 2\n}"),
            "is not JSON: a comma or the end of the sequence is expected, at line 3 column 0"
        );
        assert_eq!(
            error("{} {}"),
            "is not JSON: the end of the text is expected, at line 1 column 3"
        );
        assert_eq!(
            error("\"\\\n\""),
            "is not JSON: a string holds an escape that is none, at line 1 column 2"
        );
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Node::root(nested(DEEPEST).as_bytes()).is_ok());
        assert_eq!(
            error(&nested(DEEPEST + 1)),
            "is not JSON: values are nested more than 16 deep, at line 1 column 16"
        );
        assert!(error(&"[".repeat(1_000_000)).contains("nested"));
    }

    #[test]
    fn a_string_is_what_another_reader_reads() {
        for text in [
            r#""""#,
            r#""a""#,
            r#""\"""#,
            r#""\u00e9\/\ud83d\ude00""#,
            r#""a\\""#,
            "\"é\"",
        ] {
            let node = Node::root(text.as_bytes()).ok().unwrap();
            let expected: String = serde_json::from_str(text).unwrap();
            assert_eq!(node.string().unwrap(), expected, "{text}");
        }
        for text in [&br#""\ud83d""#[..], b"\"\xff\""] {
            let node = Node::root(text).ok().unwrap();
            let error = node.string().unwrap_err().to_string();
            assert!(error.starts_with("configuration: is not JSON: "), "{error}");
        }
    }
}
