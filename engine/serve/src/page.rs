//! The page at `/_backup/`: files that are compiled in.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::http::{Call, Done, Failure, Head, HttpError, Method, Reply, etag_matches};

/// A file of the page.
struct File {
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file of the folder `page`.
macro_rules! file {
    ($name:literal, $content_type:expr) => {
        File { name: $name, content_type: $content_type, content: include_bytes!(concat!("../page/", $name)) }
    };
}

/// The files, the page itself first.
const FILES: &[File] = &[
    file!("index.html", HTML),
    file!("api.js", SCRIPT),
    file!("app.js", SCRIPT),
    file!("attachments.js", SCRIPT),
    file!("commands.js", SCRIPT),
    file!("diff.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("finder.js", SCRIPT),
    file!("icon.svg", IMAGE),
    file!("json.js", SCRIPT),
    file!("pages.js", SCRIPT),
    file!("parts.js", SCRIPT),
    file!("pretty.js", SCRIPT),
    file!("revisions.js", SCRIPT),
    file!("route.js", SCRIPT),
    file!("shell.js", SCRIPT),
    file!("states.js", SCRIPT),
    file!("style.css", STYLE),
    file!("timeline.js", SCRIPT),
    file!("versions.js", SCRIPT),
    file!("view-archives.js", SCRIPT),
    file!("view-compare.js", SCRIPT),
    file!("view-databases.js", SCRIPT),
    file!("view-document.js", SCRIPT),
    file!("view-documents.js", SCRIPT),
];

/// Nothing from elsewhere, no script or style within the page, no other page around it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Answers with a file of the page; `parts` is the path below `/_backup`.
pub(crate) fn answer(call: &Call, parts: &[&str], reply: Reply) -> Result<Done, Failure> {
    if call.method != Method::Get {
        return Err(HttpError::only("GET,HEAD").into());
    }
    // Names in the page are relative to it.
    if parts.is_empty() && !call.raw_path.ends_with('/') {
        return reply.whole(Head::plain(301).with("location", "/_backup/"), Vec::new());
    }
    let wanted = match parts {
        [] => "index.html",
        [name] => name,
        _ => "",
    };
    let file = FILES.iter().find(|file| file.name == wanted);
    let file = file.ok_or_else(|| HttpError::not_found("The page has no such file."))?;
    let etag = etag(file.content);
    if etag_matches(call, &etag) {
        return reply.not_modified(&etag);
    }
    let mut head = Head::plain(200)
        .with("content-type", file.content_type)
        .with("cache-control", "no-cache")
        .with("etag", etag)
        .with("content-security-policy", POLICY)
        .with("x-content-type-options", "nosniff")
        .with("referrer-policy", "no-referrer");
    head.compressible = true;
    reply.whole(head, file.content)
}

/// Browsers ask for an icon by themselves.
pub(crate) fn favicon(reply: Reply) -> Result<Done, Failure> {
    reply.whole(Head::plain(204).with("cache-control", "max-age=86400"), Vec::new())
}

fn etag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_there() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let found: BTreeSet<String> = entries.map(|name| name.into_string().unwrap()).collect();
        let embedded: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(embedded, found);
    }
}
