//! The built-in plugins: their crates are `plugins/service-NAME`, `plugins/access-NAME` and `plugins/filter-NAME`, and what is
//! built of them is committed as `plugins/dist/service-NAME.wasm` and so on, for the engine to embed.

pub mod arguments;
pub mod check;
pub mod error;
pub mod sources;
