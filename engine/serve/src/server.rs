//! Listening, and what every request goes through.

mod authentication;
mod connection;
mod cors;
mod handler;
mod timed;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use outcome::{Advice, Code, FailureKind};
use tokio::net::TcpListener;

use crate::options::Options;

/// Requests that are answered at once, slow clients included. Further requests wait.
const READERS: usize = 32;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error that the system reported.
        source: io::Error,
    },
    /// The system did not provide threads.
    #[error("cannot start threads")]
    Threads {
        /// The error that the system reported.
        source: io::Error,
    },
}

impl Advice for ServeError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Listen { .. } => FailureKind::Refused,
            Self::Threads { .. } => FailureKind::System,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Listen { .. } => Code::new("CC-V01"),
            Self::Threads { .. } => Code::new("CC-V02"),
        }
    }

    fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "Another program listens there already: stop it, or choose another port (--port 0 uses any free port)."
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "Choose a port of 1024 or above."
            }
            Self::Listen { .. } => "Choose an address of this machine.",
            Self::Threads { .. } => "Stop other programs, or raise the limit on processes.",
        };
        Some(remedy.to_owned())
    }
}

/// Ready as soon as the process is to end: on Ctrl-C or SIGTERM.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Serves until `stop` is ready. `on_listening` gets the address as soon as clients can connect.
///
/// Requests that are being answered then have some seconds to end.
pub fn run(
    options: &Options,
    on_listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(READERS + 4)
        .thread_name("serve")
        .build()
        .map_err(|source| ServeError::Threads { source })?;
    let address = SocketAddr::new(options.bind, options.port);
    let listen = |source| ServeError::Listen { address, source };
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        on_listening(listener.local_addr().map_err(listen)?);
        connection::serve(&listener, options, stop).await;
        Ok(())
    });
    // A reader whose client is gone ends with its next row.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    served
}
