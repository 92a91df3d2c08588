//! One client's connection.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Fault;
use super::fault::{answer, error_name};
use super::message::{Body, Head, Piece, collect, is_bodiless, read_body, wrap};
use super::state::State;

/// How long either side may be silent within a request.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a client may keep a connection without asking for anything. Longer than clients do.
const IDLE: Duration = Duration::from_secs(600);

/// How long a server may take to tell that it wants a body.
const PATIENCE: Duration = Duration::from_secs(2);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Serves a client until its connection ends.
pub(super) fn serve(client: TcpStream, state: &State) {
    let Ok(_kept) = state.keep(&client) else { return };
    // Either side may go at any time. Nobody but the other side needs to know.
    let _ = serve_all(client, state);
}

fn serve_all(client: TcpStream, state: &State) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(LIMIT))?;
    let mut client = BufReader::new(client);
    loop {
        client.get_ref().set_read_timeout(Some(IDLE))?;
        // Where nothing is waiting, the next request may take its time. Where it has begun, it may not.
        if client.fill_buf()?.is_empty() {
            return Ok(());
        }
        client.get_ref().set_read_timeout(Some(LIMIT))?;
        let Some(head) = Head::read(&mut client)? else { return Ok(()) };
        let (number, fault) = state.begin(head.word(0), head.word(1), head.header("range"));
        let exchange = Exchange { client: &mut client, head, state, number };
        if !exchange.run(fault)? {
            return Ok(());
        }
    }
}

/// One request and its answer.
struct Exchange<'a> {
    client: &'a mut BufReader<TcpStream>,
    head: Head,
    state: &'a State,
    number: usize,
}

