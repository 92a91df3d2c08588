//! The node that a call is about.

use std::time::Duration;

use crate::{Error, Node};

impl Node {
    /// The value of a setting, given by the user or by default.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    /// The value of a setting that has a default or is required, and shall not be empty.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        match self.setting(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Error::setting(name, "it has no value")),
        }
    }

    /// The value of a setting that is a name in a command where it must not be taken for an option.
    pub fn name_of(&self, name: &str) -> Result<&str, Error> {
        let value = self.required(name)?;
        if value.starts_with('-') {
            return Err(Error::setting(name, "it begins with `-`, so a program would take it for an option"));
        }
        Ok(value)
    }

    /// The value of a setting that is a whole number.
    pub fn number(&self, name: &str) -> Result<u32, Error> {
        self.required(name)?
            .parse()
            .map_err(|_| Error::setting(name, "it has to be a whole number, 0 or more"))
    }

    /// The value of a setting that is a number of seconds.
    pub fn seconds(&self, name: &str) -> Result<Duration, Error> {
        Ok(Duration::from_secs(self.number(name)?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SettingValue;

    fn node(value: &str) -> Node {
        let setting = SettingValue { name: "a".into(), value: value.into() };
        Node { name: None, host: None, settings: vec![setting] }
    }

    #[test]
    fn settings_are_read() {
        assert_eq!(node("x").setting("a"), Some("x"));
        assert_eq!(node("x").setting("b"), None);
        assert_eq!(node("12").number("a"), Ok(12));
        assert_eq!(node("12").seconds("a"), Ok(Duration::from_secs(12)));
        assert_eq!(node("couchdb").name_of("a"), Ok("couchdb"));
    }

    #[test]
    fn values_that_make_no_sense_are_errors() {
        for wrong in [
            node("").required("a").map(drop),
            node("x").required("b").map(drop),
            node("-x").name_of("a").map(drop),
            node("x").number("a").map(drop),
            node("-1").number("a").map(drop),
            node("99999999999").seconds("a").map(drop),
        ] {
            assert!(matches!(wrong, Err(Error::InvalidSetting(_))));
        }
    }
}
