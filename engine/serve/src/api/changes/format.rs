//! How the rows of `_changes` are written, for each kind of feed.
//!
//! Source: `chttpd_db.erl` (`changes_callback/2`).

use std::io::Write;

use axum::body::Bytes;
use serde_json::json;
use snapshot::{Document, Since};

use super::arguments::Feed;
use crate::api::document_text::string;
use crate::http::{Done, Failure, Idle, Out};

/// Writes rows.
pub(super) struct Writer {
    feed: Feed,
    out: Out,
    rows: u64,
}

impl Writer {
    /// Before the first row.
    pub(super) fn new(feed: Feed, out: Out) -> Self {
        Self { feed, out, rows: 0 }
    }

    /// Fails if the client has gone.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.out.check()
    }

    /// Writes what comes before the rows.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        if matches!(self.feed, Feed::Normal | Feed::Longpoll) {
            self.out.write_all(b"{\"results\":[\n")?;
        }
        Ok(())
    }

    /// Writes a row; `doc` writes its document.
    pub(super) fn row(
        &mut self,
        seq: Option<&str>,
        doc: &Document<'_>,
        revs: &[String],
        include: Option<impl FnOnce(&mut dyn Write) -> Result<(), Failure>>,
    ) -> Result<(), Failure> {
        match self.feed {
            Feed::Normal | Feed::Longpoll if self.rows > 0 => self.out.write_all(b",\r\n")?,
            Feed::EventSource => self.out.write_all(b"data: ")?,
            _ => {}
        }
        self.rows += 1;
        let changes: Vec<_> = revs.iter().map(|rev| json!({"rev": rev})).collect();
        write!(self.out, "{{\"seq\":{},\"id\":", json!(seq))?;
        string(&mut self.out, doc.id())?;
        write!(self.out, ",\"changes\":{}", json!(changes))?;
        if doc.is_deleted() {
            self.out.write_all(b",\"deleted\":true")?;
        }
        if let Some(include) = include {
            self.out.write_all(b",\"doc\":")?;
            include(&mut self.out)?;
        }
        self.out.write_all(b"}")?;
        match self.feed {
            Feed::Continuous => self.out.write_all(b"\n")?,
            Feed::EventSource => write!(self.out, "\nid: {}\n\n", json!(seq))?,
            Feed::Normal | Feed::Longpoll => {}
        }
        Ok(())
    }

    /// What comes behind the rows.
    pub(super) fn last(&self, since: &Since, pending: u64) -> Bytes {
        let since = since.to_string();
        match self.feed {
            Feed::Normal | Feed::Longpoll => {
                format!("\n],\n\"last_seq\":{},\"pending\":{pending}}}\n", json!(since)).into()
            }
            Feed::Continuous => format!("{}\n", json!({"last_seq": since, "pending": pending})).into(),
            Feed::EventSource => Bytes::new(),
        }
    }

    /// What shows that a waiting feed lives.
    pub(super) fn heartbeat(&self) -> Bytes {
        match self.feed {
            Feed::EventSource => Bytes::from_static(b"event: heartbeat\ndata: \n\n"),
            _ => Bytes::from_static(b"\n"),
        }
    }

    /// Writes what comes behind the rows.
    pub(super) fn end(&mut self, since: &Since, pending: u64) -> Result<(), Failure> {
        let last = self.last(since, pending);
        self.out.write_all(&last)?;
        Ok(())
    }

    /// Ends the feed.
    pub(super) fn finish(self) -> Result<Done, Failure> {
        self.out.finish()
    }

    /// Leaves the feed waiting.
    pub(super) fn idle(mut self, idle: Idle) -> Result<Done, Failure> {
        // Something has to come, so that the client sees that it is answered.
        if self.rows == 0 {
            self.out.write_all(b"\n")?;
        }
        self.out.idle(idle)
    }
}
