//! A server that answers as Google documents its XML API, as far as couchcopy asks, and keeps its objects in memory.
//!
//! Source: "XML API" of Google Cloud Storage's reference: object methods, `GET Bucket`, "XML API multipart uploads" and "Request
//! preconditions". No emulator speaks it with the client that couchcopy uses, so this one shows what is sent, and what comes of
//! the answers that Google describes. It does not show that Google answers so.

mod buckets;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exchange::{Asked, Reply};
use super::listener::Listener;
use crate::Result;
use buckets::Buckets;

/// A request as it came, and the status of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleRequest {
    /// Its method.
    pub method: String,
    /// Its path, decoded.
    pub path: String,
    /// Its query, decoded, in the order in which it came.
    pub query: Vec<(String, String)>,
    /// `Range`, `If-…` and `x-goog-…`, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// What its header `Authorization` says.
    pub authorization: Option<String>,
    /// Bytes of its body.
    pub length: usize,
    /// The status of the answer.
    pub status: u16,
}

/// A running server. It ends when it goes out of scope.
#[derive(Debug)]
pub struct Google {
    listener: Listener,
    token: Option<String>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What each request must come with.
    authorization: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buckets: Buckets,
    requests: Vec<GoogleRequest>,
}

impl Google {
    /// Starts one. With a token, requests that do not bring it are refused.
    pub fn start(token: Option<&str>) -> Result<Self> {
        let shared = Arc::new(Shared {
            authorization: token.map(|token| format!("Bearer {token}")),
            state: Mutex::default(),
        });
        let listener = Listener::start({
            let shared = Arc::clone(&shared);
            move |asked| shared.answer(asked)
        })?;
        Ok(Self { listener, token: token.map(str::to_owned), shared })
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.listener.endpoint()
    }

    /// What the command wants in its environment. The file of the service account, which leads here, is written into a folder.
    pub fn environment(&self, folder: &Path) -> Result<Vec<(String, String)>> {
        self.environment_at(&self.endpoint(), folder)
    }

    /// The same for a proxy in front of it.
    pub fn environment_at(&self, endpoint: &str, folder: &Path) -> Result<Vec<(String, String)>> {
        let account = serde_json::json!({
            "gcs_base_url": endpoint, "disable_oauth": true,
            "client_email": "", "private_key": "", "private_key_id": "",
        });
        let file = folder.join("service-account.json");
        std::fs::write(&file, account.to_string())?;
        let mut environment = vec![("GOOGLE_SERVICE_ACCOUNT".to_owned(), file.display().to_string())];
        environment.extend(self.token.iter().map(|token| ("GOOGLE_BEARER_TOKEN".to_owned(), token.clone())));
        Ok(environment)
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        self.shared.lock().buckets.create(name);
    }

    /// An object's content.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.shared.lock().buckets.content(bucket, key)
    }

    /// How many uploads are neither complete nor given up.
    pub fn unfinished(&self) -> usize {
        self.shared.lock().buckets.unfinished()
    }

    /// All requests so far, in the order in which they were answered.
    pub fn requests(&self) -> Vec<GoogleRequest> {
        self.shared.lock().requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.lock().requests.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let mut state = self.lock();
        let is_allowed =
            self.authorization.is_none() || asked.header("authorization") == self.authorization.as_deref();
        let reply = if is_allowed {
            state.buckets.answer(asked)
        } else {
            Reply::error(401, "AuthenticationRequired", "Authentication required.")
        };
        let matters = |name: &str| name == "range" || name.starts_with("if-") || name.starts_with("x-goog-");
        state.requests.push(GoogleRequest {
            method: asked.method.clone(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            headers: asked.headers.iter().filter(|(name, _)| matters(name)).cloned().collect(),
            authorization: asked.header("authorization").map(str::to_owned),
            length: asked.body.len(),
            status: reply.status,
        });
        reply
    }
}
