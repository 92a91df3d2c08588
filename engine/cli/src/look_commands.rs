//! Carries out the commands that look into an archive.

use std::io::{self, BufWriter, IsTerminal, Write};

use contents::Contents;
use inspect::documents::{self, DumpOptions, GetOptions, ListOptions, ListStyle};
use inspect::overview;
use outcome::{Code, Failure, Result};

use crate::commands::{databases_text, shards_text};
use crate::exit::Outcome;
use crate::look_arguments::{Completions, Dump, Get, Ls};
use crate::output::Output;
use crate::progress::Terminal;

/// Lists databases, documents or shards.
pub(crate) fn ls(command: &Ls, threads: usize, output: &Output, reporter: &Terminal) -> Result<Outcome> {
    let Some(db) = &command.db else {
        let survey = Contents::open(&command.archive, threads, reporter)?;
        reporter.end();
        let listings = overview::databases(&survey, None)?;
        output.print(&listings, |listings| databases_text(listings));
        return Ok(Outcome::Done);
    };
    if command.shards {
        let survey = Contents::open(&command.archive, threads, reporter)?;
        reporter.end();
        let listings = overview::databases(&survey, Some(db))?;
        let listing = listings.first().ok_or_else(|| {
            Failure::refused(
                Code::new("CC-C08"),
                format!("{} holds no database {db}", command.archive.display()),
                "`couchcopy ls ARCHIVE` lists those it holds.",
            )
        })?;
        output.print(listing, shards_text);
        return Ok(Outcome::Done);
    }
    let options = ListOptions {
        prefix: command.prefix.clone(),
        deleted: command.deleted,
        limit: command.limit,
        style: match (output.json, command.ids) {
            (true, _) => ListStyle::Json,
            (false, true) if io::stdout().is_terminal() => ListStyle::ShownIds,
            (false, true) => ListStyle::Ids,
            (false, false) => ListStyle::Text,
        },
    };
    to_output(|out| documents::list(&command.archive, db, &options, threads, reporter, out))
}

/// Prints a document or an attachment.
pub(crate) fn get(command: &Get, threads: usize, output: &Output, reporter: &Terminal) -> Result<Outcome> {
    let options = GetOptions {
        rev: command.rev.clone(),
        revs: command.revs,
        conflicts: command.conflicts,
        attachments: command.attachments,
        attachment: command.attachment.clone(),
        pretty: !output.json && io::stdout().is_terminal(),
    };
    to_output(|out| {
        documents::get(&command.archive, &command.db, &command.doc, &options, threads, reporter, out)
    })
}

/// Prints all documents of a database.
pub(crate) fn dump(command: &Dump, threads: usize, reporter: &Terminal) -> Result<Outcome> {
    let options = DumpOptions {
        attachments: command.attachments,
        conflicts: command.conflicts,
        deleted: command.deleted,
        local: command.local,
        revs: command.revs,
        format: command.format.into(),
    };
    let mut damaged = 0;
    let outcome = to_output(|out| {
        let dumped = documents::dump(&command.archive, &command.db, &options, threads, reporter, out)?;
        damaged = dumped.damaged;
        Ok(())
    })?;
    Ok(if damaged > 0 { Outcome::DoneWithProblems } else { outcome })
}

/// Prints what makes a shell complete names: the shell asks this program each time.
pub(crate) fn completions(command: &Completions) -> Result<Outcome> {
    let shells = clap_complete::env::Shells::builtins();
    let shell = command.shell.to_string();
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.to_str().map(str::to_owned))
        .unwrap_or_else(|| "couchcopy".into());
    to_output(|out| {
        let found = shells.completer(&shell).ok_or_else(|| {
            Failure::refused(
                Code::new("CC-X12"),
                format!("names cannot be completed in {shell}"),
                "There is help for bash, zsh, fish, elvish and powershell.",
            )
        })?;
        let mut text = Vec::new();
        found
            .write_registration("COMPLETE", "couchcopy", "couchcopy", &program, &mut text)
            .and_then(|()| out.write_all(&text))
            .map_err(|e| Failure::io("write to", "standard output", e))
    })
}

/// That nobody reads the output any more is no error.
pub(crate) fn unless_closed(written: Result<()>) -> Result<Outcome> {
    match written {
        Err(error) if error.is_closed_pipe() => Ok(Outcome::Done),
        written => written.map(|()| Outcome::Done),
    }
}

/// Writes to standard output. That nobody reads it any more is no error: a pager was left, `head` has enough.
fn to_output(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Outcome> {
    let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let written =
        write(&mut out).and_then(|()| out.flush().map_err(|e| Failure::io("write to", "standard output", e)));
    match written {
        Err(error) if error.is_closed_pipe() => {
            // What is still in the buffer has no reader either.
            let _ = out.into_parts();
            Ok(Outcome::Done)
        }
        written => written.map(|()| Outcome::Done),
    }
}
