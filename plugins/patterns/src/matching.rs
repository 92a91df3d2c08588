//! Whether a pattern allows a command.

use crate::pattern::{HOST, NODE, Part, Pattern, Word};
use crate::words::{join, split};

/// What the names in a pattern stand for in one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'v> {
    /// The node's host; `None` for this machine.
    pub host: Option<&'v str>,
    /// The node's Erlang name.
    pub node: Option<&'v str>,
    /// The settings that have a value.
    pub settings: &'v [(String, String)],
    /// The command to wrap, program first, where there is one.
    pub command: Option<&'v [&'v str]>,
}

impl<'v> Values<'v> {
    fn get(&self, name: &str) -> Option<&'v str> {
        match name {
            HOST => self.host,
            NODE => self.node,
            _ => self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()),
        }
    }

    fn fill(&self, parts: &[Part]) -> Option<String> {
        let mut filled = String::new();
        for part in parts {
            filled.push_str(match part {
                Part::Text(text) => text,
                Part::Value(name) => self.get(name)?,
            });
        }
        Some(filled)
    }
}

/// What an argument has to be.
enum Wanted {
    Exactly(String),
    Free,
}

impl Pattern {
    /// Whether it allows a command, program first. Where there is a command to wrap, a pattern that has no place for it
    /// allows nothing: it would be dropped.
    pub fn allows(&self, command: &[&str], values: &Values<'_>) -> bool {
        if values.command.is_some() != self.wraps() {
            return false;
        }
        let Some(wanted) = self.expand(values) else { return false };
        // No program can be given a NUL; whoever tries has something else in mind.
        wanted.len() == command.len()
            && !command.iter().any(|argument| argument.contains('\0'))
            && wanted.iter().zip(command).all(|(wanted, argument)| match wanted {
                Wanted::Exactly(text) => text == argument,
                Wanted::Free => is_free_argument(argument),
            })
    }

    /// The arguments that it asks for; `None` where it allows nothing with these values.
    fn expand(&self, values: &Values<'_>) -> Option<Vec<Wanted>> {
        let mut wanted = Vec::new();
        for word in &self.words {
            match word {
                Word::Exact(parts) => wanted.push(Wanted::Exactly(values.fill(parts)?)),
                Word::Optional(parts) => wanted.extend(values.fill(parts).map(Wanted::Exactly)),
                Word::Split(name) => {
                    if let Some(value) = values.get(name) {
                        wanted.extend(split(value)?.into_iter().map(Wanted::Exactly));
                    }
                }
                Word::Free => wanted.push(Wanted::Free),
                Word::CommandWords => {
                    wanted.extend(values.command?.iter().map(|word| Wanted::Exactly((*word).to_owned())));
                }
                Word::QuotedCommand => {
                    wanted.push(Wanted::Exactly(join(values.command?.iter().copied())?));
                }
            }
        }
        Some(wanted)
    }
}

impl Pattern {
    /// The one command that it allows, program first; `None` where it allows several, or none with these values.
    pub fn only_command(&self, values: &Values<'_>) -> Option<Vec<String>> {
        let exact = |wanted| match wanted {
            Wanted::Exactly(text) => Some(text),
            Wanted::Free => None,
        };
        let words: Option<Vec<String>> = self.expand(values)?.into_iter().map(exact).collect();
        words.filter(|words| !words.is_empty())
    }

    /// Whether its program is the value of a setting, so that the user has chosen it.
    pub fn program_is_chosen(&self) -> bool {
        match self.words.first() {
            Some(Word::Split(_)) => true,
            Some(Word::Exact(parts)) => parts.iter().any(|part| matches!(part, Part::Value(_))),
            _ => false,
        }
    }
}

