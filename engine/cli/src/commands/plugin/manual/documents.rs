//! Documents that pass through a document filter by hand.

use std::io::BufRead;

use outcome::{Code, Failure, Result};
use plugin_host::Verdict;
use serde::{Deserialize, Serialize};
use site::PluginReference;

use super::Run;
use crate::exit::Outcome;
use crate::session::Session;

/// What is needed of a document.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "_id")]
    id: String,
}

/// What became of the documents.
#[derive(Debug, Default, Serialize)]
struct Filtered {
    kept: u64,
    replaced: u64,
    left_out: u64,
}

impl Run {
    /// Passes documents through the plugin: lines of standard input, to lines of standard output.
    pub(super) fn filter(&self, plugin: &PluginReference, session: &Session) -> Result<Outcome> {
        let filter = self.grants.plugins(session)?.document_filter(plugin)?;
        let mut instance = filter.instance(&self.database)?;
        let mut filtered = Filtered::default();
        let written = |e| Failure::io("write to", "standard output", e);
        session.stream(|out| {
            for (number, line) in std::io::stdin().lock().lines().enumerate() {
                let line = line.map_err(|e| Failure::io("read", "standard input", e))?;
                let text = line.trim();
                if text.is_empty() {
                    continue;
                }
                let document: Named = serde_json::from_str(text).map_err(|e| no_document(number + 1, &e))?;
                match instance.filter(&document.id, text)? {
                    Verdict::Keep => {
                        filtered.kept += 1;
                        writeln!(out, "{text}").map_err(written)?;
                    }
                    Verdict::Replace(text) => {
                        filtered.replaced += 1;
                        writeln!(out, "{text}").map_err(written)?;
                    }
                    Verdict::LeaveOut => filtered.left_out += 1,
                }
            }
            Ok(())
        })?;
        session.summary_aside(&filtered, |filtered| {
            format!("{} kept, {} changed, {} left out\n", filtered.kept, filtered.replaced, filtered.left_out)
        });
        Ok(Outcome::Done)
    }
}

fn no_document(line: usize, error: &serde_json::Error) -> Failure {
    Failure::refused(
        Code::new("CC-X36"),
        format!("line {line} of standard input is not a document: {error}"),
        "Give documents as JSON objects with `_id`, one per line, as `couchcopy dump ARCHIVE DB` writes them.",
    )
}
