//! A node that is reached through a real sshd, by an `ssh` that counts bytes and cuts connections.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::lab::{Ended, binary, run};
use crate::managers::{Sshd, link_busybox, write_program};

/// Takes ssh's place: counts the bytes that come over it and cuts the connection, or kills who waits for it, as told.
///
/// Every line of the file `cuts` is for one call that brings files: the number of bytes after which it is cut, or `-`; with a
/// `k` in front whoever called is killed then.
const WRAPPER: &str = r#"#!/bin/sh
here=${0%/*}
limit=-
case "$*" in *"tar -c"*|*"tail -v -c"*)
  if [ -s "$here/cuts" ]; then
    limit=$(head -n 1 "$here/cuts")
    tail -n +2 "$here/cuts" >"$here/cuts.new"
    mv "$here/cuts.new" "$here/cuts"
  fi ;;
esac
real() { PATH=$real_path ssh "$@"; echo $? >"$here/code.$$"; }
count() { { tee /dev/fd/3 | wc -c >>"$here/bytes"; } 3>&1; }
if [ "$limit" = - ]; then
  real "$@" | count
  code=$(cat "$here/code.$$")
  rm "$here/code.$$"
  exit "$code"
fi
real "$@" | head -c "${limit#k}" | count
case "$limit" in k*) kill -9 "$PPID" ;; esac
exit 255
"#;

/// An sshd, and what the command needs to reach it.
#[derive(Debug)]
pub struct Far {
    /// The sshd.
    pub sshd: Sshd,
    wrapper: PathBuf,
}

impl Far {
    /// Starts an sshd. If no sshd is installed, reports it and returns `None`.
    pub fn start() -> Result<Option<Self>> {
        let Some(sshd) = Sshd::start()? else { return Ok(None) };
        let wrapper = sshd.machine.path("wrapper");
        fs::create_dir(&wrapper)?;
        write_program(&wrapper.join("ssh"), WRAPPER)?;
        Ok(Some(Self { sshd, wrapper }))
    }

    /// From now on the node has busybox's programs in the first place. `false` where there is no busybox.
    pub fn with_busybox(&self) -> Result<bool> {
        link_busybox(&self.sshd.programs()?)
    }

    /// A file that couchcopy may write.
    pub fn path(&self, name: &str) -> PathBuf {
        self.sshd.machine.path(name)
    }

    /// How the node is reached.
    pub fn via(&self) -> String {
        self.sshd.reference.clone()
    }

    /// The node as an argument.
    pub fn node(&self, folder: &Path) -> String {
        format!("{},{}", self.sshd.host, folder.display())
    }

    /// Runs the command.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Ended> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.sshd.machine.command(binary()?);
        command
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.wrapper.display()))
            .env("real_path", path)
            .env_remove("COUCHCOPY_PASSWORD");
        run(&mut command)
    }

    /// Saves nodes, with more arguments.
    pub fn backup(&self, nodes: &[String], archive: &Path, more: &[&str]) -> Result<Ended> {
        let mut arguments: Vec<String> = ["backup", "--via", &self.sshd.reference].map(str::to_owned).into();
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        arguments.extend_from_slice(nodes);
        arguments.push(archive.display().to_string());
        self.run(&arguments)
    }

    /// Cuts the next connections that bring files, each after so many bytes.
    pub fn cut(&self, after: &[Option<u64>]) -> Result<()> {
        let line = |bytes: &Option<u64>| bytes.map_or("-\n".to_owned(), |bytes| format!("{bytes}\n"));
        Ok(fs::write(self.wrapper.join("cuts"), after.iter().map(line).collect::<String>())?)
    }

    /// Kills whoever waits for the connection number `call` that brings files, counted from 0, after so many bytes.
    pub fn kill(&self, call: usize, after: u64) -> Result<()> {
        Ok(fs::write(self.wrapper.join("cuts"), format!("{}k{after}\n", "-\n".repeat(call)))?)
    }

    /// Bytes that came since this was asked last.
    pub fn received(&self) -> Result<u64> {
        let file = self.wrapper.join("bytes");
        let text = fs::read_to_string(&file).unwrap_or_default();
        File::create(file)?;
        Ok(text.lines().filter_map(|line| line.trim().parse::<u64>().ok()).sum())
    }
}
