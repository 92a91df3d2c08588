//! A pattern and the way it is written.

use std::fmt;

/// Names in braces that are no settings.
pub(crate) const HOST: &str = "host";
pub(crate) const NODE: &str = "node";
pub(crate) const COMMAND: &str = "command";

/// A command that a plugin may run or, for a plugin that says how a node is reached, give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub(crate) words: Vec<Word>,
    source: Vec<String>,
}

/// What stands for one argument, or for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// Exactly these parts.
    Exact(Vec<Part>),
    /// The same, left out where something in it has no value.
    Optional(Vec<Part>),
    /// `{name...}`: the words of a setting.
    Split(String),
    /// `*`
    Free,
    /// `{command...}`
    CommandWords,
    /// `{command}`
    QuotedCommand,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Value(String),
}

/// A pattern that is written wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The pattern, its words joined by blanks.
    pub pattern: String,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command pattern `{}` is wrong: {}", self.pattern, self.problem)
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Reads a pattern from its words. `settings` are the names that braces may hold beside `host` and `node`; `wraps` tells
    /// whether `{command}` has a meaning, which it has for plugins that say how a node is reached.
    pub fn parse<S: AsRef<str>>(words: &[S], settings: &[&str], wraps: bool) -> Result<Self, PatternError> {
        let source: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        let wrong = |problem: String| PatternError { pattern: source.join(" "), problem };
        let words: Vec<Word> = source
            .iter()
            .map(|word| parse_word(word, settings, wraps))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        match words.first() {
            None => return Err(wrong("it has no words".into())),
            Some(Word::Free) => return Err(wrong("its program may not be `*`".into())),
            Some(Word::Optional(_) | Word::CommandWords | Word::QuotedCommand) => {
                return Err(wrong("it does not begin with a program".into()));
            }
            Some(Word::Exact(_) | Word::Split(_)) => {}
        }
        let commands = words.iter().filter(|w| matches!(w, Word::CommandWords | Word::QuotedCommand)).count();
        if wraps && commands != 1 {
            return Err(wrong(
                "the command to wrap has to be in it once, as `{command...}` or `{command}`".into(),
            ));
        }
        if let Some(at) = words.iter().position(|word| *word == Word::CommandWords)
            && at + 1 != words.len()
        {
            return Err(wrong("`{command...}` has to be its last word".into()));
        }
        Ok(Self { words, source })
    }

    /// The words that it was made from.
    pub fn words(&self) -> &[String] {
        &self.source
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.join(" "))
    }
}

fn parse_word(word: &str, settings: &[&str], wraps: bool) -> Result<Word, String> {
    if word.is_empty() {
        return Err("a word is empty".into());
    }
    if word.chars().any(char::is_control) {
        return Err("a word holds a control character".into());
    }
    if word == "*" {
        return Ok(Word::Free);
    }
    if word == "{command...}" || word == "{command}" {
        if !wraps {
            return Err(format!("`{word}` has a meaning for node-access plugins only"));
        }
        return Ok(if word == "{command}" { Word::QuotedCommand } else { Word::CommandWords });
    }
    if let Some(name) = word.strip_prefix('{').and_then(|rest| rest.strip_suffix("...}"))
        && !name.starts_with('{')
    {
        known(name, settings)?;
        return Ok(Word::Split(name.to_owned()));
    }
    match word.strip_prefix('[') {
        Some(rest) => {
            let inner =
                rest.strip_suffix(']').ok_or_else(|| format!("`{word}` begins with `[` and has no `]`"))?;
            let parts = parse_parts(inner, settings)?;
            if parts.iter().all(|part| matches!(part, Part::Text(_))) {
                return Err(format!("`{word}` names no setting, so nobody could say when it is left out"));
            }
            Ok(Word::Optional(parts))
        }
        None => Ok(Word::Exact(parse_parts(word, settings)?)),
    }
}

fn parse_parts(word: &str, settings: &[&str]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, braces) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = braces.strip_prefix("{{").or_else(|| braces.strip_prefix("}}")) {
            text.push_str(&braces[..1]);
            rest = after;
            continue;
        }
        let inner = braces.strip_prefix('{').ok_or_else(|| format!("`{word}` has a `}}` without a `{{`"))?;
        let (name, after) =
            inner.split_once('}').ok_or_else(|| format!("`{word}` has a `{{` without a `}}`"))?;
        known(name, settings)?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Value(name.to_owned()));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

fn known(name: &str, settings: &[&str]) -> Result<(), String> {
    if name == COMMAND || name == format!("{COMMAND}...") {
        return Err("`{command}` has to be a word of its own".into());
    }
    if name == HOST || name == NODE || settings.contains(&name) {
        return Ok(());
    }
    Err(format!("there is no setting called `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str], wraps: bool) -> Result<Pattern, PatternError> {
        Pattern::parse(words, &["unit", "options"], wraps)
    }

    #[test]
    fn patterns_are_shown_as_they_were_written() {
        let words = ["systemctl", "--user", "stop", "{unit}", "[--host={host}]", "{options...}", "*"];
        let pattern = parse(&words, false).unwrap();
        assert_eq!(pattern.to_string(), words.join(" "));
        assert_eq!(pattern.words(), words);
    }

    #[test]
    fn wrong_patterns_are_told() {
        let problem = |words: &[&str], wraps| parse(words, wraps).unwrap_err().problem;
        assert!(problem(&[], false).contains("no words"));
        assert!(problem(&["*"], false).contains("program"));
        assert!(problem(&["[{unit}]"], false).contains("program"));
        assert!(problem(&["a", ""], false).contains("empty"));
        assert!(problem(&["a", "b\n"], false).contains("control"));
        assert!(problem(&["a", "{unknown}"], false).contains("no setting called `unknown`"));
        assert!(problem(&["a", "{unit"], false).contains("without a `}`"));
        assert!(problem(&["a", "unit}"], false).contains("without a `{`"));
        assert!(problem(&["a", "[unit"], false).contains("no `]`"));
        assert!(problem(&["a", "[unit]"], false).contains("left out"));
        assert!(problem(&["a", "{command}"], false).contains("node-access"));
        assert!(problem(&["a", "x{command}"], true).contains("word of its own"));
        assert!(problem(&["ssh", "{host}"], true).contains("once"));
        assert!(problem(&["ssh", "{command}", "{command}"], true).contains("once"));
        assert!(problem(&["ssh", "{command...}", "x"], true).contains("last"));
        assert!(problem(&["{command...}"], true).contains("program"));
    }
}
