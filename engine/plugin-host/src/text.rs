//! Text that a plugin made, for people.

/// Makes text fit to be shown: no control characters, which a terminal would obey; no more than some lines of it.
pub(crate) fn printable(text: &str) -> String {
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

/// Whether a terminal would do something else than show it: control characters, and those that turn the direction of text.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A command as a user could type it.
pub(crate) fn shown(program: &str, arguments: &[String]) -> String {
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    printable(&patterns::join(words).unwrap_or_else(|| format!("{program} …")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}"), "a\u{fffd}[2Jb c\u{fffd}");
        assert!(printable(&"x".repeat(100_000)).len() < 2100);
        assert_eq!(shown("a b", &["$(x)".into()]), "'a b' '$(x)'");
    }
}
