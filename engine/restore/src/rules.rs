//! What holds for all databases of an archive, or for those whose name matches a pattern; of several rules the last one counts.

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// Rules in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rules<T> {
    rules: Vec<Rule<T>>,
}

/// What holds for some databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rule<T> {
    /// The names of the databases in the archive; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(flatten)]
    value: T,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self { rules: Vec::new() }
    }
}

impl<T> Rule<T> {
    fn matches(&self, name: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| WildMatch::new(pattern).matches(name))
    }

    fn is_for_all(&self) -> bool {
        matches!(self.pattern.as_deref(), None | Some("*"))
    }
}

impl<T> Rules<T> {
    /// Reads `VALUE` and `PATTERN=VALUE`. The error is that of `value`; a pattern that is empty is `empty`.
    pub(crate) fn parse<E>(
        texts: &[String],
        empty: impl Fn(&str) -> E,
        value: impl Fn(&str, &str) -> Result<T, E>,
    ) -> Result<Self, E> {
        let rule = |text: &String| {
            let (pattern, of_pattern) = match text.rsplit_once('=') {
                Some((pattern, value)) => (Some(pattern.to_owned()), value),
                None => (None, text.as_str()),
            };
            if pattern.as_deref() == Some("") {
                return Err(empty(text));
            }
            Ok(Rule { pattern, value: value(text, of_pattern)? })
        };
        Ok(Self { rules: texts.iter().map(rule).collect::<Result<_, E>>()? })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What holds for a database of the archive, if anything does.
    pub(crate) fn of(&self, name: &str) -> Option<&T> {
        self.rules.iter().rev().find(|rule| rule.matches(name)).map(|rule| &rule.value)
    }

    /// What holds for the databases for which nothing more special was given, if anything does.
    pub(crate) fn for_all(&self) -> Option<&T> {
        self.rules.iter().rev().find(|rule| rule.is_for_all()).map(|rule| &rule.value)
    }

    /// Every pattern (`None`: all databases) with what holds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Option<&str>, &T)> {
        self.rules.iter().map(|rule| (rule.pattern.as_deref(), &rule.value))
    }

    /// The first pattern that matches none of the archive's databases, whose names are read if there is a pattern.
    pub(crate) fn idle<E>(&self, names: impl FnOnce() -> Result<Vec<String>, E>) -> Result<Option<&str>, E> {
        if self.rules.iter().all(|rule| rule.pattern.is_none()) {
            return Ok(None);
        }
        let names = names()?;
        let idle = self.rules.iter().find(|rule| !names.iter().any(|name| rule.matches(name)));
        Ok(idle.and_then(|rule| rule.pattern.as_deref()))
    }
}
