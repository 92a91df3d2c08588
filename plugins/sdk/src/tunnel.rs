//! Plugins that also say how a port is reached.

use std::marker::PhantomData;

use crate::bindings::tunnel::exports::couchcopy::plugin::tunnel;
use crate::{Access, Command, Error, Node};

/// A plugin that says how a command reaches a node, and how a TCP port as seen from there. Not every way can do that: a plugin
/// that cannot is an [`Access`] alone.
pub trait Tunnel: Access {
    /// Gives the command that, run where couchcopy runs (or on the machine that the ways before this one lead to), connects
    /// its standard input and output to `port` of `host` as seen from the node's machine, and writes nothing else to its
    /// output. It ends when the connection does. Same arguments, same result.
    ///
    /// `host` is a name or an address; one of IPv6 is without brackets. One of the patterns of `describe` that hold no
    /// command to wrap has to allow the result.
    fn connect(node: &Node, host: &str, port: u16) -> Result<Command, Error>;
}

/// Makes the exports of a `node-access-with-tunnel` component from a type that is a [`Tunnel`]. Use it once in a crate, in
/// place of [`export_access!`](crate::export_access).
///
/// Where the crate is not built for WebAssembly it only checks the type.
#[macro_export]
macro_rules! export_access_with_tunnel {
    ($plugin:ty) => {
        $crate::export_access!($plugin);
        const _: () = $crate::TunnelComponent::<$plugin>::CHECKED;
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        type CouchcopyTunnelComponent = $crate::TunnelComponent<$plugin>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::tunnel::export_tunnel!(
            CouchcopyTunnelComponent with_types_in $crate::bindings::tunnel
        );
    };
}

/// Stands between the generated code and a plugin.
#[doc(hidden)]
pub struct TunnelComponent<T>(PhantomData<T>);

impl<T: Tunnel> TunnelComponent<T> {
    /// Something to name in a constant, so that a type that is no plugin does not compile anywhere.
    #[doc(hidden)]
    pub const CHECKED: () = ();
}

impl<T: Tunnel> tunnel::Guest for TunnelComponent<T> {
    fn connect(node: Node, host: String, port: u16) -> Result<Command, Error> {
        T::connect(&node, &host, port)
    }
}
