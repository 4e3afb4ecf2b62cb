//! Request paths: what belongs to the path, and which paths can still turn into another one.

/// The longest path a configured route may have, in bytes.
pub const MAX_CONFIGURED: usize = 1024;

/// The path of a `:path` value: everything before the query.
pub fn without_query(target: &[u8]) -> &[u8] {
    match target.iter().position(|&byte| byte == b'?') {
        Some(end) => target.get(..end).unwrap_or_default(),
        None => target,
    }
}

/// Whether no server behind the proxy can read `path` as another path than it says.
///
/// A prefix route only lets through what passes here. Refused are empty, `.` and `..` segments;
/// backslashes, `;` (path parameters: some servers drop them, and then see the dots before),
/// `#`, control characters; escapes that hide any of these, an escaped `%` or `?`, and broken
/// escapes; and UTF-8 that spells such a character in too many bytes.
pub fn is_unambiguous(path: &[u8]) -> bool {
    let mut before = None;
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let (decoded, tail) = if byte == b'%' {
            match tail.split_first_chunk::<2>() {
                Some((&[high, low], tail)) => match (hex(high), hex(low)) {
                    (Some(high), Some(low)) => (high << 4 | low, tail),
                    _ => return false,
                },
                None => return false,
            }
        } else {
            (byte, tail)
        };
        let hidden = byte == b'%' && matches!(decoded, b'.' | b'/' | b'%' | b'?');
        let refused = matches!(decoded, 0..=0x1f | 0x7f | b'\\' | b';' | b'#');
        if hidden || refused || is_overlong(before, decoded) {
            return false;
        }
        before = Some(decoded);
        rest = tail;
    }
    has_plain_segments(path)
}

/// What keeps `path` from being configured as a route, if anything does.
///
/// A configured path is compared with what Envoy's normalisation leaves, so it must be written
/// in that form: ASCII, escapes only where they are needed, nothing that [`is_unambiguous`]
/// refuses. Anything else would never match, or match more than it says.
pub fn configured_problem(path: &str) -> Option<&'static str> {
    configured_problem_beside(path, b"")
}

/// As [`configured_problem`], where these characters may stand, too.
pub(crate) fn configured_problem_beside(path: &str, allowed: &[u8]) -> Option<&'static str> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Some("must start with \"/\"");
    }
    if bytes.len() > MAX_CONFIGURED {
        return Some("must be at most 1024 bytes long");
    }
    if !has_plain_segments(bytes) {
        return Some("must have no empty, \".\" or \"..\" segment");
    }
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            match tail.split_first_chunk::<2>() {
                Some((&[high, low], tail)) => match (hex(high), hex(low)) {
                    (Some(high), Some(low)) if may_be_escaped(high << 4 | low) => rest = tail,
                    _ => return Some("has an escape that is broken, needless or ambiguous"),
                },
                None => return Some("has an escape that is broken, needless or ambiguous"),
            }
        } else if !is_plain(byte) && !allowed.contains(&byte) {
            return Some("may hold only the characters of a URI path, without \";\", \"?\", \"#\"");
        }
    }
    None
}

/// Whether every segment but the last is non-empty and none is `.` or `..`.
fn has_plain_segments(path: &[u8]) -> bool {
    let mut segments = path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|&b| b == b'/');
    let last = segments.next_back().unwrap_or_default();
    let is_dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    !is_dots(last) && segments.all(|segment| !segment.is_empty() && !is_dots(segment))
}

/// RFC 3986 unreserved characters, which normalisation writes without an escape.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Characters a configured path holds as they are: pchar and "/", without ";".
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"/!$&'()*+,=:@".contains(&byte)
}

/// Bytes that a configured path may hold as an escape.
fn may_be_escaped(byte: u8) -> bool {
    !is_unreserved(byte)
        && !matches!(
            byte,
            0..=0x1f | 0x7f | b'/' | b'\\' | b';' | b'%' | b'?' | b'#'
        )
        && !is_overlong(None, byte)
}

/// Whether `byte` after `before` starts or continues UTF-8 that no strict decoder accepts, but
/// that a lax one reads as a shorter character.
fn is_overlong(before: Option<u8>, byte: u8) -> bool {
    matches!(
        (before, byte),
        (_, 0xc0 | 0xc1 | 0xf5..) | (Some(0xe0), 0x80..=0x9f) | (Some(0xf0), 0x80..=0x8f)
    )
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_not_part_of_the_path() {
        assert_eq!(without_query(b"/log?a=/b?c"), b"/log");
        assert_eq!(without_query(b"/log?"), b"/log");
        assert_eq!(without_query(b"?"), b"");
        assert_eq!(without_query(b""), b"");
        assert_eq!(without_query(b"/log%3Fa"), b"/log%3Fa");
    }

    #[test]
    fn every_escape_is_either_plain_data_or_refused() {
        for byte in 0..=u8::MAX {
            let path = format!("/a%{byte:02X}");
            let dangerous = byte.is_ascii_control()
                || b"./\\;%?#".contains(&byte)
                || matches!(byte, 0xc0 | 0xc1 | 0xf5..);
            assert_eq!(is_unambiguous(path.as_bytes()), !dangerous, "{path}");
            let needless = is_unreserved(byte);
            let problem = configured_problem(&path);
            assert_eq!(problem.is_none(), !dangerous && !needless, "{path}");
        }
    }
}
