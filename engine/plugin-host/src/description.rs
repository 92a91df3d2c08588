//! The description that a plugin gives of itself, checked, and the settings that fit it.

use std::collections::BTreeSet;
use std::fmt;

use patterns::{Pattern, Wraps};
use serde::Serialize;

use crate::kind::Kind;
use crate::reference::PluginReference;
use crate::text::{is_name, is_unprintable};

/// The longest text in a description.
const LONGEST: usize = 2000;
/// The most settings or patterns.
const MOST: usize = 100;

/// The description that a plugin gives of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub summary: String,
    /// The settings that it knows.
    pub settings: Vec<Setting>,
    /// The commands that it may run or give back.
    pub commands: Vec<CommandPattern>,
}

/// A setting that a plugin knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// Its value if the user sets none.
    pub default: Option<String>,
    /// Whether the user must set it.
    pub required: bool,
}

/// Commands that a plugin may run or give back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandPattern {
    /// Program and arguments, as the contract writes them.
    #[serde(serialize_with = "words")]
    pub pattern: Pattern,
    /// The purpose of the commands.
    pub purpose: String,
}

fn words<S: serde::Serializer>(pattern: &Pattern, serializer: S) -> Result<S::Ok, S::Error> {
    pattern.words().serialize(serializer)
}

/// A description as it came out of the sandbox.
pub(crate) struct Raw {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) settings: Vec<Setting>,
    /// Words and purpose.
    pub(crate) commands: Vec<(Vec<String>, String)>,
}

impl Description {
    /// Checks the description that a plugin gives of itself; the error says what is wrong with it.
    pub(crate) fn check(raw: Raw, wraps: Wraps, kind: Kind) -> Result<Self, String> {
        if !is_name(&raw.name) {
            return Err(format!("its name is {:?}", crate::text::printable(&raw.name)));
        }
        text("version", &raw.version)?;
        text("summary", &raw.summary)?;
        if raw.settings.len() > MOST || raw.commands.len() > MOST {
            return Err(format!(
                "it has {} settings and {} command patterns; {MOST} of each are the most",
                raw.settings.len(),
                raw.commands.len()
            ));
        }
        if !kind.runs_commands() && !raw.commands.is_empty() {
            return Err(format!("a {kind} plugin runs no commands, but it names {}", raw.commands.len()));
        }
        let mut names = BTreeSet::new();
        for setting in &raw.settings {
            if !is_name(&setting.name) || matches!(setting.name.as_str(), "host" | "node" | "command") {
                return Err(format!(
                    "{:?} is not a name for a setting",
                    crate::text::printable(&setting.name)
                ));
            }
            if !names.insert(setting.name.as_str()) {
                return Err(format!("the setting {} is there twice", setting.name));
            }
            text("meaning of a setting", &setting.meaning)?;
            if let Some(default) = &setting.default {
                if setting.required {
                    return Err(format!("the setting {} is required and has a default", setting.name));
                }
                value(default).map_err(|problem| format!("the default of {} {problem}", setting.name))?;
            }
        }
        let known: Vec<&str> = names.into_iter().collect();
        let mut commands = Vec::new();
        for (words, purpose) in raw.commands {
            text("purpose of a command pattern", &purpose)?;
            if words.iter().map(String::len).sum::<usize>() > LONGEST {
                return Err("a command pattern is too long".into());
            }
            if words.iter().any(|word| word.chars().any(is_unprintable)) {
                return Err("a command pattern holds characters that cannot be shown".into());
            }
            let pattern = Pattern::parse(&words, &known, wraps).map_err(|e| e.to_string())?;
            commands.push(CommandPattern { pattern, purpose });
        }
        Ok(Self {
            name: raw.name,
            version: raw.version,
            summary: raw.summary,
            settings: raw.settings,
            commands,
        })
    }

    /// The values of all settings that have a value: the value that the user set, otherwise the default.
    pub fn settings_of(&self, reference: &PluginReference) -> Result<Vec<(String, String)>, SettingsError> {
        for (name, given) in &reference.settings {
            if !self.settings.iter().any(|setting| setting.name == *name) {
                return Err(SettingsError::Unknown {
                    name: crate::text::printable(name),
                    known: self.settings.clone(),
                });
            }
            value(given).map_err(|problem| SettingsError::Value { name: name.clone(), problem })?;
        }
        let mut values = Vec::new();
        for setting in &self.settings {
            let given = reference.settings.iter().find(|(name, _)| *name == setting.name);
            match given.map(|(_, value)| value).or(setting.default.as_ref()) {
                Some(value) => values.push((setting.name.clone(), value.clone())),
                None if setting.required => {
                    return Err(SettingsError::Missing {
                        name: setting.name.clone(),
                        known: self.settings.clone(),
                    });
                }
                None => {}
            }
        }
        Ok(values)
    }
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("its {what} is empty"));
    }
    if text.len() > LONGEST {
        return Err(format!("its {what} is too long"));
    }
    if text.chars().any(is_unprintable) {
        return Err(format!("its {what} holds characters that cannot be shown"));
    }
    Ok(())
}

