//! Parameters of `_changes`.
//!
//! Source: `chttpd_db.erl` (`parse_changes_query/1`), `couch_changes.erl` (`get_changes_timeout/2`).

use std::time::Duration;

use crate::http::{Call, HttpError};

/// How long a feed waits where the client does not say, and at most.
const LONGEST_WAIT: u64 = 60_000;

/// How changes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// All that there are.
    Normal,
    /// All that there are, or else the next.
    Longpoll,
    /// All that there are and will be, one a line.
    Continuous,
    /// Events that browsers read (`eventsource`).
    EventSource,
}

/// Which revisions a row lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The winner.
    MainOnly,
    /// All leaves.
    AllDocs,
}

/// Parameters of `_changes`.
#[derive(Debug, Clone)]
pub(super) struct ChangesArguments {
    pub(super) feed: Feed,
    pub(super) since: String,
    pub(super) limit: u64,
    pub(super) descending: bool,
    pub(super) style: Style,
    pub(super) include_docs: bool,
    pub(super) conflicts: bool,
    pub(super) attachments: bool,
    pub(super) encoding_info: bool,
    /// Name of the filter; empty without one.
    pub(super) filter: String,
    heartbeat: Option<u64>,
    timeout: Option<u64>,
    seq_interval: Option<u64>,
}

impl ChangesArguments {
    /// Reads a request's parameters.
    pub(super) fn of(call: &Call) -> Result<Self, HttpError> {
        let mut arguments = Self {
            feed: Feed::Normal,
            since: "0".to_owned(),
            limit: u64::MAX,
            descending: false,
            style: Style::MainOnly,
            include_docs: false,
            conflicts: false,
            attachments: false,
            encoding_info: false,
            filter: String::new(),
            heartbeat: None,
            timeout: None,
            seq_interval: None,
        };
        for (key, value) in &call.query {
            arguments.read(&key.to_ascii_lowercase(), value)?;
        }
        if arguments.feed == Feed::EventSource
            && let Some(last) = call.header("last-event-id")
        {
            last.clone_into(&mut arguments.since);
        }
        Ok(arguments)
    }

    fn read(&mut self, key: &str, value: &str) -> Result<(), HttpError> {
        match (key, value) {
            ("feed", "normal") => self.feed = Feed::Normal,
            ("feed", "longpoll") => self.feed = Feed::Longpoll,
            ("feed", "continuous" | "live") => self.feed = Feed::Continuous,
            ("feed", "eventsource") => self.feed = Feed::EventSource,
            ("feed", _) => {
                let reason = "Supported `feed` types: normal, continuous, live, longpoll, eventsource";
                return Err(HttpError::bad_request(reason));
            }
            ("descending", "true") => self.descending = true,
            ("since" | "last-event-id", since) => since.clone_into(&mut self.since),
            ("limit", limit) => {
                let bad = |_| HttpError::bad_request("The limit value should be an integer.");
                // Below zero CouchDB finds no end.
                self.limit = u64::try_from(limit.parse::<i64>().map_err(bad)?).unwrap_or(u64::MAX);
            }
            ("style", "main_only") => self.style = Style::MainOnly,
            ("style", "all_docs") => self.style = Style::AllDocs,
            ("style", _) => {
                return Err(HttpError::bad_request("Supported `style` values: main_only, all_docs"));
            }
            ("heartbeat", "true") => self.heartbeat = Some(LONGEST_WAIT),
            ("heartbeat", every) => {
                self.heartbeat = Some(match every.parse::<i64>() {
                    Ok(every) if every > 0 => every.unsigned_abs(),
                    Ok(_) => {
                        return Err(HttpError::bad_request(
                            "The heartbeat value should be a positive integer (in milliseconds).",
                        ));
                    }
                    Err(_) => {
                        return Err(HttpError::bad_request(
                            "Invalid heartbeat value. Expecting a positive integer value (in milliseconds).",
                        ));
                    }
                });
            }
            ("timeout", timeout) => {
                let bad = |_| HttpError::bad_request("The timeout value should be an integer.");
                self.timeout = Some(u64::try_from(timeout.parse::<i64>().map_err(bad)?).unwrap_or(0));
            }
            ("include_docs", "true") => self.include_docs = true,
            ("conflicts", "true") => self.conflicts = true,
            ("attachments", "true") => self.attachments = true,
            ("att_encoding_info", "true") => self.encoding_info = true,
            ("filter", filter) => filter.clone_into(&mut self.filter),
            ("seq_interval", every) => match every.parse::<u64>() {
                Ok(every) if every > 0 => self.seq_interval = Some(every),
                _ => return Err(HttpError::bad_request("invalid_seq_interval")),
            },
            _ => {}
        }
        Ok(())
    }

    /// Whether a row shows its sequence, if this many rows may still follow.
    pub(super) fn shows_seq(&self, left: u64) -> bool {
        self.seq_interval.is_none_or(|every| (left.wrapping_add(1)).is_multiple_of(every))
    }

    /// How often a waiting feed shows that it lives, and how long it waits.
    pub(super) fn waiting(&self) -> (Option<Duration>, Option<Duration>) {
        let bounded = |millis: u64| Duration::from_millis(millis.min(LONGEST_WAIT));
        match self.heartbeat {
            Some(every) => (Some(bounded(every)), None),
            None => (None, Some(bounded(self.timeout.unwrap_or(LONGEST_WAIT)))),
        }
    }
}
