//! The same strictness for plugins that say how a node is reached.

use std::marker::PhantomData;

use super::description::{Described, read};
use crate::{Access, Command, Error, Node, State};

/// Calls an access plugin as couchcopy does: with its settings checked and what it gives back held against its patterns.
///
/// ```
/// # use couchcopy_plugin::{Access, Command, Description, Error, Node, State, testing::AccessTest};
/// # struct Nice;
/// # impl Access for Nice {
/// #     fn describe() -> Description {
/// #         Description::new("nice", "0.1.0", "Runs commands nicely").command("nice {command...}", "be nice")
/// #     }
/// #     fn wrap(_: &Node, command: Command, _: State) -> Result<Command, Error> {
/// #         Ok(Command::new("nice").arg(command.program).args(command.arguments))
/// #     }
/// # }
/// let wrapped = AccessTest::<Nice>::new().wrap("cat '/a b'").unwrap();
/// assert_eq!(wrapped, Command::new("nice").args(["cat", "/a b"]));
/// ```
#[derive(Debug)]
pub struct AccessTest<A> {
    described: Described,
    service: State,
    plugin: PhantomData<A>,
}

impl<A: Access> AccessTest<A> {
    /// A node on this machine, where CouchDB runs, with no settings but the defaults.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it panics where the plugin is wrong")]
    pub fn new() -> Self {
        let description = A::describe();
        assert_eq!(description, A::describe(), "`describe` must always say the same");
        Self { described: Described::new(description, true), service: State::Running, plugin: PhantomData }
    }

    /// Gives a setting a value.
    #[track_caller]
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.described.set(name, value);
        self
    }

    /// The node is on this host.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        self.described.host = Some(host.into());
        self
    }

    /// The node has this Erlang name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.described.name = Some(name.into());
        self
    }

    /// CouchDB is in this state.
    #[must_use]
    pub fn while_it_is(mut self, service: State) -> Self {
        self.service = service;
        self
    }

    /// The node with the settings.
    #[track_caller]
    pub fn node(&self) -> Node {
        self.described.node()
    }

    /// Wraps a command that is written in one line, as for a shell.
    #[track_caller]
    pub fn wrap(&self, command: &str) -> Result<Command, Error> {
        self.wrap_command(&read(command))
    }

    /// Wraps a command. Panics where couchcopy would refuse what comes of it.
    #[track_caller]
    pub fn wrap_command(&self, command: &Command) -> Result<Command, Error> {
        let node = self.node();
        let wrapped = A::wrap(&node, command.clone(), self.service);
        let again = A::wrap(&node, command.clone(), self.service);
        assert_eq!(wrapped, again, "`wrap` must always give the same for the same");
        if let Ok(wrapped) = &wrapped {
            self.described.assert_allowed(wrapped, Some(command));
        }
        wrapped
    }
}
