//! Ranges of bytes that a client wants of an attachment.
//!
//! Sources: `mochiweb_http.erl` (`parse_range_request/1`), `chttpd_db.erl` (`parse_ranges/2`).

use super::error::HttpError;

/// This many ranges are answered one by one; a request for more gets the complete content.
const MOST: usize = 9;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// Everything.
    Whole,
    /// From one byte to another, both included.
    One(u64, u64),
    /// Several of these.
    Several(Vec<(u64, u64)>),
}

/// Reads the header `Range`, for something of that many bytes. Where it makes no sense everything is wanted; where a range
/// lies beyond the end it cannot be served.
pub(crate) fn parse(header: Option<&str>, len: u64) -> Result<Ranges, HttpError> {
    let Some(list) = header.and_then(|header| header.strip_prefix("bytes=")) else {
        return Ok(Ranges::Whole);
    };
    let mut ranges = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let Some((from, to)) = item.split_once('-') else { return Ok(Ranges::Whole) };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let range = match (from, to) {
            ("", to) => number(to).map(|n| (len.saturating_sub(n), len.saturating_sub(1))),
            (from, "") => number(from).map(|from| (from, len.saturating_sub(1))),
            (from, to) => number(from).zip(number(to)),
        };
        let Some((from, to)) = range else { return Ok(Ranges::Whole) };
        let to = to.min(len.saturating_sub(1));
        if from > to || from >= len {
            return Err(HttpError::new(
                416,
                "requested_range_not_satisfiable",
                "Requested range not satisfiable",
            ));
        }
        if (from, item) == (0, "0-") {
            return Ok(Ranges::Whole);
        }
        ranges.push((from, to));
    }
    Ok(match ranges.as_slice() {
        [] => Ranges::Whole,
        [(from, to)] => Ranges::One(*from, *to),
        several if several.len() <= MOST => Ranges::Several(ranges),
        _ => Ranges::Whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parse = |header: &str| super::parse(Some(header), 100);
        assert_eq!(super::parse(None, 100), Ok(Ranges::Whole));
        assert_eq!(parse("bytes=0-3"), Ok(Ranges::One(0, 3)));
        assert_eq!(parse("bytes=90-200"), Ok(Ranges::One(90, 99)));
        assert_eq!(parse("bytes=-10"), Ok(Ranges::One(90, 99)));
        assert_eq!(parse("bytes=-200"), Ok(Ranges::One(0, 99)));
        assert_eq!(parse("bytes=50-"), Ok(Ranges::One(50, 99)));
        assert_eq!(parse("bytes=0-"), Ok(Ranges::Whole));
        assert_eq!(parse("bytes=1-2, 5-6"), Ok(Ranges::Several(vec![(1, 2), (5, 6)])));
        for whole in ["", "garbage", "bytes=", "bytes=x-y", "bytes=1", "bytes=-20-30"] {
            assert_eq!(parse(whole), Ok(Ranges::Whole), "{whole}");
        }
        assert_eq!(parse(&format!("bytes={}", "1-2,".repeat(10))), Ok(Ranges::Whole));
        for none in ["bytes=5-3", "bytes=100-", "bytes=300-400"] {
            assert_eq!(parse(none).unwrap_err().status, 416, "{none}");
        }
        assert_eq!(super::parse(Some("bytes=0-3"), 0).unwrap_err().status, 416);
    }
}