/// Whether `*` stands for an argument: not empty, no option, no control characters, no path that goes up.
pub fn is_free_argument(argument: &str) -> bool {
    !argument.is_empty()
        && !argument.starts_with('-')
        && !argument.chars().any(char::is_control)
        && !argument.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::Wraps;

    fn settings(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_the_very_command_is_allowed() {
        let pattern = Pattern::parse(&["systemctl", "stop", "{unit}"], &["unit"], Wraps::Never).unwrap();
        let settings = settings(&[("unit", "couchdb.service")]);
        let values = Values { settings: &settings, ..Values::default() };
        assert!(pattern.allows(&["systemctl", "stop", "couchdb.service"], &values));
        for other in [
            &["systemctl", "stop", "sshd.service"][..],
            &["systemctl", "stop"],
            &["systemctl", "stop", "couchdb.service", "sshd.service"],
            &["systemctl", "disable", "couchdb.service"],
            &["/bin/systemctl", "stop", "couchdb.service"],
            &["systemctl", "stop", "couchdb.service\n"],
            &["systemctl", "stop", "couchdb.service\0"],
            &[],
        ] {
            assert!(!pattern.allows(other, &values), "{other:?}");
        }
        assert!(!pattern.allows(&["systemctl", "stop", ""], &Values::default()), "without a value");
    }

    #[test]
    fn the_one_command_of_a_pattern() {
        let parse =
            |words: &[&str]| Pattern::parse(words, &["stop", "unit", "program"], Wraps::Never).unwrap();
        let settings = settings(&[("stop", "sh -c 'a b'"), ("program", "podman")]);
        let values = Values { settings: &settings, ..Values::default() };
        let own = parse(&["{stop...}"]);
        assert_eq!(own.only_command(&values).unwrap(), ["sh", "-c", "a b"]);
        assert!(own.program_is_chosen() && parse(&["{program}", "stop"]).program_is_chosen());
        assert_eq!(parse(&["sv", "[-d={unit}]", "x"]).only_command(&values).unwrap(), ["sv", "x"]);
        assert!(!parse(&["sv", "{program}"]).program_is_chosen());
        for none in [&["sv", "*"][..], &["sv", "{unit}"]] {
            assert_eq!(parse(none).only_command(&values), None, "{none:?}");
        }
        assert_eq!(own.only_command(&Values::default()), None);
    }

    #[test]
    fn braces_are_written_twice() {
        let words = ["docker", "--format={{{{.State.{what}}}}}", "{{...}}", "{{", "}}"];
        let pattern = Pattern::parse(&words, &["what"], Wraps::Never).unwrap();
        let settings = settings(&[("what", "Status")]);
        let values = Values { settings: &settings, ..Values::default() };
        assert!(pattern.allows(&["docker", "--format={{.State.Status}}", "{...}", "{", "}"], &values));
    }

    #[test]
    fn words_are_left_out_where_they_have_no_value() {
        let words = ["kubectl", "[--context={context}]", "get", "{extra...}", "pod"];
        let pattern = Pattern::parse(&words, &["context", "extra"], Wraps::Never).unwrap();
        assert!(pattern.allows(&["kubectl", "get", "pod"], &Values::default()));
        let settings = settings(&[("context", "prod"), ("extra", "-o 'a b'")]);
        let values = Values { settings: &settings, ..Values::default() };
        assert!(pattern.allows(&["kubectl", "--context=prod", "get", "-o", "a b", "pod"], &values));
        assert!(!pattern.allows(&["kubectl", "get", "pod"], &values));
    }

    #[test]
    fn a_free_argument_is_no_option_and_no_way_up() {
        let pattern = Pattern::parse(&["sv", "*"], &[], Wraps::Never).unwrap();
        for (argument, allowed) in [
            ("couchdb", true),
            ("/etc/sv/couchdb", true),
            ("a..b", true),
            ("", false),
            ("-x", false),
            ("../../etc", false),
            ("a/..", false),
            ("a\nb", false),
            ("a\0b", false),
            ("\u{1b}[2J", false),
        ] {
            assert_eq!(pattern.allows(&["sv", argument], &Values::default()), allowed, "{argument:?}");
        }
    }

    #[test]
    fn a_wrapped_command_stays_what_it_is() {
        let sudo = Pattern::parse(&["sudo", "-n", "--", "{command...}"], &[], Wraps::Always).unwrap();
        let ssh = Pattern::parse(&["ssh", "--", "{host}", "{command}"], &[], Wraps::Always).unwrap();
        let command = ["cat", "/a b/$(id)"];
        let values = Values { host: Some("db1"), command: Some(&command), ..Values::default() };
        assert!(sudo.allows(&["sudo", "-n", "--", "cat", "/a b/$(id)"], &values));
        assert!(!sudo.allows(&["sudo", "-n", "--", "cat", "/a"], &values));
        assert!(!sudo.allows(&["sudo", "-n", "--", "sh", "-c", "cat"], &values));
        let quoted = join(command).unwrap();
        assert!(ssh.allows(&["ssh", "--", "db1", &quoted], &values));
        assert!(!ssh.allows(&["ssh", "--", "db1", "cat /a b/$(id)"], &values));
        assert!(!ssh.allows(&["ssh", "--", "db2", &quoted], &values));
        assert!(!sudo.allows(&["sudo", "-n", "--"], &Values::default()), "nothing to wrap");
    }

    #[test]
    fn what_has_no_place_for_the_command_does_not_wrap() {
        let ssh = Pattern::parse(&["ssh", "-W", "*", "--", "{host}"], &[], Wraps::Sometimes).unwrap();
        let tunnel = ["ssh", "-W", "localhost:5984", "--", "db1"];
        let values = Values { host: Some("db1"), ..Values::default() };
        assert!(ssh.allows(&tunnel, &values));
        assert!(!ssh.allows(&tunnel, &Values { command: Some(&["true"]), ..values }));
        let wrapping = Pattern::parse(&["env", "{command...}"], &[], Wraps::Sometimes).unwrap();
        assert!(!wrapping.allows(&["env"], &values));
    }

    proptest! {
        #[test]
        fn what_is_joined_splits_into_the_same(words in proptest::collection::vec("[^\0]{0,12}", 1..6)) {
            let line = join(words.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(split(&line).unwrap(), words);
        }

        #[test]
        fn no_setting_adds_an_argument(unit in "\\PC{0,20}", argument in "\\PC{0,20}") {
            let pattern = Pattern::parse(&["systemctl", "stop", "{unit}"], &["unit"], Wraps::Never).unwrap();
            let settings = vec![("unit".to_owned(), unit.clone())];
            let values = Values { settings: &settings, ..Values::default() };
            prop_assert_eq!(pattern.allows(&["systemctl", "stop", &argument], &values), unit == argument);
        }
    }
}
