//! One document into a tree.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span as Source};

use super::node::{Entry, Node, Span, Value};
use super::split::Chunk;

/// Bounds of one document, so that a small file cannot become a large tree.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Values, those that aliases repeat counted each time.
    pub nodes: usize,
    /// Lists and mappings inside each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 2_000_000,
            depth: 64,
        }
    }
}

/// Why a document has no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Where reading stopped.
    pub span: Span,
    /// One sentence.
    pub reason: String,
}

/// A list or mapping that is not complete yet.
struct Open {
    node: Node,
    /// A mapping's key that waits for its value.
    key: Option<(Box<str>, Span)>,
    /// Keys so far, once a mapping is too long to be searched from its start each time.
    seen: HashSet<Box<str>>,
    anchor: usize,
    nodes_before: usize,
}

struct Builder {
    limits: Limits,
    lines_before: u32,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    root: Option<Node>,
}

pub(super) fn document(chunk: &Chunk<'_>, limits: Limits) -> Result<Option<Node>, Refused> {
    let mut builder = Builder {
        limits,
        lines_before: chunk.lines_before,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    for event in Parser::new_from_str(chunk.text) {
        let read = event
            .map_err(|error| {
                let span = Source::new(*error.marker(), *error.marker());
                refused(builder.span(&span), error.info())
            })
            .and_then(|(event, span)| builder.take(event, &span));
        read.map_err(|refused| explain(refused, chunk))?;
    }
    Ok(builder.root.filter(|root| !root.is_null()))
}

/// A template says something about YAML's grammar that helps nobody.
fn explain(mut refused: Refused, chunk: &Chunk<'_>) -> Refused {
    let line_in_chunk = refused.span.line.saturating_sub(chunk.lines_before);
    let template = |(index, text): &(usize, &str)| {
        text.contains("{{") && u32::try_from(*index).is_ok_and(|index| index < line_in_chunk.max(1))
    };
    if let Some((index, text)) = chunk.text.lines().enumerate().filter(template).last() {
        let before = text.split("{{").next().unwrap_or_default();
        refused.span = Span {
            line: chunk.lines_before + u32::try_from(index).unwrap_or_default() + 1,
            column: u32::try_from(before.chars().count()).unwrap_or_default() + 1,
            width: 2,
        };
        "a template, not yet YAML: render it first, as in `helm template . | faultline check -`"
            .clone_into(&mut refused.reason);
    }
    refused
}

fn refused(span: Span, reason: impl Into<String>) -> Refused {
    Refused {
        span,
        reason: reason.into(),
    }
}

impl Builder {
    fn take(&mut self, event: Event<'_>, source: &Source) -> Result<(), Refused> {
        let span = self.span(source);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let text = text.into();
                let value = Value::Scalar { text, quoted };
                self.count(span, 1)?;
                let node = Node { span, value };
                let depth = self.open.len();
                if anchor != 0 {
                    self.anchors.insert(anchor, (node.clone(), 1, 0));
                }
                debug_assert!(depth <= self.limits.depth);
                self.place(node)
            }
            Event::SequenceStart(_, anchor, _) => self.start(span, Value::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.start(span, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => {
                let Some((node, nodes, height)) = self.anchors.get(&id) else {
                    return Err(refused(span, "an alias inside the value that it names"));
                };
                let (nodes, height) = (*nodes, *height);
                if self.open.len() + height > self.limits.depth {
                    return Err(self.too_deep(span));
                }
                let node = Node {
                    span,
                    value: node.value.clone(),
                };
                self.count(span, nodes)?;
                self.place(node)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(refused(span, "a second document without `---` before it"))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, span: Span, nodes: usize) -> Result<(), Refused> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            let most = self.limits.nodes;
            return Err(refused(
                span,
                format!("more than {most} values in one document"),
            ));
        }
        Ok(())
    }

    fn too_deep(&self, span: Span) -> Refused {
        let most = self.limits.depth;
        refused(span, format!("nested deeper than {most}"))
    }

    fn start(&mut self, span: Span, value: Value, anchor: usize) -> Result<(), Refused> {
        if self.open.len() >= self.limits.depth {
            return Err(self.too_deep(span));
        }
        let nodes_before = self.nodes;
        self.count(span, 1)?;
        self.open.push(Open {
            node: Node { span, value },
            key: None,
            seen: HashSet::new(),
            anchor,
            nodes_before,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refused> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let mut node = open.node;
        if let Value::Map(entries) = &mut node.value {
            merge(entries);
        }
        if open.anchor != 0 {
            let nodes = self.nodes - open.nodes_before;
            let height = height(&node);
            // The copy that is kept costs as much as the original.
            self.count(node.span, nodes)?;
            self.anchors
                .insert(open.anchor, (node.clone(), nodes, height));
        }
        self.place(node)
    }

    /// Puts a complete value where it belongs: into the list, under the key, or as the key.
    fn place(&mut self, node: Node) -> Result<(), Refused> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => {
                items.push(node);
                Ok(())
            }
            Value::Map(entries) => match open.key.take() {
                Some((key, span)) => {
                    let shown = shown(span, &node);
                    let node = Node {
                        span: shown,
                        value: node.value,
                    };
                    entries.push(Entry { key, span, node });
                    Ok(())
                }
                None => open.key(node),
            },
            Value::Scalar { .. } => Ok(()),
        }
    }

    fn span(&self, source: &Source) -> Span {
        let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        let one_line = source.start.line() == source.end.line();
        let width = source.end.col().saturating_sub(source.start.col());
        Span {
            line: number(source.start.line()).saturating_add(self.lines_before),
            column: number(source.start.col()).saturating_add(1),
            width: if one_line { number(width).max(1) } else { 1 },
        }
    }
}

impl Open {
    fn key(&mut self, node: Node) -> Result<(), Refused> {
        let Value::Scalar { text, .. } = node.value else {
            return Err(refused(node.span, "a key must be a string"));
        };
        let Value::Map(entries) = &self.node.value else {
            return Ok(());
        };
        const SEARCHED: usize = 16;
        if entries.len() == SEARCHED {
            self.seen = entries.iter().map(|entry| entry.key.clone()).collect();
        }
        let doubled = if entries.len() < SEARCHED {
            entries.iter().any(|entry| entry.key == text)
        } else {
            !self.seen.insert(text.clone())
        };
        if doubled && &*text != "<<" {
            return Err(refused(node.span, format!("{text} stands here twice")));
        }
        self.key = Some((text, node.span));
        Ok(())
    }
}

/// `key: value` where both are on one line, else the key.
fn shown(key: Span, node: &Node) -> Span {
    let scalar = matches!(node.value, Value::Scalar { .. });
    let end = node.span.column.saturating_add(node.span.width);
    if scalar && node.span.line == key.line && end > key.column {
        return Span {
            width: end - key.column,
            ..key
        };
    }
    key
}

/// Resolves `<<`: what the mapping itself says wins.
fn merge(entries: &mut Vec<Entry>) {
    if !entries.iter().any(|entry| &*entry.key == "<<") {
        return;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = std::mem::take(entries)
        .into_iter()
        .partition(|entry| &*entry.key == "<<");
    let mut seen: HashSet<Box<str>> = own.iter().map(|entry| entry.key.clone()).collect();
    let sources = merges.into_iter().flat_map(|entry| match entry.node.value {
        Value::List(items) => items,
        _ => vec![entry.node],
    });
    for source in sources {
        if let Value::Map(more) = source.value {
            own.extend(
                more.into_iter()
                    .filter(|entry| seen.insert(entry.key.clone())),
            );
        }
    }
    *entries = own;
}

/// How many lists and mappings stand inside each other here.
fn height(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => 1 + items.iter().map(height).max().unwrap_or_default(),
        Value::Map(entries) => {
            1 + entries
                .iter()
                .map(|entry| height(&entry.node))
                .max()
                .unwrap_or_default()
        }
    }
}
