//! `GET /_backup/archives`: what archives are served.

use serde_json::{Value, json};

use super::context::Context;
use crate::http::{Done, Failure, Reply};

/// Lists the archives.
pub(super) fn list(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    let archive = |(index, archive): (usize, &super::Archive)| -> Result<Value, Failure> {
        let snapshot = &archive.snapshot;
        let about = snapshot.about();
        Ok(json!({
            "number": index + 1,
            "name": snapshot.name(),
            "date": about.date,
            "nodes": about.nodes,
            "made_by": about.made_by,
            "databases": archive.database_count()?,
            "manifest": snapshot.is_indexed(),
            "root": format!("/_backup/archives/{}/", index + 1),
        }))
    };
    let archives: Vec<Value> =
        context.site.archives.iter().enumerate().map(archive).collect::<Result<_, _>>()?;
    reply.json(&Value::Array(archives))
}
