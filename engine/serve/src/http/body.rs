//! Bodies of answers on their way to the client.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream::{self, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// A part of a body.
#[derive(Debug)]
pub(crate) enum Message {
    /// Bytes.
    Data(Bytes),
    /// Nothing happens from here on, until the end.
    Idle(Box<Idle>),
    /// The end. Without it the body broke off.
    End,
}

/// How a body stays open that nothing will ever be added to.
#[derive(Debug)]
pub(crate) struct Idle {
    /// What is sent how often.
    pub(crate) heartbeat: Option<(Duration, Bytes)>,
    /// When it ends; never if `None`.
    pub(crate) timeout: Option<Duration>,
    /// What is sent at the end.
    pub(crate) last: Bytes,
}

/// Where a body is.
struct State {
    messages: mpsc::Receiver<Message>,
    stop: watch::Receiver<bool>,
    idle: Option<Box<Idle>>,
    ends: Option<Instant>,
    over: bool,
}

/// The body that these messages make. It ends when the server stops.
pub(crate) fn into_body(messages: mpsc::Receiver<Message>, stop: watch::Receiver<bool>) -> Body {
    let state = State { messages, stop, idle: None, ends: None, over: false };
    let pieces = stream::unfold(state, |mut state| async move {
        let next = state.next().await;
        next.map(|piece| (piece, state))
    });
    // A compressor asks once more after the end.
    Body::from_stream(pieces.fuse())
}

impl State {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.over {
            return None;
        }
        if self.idle.is_none() {
            match self.messages.recv().await {
                Some(Message::Data(bytes)) => return Some(Ok(bytes)),
                Some(Message::End) => {
                    self.over = true;
                    return None;
                }
                Some(Message::Idle(idle)) => {
                    self.ends = idle.timeout.map(|timeout| Instant::now() + timeout);
                    self.idle = Some(idle);
                }
                None => {
                    self.over = true;
                    return Some(Err(io::Error::other("the answer broke off")));
                }
            }
        }
        let idle = self.idle.as_ref()?;
        let now = Instant::now();
        let beat = idle.heartbeat.as_ref().map(|(every, bytes)| (now + *every, bytes.clone()));
        let (next, bytes) = match (beat, self.ends) {
            (Some((at, bytes)), Some(ends)) if at < ends => (Some(at), Some(bytes)),
            (Some((at, bytes)), None) => (Some(at), Some(bytes)),
            (_, ends) => (ends, None),
        };
        let stopped = tokio::select! {
            () = wait(next) => false,
            _ = self.stop.wait_for(|stopped| *stopped) => true,
        };
        match bytes {
            Some(bytes) if !stopped => Some(Ok(bytes)),
            _ => {
                self.over = true;
                Some(Ok(idle.last.clone())).filter(|_| !idle.last.is_empty())
            }
        }
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
