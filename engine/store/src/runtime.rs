//! Runs requests to their ends on threads of their own, for callers that block.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Threads that encrypt, sign and copy for all requests that run at once.
const THREADS: usize = 2;

/// The runtime of all stores.
pub(crate) fn runtime() -> std::io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // Fails only if the provider was installed before, by the other users of TLS in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        Builder::new_multi_thread().worker_threads(THREADS).enable_all().thread_name("store").build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}
