//! Pull decoder over the bytes of one term.

use super::tag;
use crate::error::TermError;

/// The head of a term: scalars completely, containers by the number of terms that follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// An integer that fits 64 bits.
    Int(i64),
    /// A larger one: sign and magnitude, little-endian.
    Big {
        /// Whether it is below zero.
        negative: bool,
        /// Magnitude, least significant byte first.
        magnitude: &'a [u8],
    },
    /// A float.
    Float(f64),
    /// An atom's name.
    Atom(&'a [u8]),
    /// A binary: CouchDB's strings, ids and hashes.
    Binary(&'a [u8]),
    /// A tuple; so many terms follow.
    Tuple(usize),
    /// The empty list.
    Nil,
    /// A list; so many terms follow, then its tail (an empty list in every proper list).
    List(usize),
    /// A list of integers 0..255, stored as bytes.
    ByteList(&'a [u8]),
    /// A map; so many pairs of terms follow.
    Map(usize),
}

/// How a proper list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListHead<'a> {
    /// This many terms follow; if it is not zero, call [`Decoder::list_end`] after them.
    Elements(usize),
    /// All elements are integers 0..255, and these are they.
    Bytes(&'a [u8]),
}

/// Reads a term's tokens in order.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Decoder<'a> {
    /// Reads terms that do not begin with the version byte (131).
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    /// Reads a term that begins with the version byte and is not compressed.
    pub fn versioned(bytes: &'a [u8]) -> Result<Self, TermError> {
        match bytes.first() {
            Some(&super::VERSION) => Ok(Self { bytes, pos: 1 }),
            _ => Err(TermError { at: 0, what: "no version byte" }),
        }
    }

    /// Offset of the next token in the bytes given at the start.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Whether all bytes were read.
    pub fn is_at_end(&self) -> bool {
        self.pos >= self.bytes.len()
    }

    /// Fails if bytes are left.
    pub fn end(&self) -> Result<(), TermError> {
        if self.is_at_end() { Ok(()) } else { Err(self.error("bytes after the term")) }
    }

    /// An error at the present position.
    pub fn error(&self, what: &'static str) -> TermError {
        TermError { at: self.pos, what }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], TermError> {
        let end = self.pos.checked_add(n).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else { return Err(self.error("term ends too early")) };
        let taken = &self.bytes[self.pos..end];
        self.pos = end;
        Ok(taken)
    }

    /// The bytes from the next token on.
    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.pos..).unwrap_or_default()
    }

    fn u8(&mut self) -> Result<u8, TermError> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<usize, TermError> {
        let b = self.take(2)?;
        Ok(usize::from(u16::from_be_bytes([b[0], b[1]])))
    }

    fn u32(&mut self) -> Result<usize, TermError> {
        let b = self.take(4)?;
        Ok(u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
    }

    /// A count of terms that must still fit in the bytes left, one byte each at least.
    fn count(&mut self, n: usize) -> Result<usize, TermError> {
        if n > self.bytes.len() - self.pos {
            return Err(self.error("more elements claimed than bytes left"));
        }
        Ok(n)
    }

    /// The tag of the next token.
    pub fn peek_tag(&self) -> Result<u8, TermError> {
        self.bytes.get(self.pos).copied().ok_or_else(|| self.error("term ends too early"))
    }

    /// Reads the next token.
    pub fn token(&mut self) -> Result<Token<'a>, TermError> {
        let start = self.pos;
        let token = match self.u8()? {
            tag::SMALL_INTEGER => Token::Int(i64::from(self.u8()?)),
            tag::INTEGER => {
                let b = self.take(4)?;
                Token::Int(i64::from(i32::from_be_bytes([b[0], b[1], b[2], b[3]])))
            }
            tag::SMALL_BIG => {
                let n = usize::from(self.u8()?);
                self.big(n)?
            }
            tag::LARGE_BIG => {
                let n = self.u32()?;
                self.big(n)?
            }
            tag::FLOAT => {
                let b: [u8; 8] = self.take(8)?.try_into().unwrap_or_default();
                Token::Float(finite(f64::from_be_bytes(b), start)?)
            }
            tag::FLOAT_TEXT => {
                let text = self.take(31)?;
                let text = text.split(|&b| b == 0).next().unwrap_or_default();
                let value = std::str::from_utf8(text).ok().and_then(|t| t.trim().parse().ok());
                Token::Float(finite(value.unwrap_or(f64::NAN), start)?)
            }
            tag::ATOM | tag::ATOM_UTF8 => {
                let n = self.u16()?;
                Token::Atom(self.take(n)?)
            }
            tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => {
                let n = usize::from(self.u8()?);
                Token::Atom(self.take(n)?)
            }
            tag::SMALL_TUPLE => {
                let n = usize::from(self.u8()?);
                Token::Tuple(self.count(n)?)
            }
            tag::LARGE_TUPLE => {
                let n = self.u32()?;
                Token::Tuple(self.count(n)?)
            }
            tag::NIL => Token::Nil,
            tag::STRING => {
                let n = self.u16()?;
                Token::ByteList(self.take(n)?)
            }
            tag::LIST => {
                let n = self.u32()?;
                Token::List(self.count(n)?)
            }
            tag::BINARY => {
                let n = self.u32()?;
                Token::Binary(self.take(n)?)
            }
            tag::MAP => {
                let n = self.u32()?;
                self.count(n.saturating_mul(2))?;
                Token::Map(n)
            }
            _ => return Err(TermError { at: start, what: "unknown tag" }),
        };
        Ok(token)
    }

    fn big(&mut self, n: usize) -> Result<Token<'a>, TermError> {
        let negative = self.u8()? != 0;
        let magnitude = self.take(n)?;
        let significant = magnitude.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
        if significant <= 8 {
            let mut le = [0u8; 8];
            le[..significant].copy_from_slice(&magnitude[..significant]);
            let value = u64::from_le_bytes(le);
            if negative {
                if value <= i64::MIN.unsigned_abs() {
                    return Ok(Token::Int(0i64.wrapping_sub_unsigned(value)));
                }
            } else if let Ok(value) = i64::try_from(value) {
                return Ok(Token::Int(value));
            }
        }
        Ok(Token::Big { negative, magnitude: &magnitude[..significant] })
    }

    /// Passes over one complete term.
    pub fn skip(&mut self) -> Result<(), TermError> {
        if let Some(end) = self.end_of_common_term() {
            self.pos = end;
            return Ok(());
        }
        let mut left: usize = 1;
        while left > 0 {
            left -= 1;
            left += match self.token()? {
                Token::Tuple(n) => n,
                Token::List(n) => n + 1,
                Token::Map(n) => 2 * n,
                _ => 0,
            };
            if left > self.bytes.len() - self.pos {
                return Err(self.error("term ends too early"));
            }
        }
        Ok(())
    }

    /// Where the next term ends, if it consists of what CouchDB's trees and documents consist of, and is complete.
    fn end_of_common_term(&self) -> Option<usize> {
        let long = |at: usize| -> Option<usize> {
            Some(u32::from_be_bytes(*self.bytes.get(at..)?.first_chunk::<4>()?) as usize)
        };
        let short = |at: usize| self.bytes.get(at).copied().map(usize::from);
        let (mut pos, mut left) = (self.pos, 1usize);
        while left > 0 {
            left -= 1;
            let (length, below) = match *self.bytes.get(pos)? {
                tag::NIL => (1, 0),
                tag::SMALL_INTEGER => (2, 0),
                tag::INTEGER => (5, 0),
                tag::BINARY => (long(pos + 1)?.checked_add(5)?, 0),
                tag::SMALL_TUPLE => (2, short(pos + 1)?),
                tag::LIST => (5, long(pos + 1)?.checked_add(1)?),
                tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => (2 + short(pos + 1)?, 0),
                _ => return None,
            };
            pos = pos.checked_add(length)?;
            left = left.checked_add(below)?;
            // Each term that is to come has one byte at least.
            if left > self.bytes.len().checked_sub(pos)? {
                return None;
            }
        }
        Some(pos)
    }

    /// Passes over one complete term and returns its bytes.
    pub fn raw(&mut self) -> Result<&'a [u8], TermError> {
        let start = self.pos;
        self.skip()?;
        Ok(&self.bytes[start..self.pos])
    }

    /// A tuple's head; gives its size.
    #[inline]
    pub fn tuple(&mut self) -> Result<usize, TermError> {
        if let [tag::SMALL_TUPLE, n, rest @ ..] = self.rest()
            && usize::from(*n) <= rest.len()
        {
            self.pos += 2;
            return Ok(usize::from(*n));
        }
        let at = self.pos;
        match self.token()? {
            Token::Tuple(n) => Ok(n),
            _ => Err(TermError { at, what: "not a tuple" }),
        }
    }

    /// A tuple's head, of exactly this size.
    pub fn tuple_of(&mut self, size: usize) -> Result<(), TermError> {
        let at = self.pos;
        if self.tuple()? == size { Ok(()) } else { Err(TermError { at, what: "tuple of another size" }) }
    }

    /// A proper list's head.
    pub fn list(&mut self) -> Result<ListHead<'a>, TermError> {
        let at = self.pos;
        match self.token()? {
            Token::Nil => Ok(ListHead::Elements(0)),
            Token::List(0) => {
                self.list_end()?;
                Ok(ListHead::Elements(0))
            }
            Token::List(n) => Ok(ListHead::Elements(n)),
            Token::ByteList(bytes) => Ok(ListHead::Bytes(bytes)),
            _ => Err(TermError { at, what: "not a list" }),
        }
    }

    /// The head of a list whose elements are not small integers; gives their number. After `n > 0` elements comes
    /// [`Decoder::list_end`].
    pub fn list_of_terms(&mut self) -> Result<usize, TermError> {
        let at = self.pos;
        match self.list()? {
            ListHead::Elements(n) => Ok(n),
            ListHead::Bytes([]) => Ok(0),
            ListHead::Bytes(_) => Err(TermError { at, what: "list of integers" }),
        }
    }

    /// Reads a list's elements with `each`, then its end. For lists whose elements are not small integers.
    pub fn list_items<E: From<TermError>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let n = self.list_of_terms()?;
        for _ in 0..n {
            each(self)?;
        }
        if n > 0 {
            self.list_end()?;
        }
        Ok(())
    }

    /// The empty tail of a proper list.
    pub fn list_end(&mut self) -> Result<(), TermError> {
        let at = self.pos;
        match self.token()? {
            Token::Nil => Ok(()),
            _ => Err(TermError { at, what: "improper list" }),
        }
    }

    /// A binary.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], TermError> {
        if let [tag::BINARY, a, b, c, d, rest @ ..] = self.rest()
            && let Some(bytes) = rest.get(..u32::from_be_bytes([*a, *b, *c, *d]) as usize)
        {
            self.pos += 5 + bytes.len();
            return Ok(bytes);
        }
        let at = self.pos;
        match self.token()? {
            Token::Binary(bytes) => Ok(bytes),
            _ => Err(TermError { at, what: "not a binary" }),
        }
    }

    /// An atom's name.
    pub fn atom(&mut self) -> Result<&'a [u8], TermError> {
        let at = self.pos;
        match self.token()? {
            Token::Atom(name) => Ok(name),
            _ => Err(TermError { at, what: "not an atom" }),
        }
    }

    /// An integer from 0 to 2^63-1.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, TermError> {
        match self.rest() {
            [tag::SMALL_INTEGER, value, ..] => {
                self.pos += 2;
                return Ok(u64::from(*value));
            }
            [tag::INTEGER, a, b, c, d, ..] if *a < 0x80 => {
                self.pos += 5;
                return Ok(u64::from(u32::from_be_bytes([*a, *b, *c, *d])));
            }
            _ => {}
        }
        let at = self.pos;
        match self.token()? {
            Token::Int(value) => u64::try_from(value).map_err(|_| TermError { at, what: "negative integer" }),
            _ => Err(TermError { at, what: "no integer in range" }),
        }
    }

    /// Whether the next term is the atom `name`; if so, it is read.
    pub fn take_atom(&mut self, name: &[u8]) -> Result<bool, TermError> {
        let before = self.pos;
        if matches!(self.token()?, Token::Atom(found) if found == name) {
            return Ok(true);
        }
        self.pos = before;
        Ok(false)
    }

    /// The next token, without reading it.
    pub fn peek(&self) -> Result<Token<'a>, TermError> {
        self.clone().token()
    }
}

/// Erlang has neither infinities nor NaN, and does not decode them.
fn finite(value: f64, at: usize) -> Result<f64, TermError> {
    if value.is_finite() { Ok(value) } else { Err(TermError { at, what: "not a number" }) }
}

#[cfg(test)]
mod tests;
