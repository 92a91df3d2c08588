//! Requests and answers, apart from what they are about.

mod accept;
mod body;
mod call;
mod error;
mod etag;
mod ranges;
mod reply;
mod turn;

pub(crate) use accept::{Encodings, accepts};
pub(crate) use body::{Idle, into_body};
pub(crate) use call::{Call, Method, parse_json};
pub(crate) use error::{Failure, HttpError};
pub(crate) use etag::{matches as etag_matches, opaque as opaque_etag};
pub(crate) use ranges::{Ranges, parse as parse_ranges};
pub(crate) use reply::{Answer, Done, Head, Out, Reply};
pub(crate) use turn::Turns;
