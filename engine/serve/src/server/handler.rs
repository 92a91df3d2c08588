//! What every request goes through: who asks, how much, and the headers of every answer.

use std::io::Read;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio::sync::{Semaphore, watch};

use super::READERS;
use super::authentication;
use super::cors::CorsRules;
use crate::api::{self, Site};
use crate::http::{Answer, Call, Failure, Head, HttpError, Reply, Turns, into_body};
use crate::options::{Authentication, OnProblem, Options};

/// Largest body of a request, in bytes. Those who ask for more than fits ask twice.
const LARGEST_BODY: usize = 16 << 20;
/// Bytes that are read of the body of a request that is refused.
const REFUSED_BODY: usize = 64 << 10;
/// Bodies larger than this are dealt with two at a time.
const LARGE_BODY: usize = 256 << 10;
/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// What the server calls itself.
const SERVER: &str = concat!("CouchDB/3.5.0 (couchcopy ", env!("CARGO_PKG_VERSION"), ")");

/// An answer that goes out as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotCompressible;

/// Answers requests.
pub(super) struct Handler {
    site: Arc<Site>,
    user: Option<Authentication>,
    /// Nobody on other machines reaches it.
    is_private: bool,
    cors: Option<CorsRules>,
    on_problem: OnProblem,
    readers: Arc<Semaphore>,
    turns: Turns,
    large_bodies: Semaphore,
    stopped: watch::Receiver<bool>,
    requests: AtomicU64,
}

