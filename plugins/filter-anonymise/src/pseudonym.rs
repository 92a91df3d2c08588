//! Pseudonyms: what takes the place of a text or a number.

use couchcopy_plugin::json::{Value, quote, unquote};

/// What the key for texts and numbers is made for; changing it changes all pseudonyms.
const CONTEXT: &str = "couchcopy anonymise pseudonyms v1";
/// The host of e-mail addresses that reach nobody (RFC 2606).
const HOST: &str = "example.invalid";

/// Makes pseudonyms: a keyed BLAKE3 hash of the text or number.
pub(crate) struct Pseudonyms {
    key: [u8; 32],
}

impl Pseudonyms {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: blake3::derive_key(CONTEXT, key.as_bytes()) }
    }

    /// What takes the place of a value, as JSON text. `None`: it stays, as an array or an object, whose values are replaced; `true`,
    /// `false`, `null` and the empty text tell nothing of anybody.
    pub(crate) fn of(&self, value: Value<'_>) -> Option<String> {
        match value {
            Value::String("\"\"") | Value::Bool(_) | Value::Null | Value::Array | Value::Object => None,
            Value::String(string) => Some(quote(&self.of_text(&unquote(string).ok()?))),
            Value::Number(number) => Some(self.of_number(number)),
        }
    }

    fn of_text(&self, text: &str) -> String {
        let hash = self.hash(b's', text);
        let hex = hash.to_hex();
        let name = &hex[..16];
        if is_address(text) { format!("{name}@{HOST}") } else { format!("anon-{name}") }
    }

    /// A number of the same form: with as many digits before and behind the point. Of one with an exponent, none.
    fn of_number(&self, number: &str) -> String {
        let hash = self.hash(b'n', number);
        let mut random = hash.as_bytes().iter().cycle();
        let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
        let whole = mantissa.trim_start_matches('-').split('.').next().map_or(0, str::len);
        let mut text = String::with_capacity(mantissa.len());
        let mut is_first = whole > 1;
        for c in mantissa.chars() {
            if !c.is_ascii_digit() {
                text.push(c);
                continue;
            }
            let byte = random.next().copied().unwrap_or_default();
            // No number of several digits begins with 0.
            let digit = if is_first { 1 + byte % 9 } else { byte % 10 };
            is_first = false;
            text.push(char::from(b'0' + digit));
        }
        text
    }

    fn hash(&self, kind: u8, text: &str) -> blake3::Hash {
        let mut input = Vec::with_capacity(text.len() + 1);
        input.push(kind);
        input.extend_from_slice(text.as_bytes());
        blake3::keyed_hash(&self.key, &input)
    }
}

/// Whether a text looks like an e-mail address.
fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value<'_>) -> String {
        Pseudonyms::new("a key of sixteen").of(value).unwrap()
    }

    #[test]
    fn the_same_always_becomes_the_same() {
        let ada = of(Value::String("\"Ada\""));
        assert_eq!(ada, of(Value::String("\"\\u0041da\"")), "however it is written");
        assert_ne!(ada, of(Value::String("\"Ado\"")));
        assert_ne!(ada, Pseudonyms::new("another sixteen!").of(Value::String("\"Ada\"")).unwrap());
        assert!(ada.starts_with("\"anon-") && ada.len() == 23, "{ada}");
        let address = of(Value::String("\"ada@example.org\""));
        assert!(address.ends_with("@example.invalid\"") && !address.contains("ada"), "{address}");
        for stays in [Value::Null, Value::Bool(true), Value::Array, Value::Object, Value::String("\"\"")] {
            assert_eq!(Pseudonyms::new("a key of sixteen").of(stays), None);
        }
    }

    #[test]
    fn numbers_keep_their_form() {
        let number = |text: &str| of(Value::Number(text));
        let form = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
        for text in ["0", "7", "42", "-12345", "3.14", "-0.001", "123456789012345678901234567890"] {
            let other = number(text);
            assert_eq!(form(&other), form(text), "{text}: {other}");
            let read: serde_json::Value = serde_json::from_str(&other).unwrap();
            assert!(read.is_number(), "{other}");
            assert!(
                !other.trim_start_matches('-').starts_with('0') || text.len() == 1 || text.contains('.'),
                "{other}"
            );
        }
        for text in ["1.7976931348623157e308", "1e-7", "5E+20"] {
            let other = number(text);
            assert!(
                serde_json::from_str::<f64>(&other).unwrap().is_finite() && !other.contains(['e', 'E']),
                "{other}"
            );
        }
    }
}
