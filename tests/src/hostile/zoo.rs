//! Every way to be hostile that we know of, one guest each.

mod access;
mod behaviour;
mod commands;
mod descriptions;

use std::path::Path;

use super::guest::Guest;
use super::image::Command;
use crate::Result;

/// How a call of a hostile plugin has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At its deadline.
    Deadline,
    /// It wanted too much memory.
    Memory,
    /// It trapped.
    Trap,
    /// What it gave is none of what the contract allows: a text that is none, a place that is not there.
    Nonsense,
    /// A command that it may not run.
    NotPermitted,
    /// It logged without end.
    Log,
    /// Its description is wrong.
    Description,
    /// It is no plugin, or none that this couchcopy can run.
    NoPlugin,
    /// It is for another version of the contract.
    Version,
    /// It succeeds: what it did is odd, and harms nobody.
    Well,
    /// An error, whichever; it depends on what is met first.
    Error,
}

/// A hostile plugin.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What it does.
    pub name: &'static str,
    /// The component.
    pub component: Vec<u8>,
    /// The function to call: one of `start`, `stop`, `status` and, for access plugins, `exec` and `connect`.
    pub function: &'static str,
    /// How that has to end.
    pub end: End,
}

/// A file that only a command which was never granted would make.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'p>(pub &'p Path);

impl Witness<'_> {
    fn path(&self) -> String {
        self.0.display().to_string()
    }

    fn touch(&self) -> Command {
        Command::new(&["touch", &self.path()])
    }
}

/// The longest text that fits into the guests' memory.
const LONG: usize = 60_000;

struct Zoo {
    all: Vec<Hostile>,
}

impl Zoo {
    fn add(
        &mut self,
        name: &'static str,
        function: &'static str,
        end: End,
        change: impl FnOnce(&mut Guest),
    ) -> Result<()> {
        let mut guest = match function {
            "exec" => Guest::access("evil"),
            "connect" => Guest::access_with_tunnel("evil"),
            _ => Guest::service("evil"),
        };
        change(&mut guest);
        let component = guest.build().map_err(|e| format!("{name}: {e:#}"))?;
        self.all.push(Hostile { name, component, function, end });
        Ok(())
    }
}

/// Hostile service plugins. All describe themselves as `evil`, unless that is what is wrong with them.
pub fn service_zoo(witness: Witness<'_>) -> Result<Vec<Hostile>> {
    let mut zoo = Zoo { all: Vec::new() };
    behaviour::never_ending(&mut zoo)?;
    behaviour::greedy(&mut zoo)?;
    behaviour::broken(&mut zoo)?;
    commands::forbidden_commands(&mut zoo, witness)?;
    descriptions::descriptions(&mut zoo)?;
    descriptions::other_worlds(&mut zoo)?;
    Ok(zoo.all)
}

/// Hostile access plugins. What they wrap is run by `exec`, and only by it.
pub fn access_zoo(witness: Witness<'_>) -> Result<Vec<Hostile>> {
    let mut zoo = Zoo { all: Vec::new() };
    access::wrappers(&mut zoo, witness)?;
    access::tunnels(&mut zoo, witness)?;
    access::worlds_with_a_tunnel(&mut zoo)?;
    Ok(zoo.all)
}
