//! What couchcopy does for a plugin.

use crate::bindings::service::couchcopy::plugin::host;
use crate::{Command, Error, Output, RunError};

/// What couchcopy does for a [`Service`](crate::Service). All of it counts into the call's deadline.
pub trait Host {
    /// Runs a program on the node, whichever way the node is reached, and waits for its end. It gets no standard input. A
    /// program that ends with another exit code than 0 is no error here.
    fn run(&self, command: &Command) -> Result<Output, RunError>;

    /// Waits. See [`wait_for`](crate::wait_for).
    fn sleep(&self, milliseconds: u32);

    /// Tells the user something that helps to understand a failure; shown with `-v`. At most 64 KiB per call.
    fn log(&self, text: &str);
}

impl dyn Host + '_ {
    /// Runs a program for which any other exit code than 0 is a failure.
    pub fn succeed(&self, command: &Command) -> Result<Output, Error> {
        let output = self.run(command)?;
        if output.success() { Ok(output) } else { Err(Error::failed(command, output)) }
    }
}

/// The host of a component: couchcopy.
pub(crate) struct ComponentHost;

impl Host for ComponentHost {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        host::run(command)
    }

    fn sleep(&self, milliseconds: u32) {
        host::sleep(milliseconds);
    }

    fn log(&self, text: &str) {
        host::log(text);
    }
}
