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

impl Word {
    /// Whether it stands for the command to wrap.
    fn is_command(&self) -> bool {
        matches!(self, Self::CommandWords | Self::QuotedCommand)
    }
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Value(String),
}

/// Whether a plugin's patterns have a place for a command to wrap, which is `{command...}` or `{command}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wraps {
    /// None has: the plugin does not say how a node is reached.
    Never,
    /// Each has.
    Always,
    /// Those have that say how a command reaches the node; the others say how a port is reached from there.
    Sometimes,
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
    /// Reads a pattern from its words. `settings` are the names that braces may hold beside `host` and `node`.
    pub fn parse<S: AsRef<str>>(words: &[S], settings: &[&str], wraps: Wraps) -> Result<Self, PatternError> {
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
        let commands = words.iter().filter(|word| word.is_command()).count();
        if commands > 1 || (commands == 0 && wraps == Wraps::Always) {
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

    /// Whether it has a place for the command to wrap.
    pub fn wraps(&self) -> bool {
        self.words.iter().any(Word::is_command)
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

fn parse_word(word: &str, settings: &[&str], wraps: Wraps) -> Result<Word, String> {
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
        if wraps == Wraps::Never {
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

    fn parse(words: &[&str], wraps: Wraps) -> Result<Pattern, PatternError> {
        Pattern::parse(words, &["unit", "options"], wraps)
    }

    #[test]
    fn patterns_are_shown_as_they_were_written() {
        let words = ["systemctl", "--user", "stop", "{unit}", "[--host={host}]", "{options...}", "*"];
        let pattern = parse(&words, Wraps::Never).unwrap();
        assert_eq!(pattern.to_string(), words.join(" "));
        assert_eq!(pattern.words(), words);
    }

    #[test]
    fn wrong_patterns_are_told() {
        let problem = |words: &[&str], wraps| parse(words, wraps).unwrap_err().problem;
        assert!(problem(&[], Wraps::Never).contains("no words"));
        assert!(problem(&["*"], Wraps::Never).contains("program"));
        assert!(problem(&["[{unit}]"], Wraps::Never).contains("program"));
        assert!(problem(&["a", ""], Wraps::Never).contains("empty"));
        assert!(problem(&["a", "b\n"], Wraps::Never).contains("control"));
        assert!(problem(&["a", "{unknown}"], Wraps::Never).contains("no setting called `unknown`"));
        assert!(problem(&["a", "{unit"], Wraps::Never).contains("without a `}`"));
        assert!(problem(&["a", "unit}"], Wraps::Never).contains("without a `{`"));
        assert!(problem(&["a", "[unit"], Wraps::Never).contains("no `]`"));
        assert!(problem(&["a", "[unit]"], Wraps::Never).contains("left out"));
        assert!(problem(&["a", "{command}"], Wraps::Never).contains("node-access"));
        assert!(problem(&["a", "x{command}"], Wraps::Always).contains("word of its own"));
        assert!(problem(&["ssh", "{host}"], Wraps::Always).contains("once"));
        assert!(problem(&["ssh", "{command}", "{command}"], Wraps::Always).contains("once"));
        assert!(problem(&["ssh", "{command...}", "x"], Wraps::Always).contains("last"));
        assert!(problem(&["{command...}"], Wraps::Always).contains("program"));
        assert!(problem(&["ssh", "{command}", "{command}"], Wraps::Sometimes).contains("once"));
        assert!(problem(&["ssh", "-W{command}"], Wraps::Sometimes).contains("word of its own"));
    }

    #[test]
    fn a_command_to_wrap_may_be_left_out_where_that_is_said() {
        assert!(parse(&["ssh", "{host}", "{command}"], Wraps::Sometimes).unwrap().wraps());
        assert!(!parse(&["ssh", "-W", "*", "{host}"], Wraps::Sometimes).unwrap().wraps());
    }
}
