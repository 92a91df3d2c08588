//! Answers as they are written: at once if they are small, otherwise piece by piece, never faster than the client reads.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use couchfile::json::Json;
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::body::{Idle, Message};
use super::error::{Failure, HttpError};
use super::turn::Turn;

/// Size of a piece, in bytes. An answer that is not larger goes out at once.
const PIECE: usize = 32 << 10;
/// Pieces that wait for a client to read them.
const WAITING: usize = 4;

/// The head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The length of the body, if it is known before.
    pub(crate) length: Option<u64>,
    /// Whether the body may be compressed on its way.
    pub(crate) compressible: bool,
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All of it.
    Whole(Head, Bytes),
    /// Its body comes piece by piece.
    Stream(Head, mpsc::Receiver<Message>),
}

/// Shows that a request has been answered.
#[derive(Debug)]
pub(crate) struct Done(());

/// The way to answer a request, once.
#[derive(Debug)]
pub(crate) struct Reply {
    starter: Starter,
    is_head: bool,
    turn: Turn,
}

/// Sends the answer's start, if none has been sent.
#[derive(Debug, Clone)]
pub(crate) struct Starter(Arc<Mutex<Option<oneshot::Sender<Answer>>>>);

/// The body of an answer, to be written.
#[derive(Debug)]
pub(crate) struct Out {
    starter: Starter,
    is_head: bool,
    head: Option<Head>,
    buffer: Vec<u8>,
    sender: Option<mpsc::Sender<Message>>,
    turn: Turn,
}

impl Head {
    /// The head of a JSON answer.
    pub(crate) fn json(status: u16) -> Self {
        let headers = vec![
            ("cache-control", "must-revalidate".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        Self { status, headers, length: None, compressible: true }
    }

    /// The head of an answer without any headers yet, whose body goes out as it is.
    pub(crate) fn plain(status: u16) -> Self {
        Self { status, headers: Vec::new(), length: None, compressible: false }
    }

    /// With a further header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Starter {
    fn send(&self, answer: Answer) -> Result<(), Failure> {
        let sender = self.0.lock().ok().and_then(|mut sender| sender.take()).ok_or(Failure::Gone)?;
        sender.send(answer).map_err(|_| Failure::Gone)
    }

    /// Answers with an error, if nothing has been sent yet.
    pub(crate) fn fail(&self, error: &HttpError) {
        let mut head = Head::json(error.status);
        head.headers.extend(error.headers.iter().cloned());
        // Where an answer has begun its end is missing, which the client sees.
        let _ = self.send(Answer::Whole(head, error.body().into()));
    }

    fn is_gone(&self) -> bool {
        self.0.lock().is_ok_and(|sender| sender.as_ref().is_some_and(oneshot::Sender::is_closed))
    }
}

impl Reply {
    /// A way to answer, what tells an error in its place, and where the answer comes out.
    pub(crate) fn new(is_head: bool, turn: Turn) -> (Self, Starter, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let starter = Starter(Arc::new(Mutex::new(Some(sender))));
        (Self { starter: starter.clone(), is_head, turn }, starter, receiver)
    }

    /// Answers with a complete body.
    pub(crate) fn whole(self, head: Head, body: impl Into<Bytes>) -> Result<Done, Failure> {
        self.starter.send(Answer::Whole(head, body.into()))?;
        Ok(Done(()))
    }

    /// Answers with a JSON value.
    pub(crate) fn json(self, value: &Value) -> Result<Done, Failure> {
        self.json_with(Head::json(200), value)
    }

    /// Answers with a JSON value below a head.
    pub(crate) fn json_with(self, head: Head, value: &Value) -> Result<Done, Failure> {
        let mut body = value.to_string().into_bytes();
        body.push(b'\n');
        self.whole(head, body)
    }

    /// Answers with a JSON value of any depth below a head.
    pub(crate) fn exact_json(self, head: Head, value: &Json) -> Result<Done, Failure> {
        let mut body = value.to_vec();
        body.push(b'\n');
        self.whole(head, body)
    }

    /// Answers that the client has it already.
    pub(crate) fn not_modified(self, etag: &str) -> Result<Done, Failure> {
        self.whole(Head::plain(304).with("etag", etag), Bytes::new())
    }

    /// Answers with a body that is written bit by bit.
    pub(crate) fn stream(self, head: Head) -> Out {
        let Self { starter, is_head, turn } = self;
        Out { starter, is_head, head: Some(head), buffer: Vec::new(), sender: None, turn }
    }
}

impl Out {
    /// Fails if the client has gone. For long work that writes little.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let gone = match &self.sender {
            Some(sender) => sender.is_closed(),
            None => self.starter.is_gone(),
        };
        if gone { Err(Failure::Gone) } else { Ok(()) }
    }

    /// Ends the body.
    pub(crate) fn finish(mut self) -> Result<Done, Failure> {
        if let Some(head) = self.head.take() {
            let body = mem::take(&mut self.buffer);
            self.starter.send(Answer::Whole(head, body.into()))?;
        } else {
            self.send_buffer()?;
            self.send(Message::End)?;
        }
        Ok(Done(()))
    }

    /// Leaves the body open, to be ended later without anybody waiting for it here.
    pub(crate) fn idle(mut self, idle: Idle) -> Result<Done, Failure> {
        self.begin()?;
        self.send_buffer()?;
        self.send(Message::Idle(Box::new(idle)))?;
        Ok(Done(()))
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let Some(head) = self.head.take() else { return Ok(()) };
        if self.is_head {
            self.starter.send(Answer::Whole(head, Bytes::new()))?;
            return Err(Failure::Gone);
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        self.sender = Some(sender);
        self.starter.send(Answer::Stream(head, receiver))
    }

    fn send_buffer(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = mem::take(&mut self.buffer);
        self.send(Message::Data(piece.into()))
    }

    fn send(&mut self, message: Message) -> Result<(), Failure> {
        let sender = self.sender.as_ref().ok_or(Failure::Gone)?;
        match sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Failure::Gone),
            Err(TrySendError::Full(message)) => {
                self.turn.pause(|| sender.blocking_send(message))?.map_err(|_| Failure::Gone)
            }
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            self.begin().map_err(gone)?;
            self.send_buffer().map_err(gone)?;
        }
        Ok(bytes.len())
    }

    /// Does nothing: pieces go out when they are full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
