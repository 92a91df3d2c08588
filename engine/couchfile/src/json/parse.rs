//! JSON text to values.

use super::{Items, Json, Members};

/// Why a text is not a JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no JSON at byte {at}: {problem}")]
pub struct JsonError {
    /// Where, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// What is open around the value being read.
enum Open {
    Array(Vec<Json>),
    /// With the name of the member that is being read.
    Object(Vec<(String, Json)>, String),
}

pub(super) fn parse(text: &[u8]) -> Result<Json, JsonError> {
    let mut reader = Reader { text, at: 0 };
    let mut open: Vec<Open> = Vec::new();
    loop {
        let mut value = match reader.begin()? {
            Begun::Value(value) => value,
            Begun::Array => {
                open.push(Open::Array(Vec::new()));
                continue;
            }
            Begun::Object(name) => {
                open.push(Open::Object(Vec::new(), name));
                continue;
            }
        };
        // Puts it where it belongs; what is complete by that, too.
        loop {
            let end = match open.last_mut() {
                None => {
                    reader.end()?;
                    return Ok(value);
                }
                Some(Open::Array(items)) => {
                    items.push(value);
                    reader.next_or(b']')?
                }
                Some(Open::Object(members, name)) => {
                    members.push((std::mem::take(name), value));
                    let end = reader.next_or(b'}')?;
                    if !end {
                        *name = reader.name()?;
                    }
                    end
                }
            };
            if !end {
                break;
            }
            value = match open.pop() {
                Some(Open::Array(mut items)) => {
                    items.shrink_to_fit();
                    Json::Array(Items(items))
                }
                Some(Open::Object(mut members, _)) => {
                    members.shrink_to_fit();
                    Json::Object(Members(members))
                }
                None => return Err(reader.error("an end without a beginning")),
            };
        }
    }
}

/// The beginning of a value.
enum Begun {
    Value(Json),
    /// An array with elements.
    Array,
    /// An object with members; the name of the first one.
    Object(String),
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, problem: &'static str) -> JsonError {
        JsonError { at: self.at, problem }
    }

    /// The next byte that is not a space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn begin(&mut self) -> Result<Begun, JsonError> {
        let value = match self.peek() {
            Some(b'[') => {
                self.at += 1;
                if self.peek() != Some(b']') {
                    return Ok(Begun::Array);
                }
                self.at += 1;
                Json::Array(Items::default())
            }
            Some(b'{') => {
                self.at += 1;
                if self.peek() != Some(b'}') {
                    return Ok(Begun::Object(self.name()?));
                }
                self.at += 1;
                Json::Object(Members::default())
            }
            Some(b'"') => Json::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
            None => return Err(self.error("it ends too early")),
        };
        Ok(Begun::Value(value))
    }

    /// Behind a value: whether this is the end of what holds it, or another one comes.
    fn next_or(&mut self, end: u8) -> Result<bool, JsonError> {
        let found = self.peek();
        if found != Some(end) && found != Some(b',') {
            return Err(self.error("neither a comma nor an end"));
        }
        self.at += 1;
        Ok(found == Some(end))
    }

    fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_some() { Err(self.error("something follows")) } else { Ok(()) }
    }

    /// A member's name with its colon.
    fn name(&mut self) -> Result<String, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("no name of a member"));
        }
        let name = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.error("no colon"));
        }
        self.at += 1;
        Ok(name)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let begin = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => return Err(self.error("a string does not end")),
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_slice(&self.text[begin..self.at])
            .map_err(|_| JsonError { at: begin, problem: "no string" })
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let begin = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == begin { Err(self.error("no digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let begin = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let first = self.at;
        self.digits()?;
        if self.text[first] == b'0' && self.at > first + 1 {
            return Err(JsonError { at: first, problem: "a number with a leading zero" });
        }
        let mut is_integer = true;
        if self.text.get(self.at) == Some(&b'.') {
            is_integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            is_integer = false;
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.text[begin..self.at]).unwrap_or_default();
        if is_integer {
            return Ok(text.parse().map_or_else(|_| Json::Big(text.to_owned()), Json::Int));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Json::Float(number)),
            _ => Err(JsonError { at: begin, problem: "a number too large" }),
        }
    }

    fn word(&mut self) -> Result<Json, JsonError> {
        for (word, value) in
            [(&b"null"[..], Json::Null), (b"true", Json::Bool(true)), (b"false", Json::Bool(false))]
        {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("no value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json() {
        for text in [
            "",
            " ",
            "[",
            "]",
            "{",
            "}",
            "[1",
            "[1,",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "\"",
            "\"\\",
            "\"\\q\"",
            "\"\n\"",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e999",
            "nul",
            "truefalse",
            "1 1",
            "\"\\ud800\"",
            "[}",
            "{]",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn space_between_everything() {
        let text = b" { \"a\" : [ 1 , -2.5e1 ,\t\"\\u00e9\" ] ,\r\n\"b\" : { } } ";
        assert_eq!(parse(text).unwrap().to_vec(), "{\"a\":[1,-25.0,\"é\"],\"b\":{}}".as_bytes());
        assert_eq!(parse(b"-0").unwrap(), Json::Int(0));
    }
}
