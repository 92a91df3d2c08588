//! Connections: taken, bounded in number, and ended when the server stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;

use super::handler::{Handler, NotCompressible};
use super::timed::Timed;
use crate::options::Options;

/// Connections at a time. Others wait until one ends.
const CONNECTIONS: usize = 1024;
/// How long a client may take to send the head of a request, and may say nothing between two of them.
const HEAD_PATIENCE: Duration = Duration::from_secs(120);
/// How long answers may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long no connection is taken after the system refused one.
const PAUSE: Duration = Duration::from_millis(50);
/// The smallest body that is compressed, in bytes.
const SMALLEST: u64 = 860;

/// Serves connections until `stop` is ready.
pub(super) async fn serve(listener: &TcpListener, options: &Options, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let handler = Arc::new(Handler::new(options, stopped));
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(Compressible);
    let router = Router::new().fallback(answer).with_state(handler).layer(compression);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let service =
            router.clone().map_request(|request: Request<Incoming>| request.map(axum::body::Body::new));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(128 << 10)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is nothing to tell.
            let _ = connection.await;
            drop(permit);
        });
    }
    // Feeds that wait end now; other answers have a while.
    stopping.send_replace(true);
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(Timed, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    // Small answers must not wait for more.
    stream.set_nodelay(true).ok()?;
    Some((Timed::new(stream), permit))
}

async fn answer(State(handler): State<Arc<Handler>>, request: Request) -> axum::response::Response {
    handler.answer(request).await
}

/// Which answers are compressed, if the client takes it.
#[derive(Debug, Clone, Copy)]
struct Compressible;

impl Predicate for Compressible {
    fn should_compress<B: hyper::body::Body>(&self, response: &axum::http::Response<B>) -> bool {
        let is_large = response.body().size_hint().upper().is_none_or(|size| size >= SMALLEST);
        is_large && response.extensions().get::<NotCompressible>().is_none()
    }
}
