//! The plugin SDK and the contract, as they lie in this source.

/// What is taken as it is, by its path in this source. The build script has found it.
pub(super) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vendored.rs"));

/// What takes part of its text from the workspace; by folder.
pub(super) const MANIFESTS: &[(&str, &str)] = &[
    ("plugins/patterns", include_str!("../../../patterns/Cargo.toml")),
    ("plugins/sdk", include_str!("../../../sdk/Cargo.toml")),
];
