//! Shortens long text, such as an error message that contains a value of the caller.

use std::borrow::Cow;

/// Shortens `text` to about `limit` bytes: its beginning, the number of omitted bytes, and its end. The end is kept,
/// because a message often states the problem after the value.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let (mut head, mut tail) = (limit / 4 * 3, text.len() - limit / 4);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    let left_out = tail - head;
    Cow::Owned(format!(
        "{} [... {left_out} bytes left out ...] {}",
        &text[..head],
        &text[tail..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_of_long_text_is_left_out() {
        assert_eq!(shorten("", 0), "");
        assert_eq!(shorten("12345678", 8), "12345678");
        assert_eq!(
            shorten("123456789", 8),
            "123456 [... 1 bytes left out ...] 89"
        );
        // Three bytes per character.
        let long = "\u{65e5}".repeat(1000);
        let short = shorten(&long, 8);
        assert_eq!(short, "\u{65e5}\u{65e5} [... 2994 bytes left out ...] ");
    }
}
