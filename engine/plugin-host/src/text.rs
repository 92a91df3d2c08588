//! Text of plugins: names, and what people get to see.

pub use outcome::{is_unprintable, printable};

/// A command as a user could type it.
pub(crate) fn shown(program: &str, arguments: &[String]) -> String {
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    printable(&patterns::join(words).unwrap_or_else(|| format!("{program} …")))
}

/// Joins words into one line that a POSIX shell, and a plugin's setting, parts into exactly these words; `None` if a
/// word holds a NUL.
pub fn join_words<W: AsRef<str>>(words: &[W]) -> Option<String> {
    patterns::join(words.iter().map(AsRef::as_ref))
}

/// Whether it could be a plugin's name.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_copied() {
        assert_eq!(shown("a b", &["$(x)".into()]), "'a b' '$(x)'");
    }

    #[test]
    fn names() {
        for name in ["systemd", "x2-y"] {
            assert!(is_name(name), "{name}");
        }
        for other in ["", "2x", "X", "a b", "..", &"x".repeat(41)] {
            assert!(!is_name(other), "{other}");
        }
    }
}
