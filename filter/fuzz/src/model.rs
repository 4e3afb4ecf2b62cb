//! What the guard decides, said slowly: a path as Envoy's normalisation leaves it, by the rules
//! of RFC 3986, and the routes tried one after the other.

use faultline_filter_core::{Pattern, Route};

/// What the guard says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It goes on.
    Allowed,
    /// 405.
    MethodNotAllowed,
    /// 404.
    Unknown,
}

/// The decision over a `:path` as the filter sees it.
pub fn decide(routes: &[Route<'_>], target: &[u8], method: Option<&[u8]>) -> Decision {
    let path: Vec<u8> = target
        .iter()
        .copied()
        .take_while(|byte| *byte != b'?')
        .collect();
    match taker(routes, &path).map(|route| &route.methods) {
        None => Decision::Unknown,
        Some(None) => Decision::Allowed,
        Some(Some(methods)) => {
            let mut names = methods.allow().split(", ");
            match method {
                Some(method) if names.any(|name| name.as_bytes() == method) => Decision::Allowed,
                _ => Decision::MethodNotAllowed,
            }
        }
    }
}

/// The route that takes a path: the exact one; else, of the templates that match it, the one with a
/// literal where they first differ; else the longest prefix.
pub fn taker<'r, 'c>(routes: &'r [Route<'c>], path: &[u8]) -> Option<&'r Route<'c>> {
    let matching = routes.iter().filter(|route| matches(&route.pattern, path));
    matching.min_by_key(|route| match &route.pattern {
        Pattern::Exact(_) => (0, Vec::new(), 0),
        Pattern::Template(template) => {
            let parameters = template.split('/').map(is_parameter).collect();
            (1, parameters, 0)
        }
        Pattern::Prefix(prefix) => (2, Vec::new(), usize::MAX - prefix.len()),
    })
}

/// Whether two routes match exactly the same paths.
pub fn are_equal(a: &Pattern<'_>, b: &Pattern<'_>) -> bool {
    let shape = |template: &str| -> Vec<Option<String>> {
        let literal = |segment| (!is_parameter(segment)).then(|| str::to_owned(segment));
        template.split('/').map(literal).collect()
    };
    match (a, b) {
        (Pattern::Template(a), Pattern::Template(b)) => shape(a) == shape(b),
        _ => a == b,
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

fn matches(pattern: &Pattern<'_>, path: &[u8]) -> bool {
    match pattern {
        Pattern::Exact(exact) => exact.as_bytes() == path,
        Pattern::Template(template) => {
            let asked: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
            let written: Vec<&str> = template.split('/').collect();
            let mut pairs = written.iter().zip(&asked);
            written.len() == asked.len()
                && pairs.all(|(written, asked)| match is_parameter(written) {
                    true => !asked.is_empty(),
                    false => written.as_bytes() == *asked,
                })
                && says_one_thing(path)
        }
        Pattern::Prefix(prefix) => path.starts_with(prefix.as_bytes()) && says_one_thing(path),
    }
}

/// Whether `path` reads as the same path to every server: decode it fully, and look for what
/// could be read in another way.
fn says_one_thing(path: &[u8]) -> bool {
    let Some(decoded) = decode(path) else {
        return false;
    };
    let ambiguous = |byte: &u8| byte.is_ascii_control() || b"\\;#".contains(byte);
    let overlong = |pair: &[u8]| matches!(pair, [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]);
    let never_utf8 = |byte: &u8| matches!(byte, 0xc0 | 0xc1 | 0xf5..);
    if decoded.iter().any(ambiguous)
        || decoded.iter().any(never_utf8)
        || decoded.windows(2).any(overlong)
    {
        return false;
    }
    let mut segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    // Before the first slash, and after the last, nothing is as it should be.
    let last = segments.pop();
    !segments.iter().skip(1).any(|segment| segment.is_empty())
        && !segments
            .into_iter()
            .chain(last)
            .any(|segment| segment == b"." || segment == b"..")
}

/// `path` without its escapes; `None` if one is broken, or hides what separates or escapes.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let byte = escaped(&[*rest.next()?, *rest.next()?])?;
        if b"./%?".contains(&byte) {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

fn escaped(digits: &[u8; 2]) -> Option<u8> {
    let digits = str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

/// A path as Envoy's normalisation leaves it: what needs no escape is written without one, a
/// backslash is a slash (RFC 3986, section 6.2.2, and what browsers do), and then dot segments go
/// (section 5.2.4). For printable ASCII without what a path may not hold, and without `;` behind
/// dots, where versions of Envoy differ.
pub fn normalise(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let (written, tail) = match rest {
            [b'%', high, low, tail @ ..] => match escaped(&[*high, *low]) {
                Some(byte) if is_unreserved(byte) => (vec![byte], tail),
                Some(_) => (vec![b'%', *high, *low], tail),
                None => (vec![b'%'], rest.get(1..).unwrap_or_default()),
            },
            [b'\\', tail @ ..] => (vec![b'/'], tail),
            _ => (vec![first], tail),
        };
        plain.extend(written);
        rest = tail;
    }

    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = plain.split(|byte| *byte == b'/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    for (place, segment) in segments.into_iter().enumerate() {
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            name => {
                kept.push(name);
                continue;
            }
        }
        // Dots at the end leave the slash before them.
        if place == last {
            kept.push(b"");
        }
    }
    kept.into_iter()
        .flat_map(|segment| [b"/", segment].concat())
        .collect()
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
