//! Whether the commands of a service plugin can be run, found out without running them.

use std::collections::BTreeSet;

use crate::bindings::types::Command;
use crate::chain::SudoUser;
use crate::error::Result;
use crate::find::Origin;
use crate::process;
use crate::service::{ServicePlugin, Shared};
use crate::text;

/// Bytes of a probe's output that are kept.
const KEPT: usize = 64 << 10;
/// Says of each program whether it is there and may be run, in their order, and ends with a line of their number.
const PROBE: &str = r#"for p do
  case $p in
  */*) if [ ! -e "$p" ]; then r=missing; elif [ -d "$p" ] || [ ! -x "$p" ]; then r=denied; else r=found; fi ;;
  *) if command -v "$p" >/dev/null 2>&1; then r=found; else r=missing; fi ;;
  esac
  echo "$r"
done
echo "end $#""#;

/// Why a command cannot be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindrance {
    /// There is no such program.
    Missing,
    /// The file is not a program, or the user may not run it.
    NotExecutable,
    /// sudo does not permit it.
    NotPermitted,
}

/// A command of a service plugin that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The command.
    pub command: String,
    /// What it is run for.
    pub purpose: String,
    /// Why it cannot be run.
    pub hindrance: Hindrance,
    /// Whether the plugin needs it for certain; else it may have another one in its place.
    pub certain: bool,
}

/// A command that a plugin is going to run.
struct Foreseen {
    words: Vec<String>,
    purpose: String,
    certain: bool,
}

impl Foreseen {
    fn doubt(&self, hindrance: Hindrance) -> Doubt {
        let (program, arguments) = self.words.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        Doubt {
            command: text::shown(program, arguments),
            purpose: self.purpose.clone(),
            hindrance,
            certain: self.certain,
        }
    }
}

impl ServicePlugin {
    /// Checks whether the programs that start, stop and report on CouchDB exist and may be run, including those of the access
    /// chain to the node. Runs none of these programs. What cannot be found out is not doubted.
    pub async fn doubts(&self) -> Result<Vec<Doubt>> {
        let foreseen = self.foreseen();
        let mut programs: Vec<&str> = Vec::new();
        for program in foreseen.iter().filter_map(|foreseen| foreseen.words.first()) {
            if !programs.contains(&program.as_str()) {
                programs.push(program);
            }
        }
        let hindered = self.hindered(&programs).await?;
        let mut doubts = Vec::new();
        let mut permitted: BTreeSet<&[String]> = BTreeSet::new();
        for foreseen in &foreseen {
            let hindrance = programs
                .iter()
                .position(|program| foreseen.words.first().is_some_and(|word| word == program))
                .and_then(|at| hindered.get(at).copied().flatten());
            if let Some(hindrance) = hindrance {
                doubts.push(foreseen.doubt(hindrance));
            } else if foreseen.certain
                && permitted.insert(&foreseen.words)
                && !self.sudo_permits(&foreseen.words).await?
            {
                doubts.push(foreseen.doubt(Hindrance::NotPermitted));
            }
        }
        Ok(doubts)
    }

    /// The commands that are known beforehand.
    fn foreseen(&self) -> Vec<Foreseen> {
        let Shared { plugin, settings, node, .. } = self.shared();
        let values = node.values(settings, None);
        let built_in = plugin.origin == Origin::BuiltIn;
        plugin
            .description
            .commands
            .iter()
            .filter_map(|command| {
                Some(Foreseen {
                    words: command.pattern.only_command(&values)?,
                    purpose: command.purpose.clone(),
                    certain: built_in || command.pattern.program_is_chosen(),
                })
            })
            .collect()
    }

    /// What keeps each program from being run; empty if that cannot be found out.
    async fn hindered(&self, programs: &[&str]) -> Result<Vec<Option<Hindrance>>> {
        let Shared { node, chain, .. } = self.shared();
        let mut arguments = vec!["-c".to_owned(), PROBE.to_owned(), "sh".to_owned()];
        arguments.extend(programs.iter().map(|program| (*program).to_owned()));
        let probe = Command { program: "sh".into(), arguments };
        let wrapped = chain.wrap(&probe, node, self.known_state()).await?;
        let Ok(output) = process::run(&wrapped, KEPT).await else { return Ok(Vec::new()) };
        Ok(parse(&output.stdout, programs.len()))
    }

    /// Whether sudo would run a command, if the access chain to the node ends with sudo; `true` if it does not or
    /// cannot be found out.
    async fn sudo_permits(&self, words: &[String]) -> Result<bool> {
        let Shared { node, chain, .. } = self.shared();
        let Some(user) = chain.last_sudo() else { return Ok(true) };
        let mut arguments = vec!["-n".to_owned(), "-l".to_owned()];
        if let SudoUser::Named(user) = user {
            arguments.push(format!("-u{user}"));
        }
        arguments.push("--".into());
        arguments.extend_from_slice(words);
        let list = Command { program: "sudo".into(), arguments };
        let wrapped = chain.without_last().wrap(&list, node, self.known_state()).await?;
        let Ok(output) = process::run(&wrapped, KEPT).await else { return Ok(true) };
        // For a command that is not permitted, sudo says nothing and ends with 1.
        let says_no = output.exit_code == Some(1) && output.stdout.is_empty() && output.stderr.is_empty();
        Ok(!says_no)
    }
}

/// Reads what the probe says of so many programs; nothing if it was cut off, or is something else.
fn parse(text: &str, programs: usize) -> Vec<Option<Hindrance>> {
    let lines: Vec<&str> = text.lines().collect();
    let end = format!("end {programs}");
    let Some(at) = lines.iter().rposition(|line| *line == end).filter(|at| *at >= programs) else {
        return Vec::new();
    };
    // What a login writes comes before.
    lines[at - programs..at]
        .iter()
        .map(|line| match *line {
            "missing" => Some(Hindrance::Missing),
            "denied" => Some(Hindrance::NotExecutable),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(programs: &[&str]) -> Vec<Option<Hindrance>> {
        let output =
            std::process::Command::new("sh").args(["-c", PROBE, "sh"]).args(programs).output().unwrap();
        parse(&String::from_utf8(output.stdout).unwrap(), programs.len())
    }

    #[test]
    fn programs_are_looked_at_and_not_run() {
        let found = probed(&["sh", "no such program", "/nonexistent/ctl", "/etc/passwd", "/etc", "/bin/sh"]);
        let (missing, denied) = (Some(Hindrance::Missing), Some(Hindrance::NotExecutable));
        assert_eq!(found, [None, missing, missing, denied, denied, None]);
    }

    #[test]
    fn what_was_cut_off_says_nothing() {
        assert_eq!(parse("found\nmissing\nend 2\n", 2), [None, Some(Hindrance::Missing)]);
        assert_eq!(parse("welcome\nfound\nmissing\nend 2\n", 2), [None, Some(Hindrance::Missing)]);
        for cut in ["", "missing\n", "missing\nmissing\n", "end 2\n", "missing\nend 1\n"] {
            assert_eq!(parse(cut, 2), [], "{cut:?}");
        }
    }
}
