//! As much of XML as the lists of object stores need.

/// What is within each element of a name. Elements of the same name must not be nested.
pub(super) fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split_once(&close).map(|(inner, _)| inner)).collect()
}

/// The text of the first element of a name.
pub(super) fn value(text: &str, name: &str) -> Option<String> {
    elements(text, name).first().map(|inner| unescape(inner))
}

/// Text as it stands within an element.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let pairs =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'")];
    let text = pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    // The last, for it may make what looks like one of the others.
    text.replace("&amp;", "&")
}