fn value(value: &str) -> Result<(), String> {
    if value.len() > 64 << 10 {
        return Err("is too long".into());
    }
    if value.chars().any(char::is_control) {
        return Err("holds a control character".into());
    }
    Ok(())
}

/// Settings that do not fit a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsError {
    /// The plugin has no such setting.
    Unknown {
        /// As the user wrote it.
        name: String,
        /// The settings that the plugin has.
        known: Vec<Setting>,
    },
    /// A required one is missing.
    Missing {
        /// Its name.
        name: String,
        /// The settings that the plugin has.
        known: Vec<Setting>,
    },
    /// A value that no setting can have.
    Value {
        /// The setting.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, .. } => write!(f, "it has no setting called {name}"),
            Self::Missing { name, .. } => write!(f, "the setting {name} is missing"),
            Self::Value { name, problem } => write!(f, "the value of {name} {problem}"),
        }
    }
}

impl SettingsError {
    pub(crate) fn remedy(&self) -> String {
        let known = match self {
            Self::Unknown { known, .. } | Self::Missing { known, .. } => known,
            Self::Value { .. } => return "Choose another value.".into(),
        };
        if known.is_empty() {
            return "The plugin has no settings.".into();
        }
        let lines = known.iter().map(|setting| {
            let note = match &setting.default {
                Some(default) => format!(" (default: {default})"),
                None if setting.required => " (required)".into(),
                None => String::new(),
            };
            format!("\n  {}: {}{note}", setting.name, setting.meaning)
        });
        format!("Its settings are:{}", lines.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> Raw {
        let setting = |name: &str, default: Option<&str>, required| Setting {
            name: name.into(),
            meaning: "what it is".into(),
            default: default.map(str::to_owned),
            required,
        };
        Raw {
            name: "mine".into(),
            version: "1.0.0".into(),
            summary: "a plugin".into(),
            settings: vec![
                setting("unit", Some("couchdb"), false),
                setting("place", None, true),
                setting("x", None, false),
            ],
            commands: vec![(vec!["stop".into(), "{unit}".into()], "stops it".into())],
        }
    }

    #[test]
    fn a_description_has_to_make_sense() {
        assert!(Description::check(raw(), Wraps::Never, Kind::Service).is_ok());
        let refused = |change: &dyn Fn(&mut Raw)| {
            let mut raw = raw();
            change(&mut raw);
            Description::check(raw, Wraps::Never, Kind::Service).unwrap_err()
        };
        assert!(refused(&|raw| raw.name = "My Plugin".into()).contains("name"));
        let filter = Description::check(raw(), Wraps::Never, Kind::Filter).unwrap_err();
        assert!(filter.contains("runs no commands"), "{filter}");
        assert!(
            Description::check(Raw { commands: Vec::new(), ..raw() }, Wraps::Never, Kind::Filter).is_ok()
        );
        assert!(refused(&|raw| raw.summary = "a\u{1b}[2J".into()).contains("cannot be shown"));
        assert!(refused(&|raw| raw.summary = "x".repeat(5000)).contains("too long"));
        assert!(refused(&|raw| raw.settings[0].name = "host".into()).contains("not a name for a setting"));
        assert!(refused(&|raw| raw.settings[1].name = "unit".into()).contains("twice"));
        assert!(refused(&|raw| raw.settings[0].required = true).contains("required and has a default"));
        assert!(refused(&|raw| raw.commands[0].0[1] = "{other}".into()).contains("no setting called"));
        assert!(refused(&|raw| raw.commands[0].0[1] = "\u{202e}".into()).contains("cannot be shown"));
        assert!(refused(&|raw| raw.settings = vec![raw.settings[0].clone(); 1000]).contains("1000 settings"));
    }

    #[test]
    fn settings_are_the_users_before_the_defaults() {
        let description = Description::check(raw(), Wraps::Never, Kind::Service).unwrap();
        let reference = PluginReference::new("mine");
        let missing = description.settings_of(&reference).unwrap_err();
        assert!(missing.remedy().contains("unit: what it is (default: couchdb)"), "{}", missing.remedy());
        assert!(missing.remedy().contains("place: what it is (required)"));
        let given = reference.with("place", "here");
        let values = description.settings_of(&given).unwrap();
        assert_eq!(values, [("unit".into(), "couchdb".into()), ("place".into(), "here".into())]);
        let values = description.settings_of(&given.clone().with("unit", "c2")).unwrap();
        assert_eq!(values[0].1, "c2");
        assert!(matches!(
            description.settings_of(&given.clone().with("y", "")),
            Err(SettingsError::Unknown { .. })
        ));
        assert!(matches!(description.settings_of(&given.with("x", "a\0")), Err(SettingsError::Value { .. })));
    }
}
