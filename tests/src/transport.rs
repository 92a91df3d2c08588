//! A connection to a node that fails on request: it loses, doubles, delays or adds bytes without a word, or ends with an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::managers::write_program;

/// What may happen to a call without an error. Calls can also end with one: `refuse` runs nothing, `fail` runs nothing and ends
/// with the exit code 1, `lose` runs the command and drops its answer, and `vanish` refuses all further calls, too.
pub const FAULTS: [&str; 15] = [
    "out-empty",
    "out-half",
    "out-lines",
    "out-end",
    "out-blocks",
    "out-short",
    "out-middle",
    "out-twice",
    "out-welcome",
    "out-late",
    "in-empty",
    "in-half",
    "in-blocks",
    "in-short",
    "in-twice",
];

/// Takes the place of `ssh`. Counts its calls, and does what was asked for with one of them; whatever is cut off ends with exit
/// code 0. With a real ssh in `$SSH` the command goes through that, and is else run on this machine, by `$FAR_SHELL` and in
/// `$FAR_FOLDER` where these are given.
const SSH: &str = r#"#!/bin/sh
here=${0%/*}
for last; do :; done
exec 8>>"$here/lock"
flock 8
number=$(($(cat "$here/count") + 1))
echo "$number" >"$here/count"
flock -u 8
exec 8>&-
run() {
  if [ -n "$SSH" ]; then "$SSH" "$@"; return; fi
  cd "${FAR_FOLDER:-/}" && ${FAR_SHELL:-sh -c} "$last"
}
how=$(cat "$here/how")
which=$(cat "$here/which")
if [ "$number" != "$which" ] && { [ "$how" != vanish ] || [ "$number" -lt "$which" ]; }; then
  [ -z "$SSH" ] || exec "$SSH" "$@"
  run "$@"
  exit
fi
t=$here/call
size=1
# Where nothing goes through there is nothing to lose.
hit() { [ "$size" = 0 ] || [ -e "$here/hit" ] || printf '%s' "$last" >"$here/hit"; }
fail() { hit; echo "$1, for a test" >&2; exit "$2"; }
case $how in
refuse) fail "Connection refused" 255 ;;
vanish) fail "No route to host" 255 ;;
fail) fail "told to fail" 1 ;;
lose) run "$@" >/dev/null; fail "Connection reset" 255 ;;
in-*)
  cat >"$t.in"
  size=$(wc -c <"$t.in")
  hit
  case $how in
  in-empty) : >"$t.new" ;;
  in-half) head -c $((size / 2)) "$t.in" >"$t.new" ;;
  in-blocks) head -c $((size / 1024 * 512)) "$t.in" >"$t.new" ;;
  in-short) head -c $((size > 0 ? size - 1 : 0)) "$t.in" >"$t.new" ;;
  in-twice) cat "$t.in" "$t.in" >"$t.new" ;;
  esac
  run "$@" <"$t.new"
  exit 0 ;;
esac
run "$@" >"$t.out"
code=$?
size=$(wc -c <"$t.out")
[ "$how" != out-welcome ] || size=1
hit
case $how in
out-empty) exit 0 ;;
out-half) head -c $((size / 2)) "$t.out"; exit 0 ;;
out-lines) head -c $((size * 2 / 3)) "$t.out" | sed '$d'; exit 0 ;;
out-end) sed '$d' "$t.out"; exit 0 ;;
out-blocks) head -c $((size / 1024 * 512)) "$t.out"; exit 0 ;;
out-short) head -c $((size > 0 ? size - 1 : 0)) "$t.out"; exit 0 ;;
out-middle) head -c $((size / 3)) "$t.out"; tail -c $((size / 3)) "$t.out"; exit 0 ;;
out-twice) cat "$t.out" "$t.out" ;;
out-welcome) echo "Welcome to db1, maintained by the database team"; cat "$t.out" ;;
out-late) sleep 1; cat "$t.out" ;;
esac
exit "$code"
"#;

/// Such a way.
#[derive(Debug)]
pub struct Faulty {
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

impl Faulty {
    /// Puts it into a new folder. `ssh` is the real one, if commands are to go through that.
    pub fn new(folder: &Path, ssh: Option<&Path>) -> Result<Self> {
        fs::create_dir(folder)?;
        write_program(&folder.join("ssh"), SSH)?;
        let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
        let ssh = ssh.map_or_else(String::new, |ssh| ssh.display().to_string());
        let variables = vec![("PATH".to_owned(), path), ("SSH".to_owned(), ssh)];
        let faulty = Self { folder: folder.to_owned(), variables };
        faulty.disarm()?;
        Ok(faulty)
    }

    /// A further variable for whatever runs commands.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a program needs in its environment to come this way.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The call with this number from now on is hit by this fault.
    pub fn arm(&self, call: usize, fault: &str) -> Result<()> {
        for (file, content) in [("count", "0"), ("which", &call.to_string()), ("how", fault)] {
            fs::write(self.folder.join(file), content)?;
        }
        let hit = self.folder.join("hit");
        if hit.exists() {
            fs::remove_file(hit)?;
        }
        Ok(())
    }

    /// No call is hit from now on.
    pub fn disarm(&self) -> Result<()> {
        self.arm(0, "nothing")
    }

    /// The command that was hit, if one was and something went through.
    pub fn hit(&self) -> Option<String> {
        Some(fs::read_to_string(self.folder.join("hit")).ok()?.trim().chars().take(150).collect())
    }

    /// Number of calls since it was armed.
    pub fn calls(&self) -> Result<usize> {
        Ok(fs::read_to_string(self.folder.join("count"))?.trim().parse()?)
    }
}

/// Counts what came of faults.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    /// One more of these.
    pub fn count(&mut self, outcome: impl Into<String>) {
        *self.0.entry(outcome.into()).or_default() += 1;
    }

    /// Prints all of them.
    pub fn print(&self, what: &str) {
        let all: usize = self.0.values().sum();
        println!("{what}: {all} faults");
        for (outcome, times) in &self.0 {
            println!("  {times:5} {outcome}");
        }
    }
}
