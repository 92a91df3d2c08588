//! Databases that get another number of ranges when they are restored.

mod folders;
mod http;
mod live;

use couchfile::data_dir::Range;
use serde_json::{Value, json};

/// What is expected of databases when each has so many ranges.
fn with_ranges(mut expected: Value, q: impl Fn(&str) -> Option<u32>) -> Value {
    for (name, database) in expected.as_object_mut().into_iter().flatten() {
        if let Some(q) = q(name) {
            let ranges: Vec<String> = Range::split(q).iter().map(ToString::to_string).collect();
            database["ranges"] = json!(ranges);
        }
    }
    expected
}
