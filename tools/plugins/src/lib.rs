//! The built-in plugins: their crates are `plugins/service-NAME` and `plugins/access-NAME`, and what is built of them is
//! committed as `plugins/dist/service-NAME.wasm` and `plugins/dist/access-NAME.wasm`, for the engine to embed.

pub mod arguments;
pub mod check;
pub mod error;
pub mod sources;
