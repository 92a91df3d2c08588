//! Reports to the user what plugins do.

use std::sync::Arc;

use outcome::report::{Notice, Reporter, Severity};
use plugin_host::{Events, Output, RunError};

/// Reports what plugins log and run, for detailed output.
pub(super) struct ReportedEvents(pub(super) Arc<dyn Reporter + Send>);

impl ReportedEvents {
    fn report(&self, text: String) {
        self.0.notice(&Notice { severity: Severity::Info, text });
    }
}

impl Events for ReportedEvents {
    fn log(&self, plugin: &str, node: &str, text: &str) {
        self.report(format!("{plugin} on {node}: {text}"));
    }

    fn ran(&self, plugin: &str, node: &str, command: &str, result: &Result<Output, RunError>) {
        let outcome = match result {
            Ok(output) => match output.exit_code {
                Some(code) => format!("exit code {code}"),
                None => "ended by a signal".into(),
            },
            Err(RunError::NotPermitted(why) | RunError::NotFound(why) | RunError::Failed(why)) => why.clone(),
        };
        self.report(format!("{plugin} on {node} ran {command}: {outcome}"));
    }
}
