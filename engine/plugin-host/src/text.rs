//! Text that a plugin made, for people.

pub use outcome::{is_unprintable, printable};

/// A command as a user could type it.
pub(crate) fn shown(program: &str, arguments: &[String]) -> String {
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    printable(&patterns::join(words).unwrap_or_else(|| format!("{program} …")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_copied() {
        assert_eq!(shown("a b", &["$(x)".into()]), "'a b' '$(x)'");
    }
}
