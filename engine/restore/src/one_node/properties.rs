//! The security objects and limits of databases, as the running nodes have them. Internal replication does not bring limits, and
//! brings a security object only if most copies have it (`mem3_sync_security.erl`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contents::DatabaseLimits;
use node::{Http, Node, NodeError, encode};
use outcome::report::{Counter, Reporter};
use outcome::{Failure, Result, parallel};

/// Requests at the same time.
const REQUESTS: usize = 8;

/// Properties of a database that its copies hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Properties {
    pub(crate) limits: DatabaseLimits,
    pub(crate) security: serde_json::Value,
}

/// Queries a running node. Databases that do not exist any more are left out.
pub(super) fn learn(
    node: &Node,
    names: &[&String],
    reporter: &dyn Reporter,
) -> Result<HashMap<Box<str>, Properties>> {
    reporter.phase("querying the properties of the databases", Some(names.len() as u64));
    let counter = Counter::new(reporter);
    let found = Mutex::new(HashMap::with_capacity(names.len()));
    parallel::for_each_large(REQUESTS, names, |_, name| {
        if reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        if let Some(properties) = of_database(&node.http, name)? {
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.as_str().into(), properties);
        }
        counter.add(1, 0);
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn of_database(http: &Http, name: &str) -> Result<Option<Properties>, NodeError> {
    let get = |what: &str| match http.get(&format!("/{}/{what}", encode(name))) {
        Err(NodeError::Http { status: 404, .. }) => Ok(None),
        answer => answer.map(Some),
    };
    let (Some(security), Some(revs), Some(purges)) =
        (get("_security")?, get("_revs_limit")?, get("_purged_infos_limit")?)
    else {
        return Ok(None);
    };
    let limits = DatabaseLimits {
        revs_limit: revs.as_u64().unwrap_or(1000),
        purged_infos_limit: purges.as_u64().unwrap_or(1000),
    };
    Ok(Some(Properties { limits, security }))
}
