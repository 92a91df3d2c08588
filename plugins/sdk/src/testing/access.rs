//! The same strictness for plugins that say how a node is reached.

use std::marker::PhantomData;

use patterns::Wraps;

use super::description::{Described, read};
use crate::{Access, Command, Error, Node, State, Tunnel};

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
    /// A node on this machine, where CouchDB runs, with no settings but the defaults. A plugin that is a [`Tunnel`] has
    /// [`with_tunnel`](Self::with_tunnel) instead.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it panics where the plugin is wrong")]
    pub fn new() -> Self {
        Self::of(Wraps::Always)
    }

    #[track_caller]
    fn of(wraps: Wraps) -> Self {
        let description = A::describe();
        assert_eq!(description, A::describe(), "`describe` must always say the same");
        Self { described: Described::new(description, wraps), service: State::Running, plugin: PhantomData }
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

impl<A: Tunnel> AccessTest<A> {
    /// The same for a plugin that exports its tunnel: not all of its patterns have to hold the command to wrap.
    #[track_caller]
    pub fn with_tunnel() -> Self {
        Self::of(Wraps::Sometimes)
    }

    /// Connects to a port. Panics where couchcopy would refuse what comes of it.
    ///
    /// ```
    /// # use couchcopy_plugin::{Access, Command, Description, Error, Node, State, Tunnel, testing::AccessTest};
    /// # struct Jail;
    /// # impl Access for Jail {
    /// #     fn describe() -> Description {
    /// #         Description::new("jail", "0.1.0", "Runs commands in a jail")
    /// #             .command("jexec couch {command...}", "run a command")
    /// #             .command("jexec couch nc -- * *", "reach a port")
    /// #     }
    /// #     fn wrap(_: &Node, command: Command, _: State) -> Result<Command, Error> {
    /// #         Ok(Command::new("jexec").arg("couch").arg(command.program).args(command.arguments))
    /// #     }
    /// # }
    /// # impl Tunnel for Jail {
    /// #     fn connect(_: &Node, host: &str, port: u16) -> Result<Command, Error> {
    /// #         Ok(Command::new("jexec").args(["couch", "nc", "--", host]).arg(port.to_string()))
    /// #     }
    /// # }
    /// let connected = AccessTest::<Jail>::with_tunnel().connect("localhost", 5984).unwrap();
    /// assert_eq!(connected, Command::new("jexec").args(["couch", "nc", "--", "localhost", "5984"]));
    /// ```
    #[track_caller]
    pub fn connect(&self, host: &str, port: u16) -> Result<Command, Error> {
        let node = self.node();
        let connected = A::connect(&node, host, port);
        assert_eq!(
            connected,
            A::connect(&node, host, port),
            "`connect` must always give the same for the same"
        );
        if let Ok(connected) = &connected {
            self.described.assert_allowed(connected, None);
        }
        connected
    }
}