impl Handler {
    /// Answers what these options want answered.
    pub(super) fn new(options: &Options, stopped: watch::Receiver<bool>) -> Self {
        Self {
            site: Arc::new(Site::new(options)),
            user: options.authentication.clone(),
            is_private: options.bind.is_loopback(),
            on_problem: Arc::clone(&options.on_problem),
            cors: options.cors.as_ref().map(CorsRules::new),
            readers: Arc::new(Semaphore::new(READERS)),
            turns: Turns::new(std::thread::available_parallelism().map_or(2, NonZero::get) + 1),
            large_bodies: Semaphore::new(2),
            stopped,
            requests: AtomicU64::new(0),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let origin = request.headers().get(header::ORIGIN).cloned();
        if let Some(cors) = &self.cors
            && request.method() == Method::OPTIONS
            && let Some(response) = cors.preflight(request.headers())
        {
            return response;
        }
        let is_head = request.method() == Method::HEAD;
        let answer = match self.dispatch(request).await {
            Ok(answer) => answer,
            Err(error) => Answer::Whole(error_head(&error), error.body().into()),
        };
        let mut response = self.response(answer, is_head);
        if let (Some(cors), Some(origin)) = (&self.cors, origin) {
            cors.allow(&origin, response.headers_mut());
        }
        response
    }

    async fn dispatch(&self, request: Request) -> Result<Answer, HttpError> {
        let (parts, body) = request.into_parts();
        // A login with a cookie comes without basic authentication: it is told that there are no cookies.
        let is_open = match parts.uri.path() {
            "/_up" => true,
            "/_session" => parts.method == Method::POST,
            _ => false,
        };
        let allowed = match &self.user {
            Some(_) if is_open => Ok(()),
            Some(user) => authentication::check(user, &parts.headers),
            None if self.is_private => authentication::check_host(&parts.headers),
            None => Ok(()),
        };
        if let Err(refused) = allowed {
            // A connection that is closed with a small body unread takes the answer with it.
            let _ = tokio::time::timeout(BODY_PATIENCE, axum::body::to_bytes(body, REFUSED_BODY)).await;
            return Err(refused);
        }
        let mut call = Call::parse(parts.method.as_str(), &parts.uri, parts.headers)?;
        call.body = self.read_body(&call, body).await?;
        let _turn = if call.body.len() > LARGE_BODY { self.large_bodies.acquire().await.ok() } else { None };
        self.read_archive(call).await
    }

    async fn read_body(&self, call: &Call, body: Body) -> Result<Bytes, HttpError> {
        let too_large = || HttpError::new(413, "too_large", "the request entity is too large");
        let told = call.header("content-length").and_then(|length| length.parse::<usize>().ok());
        if told.is_some_and(|length| length > LARGEST_BODY) {
            return Err(too_large());
        }
        let read = tokio::time::timeout(BODY_PATIENCE, axum::body::to_bytes(body, LARGEST_BODY)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Err(too_large()),
            Err(_) => {
                return Err(HttpError::new(408, "timeout", "The request's body took too long to arrive."));
            }
        };
        match call.header("content-encoding").unwrap_or("identity") {
            "identity" => Ok(bytes),
            "gzip" => {
                let _turn = self.large_bodies.acquire().await;
                let mut unpacked = Vec::new();
                let unpacking = flate2::read::GzDecoder::new(&*bytes);
                unpacking.take(LARGEST_BODY as u64 + 1).read_to_end(&mut unpacked).map_err(|_| {
                    HttpError::bad_request("The request's body is not the gzip that it says it is.")
                })?;
                if unpacked.len() > LARGEST_BODY { Err(too_large()) } else { Ok(unpacked.into()) }
            }
            other => Err(HttpError::new(
                415,
                "bad_content_type",
                format!("{other} is not a supported content encoding."),
            )),
        }
    }

    /// Has a request answered on a thread that may wait for the disk.
    async fn read_archive(&self, call: Call) -> Result<Answer, HttpError> {
        let unavailable = || HttpError::new(503, "service unavailable", "The server stops.");
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| unavailable())?;
        let site = Arc::clone(&self.site);
        let on_problem = Arc::clone(&self.on_problem);
        let turn = self.turns.next().await.map_err(|_| unavailable())?;
        let (reply, starter, answer) = Reply::new(call.is_head, turn);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            match api::answer(&site, &call, reply) {
                Ok(_) | Err(Failure::Gone) => {}
                Err(Failure::Told(error)) => starter.fail(&error),
                Err(Failure::Archive(error)) => {
                    let told = chain(&error);
                    on_problem(&format!("{}: {told}", call.raw_path));
                    starter.fail(&HttpError::new(500, "unreadable", told));
                }
            }
        });
        // Dropped without an answer only where the thread panicked, which would be a mistake of ours.
        answer
            .await
            .map_err(|_| HttpError::new(500, "internal_server_error", "The request could not be answered."))
    }

    fn response(&self, answer: Answer, is_head: bool) -> Response {
        let (head, body) = match answer {
            Answer::Whole(mut head, bytes) => {
                if head.status != 304 && head.status != 204 {
                    // The length of a stream whose head alone is wanted is known or not, but never 0.
                    let is_headless = is_head && bytes.is_empty() && head.length.is_none();
                    head.length = if is_headless { None } else { head.length.or(Some(bytes.len() as u64)) };
                }
                (head, if is_head { Body::empty() } else { Body::from(bytes) })
            }
            Answer::Stream(head, messages) => (head, into_body(messages, self.stopped.clone())),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !head.compressible {
            response.extensions_mut().insert(NotCompressible);
        }
        let headers = response.headers_mut();
        if let Some(length) = head.length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        for (name, value) in &head.headers {
            headers.insert(HeaderName::from_static(name), header_value(value));
        }
        headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        headers.insert("x-couch-request-id", header_value(&format!("{number:010x}")));
        headers.insert("x-couchdb-body-time", HeaderValue::from_static("0"));
        response
    }
}

fn error_head(error: &HttpError) -> Head {
    let mut head = Head::json(error.status);
    head.headers.extend(error.headers.iter().cloned());
    head
}

/// A header's value; what no header may hold becomes a question mark.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let plain: String = text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
        HeaderValue::from_str(&plain).unwrap_or_else(|_| HeaderValue::from_static("?"))
    })
}

/// An error with all that it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}
