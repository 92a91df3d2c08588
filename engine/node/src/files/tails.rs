//! The ends of many files, by the node's `tail`.

use std::collections::HashMap;

use super::framing::{Broken, quotable};

/// What stands in front of all files of each call of `tail`: it marks where the output of the call before ends.
pub(super) const FIRST: &str = "/dev/null";
/// The last file of all: an empty one, called as no other is.
pub(super) const LAST: &str = "/dev/./null";
/// What all output of `tail` begins with.
pub(super) const FIRST_HEADING: &[u8] = b"==> /dev/null <==\n";

/// What is wrong with output that has no end, by its beginning.
pub(super) fn judge(head: &[u8]) -> Broken {
    let is_tails = head.starts_with(FIRST_HEADING) || FIRST_HEADING.starts_with(head);
    if is_tails { Broken::cut_off() } else { Broken::Garbled(quotable(head)) }
}

/// Parts what `tail -v /dev/null FILE… /dev/./null` printed, called once or several times, into the ends of the files. `paths`
/// are those that were requested, in order; files that could not be read are not in the output. `None` if the last file is
/// not the last thing in it.
pub(super) fn parse(output: &[u8], paths: &[String]) -> Option<Vec<Option<Vec<u8>>>> {
    let output = output.strip_suffix(b"==> /dev/./null <==\n")?;
    // Its heading is in a line of its own, but as the only file after the first one of a call.
    let output = output.strip_suffix(b"\n")?;
    if !output.starts_with(FIRST_HEADING) && output != FIRST_HEADING.trim_ascii_end() {
        return None;
    }
    let numbers: HashMap<&[u8], usize> =
        paths.iter().enumerate().map(|(i, path)| (path.as_bytes(), i)).collect();
    let mut found: Vec<Option<Vec<u8>>> = vec![None; paths.len()];
    // Of the file whose content is being passed: its number and where that begins.
    let mut open: Option<(usize, usize)> = None;
    let mut next = 0;
    let mut at = 0;
    while let Some(heading) = find_heading(output, at) {
        let Heading { start, path, end } = heading;
        if path == LAST.as_bytes() {
            // It comes once.
            return None;
        }
        // Content may look like a heading; it does not name a file that is still to come.
        let is_first = path == FIRST.as_bytes();
        let number = numbers.get(path).copied().filter(|&number| number >= next);
        if !is_first && number.is_none() {
            at = start + 1;
            continue;
        }
        if let Some((open, from)) = open.take() {
            // A line's end belongs to every heading but the first of a call.
            let to = if is_first { start } else { start.saturating_sub(1) };
            found[open] = Some(output.get(from..to).unwrap_or_default().to_vec());
        }
        if let Some(number) = number {
            open = Some((number, end));
            next = number + 1;
        }
        at = end;
    }
    if let Some((open, from)) = open {
        found[open] = Some(output.get(from..).unwrap_or_default().to_vec());
    }
    Some(found)
}

struct Heading<'o> {
    start: usize,
    path: &'o [u8],
    end: usize,
}

/// The next `==> PATH <==` line.
fn find_heading(output: &[u8], from: usize) -> Option<Heading<'_>> {
    const BEFORE: &[u8] = b"==> /";
    const AFTER: &[u8] = b" <==\n";
    let mut at = from;
    loop {
        let start = at + output.get(at..)?.windows(BEFORE.len()).position(|window| window == BEFORE)?;
        let rest = &output[start + 4..];
        // No path is longer.
        let within = &rest[..rest.len().min(4096 + AFTER.len())];
        if let Some(len) = within.windows(AFTER.len()).position(|window| window == AFTER) {
            return Some(Heading { start, path: &rest[..len], end: start + 4 + len + AFTER.len() });
        }
        at = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Vec<String> {
        ["/d/a", "/d/b", "/d/c", "/d/e"].map(str::to_owned).to_vec()
    }

    #[test]
    fn one_call_and_several() {
        let one = b"==> /dev/null <==\n\n==> /d/a <==\nA\n\n==> /d/b <==\n\n==> /d/e <==\nE\x01\n==> /dev/./null <==\n";
        let expected = [Some(b"A\n".to_vec()), Some(Vec::new()), None, Some(b"E\x01".to_vec())];
        assert_eq!(parse(one, &paths()).unwrap(), expected);
        let two =
            b"==> /dev/null <==\n\n==> /d/a <==\nA\n==> /dev/null <==\n\n==> /d/b <==\n==> /dev/null <==\n\n\
                    ==> /d/e <==\nE\x01\n==> /dev/./null <==\n";
        assert_eq!(parse(two, &paths()).unwrap(), expected);
        // The last one in a call of its own.
        let three = b"==> /dev/null <==\n\n==> /d/b <==\nB==> /dev/null <==\n\n==> /dev/./null <==\n";
        assert_eq!(parse(three, &paths()).unwrap()[1].as_deref(), Some(&b"B"[..]));
        let none = b"==> /dev/null <==\n\n==> /dev/./null <==\n";
        assert_eq!(parse(none, &paths()).unwrap(), [None, None, None, None]);
        for cut in 0..two.len() {
            assert_eq!(parse(&two[..cut], &paths()), None, "{cut}");
            assert_eq!(judge(&two[..cut]), Broken::cut_off());
        }
        assert_eq!(parse(&two.repeat(2), &paths()), None);
        assert_eq!(judge(b"Welcome\n"), Broken::Garbled("Welcome".into()));
    }

    #[test]
    fn content_that_looks_like_headings() {
        let output = b"==> /dev/null <==\n\n==> /d/b <==\n\n==> /d/a <==\n==> /x <==\n==> /\n\n==> /d/c <==\nC\n==> /dev/./null <==\n";
        let found = parse(output, &paths()).unwrap();
        assert_eq!(found[1].as_deref(), Some(&b"\n==> /d/a <==\n==> /x <==\n==> /\n"[..]));
        assert_eq!(found[2].as_deref(), Some(&b"C"[..]));
    }
}
