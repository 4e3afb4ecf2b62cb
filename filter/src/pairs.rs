//! Header maps as the interface passes them: how many there are, the two sizes of each, and then
//! each name and each value, with a NUL behind it. Numbers have four bytes, the lowest first.

use alloc::vec::Vec;
use core::iter;

/// The bytes of a number.
const NUMBER: usize = 4;

/// A map with these headers.
pub fn write(headers: &[(&str, &str)]) -> Vec<u8> {
    let texts = headers.iter().flat_map(|(name, value)| [name, value]);
    let mut bytes = Vec::new();
    for number in iter::once(headers.len()).chain(texts.clone().map(|text| text.len())) {
        bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// The first value of the header `name`. In a map that says what cannot be, there is none from
/// there on.
pub fn value<'b>(map: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let (count, rest) = number(map)?;
    let (mut sizes, mut texts) = rest.split_at_checked(count.checked_mul(2 * NUMBER)?)?;
    loop {
        let (known, value);
        (known, sizes, texts) = text(sizes, texts)?;
        (value, sizes, texts) = text(sizes, texts)?;
        if known == name.as_bytes() {
            return Some(value);
        }
    }
}

/// The number that `bytes` begin with, and the rest.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// The text that `texts` begin with, as long as `sizes` say; then the rest of both.
fn text<'b>(sizes: &'b [u8], texts: &'b [u8]) -> Option<(&'b [u8], &'b [u8], &'b [u8])> {
    let (size, sizes) = number(sizes)?;
    let (text, rest) = texts.split_at_checked(size)?;
    Some((text, sizes, rest.split_first()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [(&str, &str); 4] = [(":path", "/a"), ("x", ""), (":method", "GET"), ("x", "2")];

    #[test]
    fn what_is_written_is_read() {
        let map = write(&HEADERS);
        for (name, expected) in [(":path", "/a"), ("x", ""), (":method", "GET")] {
            assert_eq!(value(&map, name), Some(expected.as_bytes()), "{name}");
        }
        assert_eq!(value(&map, ":status"), None);
        assert_eq!(value(&map, ""), None);
        assert_eq!(value(&write(&[]), "x"), None);
    }

    #[test]
    fn a_map_that_ends_too_early_has_nothing_from_there_on() {
        let map = write(&HEADERS);
        for length in 0..map.len() {
            let cut = value(&map[..length], ":method");
            // Its last byte is the NUL behind "GET"; the header after it is not looked at.
            let is_whole = length >= map.len() - "x\x002\x00".len();
            assert_eq!(cut, is_whole.then_some(&b"GET"[..]), "{length} bytes");
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for place in 0..9 {
            let mut map = write(&HEADERS);
            map[place * NUMBER..][..NUMBER].fill(0xff);
            assert_eq!(value(&map, ":status"), None, "number {place}");
        }
    }
}
