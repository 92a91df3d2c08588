//! Strings of JSON.

use std::borrow::Cow;

use super::scan::JsonError;

/// The text of a string that stands in JSON with its quotes.
///
/// Fails if it is no string. A half of a pair of surrogates becomes U+FFFD.
pub fn unquote(string: &str) -> Result<Cow<'_, str>, JsonError> {
    let inner = string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.ok_or(JsonError { at: 0, problem: "no string" })?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let error = || JsonError { at: string.len() - rest.len() + at, problem: "no escape" };
        let escape = *rest.as_bytes().get(at + 1).ok_or_else(error)?;
        let mut len = 2;
        text.push(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(rest, at).ok_or_else(error)?;
                len = 6;
                match char::from_u32(first) {
                    Some(c) => c,
                    None => match unit(rest, at + 6).filter(|low| (0xdc00..0xe000).contains(low)) {
                        Some(low) if first < 0xdc00 => {
                            len = 12;
                            let code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
                            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                        }
                        _ => char::REPLACEMENT_CHARACTER,
                    },
                }
            }
            _ => return Err(error()),
        });
        rest = rest.get(at + len..).ok_or_else(error)?;
    }
    text.push_str(rest);
    Ok(Cow::Owned(text))
}

/// The four digits of `\uXXXX` at this place.
fn unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// A text as a string of JSON, with quotes.
pub fn quote(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        string.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        match byte {
            b'"' | b'\\' => string.extend(['\\', char::from(byte)]),
            b'\n' => string.push_str("\\n"),
            control => {
                string.push_str("\\u00");
                for digit in [control >> 4, control & 15] {
                    string.extend(char::from_digit(digit.into(), 16));
                }
            }
        }
        rest = &rest[at + 1..];
    }
    string.push_str(rest);
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back() {
        for text in ["", "plain", "é\"\\\n\r\t\u{0}\u{1f}", "𝄞 /", "ends with \\"] {
            assert_eq!(unquote(&quote(text)).unwrap(), text);
        }
        assert_eq!(
            unquote(r#""\u00e9\/\b\f\ud834\udd1e\ud834x\udd1e""#).unwrap(),
            "é/\u{8}\u{c}𝄞\u{fffd}x\u{fffd}"
        );
    }

    #[test]
    fn what_is_no_string() {
        for text in ["", "\"", "x", "\"\\\"", r#""\x""#, r#""\u12""#, r#""\u12g4""#, r#""\u00é""#] {
            assert!(unquote(text).is_err(), "{text}");
        }
    }
}
