//! Color in messages on standard error.

use std::io::IsTerminal;

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};

/// When to use color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless the environment variable NO_COLOR is set.
    Auto,
    /// Always, also in a file or a pipe.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// The choice on a command line that is not parsed yet: the parser's own messages have color, too.
    pub(crate) fn of_command_line() -> Self {
        let mut words = std::env::args().skip(1).take_while(|word| word != "--");
        let mut choice = Self::Auto;
        while let Some(word) = words.next() {
            let value = match word.strip_prefix("--color") {
                Some("") => words.next(),
                Some(value) => value.strip_prefix('=').map(str::to_owned),
                None => None,
            };
            choice = value.and_then(|value| Self::from_str(&value, false).ok()).unwrap_or(choice);
        }
        choice
    }

    /// The same choice for the parser, which knows NO_COLOR itself.
    pub(crate) fn for_parser(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }

    /// Whether standard error gets color.
    pub(crate) fn on_standard_error(self) -> bool {
        match self {
            Self::Auto => {
                let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                std::io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// What a piece of text means, which decides its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Worth knowing.
    Note,
    /// Something was left out or changed for safety.
    Warning,
    /// Data is damaged or missing.
    Problem,
    /// How far an operation is.
    Progress,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Note | Self::Progress => AnsiColor::Cyan.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Problem => AnsiColor::Red.on_default().bold(),
        }
    }

    /// The text in this tone's color, or without any.
    pub(crate) fn paint(self, text: &str, in_color: bool) -> String {
        if !in_color {
            return text.to_owned();
        }
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_only_in_color() {
        assert_eq!(Tone::Warning.paint("warning", false), "warning");
        let painted = Tone::Warning.paint("warning", true);
        assert!(painted.starts_with('\u{1b}') && painted.ends_with("\u{1b}[0m"), "{painted:?}");
    }

    #[test]
    fn a_choice_is_not_a_guess() {
        assert!(ColorChoice::Always.on_standard_error());
        assert!(!ColorChoice::Never.on_standard_error());
    }
}
