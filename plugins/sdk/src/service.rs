//! Plugins that start and stop CouchDB.

use std::marker::PhantomData;

use crate::bindings::description::exports::couchcopy::plugin::describe;
use crate::bindings::service::exports::couchcopy::plugin::service;
use crate::host::ComponentHost;
use crate::{Description, Error, Host, Node, State};

/// A plugin that starts and stops CouchDB on a node.
///
/// Nothing is kept between two calls: each may be made in a fresh sandbox.
pub trait Service {
    /// Says what the plugin is called, which settings it has and which commands it may run. Must always say the same.
    fn describe() -> Description;

    /// Starts CouchDB. Returns when its manager says that it runs, or ran already. Whether it answers yet is not asked here.
    fn start(node: &Node, host: &dyn Host) -> Result<(), Error>;

    /// Stops CouchDB and keeps its manager from starting it again by itself. Returns when it has stopped, or was stopped
    /// already: what it wrote must be complete then.
    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error>;

    /// Tells whether CouchDB runs. Changes nothing.
    fn status(node: &Node, host: &dyn Host) -> Result<State, Error>;
}

/// Makes the exports of a `service-control` component from a type that is a [`Service`]. Use it once in a crate.
///
/// Where the crate is not built for WebAssembly it only checks the type.
#[macro_export]
macro_rules! export_service {
    ($plugin:ty) => {
        const _: () = $crate::ServiceComponent::<$plugin>::CHECKED;
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        type CouchcopyServiceComponent = $crate::ServiceComponent<$plugin>;
        #[cfg(target_family = "wasm")]
        $crate::bindings::description::export_description!(
            CouchcopyServiceComponent with_types_in $crate::bindings::description
        );
        #[cfg(target_family = "wasm")]
        $crate::bindings::service::export_service!(
            CouchcopyServiceComponent with_types_in $crate::bindings::service
        );
    };
}

/// Stands between the generated code and a plugin.
#[doc(hidden)]
pub struct ServiceComponent<S>(PhantomData<S>);

impl<S: Service> ServiceComponent<S> {
    /// Something to name in a constant, so that a type that is no plugin does not compile anywhere.
    #[doc(hidden)]
    pub const CHECKED: () = ();
}

impl<S: Service> describe::Guest for ServiceComponent<S> {
    fn describe() -> Description {
        S::describe()
    }
}

impl<S: Service> service::Guest for ServiceComponent<S> {
    fn start(node: Node) -> Result<(), Error> {
        S::start(&node, &ComponentHost)
    }

    fn stop(node: Node) -> Result<(), Error> {
        S::stop(&node, &ComponentHost)
    }

    fn status(node: Node) -> Result<State, Error> {
        S::status(&node, &ComponentHost)
    }
}
