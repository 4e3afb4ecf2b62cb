//! Path templates such as `/users/{id}/orders`: a parameter takes one whole segment.

use crate::{
    index::{Hash, Index},
    path,
};
use alloc::vec::Vec;

/// The most segments of a template.
pub const MAX_SEGMENTS: usize = 32;

/// The longest name of a parameter, in bytes.
const MAX_NAME: usize = 32;

/// Whether a configured path is a template.
pub fn is_template(text: &str) -> bool {
    text.bytes().any(is_brace)
}

fn is_brace(byte: u8) -> bool {
    matches!(byte, b'{' | b'}')
}

/// The reason why `text` cannot be a template, if there is one.
///
/// Its literal segments follow the rules of an exact path ([`path::configured_problem`]).
pub fn configured_problem(text: &str) -> Option<&'static str> {
    let is_misplaced =
        |segment: &[u8]| segment.iter().copied().any(is_brace) && !is_parameter(segment);
    if segments(text.as_bytes()).any(is_misplaced) {
        return Some("must have each parameter as a whole segment, such as /{id}/");
    }
    if segments(text.as_bytes()).count() > MAX_SEGMENTS {
        return Some("must have at most 32 segments, as it has a parameter");
    }
    path::configured_problem_beside(text, b"{}")
}

fn is_parameter(segment: &[u8]) -> bool {
    let name = segment
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"));
    name.is_some_and(|name| {
        (1..=MAX_NAME).contains(&name.len())
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

/// The number of segments and which of them are parameters.
///
/// The order is that of precedence: of two templates that match the same path, the one with a
/// literal at the first segment where they differ comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    segments: usize,
    /// The first segment is the highest bit; a parameter is 1.
    parameters: u32,
}

impl Shape {
    fn of(template: &[u8]) -> Self {
        let mut shape = Self {
            segments: 0,
            parameters: 0,
        };
        for segment in segments(template) {
            if segment.first() == Some(&b'{') {
                shape.parameters |= Self::bit(shape.segments);
            }
            shape.segments += 1;
        }
        shape
    }

    /// The bit of a segment; 0 beyond [`MAX_SEGMENTS`].
    fn bit(segment: usize) -> u32 {
        (1_u32 << 31)
            .checked_shr(u32::try_from(segment).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    fn is_parameter(self, segment: usize) -> bool {
        self.parameters & Self::bit(segment) != 0
    }

    /// The hash of the literal segments of a path, or of a template of this shape.
    fn hash(self, path: &[u8]) -> Hash {
        let literals = segments(path)
            .enumerate()
            .filter(|(place, _)| !self.is_parameter(*place));
        literals.fold(Hash::EMPTY, |hash, (_, segment)| {
            hash.then(segment).then(b"/")
        })
    }

    /// Whether `template` has this shape and matches `path`, a path of as many segments.
    fn matches(self, template: &[u8], path: &[u8]) -> bool {
        Self::of(template) == self
            && segments(template).zip(segments(path)).enumerate().all(
                |(place, (written, asked))| match self.is_parameter(place) {
                    true => !asked.is_empty(),
                    false => written == asked,
                },
            )
    }
}

/// The segments of a path behind its first slash.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split(|byte| *byte == b'/')
}

/// The templates of a table, by their shapes, of which tables have few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Templates {
    /// Sorted.
    shapes: Vec<Shape>,
    places: Index,
}

impl Templates {
    pub(crate) fn with_room_for(templates: usize) -> Self {
        Self {
            shapes: Vec::new(),
            places: Index::with_room_for(templates),
        }
    }

    /// Adds the template at `place`, or returns the place of the equal one that is there.
    pub(crate) fn insert<'t>(
        &mut self,
        place: u32,
        text: impl Fn(u32) -> &'t [u8],
    ) -> Result<(), u32> {
        let template = text(place);
        let shape = Shape::of(template);
        let hash = shape.hash(template);
        let equal = |known| shape.matches(text(known), template);
        if let Some(known) = self.places.find(hash, equal) {
            return Err(known);
        }
        if let Err(before) = self.shapes.binary_search(&shape) {
            self.shapes.insert(before, shape);
        }
        self.places.insert(hash, place);
        Ok(())
    }

    /// The place of the template that takes `path`, an unambiguous path.
    pub(crate) fn find<'t>(&self, path: &[u8], text: impl Fn(u32) -> &'t [u8]) -> Option<u32> {
        if path.first() != Some(&b'/') {
            return None;
        }
        let segments = segments(path).count();
        let first = self
            .shapes
            .partition_point(|shape| shape.segments < segments);
        let fitting = self.shapes.iter().skip(first);
        fitting
            .take_while(|shape| shape.segments == segments)
            .find_map(|shape| {
                let matches = |place| shape.matches(text(place), path);
                self.places.find(shape.hash(path), matches)
            })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of `templates` takes `path`.
    fn taken<'t>(templates: &[&'t str], path: &str) -> Option<&'t str> {
        let text = |place: u32| templates[place as usize].as_bytes();
        let mut table = Templates::with_room_for(templates.len());
        for place in 0..u32::try_from(templates.len()).unwrap() {
            table.insert(place, text).unwrap();
        }
        let place = table.find(path.as_bytes(), text)?;
        Some(templates[place as usize])
    }

    #[test]
    fn a_parameter_is_one_segment_and_not_empty() {
        let templates = ["/users/{id}/orders", "/files/{name}/"];
        let orders = Some("/users/{id}/orders");
        assert_eq!(taken(&templates, "/users/7/orders"), orders);
        assert_eq!(taken(&templates, "/users/%C3%A9/orders"), orders);
        assert_eq!(taken(&templates, "/files/a/"), Some("/files/{name}/"));
        for path in [
            "/users//orders",
            "/users/7/8/orders",
            "/users/7/orders/",
            "/users/7",
            "/users/7/order",
            "/files/a",
            "/files//",
            "/",
            "",
        ] {
            assert_eq!(taken(&templates, path), None, "{path}");
        }
    }

    #[test]
    fn a_literal_beats_a_parameter_from_the_left() {
        let templates = ["/{a}/{b}", "/{a}/x", "/u/{b}", "/{a}/{b}/c"];
        for (path, expected) in [
            ("/u/x", "/u/{b}"),
            ("/v/x", "/{a}/x"),
            ("/v/y", "/{a}/{b}"),
            ("/u/x/c", "/{a}/{b}/c"),
        ] {
            assert_eq!(taken(&templates, path), Some(expected), "{path}");
        }
    }

    #[test]
    fn templates_that_differ_in_names_alone_are_equal() {
        let templates = ["/a/{x}", "/a/{y}", "/{x}/a"];
        let text = |place: u32| templates[place as usize].as_bytes();
        let mut table = Templates::with_room_for(3);
        assert_eq!(table.insert(0, text), Ok(()));
        assert_eq!(table.insert(1, text), Err(0));
        assert_eq!(table.insert(2, text), Ok(()));
    }

    #[test]
    fn a_parameter_stands_alone_and_has_a_name() {
        for text in ["/{id}", "/a/{user-id}/b/", "/{A_9}"] {
            assert_eq!(configured_problem(text), None, "{text}");
        }
        for text in [
            "/a{id}", "/{id}a", "/{}", "/{a", "/a}", "/{{a}}", "/{a/b}", "/{a b}", "/{é}",
            "/{a}//b", "/{a}/..", "{a}", "/{a}/;",
        ] {
            assert!(configured_problem(text).is_some(), "{text}");
        }
        let deep = |segments: usize| "/{a}".repeat(segments);
        assert_eq!(configured_problem(&deep(MAX_SEGMENTS)), None);
        assert!(configured_problem(&deep(MAX_SEGMENTS + 1)).is_some());
        assert_eq!(
            Shape::of(deep(MAX_SEGMENTS).as_bytes()).parameters,
            u32::MAX
        );
    }
}
