//! A server that refuses everything with one answer, as a store documents it.

use std::sync::{Arc, Mutex, PoisonError};

use super::S3;
use super::exchange::Reply;
use super::listener::Listener;
use crate::Result;

/// A running server. It ends when it goes out of scope.
#[derive(Debug)]
pub struct RefusingServer {
    listener: Listener,
    methods: Arc<Mutex<Vec<String>>>,
}

impl RefusingServer {
    /// Starts one that answers with this status and this XML.
    pub fn start(status: u16, xml: &'static str) -> Result<Self> {
        let methods = Arc::default();
        let listener = Listener::start({
            let methods: Arc<Mutex<Vec<String>>> = Arc::clone(&methods);
            move |asked| {
                methods.lock().unwrap_or_else(PoisonError::into_inner).push(asked.method.clone());
                Reply::new(status).xml(xml)
            }
        })?;
        Ok(Self { listener, methods })
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.listener.endpoint()
    }

    /// It as an S3 server, with keys that nobody checks.
    pub fn s3(&self) -> S3 {
        S3 { endpoint: self.endpoint(), access_key: "key".to_owned(), secret_key: "secret".to_owned() }
    }

    /// The methods of all requests so far.
    pub fn methods(&self) -> Vec<String> {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
