//! Several queries in one request: `_all_docs/queries` and its kin.
//!
//! Source: `chttpd_db.erl` (`multi_all_docs_view/3`).

use std::io::Write;

use serde_json::Value;

use super::view_arguments::ViewArguments;
use crate::http::{Call, Done, Failure, Head, HttpError, Method, Out, Reply};

/// The queries in a body.
pub(super) fn read(call: &Call) -> Result<Vec<ViewArguments>, HttpError> {
    if call.method != Method::Post {
        return Err(HttpError::only("POST"));
    }
    let body = call.json_object()?;
    let queries = match body.get("queries") {
        None => return Err(HttpError::bad_request("POST body must include `queries` parameter.")),
        Some(Value::Array(queries)) => queries,
        Some(_) => return Err(HttpError::bad_request("`queries` member must be an array.")),
    };
    queries
        .iter()
        .map(|query| match query {
            Value::Object(members) => ViewArguments::of_query(members),
            _ => Err(HttpError::bad_request("`queries` member must be an array of objects.")),
        })
        .collect()
}

/// Answers with a list for each query; `write` writes a list without a newline at its end.
pub(super) fn answer(
    queries: &[ViewArguments],
    reply: Reply,
    write: impl Fn(&ViewArguments, &mut Out) -> Result<(), Failure>,
) -> Result<Done, Failure> {
    let mut out = reply.stream(Head::json(200));
    out.write_all(b"{\"results\":[")?;
    for (i, arguments) in queries.iter().enumerate() {
        out.write_all(if i > 0 { b",\r\n" } else { b"\r\n" })?;
        write(arguments, &mut out)?;
    }
    out.write_all(b"\r\n]}\n")?;
    out.finish()
}
