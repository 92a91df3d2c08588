//! A plugin and its settings as users write them: `NAME[:key=value,…]`.

use std::fmt;

/// A plugin and its settings, as the user named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginReference {
    /// A name or a path.
    pub name: String,
    /// Settings, in the order in which they were given.
    pub settings: Vec<(String, String)>,
}

/// Text that names no plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError {
    problem: String,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write NAME[:KEY=VALUE,…], with \\, for a comma in a value", self.problem)
    }
}

impl std::error::Error for ReferenceError {}

impl PluginReference {
    /// A plugin without settings.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), settings: Vec::new() }
    }

    /// The reference with one more setting.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

impl std::str::FromStr for PluginReference {
    type Err = ReferenceError;

    /// Reads `NAME[:key=value,…]`. `\` makes the next character of a value an ordinary one. A `:` in a folder's name belongs
    /// to the path.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |problem: String| Err(ReferenceError { problem });
        // The settings begin at the first `:` after the file's name, and slashes in values are common: so the name of a
        // path ends where `.wasm` does.
        let name_end = text.find(".wasm:").map_or_else(|| text.find(':'), |at| Some(at + ".wasm".len()));
        let (name, settings) = match name_end {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if name.is_empty() {
            return error("the plugin's name is missing".into());
        }
        let mut reference = Self::new(name);
        for setting in settings.map(split).unwrap_or_default() {
            let (key, value) = match setting.split_once('=') {
                Some((key, value)) if !key.is_empty() => (key, value),
                _ => return error(format!("`{setting}` is not a setting")),
            };
            if reference.settings.iter().any(|(known, _)| known == key) {
                return error(format!("the setting {key} is given twice"));
            }
            reference = reference.with(key, value);
        }
        Ok(reference)
    }
}

/// Splits at commas that no `\` stands before, and takes those away.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            ',' => parts.push(String::new()),
            c => {
                let c = if c == '\\' { characters.next().unwrap_or('\\') } else { c };
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PluginReference, String> {
        text.parse().map_err(|e: ReferenceError| e.to_string())
    }

    #[test]
    fn references_as_users_write_them() {
        assert_eq!(parse("systemd"), Ok(PluginReference::new("systemd")));
        assert_eq!(
            parse("systemd:unit=couchdb@1,scope=user"),
            Ok(PluginReference::new("systemd").with("unit", "couchdb@1").with("scope", "user"))
        );
        assert_eq!(
            parse(r"command:start=a b=c\, \\d,stop="),
            Ok(PluginReference::new("command").with("start", r"a b=c, \d").with("stop", ""))
        );
        assert_eq!(
            parse("/a:b/x.wasm:dir=/srv/x:y"),
            Ok(PluginReference::new("/a:b/x.wasm").with("dir", "/srv/x:y"))
        );
        assert_eq!(parse("./x.wasm"), Ok(PluginReference::new("./x.wasm")));
        for wrong in ["", ":a=b", "x:a", "x:=b", "x:a=1,a=2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
