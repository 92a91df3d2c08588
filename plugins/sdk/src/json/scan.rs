//! Finds values in JSON text.

use std::borrow::Cow;
use std::fmt;

use super::text::unquote;

/// Text that is not JSON, or not an object where one is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Where, in bytes from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no JSON at byte {}: {}", self.at, self.problem)
    }
}

impl std::error::Error for JsonError {}

impl From<JsonError> for crate::Error {
    fn from(error: JsonError) -> Self {
        Self::Other(error.to_string())
    }
}

/// A value, or the beginning of one that holds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'d> {
    /// A string as it stands there, with its quotes: [`unquote`] gives its text.
    String(&'d str),
    /// A number as it stands there.
    Number(&'d str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A place in JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'d> {
    pub(super) text: &'d str,
    pub(super) at: usize,
}

impl<'d> Scanner<'d> {
    pub(super) fn new(text: &'d str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn error(&self, problem: &'static str) -> JsonError {
        JsonError { at: self.at, problem }
    }

    /// The next byte that is no blank; stands at it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes a byte that has to be there.
    pub(super) fn pass(&mut self, byte: u8, problem: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error(problem));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes a string; gives it with its quotes.
    pub(super) fn string(&mut self) -> Result<&'d str, JsonError> {
        let begin = self.at;
        self.pass(b'"', "no string")?;
        let begin = self.at.max(begin + 1) - 1;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                None => return Err(self.error("a string does not end")),
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(begin..self.at).ok_or_else(|| self.error("no string"))
    }

    /// Passes a scalar, or the bracket that begins what holds others.
    pub(super) fn value(&mut self) -> Result<Value<'d>, JsonError> {
        let first = self.peek().ok_or_else(|| self.error("it ends too early"))?;
        let rest = &self.text.as_bytes()[self.at..];
        let (len, value) = match first {
            b'"' => return self.string().map(Value::String),
            b'{' => (1, Value::Object),
            b'[' => (1, Value::Array),
            _ if rest.starts_with(b"true") => (4, Value::Bool(true)),
            _ if rest.starts_with(b"false") => (5, Value::Bool(false)),
            _ if rest.starts_with(b"null") => (4, Value::Null),
            _ => {
                let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let len = rest.iter().take_while(is_part).count();
                match self.text.get(self.at..self.at + len) {
                    Some(number) if len > 0 => (len, Value::Number(number)),
                    _ => return Err(self.error("no value")),
                }
            }
        };
        self.at += len;
        Ok(value)
    }

    /// Passes what is left of an array or an object whose first bracket has been passed.
    pub(super) fn skip_rest(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        let mut open = 1usize;
        while open > 0 {
            match bytes.get(self.at) {
                None => return Err(self.error("it ends too early")),
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') => open -= 1,
                Some(_) => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Passes a value; gives its text.
    pub(super) fn whole(&mut self) -> Result<&'d str, JsonError> {
        self.peek();
        let begin = self.at;
        if let Value::Array | Value::Object = self.value()? {
            self.skip_rest()?;
        }
        self.text.get(begin..self.at).ok_or_else(|| self.error("no value"))
    }

    /// Fails if anything follows.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_some() { Err(self.error("something follows")) } else { Ok(()) }
    }
}

/// The members of an object: names, and the text of their values.
pub fn members(object: &str) -> Result<Vec<(Cow<'_, str>, &str)>, JsonError> {
    let mut scanner = Scanner::new(object);
    scanner.pass(b'{', "no object")?;
    let mut members = Vec::new();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
        scanner.end()?;
        return Ok(members);
    }
    loop {
        let name = unquote(scanner.string()?)?;
        scanner.pass(b':', "no colon")?;
        members.push((name, scanner.whole()?));
        match scanner.peek() {
            Some(b',') => scanner.at += 1,
            Some(b'}') => break,
            _ => return Err(scanner.error("neither a comma nor an end")),
        }
    }
    scanner.at += 1;
    scanner.end()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_an_object() {
        let found = members(r#" { "a" : [1,{"x":"]"}] , "\u0062":"c\"d" , "e":-1.5e3,"f":{}} "#).unwrap();
        let expected = [("a", r#"[1,{"x":"]"}]"#), ("b", r#""c\"d""#), ("e", "-1.5e3"), ("f", "{}")];
        assert_eq!(found, expected.map(|(name, value)| (Cow::Borrowed(name), value)));
        assert_eq!(members("{}").unwrap(), []);
    }

    #[test]
    fn what_is_no_object() {
        for text in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            "{}x",
            r#"{"a\"#,
            "{\"a\":\"\\",
            "{é:1}",
        ] {
            assert!(members(text).is_err(), "{text}");
        }
    }
}
