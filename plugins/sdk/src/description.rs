//! What a plugin says of itself.

use crate::{CommandPattern, Description, Setting};

impl Description {
    /// A plugin without settings and commands; `version` is best `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            settings: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// With one more setting.
    #[must_use]
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    /// With one more command that it may run; blanks part the words of the pattern (see [`CommandPattern`]).
    #[must_use]
    pub fn command(mut self, pattern: &str, purpose: &str) -> Self {
        let words = pattern.split_ascii_whitespace().map(Into::into).collect();
        self.commands.push(CommandPattern { words, purpose: purpose.into() });
        self
    }
}

impl Setting {
    /// A setting that has a value even where the user gives none.
    pub fn with_default(name: &str, default: &str, meaning: &str) -> Self {
        Self { name: name.into(), meaning: meaning.into(), default: Some(default.into()), required: false }
    }

    /// A setting that may have no value.
    pub fn optional(name: &str, meaning: &str) -> Self {
        Self { name: name.into(), meaning: meaning.into(), default: None, required: false }
    }

    /// A setting that the user has to give.
    pub fn required(name: &str, meaning: &str) -> Self {
        Self { name: name.into(), meaning: meaning.into(), default: None, required: true }
    }
}
