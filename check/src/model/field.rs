//! Fields of a tree into types, with their places.

use std::ops::Deref;

use crate::yaml::{Entry, Node, Span, Value};

/// A place in one of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's position among the files that were read.
    pub file: u32,
    /// Where in it.
    pub span: Span,
}

/// A value and the place where it is said. Two are equal where their values are.
#[derive(Clone, Debug, Default)]
pub struct At<T> {
    /// The place.
    pub place: Place,
    /// The value.
    pub value: T,
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A known field that is not of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{resource}{}{reason}", self.path())]
pub struct Unreadable {
    /// Where it stands.
    pub place: Place,
    /// One sentence.
    pub reason: String,
    /// The resource, before a colon, once it is known.
    resource: String,
    /// The keys that lead to it, the last one first.
    keys: Vec<String>,
}

impl Unreadable {
    fn path(&self) -> String {
        let mut path = String::new();
        for key in self.keys.iter().rev() {
            let joined = !path.is_empty() && !key.starts_with('[');
            path.push_str(if joined { "." } else { "" });
            path.push_str(key);
        }
        path.push_str(if path.is_empty() { "" } else { ": " });
        path
    }

    pub(super) fn of(mut self, kind: &str, name: &str) -> Self {
        self.resource = format!("{kind} {name}: ");
        self
    }

    fn below(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }
}

/// A node of a known file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    pub(super) node: &'a Node,
    pub(super) file: u32,
}

/// The result of reading a field.
pub(super) type Read<T> = Result<T, Unreadable>;

/// A type that a field can have.
pub(super) trait Field: Sized {
    /// The value.
    fn read(tree: Tree<'_>) -> Read<Self>;
}

impl<'a> Tree<'a> {
    pub(super) fn place(self) -> Place {
        Place {
            file: self.file,
            span: self.node.span,
        }
    }

    pub(super) fn unreadable(self, reason: impl Into<String>) -> Unreadable {
        Unreadable {
            place: self.place(),
            reason: reason.into(),
            resource: String::new(),
            keys: Vec::new(),
        }
    }

    fn expected(self, what: &str) -> Unreadable {
        let found = match self.node.text() {
            Some(text) if text.len() < 40 => format!("{} ({text})", self.node.kind()),
            _ => self.node.kind().to_owned(),
        };
        self.unreadable(format!("expected {what}, found {found}"))
    }

    fn to(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    /// The tree under a key, if there is one.
    pub(super) fn get(self, key: &str) -> Option<Self> {
        self.node.get(key).map(|node| self.to(node))
    }

    /// A field that may be absent.
    pub(super) fn maybe<T: Field>(self, key: &str) -> Read<Option<T>> {
        self.mapping()?;
        self.get(key)
            .map(|tree| T::read(tree).map_err(|it| it.below(key)))
            .transpose()
    }

    /// A field that is its type's default when absent.
    pub(super) fn or_default<T: Field + Default>(self, key: &str) -> Read<T> {
        Ok(self.maybe(key)?.unwrap_or_default())
    }

    /// A field that must be there.
    pub(super) fn must<T: Field>(self, key: &str) -> Read<T> {
        self.maybe(key)?
            .ok_or_else(|| self.unreadable(format!("{key} is missing")))
    }

    fn mapping(self) -> Read<&'a [Entry]> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.expected("a mapping")),
        }
    }

    /// The entries of a mapping, each with its key's place.
    pub(super) fn fields(self) -> Read<impl Iterator<Item = (At<String>, Tree<'a>)>> {
        Ok(self.mapping()?.iter().map(move |entry| {
            let place = Place {
                file: self.file,
                span: entry.span,
            };
            let key = At {
                place,
                value: String::from(&*entry.key),
            };
            (key, self.to(&entry.node))
        }))
    }
}

impl<T: Field> Field for At<T> {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let value = T::read(tree)?;
        let place = tree.place();
        Ok(Self { place, value })
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let Value::List(items) = &tree.node.value else {
            return Err(tree.expected("a list"));
        };
        let read = |(index, node)| {
            T::read(tree.to(node)).map_err(|it: Unreadable| it.below(&format!("[{index}]")))
        };
        items.iter().enumerate().map(read).collect()
    }
}

/// A mapping of any keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named<T>(pub(super) Vec<(At<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Field> Field for Named<T> {
    fn read(tree: Tree<'_>) -> Read<Self> {
        tree.fields()?
            .map(|(key, tree)| {
                let value = T::read(tree).map_err(|it| it.below(&key))?;
                Ok((key, value))
            })
            .collect::<Read<_>>()
            .map(Self)
    }
}

impl Field for String {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let text = tree.node.string();
        text.map(Self::from)
            .ok_or_else(|| tree.expected("a string"))
    }
}

impl Field for bool {
    fn read(tree: Tree<'_>) -> Read<Self> {
        tree.node
            .boolean()
            .ok_or_else(|| tree.expected("true or false"))
    }
}

impl Field for u32 {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let number = tree.node.integer().and_then(|it| Self::try_from(it).ok());
        number.ok_or_else(|| tree.expected("a whole number"))
    }
}

impl Field for i64 {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let number = tree.node.integer();
        number.ok_or_else(|| tree.expected("a whole number"))
    }
}

impl Field for f64 {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let number = tree.node.number();
        number.ok_or_else(|| tree.expected("a number"))
    }
}

/// A field of which only the presence counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present;

impl Field for Present {
    fn read(_: Tree<'_>) -> Read<Self> {
        Ok(Self)
    }
}
