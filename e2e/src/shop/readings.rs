//! How servers read a path: an oracle for what a guard lets pass, which knows none of the guard's rules.

use std::collections::BTreeSet;

/// Every path that some usual server takes this one for, itself among them: each thing that servers do to a path is
/// done to it, in any order and again, until nothing new comes out.
pub(super) fn readings(path: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut known = BTreeSet::new();
    let mut fresh = vec![path.to_vec()];
    while let Some(path) = fresh.pop() {
        if known.insert(path.clone()) {
            fresh.extend(STEPS.iter().map(|step| step(&path)));
        }
    }
    known
}

type Step = fn(&[u8]) -> Vec<u8>;

/// What servers do to a path.
const STEPS: [Step; 8] = [
    decoded,
    without_overlong_utf8,
    with_slashes_for_backslashes,
    without_parameters,
    |path| up_to(path, b";"),
    |path| up_to(path, b"\0?#"),
    with_slashes_merged,
    without_dot_segments,
];

/// Without its escapes, once; a broken one stays as it is.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, after @ ..] => byte(*high, *low).map(|byte| (byte, after)),
            _ => None,
        };
        let (read, after) = escaped.unwrap_or((first, tail));
        decoded.push(read);
        rest = after;
    }
    decoded
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// With the character that a lax decoder reads in two bytes, or three, where one would do.
fn without_overlong_utf8(path: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let (character, tail) = match rest {
            [high @ (0xc0 | 0xc1), low @ 0x80..=0xbf, tail @ ..] => {
                ((high & 1) << 6 | (low & 0x3f), tail)
            }
            [0xe0, high @ (0x80 | 0x81), low @ 0x80..=0xbf, tail @ ..] => {
                ((high & 1) << 6 | (low & 0x3f), tail)
            }
            _ => (first, tail),
        };
        read.push(character);
        rest = tail;
    }
    read
}

fn with_slashes_for_backslashes(path: &[u8]) -> Vec<u8> {
    let slash = |&byte: &u8| if byte == b'\\' { b'/' } else { byte };
    path.iter().map(slash).collect()
}

/// Without what follows a `;` in a segment.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let names = segments(path).map(|segment| up_to(segment, b";"));
    names.collect::<Vec<_>>().join(&b'/')
}

/// What comes before the first of these bytes.
fn up_to(path: &[u8], ends: &[u8]) -> Vec<u8> {
    let before = path.iter().take_while(|byte| !ends.contains(byte));
    before.copied().collect()
}

fn with_slashes_merged(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    merged
}

/// RFC 3986, section 5.2.4.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut names = segments(path).peekable();
    while let Some(name) = names.next() {
        match name {
            b"." => {}
            // What stands before the first slash stays.
            b".." => kept.truncate(kept.len().saturating_sub(1).max(1)),
            _ => kept.push(name),
        }
        if matches!(name, b"." | b"..") && names.peek().is_none() {
            kept.push(b"");
        }
    }
    kept.join(&b'/')
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

#[test]
fn a_path_is_read_in_every_usual_way() {
    for (path, meant) in [
        ("/a/../admin", "/admin"),
        ("/a/%2e%2E/admin", "/admin"),
        ("/a/%252e%252e/admin", "/admin"),
        ("/a/..%2fadmin", "/admin"),
        ("/a/..\\admin", "/admin"),
        ("/a/..%255cadmin", "/admin"),
        ("/a/..;x=1/admin", "/admin"),
        ("/a/..%3b/admin", "/admin"),
        ("/a/%c0%ae%c0%ae/admin", "/admin"),
        ("/a/%e0%80%ae./admin", "/admin"),
        ("/a/..%c0%afadmin", "/admin"),
        ("/a/..%00/admin", "/"),
        ("//admin;/x", "/admin"),
        ("/admin%23/../a", "/admin"),
        ("/../admin", "/admin"),
        ("/a/b/..", "/a/"),
    ] {
        let readings = readings(path.as_bytes());
        assert!(readings.contains(meant.as_bytes()), "{path}: {readings:?}");
    }
    assert_eq!(readings(b"/a/b%20c").len(), 2);
}
