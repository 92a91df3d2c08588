//! A description as couchcopy sees it.

use patterns::{Pattern, Values, Wraps};

use crate::{Command, Description, Node, SettingValue};

/// Names that patterns give another meaning.
const TAKEN: [&str; 3] = ["node", "host", "command"];

/// A description whose patterns are read, and the node that a test is about.
#[derive(Debug)]
pub(super) struct Described {
    description: Description,
    patterns: Vec<Pattern>,
    settings: Vec<(String, String)>,
    pub(super) name: Option<String>,
    pub(super) host: Option<String>,
}

impl Described {
    /// Panics where couchcopy would refuse the plugin.
    #[track_caller]
    pub(super) fn new(description: Description, wraps: Wraps) -> Self {
        check(&description);
        let names: Vec<&str> = description.settings.iter().map(|setting| setting.name.as_str()).collect();
        let patterns = description
            .commands
            .iter()
            .map(|pattern| match Pattern::parse(&pattern.words, &names, wraps) {
                Ok(pattern) => pattern,
                Err(error) => panic!("{error}"),
            })
            .collect();
        Self { description, patterns, settings: Vec::new(), name: None, host: None }
    }

    #[track_caller]
    pub(super) fn set(&mut self, name: &str, value: &str) {
        assert!(
            self.description.settings.iter().any(|setting| setting.name == name),
            "`{}` has no setting `{name}`; it has {}",
            self.description.name,
            listed(self.description.settings.iter().map(|setting| setting.name.as_str())),
        );
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.into(), value.into()));
    }

    /// Every setting that has a value, in the order of the description.
    #[track_caller]
    fn values(&self) -> Vec<(String, String)> {
        let mut values = Vec::new();
        for setting in &self.description.settings {
            let given = self.settings.iter().find(|(name, _)| *name == setting.name).map(|(_, value)| value);
            assert!(
                given.is_some() || !setting.required,
                "`{}` requires the setting `{}`: give it one with `.set(…)`",
                self.description.name,
                setting.name,
            );
            if let Some(value) = given.or(setting.default.as_ref()) {
                values.push((setting.name.clone(), value.clone()));
            }
        }
        values
    }

    #[track_caller]
    pub(super) fn node(&self) -> Node {
        let settings = self.values().into_iter().map(|(name, value)| SettingValue { name, value }).collect();
        Node { name: self.name.clone(), host: self.host.clone(), settings }
    }

    /// Panics where no pattern allows the command; `wrapped` is the command that an access plugin was given.
    #[track_caller]
    pub(super) fn assert_allowed(&self, command: &Command, wrapped: Option<&Command>) {
        let settings = self.values();
        let wrapped = wrapped.map(words);
        let values = Values {
            host: self.host.as_deref(),
            node: self.name.as_deref(),
            settings: &settings,
            command: wrapped.as_deref(),
        };
        let words = words(command);
        assert!(
            self.patterns.iter().any(|pattern| pattern.allows(&words, &values)),
            "couchcopy would not run this, as no pattern of `{}` allows it:\n  {}\nwith the settings {}. Its patterns:{}",
            self.description.name,
            shown(command),
            listed(settings.iter().map(|(name, value)| format!("{name}={value}"))),
            self.patterns.iter().fold(String::new(), |all, pattern| format!("{all}\n  {pattern}")),
        );
    }
}

/// A command's words, program first.
pub(super) fn words(command: &Command) -> Vec<&str> {
    std::iter::once(command.program.as_str()).chain(command.arguments.iter().map(String::as_str)).collect()
}

/// A command as tests write it.
pub(super) fn shown(command: &Command) -> String {
    patterns::join(words(command)).unwrap_or_else(|| format!("{command:?}"))
}

/// Reads a command that a test has written.
#[track_caller]
pub(super) fn read(line: &str) -> Command {
    let words = patterns::split(line).unwrap_or_else(|| panic!("a quote is left open in `{line}`"));
    let mut words = words.into_iter();
    match words.next() {
        Some(program) => Command::new(program).args(words),
        None => panic!("`{line}` is no command"),
    }
}

fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[track_caller]
fn check(description: &Description) {
    let plugin = &description.name;
    assert!(
        is_name(plugin),
        "`{plugin}` is no name for a plugin: lower-case letters, digits and `-`, beginning with a letter, at most 40",
    );
    for (what, text) in [("version", &description.version), ("summary", &description.summary)] {
        assert!(is_line(text), "the {what} of `{plugin}` has to be one line");
    }
    for (at, setting) in description.settings.iter().enumerate() {
        let name = &setting.name;
        assert!(
            is_name(name),
            "`{name}` is no name for a setting: lower-case letters, digits and `-`, beginning with a letter, at most 40",
        );
        assert!(
            !TAKEN.contains(&name.as_str()),
            "no setting may be called `{name}`: patterns mean the node's by it"
        );
        assert!(
            description.settings[..at].iter().all(|other| other.name != *name),
            "`{plugin}` has the setting `{name}` twice",
        );
        assert!(
            !(setting.required && setting.default.is_some()),
            "the setting `{name}` is required, so its default would never be used",
        );
        assert!(is_line(&setting.meaning), "tell what the setting `{name}` means, in one line");
    }
    for pattern in &description.commands {
        assert!(is_line(&pattern.purpose), "tell what `{}` is run for, in one line", pattern.words.join(" "));
    }
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.len() <= 2000 && !text.contains(char::is_control)
}

fn is_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
