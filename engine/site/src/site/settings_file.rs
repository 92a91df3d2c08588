//! Settings of a plugin in TOML: values that are too long or too secret for a command line.

use std::collections::BTreeMap;
use std::path::Path;

use outcome::{Code, Failure, Result};
use plugin_host::PluginReference;
use serde::Deserialize;

/// The value of a setting.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    Number(i64),
    /// A list of words, for settings that are a command or several arguments.
    Words(Vec<String>),
}

/// A plugin with these settings; the error is a text for the user.
pub(super) fn with_settings(
    mut reference: PluginReference,
    settings: BTreeMap<String, Value>,
) -> Result<PluginReference, String> {
    for (name, value) in settings {
        let value = match value {
            Value::Text(text) => text,
            Value::Flag(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Words(words) => plugin_host::join_words(&words)
                .ok_or_else(|| format!("the setting {name} contains a NUL character"))?,
        };
        if reference.settings.iter().any(|(known, _)| *known == name) {
            return Err(format!("the setting {name} is given on the command line, too"));
        }
        reference = reference.with(name, value);
    }
    Ok(reference)
}

/// A plugin with the settings in a TOML file: `name = "value"`, `true`, a number, or a list of words.
pub fn with_settings_of_file(reference: PluginReference, path: &Path) -> Result<PluginReference> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::io("read", path, e))?;
    let refused = |problem: String| {
        Failure::refused(
            Code::new("CC-S07"),
            format!("{} does not hold settings of a plugin: {problem}", path.display()),
            "Write one setting per line, for example: replace = [\"name\", \"address.street\"]. Give each setting once.",
        )
    };
    // The error of the parser would show the line, which may be a secret.
    let settings = toml::from_str(&text).map_err(|e| refused(e.message().to_owned()))?;
    with_settings(reference, settings).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, given: &str) -> Result<PluginReference> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        with_settings_of_file(given.parse().unwrap(), &path)
    }

    #[test]
    fn settings_of_every_type() {
        let read = read("key = 'a, b'\nn = 3\nflag = true\nreplace = ['a.b', 'c d']\n", "x:given=1").unwrap();
        let expected = PluginReference::new("x").with("given", "1").with("flag", "true").with("key", "a, b");
        assert_eq!(read, expected.with("n", "3").with("replace", "a.b 'c d'"));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_values() {
        for text in ["key = 'secret", "secret", "[table]\nkey = 'secret'", "given = 'secret'", "key = 1.5"] {
            let failure = read(text, "x:given=1").unwrap_err();
            assert_eq!(failure.code().to_string(), "CC-S07", "{text}");
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
        let nothing = with_settings_of_file(PluginReference::new("x"), Path::new("/nonexistent"));
        assert!(nothing.is_err());
    }
}
