//! Plugins that say how a node is reached.

use std::marker::PhantomData;

use crate::bindings::access::exports::couchcopy::plugin::access;
use crate::bindings::description::exports::couchcopy::plugin::describe;
use crate::{Command, Description, Error, Node, State};

/// A plugin that says how a command reaches a node. It runs nothing itself.
pub trait Access {
    /// Says what the plugin is called, which settings it has and which commands it may give back. Must always say the same.
    fn describe() -> Description;

    /// Gives the command that, run where couchcopy runs (or on the machine that the ways before this one lead to), runs
    /// `command` on the node, with its standard streams and its exit code. Same arguments, same result.
    ///
    /// `service` tells whether CouchDB is known to run there: a container that is CouchDB can only be entered while it does.
    fn wrap(node: &Node, command: Command, service: State) -> Result<Command, Error>;
}

/// Makes the exports of a `node-access` component from a type that is an [`Access`]. Use it once in a crate.
///
/// Where the crate is not built for WebAssembly it only checks the type.
#[macro_export]
macro_rules! export_access {
    ($plugin:ty) => {
        const _: () = $crate::AccessComponent::<$plugin>::CHECKED;
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        type CouchcopyAccessComponent = $crate::AccessComponent<$plugin>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::description::export_description!(
            CouchcopyAccessComponent with_types_in $crate::bindings::description
        );
        #[cfg(target_family = "wasm")]
        $crate::bindings::access::export_access!(
            CouchcopyAccessComponent with_types_in $crate::bindings::access
        );
    };
}

/// Stands between the generated code and a plugin.
#[doc(hidden)]
pub struct AccessComponent<A>(PhantomData<A>);

impl<A: Access> AccessComponent<A> {
    /// Something to name in a constant, so that a type that is no plugin does not compile anywhere.
    #[doc(hidden)]
    pub const CHECKED: () = ();
}

impl<A: Access> describe::Guest for AccessComponent<A> {
    fn describe() -> Description {
        A::describe()
    }
}

impl<A: Access> access::Guest for AccessComponent<A> {
    fn wrap(node: Node, command: Command, service: State) -> Result<Command, Error> {
        A::wrap(&node, command, service)
    }
}
