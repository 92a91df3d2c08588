//! JSON values of any depth, with integers of any size: what CouchDB stores has no limit but the size of a document.
//!
//! Nothing here recurses over a value, so no nesting can exhaust the stack.

mod convert;
mod nested;
mod parse;
mod write;

use std::ops::Deref;

use crate::ejson::NegativeZero;

pub use parse::JsonError;

/// A JSON value. Members of objects keep their order, as in CouchDB.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// An integer beyond 64 bits: its decimal digits, with a minus in front if it is negative.
    Big(String),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Items),
    /// An object.
    Object(Members),
}

/// The elements of an array.
#[derive(Debug, Default)]
pub struct Items(Vec<Json>);

/// The members of an object, in their order.
#[derive(Debug, Default)]
pub struct Members(Vec<(String, Json)>);

impl Json {
    /// Reads JSON text.
    ///
    /// Fails if it is not exactly one JSON value, or a fraction is beyond what 64 bits hold.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        parse::parse(text)
    }

    /// The value as compact JSON text, as CouchDB would show it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write::write(self, NegativeZero::Hidden, &mut out);
        out
    }

    /// The value as JSON text for people, with line breaks.
    pub fn to_pretty_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write::write_pretty(self, &mut out);
        out
    }

    /// The value as compact JSON text that means just this value: `-0.0` stays what it is.
    pub fn to_exact_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write::write(self, NegativeZero::Kept, &mut out);
        out
    }

    /// The member of an object; `None` for what has no such member.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// An integer of 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// An integer of 64 bits that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::Big(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&Members> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The members of an object, to be changed.
    pub fn as_object_mut(&mut self) -> Option<&mut Members> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }
}

impl Members {
    /// The value of a member. If several members have this name, the value of the last one, as in most readers of JSON.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of a member, to be changed. If several members have this name, the value of the last one.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.0.iter_mut().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> MembersIter<'_> {
        MembersIter(self.0.iter())
    }

    /// Names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Takes the names and values out.
    pub fn into_pairs(mut self) -> Vec<(String, Json)> {
        std::mem::take(&mut self.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a member: in its place if there is one of that name, otherwise at the end.
    pub fn insert(&mut self, key: impl Into<String>, value: Json) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(place) => *place = value,
            None => self.0.push((key, value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let place = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(place).1)
    }
}

/// The members of an object one after the other.
#[derive(Debug, Clone)]
pub struct MembersIter<'j>(std::slice::Iter<'j, (String, Json)>);

impl<'j> Iterator for MembersIter<'j> {
    type Item = (&'j str, &'j Json);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for MembersIter<'_> {}

impl<'j> IntoIterator for &'j Members {
    type Item = (&'j str, &'j Json);
    type IntoIter = MembersIter<'j>;

    fn into_iter(self) -> MembersIter<'j> {
        self.iter()
    }
}

impl Deref for Items {
    type Target = [Json];

    fn deref(&self) -> &[Json] {
        &self.0
    }
}

impl FromIterator<Json> for Items {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<K: Into<String>> FromIterator<(K, Json)> for Members {
    fn from_iter<I: IntoIterator<Item = (K, Json)>>(members: I) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(levels: usize) -> Vec<u8> {
        [b"[".repeat(levels), b"]".repeat(levels)].concat()
    }

    #[test]
    fn values_come_out_as_they_went_in() {
        for text in [
            "null",
            "[]",
            "{}",
            "[[],{},[[1]]]",
            r#"{"b":1,"a":{"x":[true,false,null,"é\n\"\u0000"]}}"#,
            "[0,-1,9223372036854775807,-9223372036854775808,9223372036854775808]",
            "[18446744073709551616,-123456789012345678901234567890,0.5,-0.0,1e+300]",
        ] {
            let value = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(value.to_exact_vec()).unwrap(), text, "{text}");
            assert_eq!(value, value.clone());
        }
    }

    #[test]
    fn a_million_levels_need_no_stack() {
        let text = deep(1_000_000);
        let (value, other) = (Json::parse(&text).unwrap(), Json::parse(&deep(1_000_001)).unwrap());
        assert_eq!(value.to_vec(), text);
        assert_eq!(value, value.clone());
        assert_ne!(value, other);
        let objects = [b"{\"a\":".repeat(300_000), b"1".to_vec(), b"}".repeat(300_000)].concat();
        let value = Json::parse(&objects).unwrap();
        assert_eq!(value.clone().to_vec(), objects);
    }

    #[test]
    fn members() {
        let mut value = Json::parse(br#"{"a":1,"b":2,"c":3}"#).unwrap();
        let members = value.as_object_mut().unwrap();
        assert_eq!(members.remove("b"), Some(Json::Int(2)));
        members.insert("a", Json::from("x"));
        members.insert("d", Json::Null);
        assert_eq!(value.to_vec(), br#"{"a":"x","c":3,"d":null}"#);
        assert_eq!(value.get("c").and_then(Json::as_u64), Some(3));
        assert_ne!(value, Json::parse(br#"{"c":3,"a":"x","d":null}"#).unwrap());
        let made: Json = serde_json::json!({"n": u64::MAX, "f": 1.5, "l": [1]}).into();
        assert_eq!(made.to_vec(), br#"{"n":18446744073709551615,"f":1.5,"l":[1]}"#);
        assert_eq!(made.get("n").and_then(Json::as_u64), Some(u64::MAX));
    }
}
