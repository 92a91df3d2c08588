//! CouchDB started and stopped by commands of your own, where no other plugin fits.
//!
//! Settings:
//! - `start`: the command that starts CouchDB and returns when it is started;
//! - `stop`: the command that stops CouchDB, keeps it from being started again, and returns when it has stopped, or with
//!   `status` soon after;
//! - `status`: the command whose exit code tells whether CouchDB runs: 0 that it runs, 3 that it has stopped (as
//!   `service NAME status` and `systemctl is-active NAME` have it), any other that nobody knows. Where it is not given,
//!   `start` and `stop` are always run and believed, and the status is unknown;
//! - `timeout`: how many seconds to wait until `status` says so, 120 where none is given.
//!
//! Any of the three commands may be left out; then what it is for fails.
//!
//! A command is split into words as a shell would do it (blanks part words; `'…'`, `"…"` and `\` protect them), but is never
//! given to a shell: there are no variables, no `~`, no `*`, no `&&`, no pipes. What needs these is written
//! `sh -c '…'`. The program is found in PATH of the machine that the node is on, or is an absolute path.
//!
//! On the command line of couchcopy a `,` in a setting's value is written `\,`.

use std::time::Duration;

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// What only a shell would make something of, as a word of its own.
const SHELL_WORDS: [&str; 9] = ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"];

/// CouchDB started and stopped by commands of your own.
pub struct Commands;

export_service!(Commands);

impl Service for Commands {
    fn describe() -> Description {
        Description::new(
            "command",
            env!("CARGO_PKG_VERSION"),
            "CouchDB started and stopped by commands of your own",
        )
        .setting(Setting::optional("start", "The command that starts CouchDB"))
        .setting(Setting::optional("stop", "The command that stops CouchDB and waits for it"))
        .setting(Setting::optional(
            "status",
            "The command that ends with 0 if CouchDB runs and 3 if it has stopped",
        ))
        .setting(Setting::with_default(
            "timeout",
            "120",
            "How many seconds to wait for `status` to say so at most",
        ))
        .command("{start...}", "start CouchDB")
        .command("{stop...}", "stop CouchDB")
        .command("{status...}", "see whether CouchDB runs")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        drive(node, host, "start", State::Running)
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        drive(node, host, "stop", State::Stopped)
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        if let Some(status) = command(node, "status")? {
            Ok(ask(host, &status)?.0)
        } else {
            host.log("the setting `status` has no value, so nobody can say whether CouchDB runs");
            Ok(State::Unknown)
        }
    }
}

fn drive(node: &Node, host: &dyn Host, action: &str, wanted: State) -> Result<(), Error> {
    let timeout: Duration = node.seconds("timeout")?;
    let status = command(node, "status")?;
    let Some(command) = command(node, action)? else {
        return Err(Error::setting(
            action,
            format!("it has no value, so nobody knows how to {action} CouchDB"),
        ));
    };
    if let Some(status) = &status
        && ask(host, status)?.0 == wanted
    {
        return Ok(());
    }
    host.succeed(&command)?;
    let Some(status) = status else { return Ok(()) };
    wait_for(host, timeout, || {
        let (state, told) = ask(host, &status)?;
        Ok(if state == wanted { Progress::Done } else { Progress::Waiting(told) })
    })
}

fn ask(host: &dyn Host, status: &Command) -> Result<(State, String), Error> {
    let output = host.run(status)?;
    let (state, code) = match output.exit_code {
        Some(0) => (State::Running, "0"),
        Some(3) => (State::Stopped, "3"),
        Some(_) => (State::Unknown, "neither 0 nor 3"),
        None => (State::Unknown, "none, as a signal ended it"),
    };
    Ok((state, format!("the exit code of `{status}` is {code}")))
}

/// The command that a setting holds, if it has a value.
fn command(node: &Node, setting: &str) -> Result<Option<Command>, Error> {
    let Some(line) = node.setting(setting) else { return Ok(None) };
    let wrong = |problem: String| Err(Error::setting(setting, problem));
    let Some(words) = patterns::split(line) else {
        return wrong("a quote is left open, or a `\\` ends it".into());
    };
    if let Some(word) = words.iter().find(|word| SHELL_WORDS.contains(&word.as_str()) || word.ends_with(';'))
    {
        return wrong(format!("`{word}` is for a shell, and none reads this; write `sh -c '…'` around it"));
    }
    match words.split_first() {
        None => Ok(None),
        Some((program, _)) if program.contains('=') => {
            wrong(format!("`{program}` is for a shell, and none reads this; write `env` in front of it"))
        }
        Some((program, arguments)) => Ok(Some(Command::new(program).args(arguments))),
    }
}

#[cfg(test)]
mod tests;
