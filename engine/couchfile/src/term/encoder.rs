//! Encodes terms with the very bytes that CouchDB would write.

use super::tag;

/// Writes terms in CouchDB's form (the smallest one; atoms as tag 100, floats as tag 70).
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Terms without the version byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// A term that begins with the version byte (131).
    pub fn versioned() -> Self {
        Self { bytes: vec![super::VERSION] }
    }

    /// Goes on after bytes that are there already.
    pub fn appending(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A tuple's head; `size` terms must follow.
    pub fn tuple(&mut self, size: usize) -> &mut Self {
        if let Ok(size) = u8::try_from(size) {
            self.bytes.extend_from_slice(&[tag::SMALL_TUPLE, size]);
        } else {
            self.bytes.push(tag::LARGE_TUPLE);
            self.bytes.extend_from_slice(&(size as u32).to_be_bytes());
        }
        self
    }

    /// A list's head; `size` terms and, if `size` is not 0, [`Encoder::nil`] must follow. An empty list is complete
    /// with the head alone. Lists of integers 0..255 go through [`Encoder::byte_list`] instead.
    pub fn list(&mut self, size: usize) -> &mut Self {
        if size == 0 {
            return self.nil();
        }
        self.bytes.push(tag::LIST);
        self.bytes.extend_from_slice(&(size as u32).to_be_bytes());
        self
    }

    /// The empty list, and the tail of every other.
    pub fn nil(&mut self) -> &mut Self {
        self.bytes.push(tag::NIL);
        self
    }

    /// A list of integers 0..255.
    pub fn byte_list(&mut self, items: &[u8]) -> &mut Self {
        match u16::try_from(items.len()) {
            Ok(0) => self.nil(),
            Ok(len) => {
                self.bytes.push(tag::STRING);
                self.bytes.extend_from_slice(&len.to_be_bytes());
                self.bytes.extend_from_slice(items);
                self
            }
            Err(_) => {
                self.list(items.len());
                for &item in items {
                    self.uint(u64::from(item));
                }
                self.nil()
            }
        }
    }

    /// An atom; names are at most 255 bytes long in Erlang.
    pub fn atom(&mut self, name: &[u8]) -> &mut Self {
        self.bytes.push(tag::ATOM);
        self.bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(name);
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.atom(if value { b"true" } else { b"false" })
    }

    /// A binary.
    pub fn binary(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.push(tag::BINARY);
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// An integer from 0 on.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        if let Ok(value) = i64::try_from(value) {
            return self.int(value);
        }
        self.big(false, value)
    }

    /// An integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        if let Ok(small) = u8::try_from(value) {
            self.bytes.extend_from_slice(&[tag::SMALL_INTEGER, small]);
        } else if let Ok(medium) = i32::try_from(value) {
            self.bytes.push(tag::INTEGER);
            self.bytes.extend_from_slice(&medium.to_be_bytes());
        } else {
            self.big(value < 0, value.unsigned_abs());
        }
        self
    }

    fn big(&mut self, negative: bool, magnitude: u64) -> &mut Self {
        let len = 8 - magnitude.leading_zeros() as usize / 8;
        self.bytes.extend_from_slice(&[tag::SMALL_BIG, len as u8, u8::from(negative)]);
        self.bytes.extend_from_slice(&magnitude.to_le_bytes()[..len]);
        self
    }

    /// An integer beyond 64 bits by its magnitude, least significant byte first and not 0.
    pub fn big_integer(&mut self, negative: bool, magnitude: &[u8]) -> &mut Self {
        if let Ok(len) = u8::try_from(magnitude.len()) {
            self.bytes.extend_from_slice(&[tag::SMALL_BIG, len, u8::from(negative)]);
        } else {
            self.bytes.push(tag::LARGE_BIG);
            self.bytes.extend_from_slice(&(magnitude.len() as u32).to_be_bytes());
            self.bytes.push(u8::from(negative));
        }
        self.bytes.extend_from_slice(magnitude);
        self
    }

    /// A float.
    pub fn float(&mut self, value: f64) -> &mut Self {
        self.bytes.push(tag::FLOAT);
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A term that is encoded already, without a version byte.
    pub fn raw(&mut self, term: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(term);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{Decoder, Token};

    #[test]
    fn integers_take_the_smallest_form() {
        let cases: &[(i64, &[u8])] = &[
            (0, &[97, 0]),
            (255, &[97, 255]),
            (256, &[98, 0, 0, 1, 0]),
            (-1, &[98, 255, 255, 255, 255]),
            (i64::from(i32::MAX), &[98, 0x7f, 0xff, 0xff, 0xff]),
            (1 << 31, &[110, 4, 0, 0, 0, 0, 0x80]),
            (-(1 << 31) - 1, &[110, 4, 1, 1, 0, 0, 0x80]),
            (1 << 32, &[110, 5, 0, 0, 0, 0, 0, 1]),
        ];
        for (value, bytes) in cases {
            let mut encoder = Encoder::new();
            encoder.int(*value);
            assert_eq!(encoder.as_bytes(), *bytes, "{value}");
        }
    }

    #[test]
    fn long_byte_lists_become_plain_lists() {
        let mut encoder = Encoder::new();
        encoder.byte_list(&vec![1; 65536]);
        assert_eq!(Decoder::new(encoder.as_bytes()).token().unwrap(), Token::List(65536));
    }

    proptest::proptest! {
        #[test]
        fn integers_come_back(value in proptest::num::i64::ANY) {
            let mut encoder = Encoder::new();
            encoder.int(value);
            proptest::prop_assert_eq!(Decoder::new(encoder.as_bytes()).token().unwrap(), Token::Int(value));
        }
    }
}
