//! Requests whose body is read while it is sent.
//!
//! A CouchDB that does not take such a body answers at once and closes the connection, long before all of it is sent. That
//! answer says why, so it is taken whatever becomes of the rest of the body.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::{Client, RequestBuilder};

use super::Answer;

/// Bytes that are read at a time.
const PIECE: u64 = 64 << 10;

/// A body that is read while it is sent. Reading may block: nothing else runs on the same runtime.
pub(super) struct Streamed {
    reader: Mutex<Box<dyn Read + Send>>,
    left: u64,
}

impl Streamed {
    /// `length` bytes of a reader.
    pub(super) fn new(reader: Box<dyn Read + Send>, length: u64) -> Self {
        Self { reader: Mutex::new(reader), left: length }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; self.left.min(PIECE) as usize];
        let reader = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner);
        let read = loop {
            match reader.read(&mut piece) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        Poll::Ready(Some(match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                piece.truncate(n);
                self.left -= n as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(e) => Err(e),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Sends such a request over a connection of its own and waits for the answer.
///
/// Fails if the system has no room for it; the inner result is what became of the request.
pub(super) fn send(
    client: &Client,
    request: impl FnOnce(&Client) -> RequestBuilder,
) -> io::Result<Result<Answer, reqwest::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let answer = request(client).send().await?;
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let date = header("date").map(str::to_owned);
        let server = header("server").unwrap_or_default().to_owned();
        Ok(Answer::new(status, &server, date, &answer.bytes().await?))
    }))
}
