//! Makes text of unknown origin safe for a terminal.

/// Makes text safe to print: without control characters, which a terminal would obey, and at most 2000 bytes long.
pub fn printable(text: &str) -> String {
    const MOST: usize = 2000;
    let mut shown = String::new();
    for c in text.trim().chars() {
        if shown.len() >= MOST {
            shown.push('…');
            break;
        }
        match c {
            '\n' | '\t' => shown.push(' '),
            c if is_unprintable(c) => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    shown
}

/// Whether a character would not be visible as itself: control characters, which a terminal obeys, characters that change the
/// direction of text, and characters of zero width.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}"), "a\u{fffd}[2Jb c\u{fffd}");
        assert_eq!(printable("a\u{200b}b\u{feff}c\u{ad}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert!(printable(&"x".repeat(100_000)).len() < 2100);
    }
}