impl Exchange<'_> {
    /// Returns whether the client's connection may be used again.
    fn run(mut self, fault: Option<Fault>) -> io::Result<bool> {
        match fault {
            Some(Fault::FailBefore) => return Ok(false),
            Some(Fault::Status(status)) => return self.refuse(status, error_name(status)),
            Some(Fault::Error(status, name)) => return self.refuse(status, name),
            Some(Fault::Held) => self.state.hold(),
            _ => {}
        }
        // A connection for each request: one that is kept could have ended just now.
        let server = TcpStream::connect_timeout(&self.state.upstream, LIMIT)?;
        let _kept = self.state.keep(&server)?;
        server.set_nodelay(true)?;
        server.set_write_timeout(Some(LIMIT))?;
        server.set_read_timeout(Some(LIMIT))?;
        let mut server = BufReader::new(server);

        if fault == Some(Fault::CutUpload) {
            self.cut_upload(&mut server)?;
            return Ok(false);
        }
        let is_sent = self.upload(&mut server)?;
        if let Some(Fault::Slow(time)) = fault {
            self.state.sleep(time);
        }
        // The server may tell more than once that it goes on.
        let answer = loop {
            let answer = Head::read(&mut server)?.ok_or(ErrorKind::UnexpectedEof)?;
            if answer.status()? >= 200 {
                break answer;
            }
        };
        let body = answer.answer_body(self.head.word(0))?;
        match fault {
            Some(Fault::FailAfterSuccess) => {
                read_body(&mut server, body, |_| Ok(()))?;
                return Ok(false);
            }
            Some(Fault::CutBody) => {
                self.cut_body(&answer, &mut server, body)?;
                return Ok(false);
            }
            Some(Fault::GarbleBody) => self.garble(&answer, &mut server, body)?,
            _ => {
                self.tell(&answer, answer.raw.len())?;
                let (state, number) = (self.state, self.number);
                let client = self.client.get_mut();
                read_body(&mut server, body, |piece| {
                    note_down(state, number, piece);
                    client.write_all(piece.bytes)
                })?;
            }
        }
        Ok(is_sent && body != Body::UntilClose && !answer.closes() && !self.head.closes())
    }

    fn expects_to_be_told(&self) -> bool {
        self.head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    /// Answers with an error. The server never sees the request.
    fn refuse(&mut self, status: u16, name: &str) -> io::Result<bool> {
        let body = self.head.request_body()?;
        // Who waits for a word before it sends the body need not send it.
        let is_waiting = self.expects_to_be_told() && self.client.buffer().is_empty();
        let closes = is_waiting || self.head.closes();
        if !is_waiting {
            // Closed before it is read, the connection might lose the answer.
            read_body(self.client, body, |_| Ok(()))?;
        }
        let method = self.head.word(0);
        let is_head = method == "HEAD";
        let (head, body) = answer(status, name, is_bodiless(status, method), closes);
        self.state.note(self.number, |request| {
            request.status = Some(status);
            request.down = if is_head { 0 } else { body.len() as u64 };
        });
        self.client.get_mut().write_all(&[head, body].concat())?;
        Ok(!closes)
    }

    /// Sends the request's head, and waits for the server's word where the client does. Returns whether the body is wanted.
    fn send_head(&mut self, server: &mut BufReader<TcpStream>) -> io::Result<bool> {
        server.get_mut().write_all(&self.head.raw)?;
        if !self.expects_to_be_told() {
            return Ok(true);
        }
        server.get_ref().set_read_timeout(Some(PATIENCE))?;
        let came = server.fill_buf().map(|bytes| bytes.starts_with(b"HTTP/1.1 1"));
        server.get_ref().set_read_timeout(Some(LIMIT))?;
        match came {
            Ok(true) => _ = Head::read(server)?,
            // Another answer: the client gets that instead.
            Ok(false) => return Ok(false),
            // A server need not know of this.
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => return Err(e),
        }
        self.client.get_mut().write_all(CONTINUE)?;
        Ok(true)
    }

    /// Sends the request. Returns whether all of it came from the client and went to the server.
    fn upload(&mut self, server: &mut BufReader<TcpStream>) -> io::Result<bool> {
        if !self.send_head(server)? {
            return Ok(false);
        }
        let body = self.head.request_body()?;
        let mut is_sent = true;
        let (state, number) = (self.state, self.number);
        read_body(self.client, body, |piece| {
            // A server may answer and stop listening before it has all. The client may look for the answer only when it has sent
            // all.
            if is_sent && server.get_mut().write_all(piece.bytes).is_err() {
                is_sent = false;
            }
            if is_sent && piece.is_data {
                state.note(number, |request| request.up += piece.bytes.len() as u64);
            }
            Ok(())
        })?;
        Ok(is_sent)
    }

    /// Sends half of the request.
    fn cut_upload(&mut self, server: &mut BufReader<TcpStream>) -> io::Result<()> {
        let body = self.head.request_body()?;
        if body == Body::Length(0) {
            return server.get_mut().write_all(&self.head.raw[..self.head.raw.len() / 2]);
        }
        if !self.send_head(server)? {
            return Ok(());
        }
        let (state, number) = (self.state, self.number);
        let server = server.get_mut();
        let mut pass = |bytes: &[u8], is_data: bool| {
            if is_data {
                state.note(number, |request| request.up += bytes.len() as u64);
            }
            server.write_all(bytes)
        };
        if let Body::Length(length) = body {
            return read_body(self.client, Body::Length(length / 2), |piece| {
                pass(piece.bytes, piece.is_data)
            });
        }
        let data = collect(self.client, body)?;
        let half = &data[..data.len() / 2];
        state.note(number, |request| request.up += half.len() as u64);
        pass(&wrap(half, body), false)
    }

    /// Tells the client the first bytes of an answer's head.
    fn tell(&mut self, answer: &Head, length: usize) -> io::Result<()> {
        if length == answer.raw.len() {
            let status = answer.status()?;
            self.state.note(self.number, |request| request.status = Some(status));
        }
        self.client.get_mut().write_all(&answer.raw[..length])
    }

    /// Tells the client half of an answer.
    fn cut_body(&mut self, answer: &Head, server: &mut BufReader<TcpStream>, body: Body) -> io::Result<()> {
        let (state, number) = (self.state, self.number);
        match body {
            Body::Length(0) => self.tell(answer, answer.raw.len() / 2),
            Body::Length(length) => {
                self.tell(answer, answer.raw.len())?;
                let client = self.client.get_mut();
                read_body(server, Body::Length(length / 2), |piece| {
                    note_down(state, number, piece);
                    client.write_all(piece.bytes)
                })
            }
            Body::Chunked | Body::UntilClose => {
                let data = collect(server, body)?;
                let half = &data[..data.len() / 2];
                self.tell(answer, answer.raw.len())?;
                state.note(number, |request| request.down += half.len() as u64);
                self.client.get_mut().write_all(&wrap(half, body))
            }
        }
    }

    /// Tells the client an answer with one bit changed.
    fn garble(&mut self, answer: &Head, server: &mut BufReader<TcpStream>, body: Body) -> io::Result<()> {
        let mut data = collect(server, body)?;
        let middle = data.len() / 2;
        if let Some(byte) = data.get_mut(middle) {
            *byte ^= 1;
        }
        self.tell(answer, answer.raw.len())?;
        self.state.note(self.number, |request| request.down += data.len() as u64);
        let mut sent = wrap(&data, body);
        if body == Body::Chunked {
            sent.extend_from_slice(b"0\r\n\r\n");
        }
        self.client.get_mut().write_all(&sent)
    }
}

fn note_down(state: &State, number: usize, piece: Piece<'_>) {
    if piece.is_data {
        state.note(number, |request| request.down += piece.bytes.len() as u64);
    }
}
