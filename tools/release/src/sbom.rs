//! A bill of materials: which packages a release is made of.
//!
//! Source: CycloneDX 1.5, <https://cyclonedx.org/docs/1.5/json/>.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use outcome::{Failure, Result};
use serde_json::{Value, json};

use crate::build::output;

/// The bill of everything that the lock file names.
pub(crate) fn bill(root: &Path, version: &str, epoch: i64) -> Result<Vec<u8>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let text = output(
        Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]).current_dir(root),
    )?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|e| Failure::bug(format!("cargo metadata: {e}")))?;
    let time = Timestamp::from_second(epoch).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
    let bill = of_metadata(&metadata, version, &time);
    let mut bytes = serde_json::to_vec_pretty(&bill).map_err(|e| Failure::bug(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The packages that the command is built of, whether for this machine or as a tool to build it.
fn of_metadata(metadata: &Value, version: &str, time: &str) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let nodes = list(&metadata["resolve"]["nodes"]);
    let root =
        packages.iter().find(|package| package["name"] == "couchcopy").map(|package| package["id"].clone());
    let mut needed: Vec<Value> = root.into_iter().collect();
    let mut next = 0;
    while let Some(id) = needed.get(next).cloned() {
        for dependency in nodes.iter().filter(|node| node["id"] == id).flat_map(|node| list(&node["deps"])) {
            let is_of_tests = list(&dependency["dep_kinds"]).iter().all(|kind| kind["kind"] == "dev");
            if !is_of_tests && !needed.contains(&dependency["pkg"]) {
                needed.push(dependency["pkg"].clone());
            }
        }
        next += 1;
    }
    let mut components: Vec<Value> = packages
        .iter()
        .filter(|package| needed.contains(&package["id"]) && package["name"] != "couchcopy")
        .map(component)
        .collect();
    components.sort_by_key(|component| component["bom-ref"].to_string());
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "component": { "type": "application", "name": "couchcopy", "version": version, "bom-ref": "couchcopy" },
        },
        "components": components,
    })
}

fn component(package: &Value) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let mut component = json!({ "type": "library", "name": name, "version": version });
    let is_published = package["source"].is_string();
    let reference = format!("{}{name}@{version}", if is_published { "pkg:cargo/" } else { "workspace:" });
    component["bom-ref"] = reference.clone().into();
    if is_published {
        component["purl"] = reference.into();
    }
    if let Some(license) = package["license"].as_str() {
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    component
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_need_is_left_out() {
        let dependency = |id: &str, kind: Value| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let package = |name: &str, source: Value| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source });
        let metadata = json!({
            "packages": [package("couchcopy", Value::Null), package("b", "x".into()), package("a", Value::Null), package("t", "x".into())],
            "resolve": { "nodes": [
                { "id": "couchcopy", "deps": [dependency("a", Value::Null), dependency("t", "dev".into())] },
                { "id": "a", "deps": [dependency("b", "build".into())] },
            ] },
        });
        let bill = of_metadata(&metadata, "0.1.0", "2026-01-01T00:00:00Z");
        let names: Vec<&str> =
            bill["components"].as_array().unwrap().iter().map(|one| text(&one["bom-ref"])).collect();
        assert_eq!(names, ["pkg:cargo/b@1.0.0", "workspace:a@1.0.0"]);
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
