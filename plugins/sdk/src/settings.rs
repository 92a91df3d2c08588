//! The settings of a plugin.

use crate::{Error, SettingValue};

/// The values of a plugin's settings, given by the user or by default.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'s>(&'s [SettingValue]);

impl<'s> Settings<'s> {
    /// These.
    pub fn new(values: &'s [SettingValue]) -> Self {
        Self(values)
    }

    /// The value of a setting.
    pub fn get(self, name: &str) -> Option<&'s str> {
        self.0.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    /// The value of a setting that has a default or is required, and shall not be empty.
    pub fn required(self, name: &str) -> Result<&'s str, Error> {
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Error::setting(name, "it has no value")),
        }
    }

    /// The value of a setting that is `true` or `false`; a setting without a value is false.
    pub fn flag(self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::setting(name, "it has to be `true` or `false`")),
        }
    }

    /// The words of a setting: blanks part them, `'…'`, `"…"` and `\` protect blanks, as in a shell. None if it has no value. A list
    /// in a file with settings is such words, too.
    pub fn words(self, name: &str) -> Result<Vec<String>, Error> {
        split(self.get(name).unwrap_or_default())
            .ok_or_else(|| Error::setting(name, "a quote is left open, or a `\\` ends it"))
    }
}

/// Splits a line as a POSIX shell would, without expanding anything.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        inner => word.push(inner),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => match characters.next()? {
                            escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                            '\n' => {}
                            other => word.extend(['\\', other]),
                        },
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for line in
            ["", " ", "a b\tc", "'a b' c", r#""a \" \$ \x" b\ c"#, "a''b \"\"", "'", "\"a", "a\\", "''"]
        {
            assert_eq!(split(line), patterns::split(line), "{line:?}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_errors() {
        let values = [SettingValue { name: "a".into(), value: "'x".into() }];
        let settings = Settings::new(&values);
        assert_eq!((settings.get("a"), settings.get("b")), (Some("'x"), None));
        assert_eq!(settings.flag("b"), Ok(false));
        for wrong in
            [settings.flag("a").map(drop), settings.words("a").map(drop), settings.required("b").map(drop)]
        {
            assert!(matches!(wrong, Err(Error::InvalidSetting(_))));
        }
    }
}
