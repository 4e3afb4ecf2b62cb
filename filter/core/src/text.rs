//! Text put together without the standard library's formatting, which would be a tenth of the
//! module, and costs more than all else in an annotation.

use alloc::string::String;

/// Appends a number in decimal digits.
pub(crate) fn push_number(text: &mut String, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    // Below 10.
    let digit = u8::try_from(number % 10).unwrap_or_default();
    text.push(char::from(b'0' + digit));
}

/// `before`, a number, and `after`.
pub(crate) fn around_number(before: &str, number: usize, after: &str) -> String {
    let mut text = String::from(before);
    push_number(&mut text, u64::try_from(number).unwrap_or(u64::MAX));
    text.push_str(after);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_elsewhere() {
        for number in [0, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut text = String::new();
            push_number(&mut text, number);
            assert_eq!(text, number.to_string());
        }
        assert_eq!(around_number("a[", 17, "]"), "a[17]");
    }
}
