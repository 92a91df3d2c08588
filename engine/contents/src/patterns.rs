//! Choices of databases by patterns of their names.

use outcome::{Code, Failure, Result};
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// Patterns that choose databases by their names.
///
/// In a pattern, `*` stands for any characters including `/`, and `?` for one character. A system database such as `_users` is
/// treated like any other: it is chosen if a pattern matches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamePatterns {
    /// Patterns of which at least one must match; none: all databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Patterns of which none may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

impl NamePatterns {
    /// The patterns of a command line or a configuration.
    ///
    /// Fails if a pattern is empty.
    pub fn new(only: &[String], except: &[String]) -> Result<Self> {
        if only.iter().chain(except).any(String::is_empty) {
            return Err(Failure::refused(
                Code::new("CC-R11"),
                "an empty pattern matches no database",
                "Give a name, or a pattern such as 'team/*'.",
            ));
        }
        Ok(Self { only: only.to_vec(), except: except.to_vec() })
    }

    /// Whether all databases are chosen.
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }

    /// The patterns, ready to match names.
    pub fn matcher(&self) -> NameMatcher {
        let compiled = |patterns: &[String]| {
            patterns.iter().map(|text| (text.clone(), WildMatch::new(text))).collect::<Vec<_>>()
        };
        NameMatcher { only: compiled(&self.only), except: compiled(&self.except) }
    }

    /// The options that give these patterns, each as `--only PATTERN` or `--except PATTERN`.
    pub fn options(&self) -> impl Iterator<Item = String> + '_ {
        let only = self.only.iter().map(|pattern| format!("--only {pattern}"));
        only.chain(self.except.iter().map(|pattern| format!("--except {pattern}")))
    }
}

/// Matches names of databases against patterns.
#[derive(Debug, Clone, Default)]
pub struct NameMatcher {
    only: Vec<(String, WildMatch)>,
    except: Vec<(String, WildMatch)>,
}

impl NameMatcher {
    /// Whether a database is chosen.
    pub fn takes(&self, name: &str) -> bool {
        let any =
            |patterns: &[(String, WildMatch)]| patterns.iter().any(|(_, pattern)| pattern.matches(name));
        (self.only.is_empty() || any(&self.only)) && !any(&self.except)
    }

    /// The patterns that match none of these names, each as the option that gives it.
    pub fn idle<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
        let all = || {
            let only = self.only.iter().map(|pattern| ("--only", pattern));
            only.chain(self.except.iter().map(|pattern| ("--except", pattern)))
        };
        let mut used = vec![false; all().count()];
        for name in names {
            for (used, (_, (_, pattern))) in used.iter_mut().zip(all()) {
                *used = *used || pattern.matches(name);
            }
        }
        let idle = all().zip(used).filter(|(_, used)| !used);
        idle.map(|((option, (text, _)), _)| format!("{option} {text}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(only: &[&str], except: &[&str]) -> NamePatterns {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        NamePatterns::new(&owned(only), &owned(except)).unwrap()
    }

    #[test]
    fn only_and_except_are_combined() {
        let matcher = patterns(&["team/*", "shop"], &["*/test"]).matcher();
        for (name, expected) in
            [("team/a", true), ("team/a/b", true), ("team/test", false), ("shop", true), ("shops", false)]
        {
            assert_eq!(matcher.takes(name), expected, "{name}");
        }
        assert!(patterns(&[], &[]).matcher().takes("_users"));
        assert!(!patterns(&[], &["_*"]).matcher().takes("_users"));
    }

    #[test]
    fn patterns_that_match_nothing_are_named() {
        let matcher = patterns(&["a*", "b"], &["c", "ab"]).matcher();
        assert_eq!(matcher.idle(["ab", "ac"]), ["--only b", "--except c"]);
        assert!(matcher.idle(["a", "b", "c", "ab"]).is_empty());
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        assert_eq!(NamePatterns::new(&[String::new()], &[]).unwrap_err().code().to_string(), "CC-R11");
    }
}
