//! A command on a node fails, or the connection breaks.

use std::fs;
use std::path::PathBuf;

use couchcopy_tests::Result;
use couchcopy_tests::live::{Reach, Site};
use couchcopy_tests::managers::{find_program, write_program};

use super::arena::{Arena, Remedy, numbers};

/// Counts its calls, and does what was asked for with one of them.
const SSH: &str = r#"#!/bin/sh
here=${0%/*}
exec 8>>"$here/lock"
flock 8
number=$(($(cat "$here/count") + 1))
echo "$number" >"$here/count"
flock -u 8
exec 8>&-
if [ "$(cat "$here/how")" = vanish ] && [ "$number" -ge "$(cat "$here/which")" ]; then
  touch "$here/hit"
  echo "No route to host, for a test" >&2
  exit 255
fi
if [ "$number" = "$(cat "$here/which")" ]; then
  for last; do :; done
  echo "$last" >"$here/hit"
  case "$(cat "$here/how")" in
  refuse) echo "Connection refused, for a test" >&2; exit 255 ;;
  fail) echo "told to fail" >&2; exit 1 ;;
  lose) "$SSH" "$@" >/dev/null; echo "Connection reset, for a test" >&2; exit 255 ;;
  esac
fi
exec "$SSH" "$@"
"#;

/// An `ssh` in front of the real one.
struct Wrapped {
    folder: PathBuf,
    variables: [(&'static str, String); 2],
}

impl Wrapped {
    fn new(site: &Site) -> Result<Option<Self>> {
        let Some(ssh) = find_program("ssh", "openssh-client") else { return Ok(None) };
        let folder = site.path("wrapped");
        fs::create_dir(&folder)?;
        write_program(&folder.join("ssh"), SSH)?;
        let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
        Ok(Some(Self { folder, variables: [("PATH", path), ("SSH", ssh.display().to_string())] }))
    }

    /// The next program that is run with these variables has its so-manieth command fail like this.
    fn arm(&self, which: usize, how: &str) -> Result<[(&str, &str); 2]> {
        for (file, content) in
            [("count", "0".to_owned()), ("which", which.to_string()), ("how", how.to_owned())]
        {
            fs::write(self.folder.join(file), content)?;
        }
        let hit = self.folder.join("hit");
        if hit.exists() {
            fs::remove_file(hit)?;
        }
        Ok(self.variables.each_ref().map(|(name, value)| (*name, value.as_str())))
    }

    /// The command that failed, if it came to that.
    fn hit(&self) -> Option<String> {
        Some(fs::read_to_string(self.folder.join("hit")).ok()?.trim().chars().take(150).collect())
    }
}

fn check(how: &str, step: usize) -> Result<()> {
    let Some(mut arena) = Arena::new(Reach::Ssh)? else { return Ok(()) };
    let Some(ssh) = Wrapped::new(&arena.site)? else { return Ok(()) };
    for k in numbers(step) {
        let ended = arena.restore(&[], &ssh.arm(k, how)?)?;
        let Some(hit) = ssh.hit() else {
            assert_eq!(ended.code, Some(0), "{ended:#?}");
            assert!(k > 30, "a restore has more than {k} commands");
            return arena.check_new();
        };
        let named = |e| format!("command {k}, {hit}: {e}\n{ended:#?}");
        println!("command {k}, {hit}: {:?}", ended.code);
        match ended.code {
            Some(0) if how == "vanish" => arena.mend(Remedy::Resume).map_err(named)?,
            Some(0) => arena.check_new().map_err(named)?,
            Some(code @ 5..=9) if ended.stderr.contains("rolling back failed too") => {
                println!("  half done, {code}");
                arena.mend(Remedy::of(k)).map_err(named)?;
            }
            // The new data is good, but not every node knows it.
            Some(3) => arena.mend(Remedy::of(k)).map_err(named)?,
            // It could not even be seen where they stand.
            Some(_) if how == "vanish" => arena.mend(Remedy::of(k)).map_err(named)?,
            Some(5..=9) => arena.check_old().map_err(named)?,
            _ => return Err(named("neither success nor failure".into()).into()),
        }
    }
    Ok(())
}

#[test]
fn any_command_is_refused() -> Result<()> {
    check("refuse", 31)
}

#[test]
fn any_command_fails() -> Result<()> {
    check("fail", 37)
}

/// From one moment on no node can be reached any more, until the next couchcopy comes.
#[test]
fn all_nodes_vanish() -> Result<()> {
    check("vanish", 35)
}

/// It is carried out, but nobody hears of it.
#[test]
fn the_answer_to_any_command_is_lost() -> Result<()> {
    check("lose", 33)
}
