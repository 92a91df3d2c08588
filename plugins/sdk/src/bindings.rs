//! What is generated from the contract.
//!
//! A world of the contract is put together from worlds of its parts: all worlds share `types` and `describe`, which so are
//! generated once. Building a component joins the parts that its crate exports.

#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::pedantic)]

/// The types alone: read without the functions that fail with them, else generated implementations of `Display` would be in
/// the way of better ones.
pub mod types {
    wit_bindgen::generate!({
        path: "../../wit/types.wit",
        inline: "
            package couchcopy:sdk;
            world common { import couchcopy:plugin/types@0.1.0; }
        ",
        world: "couchcopy:sdk/common",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
    });
}

pub mod description {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package couchcopy:sdk;
            world described { export couchcopy:plugin/describe@0.1.0; }
        ",
        world: "couchcopy:sdk/described",
        generate_all,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_description",
        default_bindings_module: "couchcopy_plugin::bindings::description",
    });
}

pub mod service {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package couchcopy:sdk;
            world controls-service {
                import couchcopy:plugin/host@0.1.0;
                export couchcopy:plugin/service@0.1.0;
            }
        ",
        world: "couchcopy:sdk/controls-service",
        with: { "couchcopy:plugin/types@0.1.0": crate::bindings::types::couchcopy::plugin::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_service",
        default_bindings_module: "couchcopy_plugin::bindings::service",
    });
}

pub mod access {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package couchcopy:sdk;
            world accesses-node { export couchcopy:plugin/access@0.1.0; }
        ",
        world: "couchcopy:sdk/accesses-node",
        with: { "couchcopy:plugin/types@0.1.0": crate::bindings::types::couchcopy::plugin::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_access",
        default_bindings_module: "couchcopy_plugin::bindings::access",
    });
}

pub mod tunnel {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package couchcopy:sdk;
            world connects { export couchcopy:plugin/tunnel@0.1.0; }
        ",
        world: "couchcopy:sdk/connects",
        with: { "couchcopy:plugin/types@0.1.0": crate::bindings::types::couchcopy::plugin::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_tunnel",
        default_bindings_module: "couchcopy_plugin::bindings::tunnel",
    });
}

pub mod documents {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package couchcopy:sdk;
            world filters-documents { export couchcopy:plugin/documents@0.1.0; }
        ",
        world: "couchcopy:sdk/filters-documents",
        with: { "couchcopy:plugin/types@0.1.0": crate::bindings::types::couchcopy::plugin::types },
        generate_all,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_documents",
        default_bindings_module: "couchcopy_plugin::bindings::documents",
    });
}
