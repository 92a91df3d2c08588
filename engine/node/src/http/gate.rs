//! A name and password that CouchDB does not accept are sent once.
//!
//! CouchDB 3.5 locks a name out after five failures by default. Several requests with the same mistake in one command would use
//! up what the user has left to correct it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use outcome::Lock;

use super::Answer;

/// Lets requests through until CouchDB has said no to the first one.
#[derive(Default)]
pub(super) struct Gate {
    accepted: AtomicBool,
    /// What CouchDB answered to name and password.
    refused: Mutex<Option<Answer>>,
}

/// The first request of all: others wait for its end.
pub(super) type First<'g> = MutexGuard<'g, Option<Answer>>;

impl Gate {
    /// Whether a request may be sent; else the answer that was given to the one before.
    pub(super) fn enter(&self) -> Result<Option<First<'_>>, Box<Answer>> {
        if self.accepted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let first = self.refused.locked();
        if self.accepted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match &*first {
            Some(answer) => Err(Box::new(answer.clone())),
            None => Ok(Some(first)),
        }
    }

    /// Learns from the answer to the first request.
    pub(super) fn learn(&self, first: Option<First<'_>>, answer: &Answer) {
        let Some(mut first) = first else { return };
        let locked = answer.status == 403 && answer.reason().contains("temporarily locked");
        if answer.status == 401 || locked {
            *first = Some(answer.clone());
        } else {
            self.accepted.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, reason: &str) -> Answer {
        Answer {
            status,
            body: json!({"error": "x", "reason": reason}),
            text: Vec::new(),
            date: None,
            foreign: None,
        }
    }

    #[test]
    fn after_a_refusal_nothing_is_sent() {
        for refusal in [answer(401, "wrong"), answer(403, "Account is temporarily locked due to …")] {
            let gate = Gate::default();
            let first = gate.enter().ok().unwrap();
            gate.learn(first, &refusal);
            assert_eq!(gate.enter().err().unwrap().status, refusal.status);
        }
    }

    #[test]
    fn what_was_accepted_once_may_be_sent_again() {
        let gate = Gate::default();
        let first = gate.enter().ok().unwrap();
        gate.learn(first, &answer(403, "you are no server admin"));
        let second = gate.enter().ok().unwrap();
        gate.learn(second, &answer(401, "the password has just been changed"));
        assert!(gate.enter().is_ok());
    }
}
