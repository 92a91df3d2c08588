//! The JSON schema of the configuration file, for editors.

use serde_json::{Map, Value, json};

use crate::keys;
use crate::shape::{Key, Kind, Table};

/// The JSON schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    let mut schema = table(&keys::CONFIGURATION);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("title".into(), "couchcopy.toml".into());
    }
    schema
}

fn table(table: &Table) -> Value {
    let mut properties = Map::new();
    for key in table.keys {
        let mut property = kind(&key.kind);
        if let Value::Object(members) = &mut property {
            members.insert("description".into(), key.doc.into());
            if let Some(example) = example(key) {
                members.insert("examples".into(), json!([example]));
            }
        }
        properties.insert(key.name.into(), property);
    }
    let required: Vec<&str> = table.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The example of a key as JSON.
fn example(key: &Key) -> Option<Value> {
    let table: toml::Table = format!("example = {}", key.example).parse().ok()?;
    serde_json::to_value(table.get("example")?).ok()
}

fn kind(kind_: &Kind) -> Value {
    match kind_ {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Kind::Text(what, _) => json!({ "type": "string", "title": what }),
        Kind::File | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Command => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Kind::Plugin => json!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "object",
                    "properties": { "plugin": { "type": "string", "minLength": 1 } },
                    "required": ["plugin"],
                    "additionalProperties": {
                        "anyOf": [
                            { "type": ["string", "boolean", "integer"] },
                            { "type": "array", "items": { "type": "string" } },
                        ],
                    },
                },
            ],
        }),
        Kind::OneOrMany(one) => json!({ "anyOf": [kind(one), { "type": "array", "items": kind(one) }] }),
        Kind::Many(one) => json!({ "type": "array", "items": kind(one) }),
        Kind::Table(shape) => table(shape),
        Kind::Named(shape) => json!({ "type": "object", "additionalProperties": table(shape) }),
        Kind::Tables(shape) => json!({ "type": "array", "items": table(shape) }),
    }
}
