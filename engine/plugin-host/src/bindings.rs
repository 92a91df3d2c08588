//! The contract as Rust, generated from `wit/`.

#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]

pub mod service {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "service-control",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [Clone, PartialEq, Eq],
    });
}

pub mod access {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "node-access",
        exports: { default: async },
        with: { "couchcopy:plugin/types": super::service::couchcopy::plugin::types },
        additional_derives: [Clone, PartialEq, Eq],
    });
}

pub mod tunnel {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "node-access-with-tunnel",
        exports: { default: async },
        with: { "couchcopy:plugin/types": super::service::couchcopy::plugin::types },
        additional_derives: [Clone, PartialEq, Eq],
    });
}

/// Documents are many: their functions are called without the detour over a fiber that asynchronous calls take.
pub mod filter {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "document-filter",
        exports: { "couchcopy:plugin/describe.describe": async },
        with: { "couchcopy:plugin/types": super::service::couchcopy::plugin::types },
        additional_derives: [Clone, PartialEq, Eq],
    });
}

pub use service::couchcopy::plugin::host;
pub use service::couchcopy::plugin::types;
