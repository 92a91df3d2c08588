//! `GET /_backup/archives`: which archives and repositories are served.

use serde_json::{Value, json};

use super::context::Context;
use super::reference::Reference;
use super::site::ServedArchive;
use crate::http::{Done, Failure, Reply};

/// Lists the archives and repositories.
pub(super) fn list(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    let described = |(index, served): (usize, &ServedArchive)| -> Result<Value, Failure> {
        let snapshot = &served.archive.snapshot;
        let about = snapshot.about();
        let reference = Reference::newest(index + 1);
        let mut facts = json!({
            "number": index + 1,
            "reference": reference.to_string(),
            "name": snapshot.name(),
            "location": served.location,
            "flags": context.site.flags,
            "date": about.date,
            "nodes": about.nodes,
            "made_by": about.made_by,
            "databases": served.archive.database_count()?,
            "manifest": snapshot.is_indexed(),
            "root": reference.root(),
        });
        if let Some(repository) = &served.repository {
            facts["name"] = repository.backups.place().to_string().into();
            facts["backup"] = repository.newest.to_string().into();
            facts["backups"] = repository.names()?.len().into();
        }
        Ok(facts)
    };
    let archives: Vec<Value> =
        context.site.served.iter().enumerate().map(described).collect::<Result<_, _>>()?;
    reply.json(&Value::Array(archives))
}
