//! Numbers as JSON text.

use std::fmt::Write;

use super::NegativeZero;

/// Exponents of ten from which on, and below which, CouchDB writes a number with an exponent.
const EXPONENTS: (i32, i32) = (21, -6);

/// Writes a finite number as CouchDB does (`jiffy`, with the shortest digits that mean it): `1.0`, `0.00001`, `1e-7`, `1e+21`.
pub(crate) fn write_float(value: f64, zero: NegativeZero, out: &mut Vec<u8>) {
    let is_negative = value.is_sign_negative() && (value != 0.0 || zero == NegativeZero::Kept);
    if is_negative {
        out.push(b'-');
    }
    if value == 0.0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    // The shortest digits that mean it, as `d.ddde-7`.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent >= EXPONENTS.0 || exponent < EXPONENTS.1 {
        let sign = if exponent < 0 { "" } else { "+" };
        out.extend_from_slice(format!("{mantissa}e{sign}{exponent}").as_bytes());
        return;
    }
    let digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    let point = exponent + 1;
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(&digits);
        return;
    }
    let point = point.unsigned_abs() as usize;
    let (whole, fraction) = digits.split_at(point.min(digits.len()));
    out.extend_from_slice(whole);
    out.extend(std::iter::repeat_n(b'0', point - whole.len()));
    out.push(b'.');
    out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
}

/// Decimal digits of a little-endian magnitude.
pub(super) fn decimal(magnitude: &[u8]) -> String {
    const BASE: u64 = 1_000_000_000;
    // Least significant first. The bytes are taken in fours, most significant first.
    let mut digits: Vec<u32> = vec![0];
    let bytes: Vec<u8> = magnitude.iter().rev().copied().collect();
    for word in bytes.chunks(4) {
        let mut carry = word.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let shift = 8 * word.len();
        for digit in &mut digits {
            let value = (u64::from(*digit) << shift) + carry;
            *digit = (value % BASE) as u32;
            carry = value / BASE;
        }
        while carry > 0 {
            digits.push((carry % BASE) as u32);
            carry /= BASE;
        }
    }
    let mut text = digits.last().map_or_else(String::new, ToString::to_string);
    for digit in digits.iter().rev().skip(1) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{digit:09}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What CouchDB 3.5.0 answers where this was stored.
    #[test]
    fn as_couchdb_writes_them() {
        for (value, text) in [
            (-0.0, "0.0"),
            (1.0, "1.0"),
            (1e16, "10000000000000000.0"),
            (1e20, "100000000000000000000.0"),
            (1e21, "1e+21"),
            (1e300, "1e+300"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-10, "1.5e-10"),
            (123_456_789_012_345_680.0, "123456789012345680.0"),
            (-1.5e-300, "-1.5e-300"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (12_345_678.9, "12345678.9"),
            (0.000_012_34, "0.00001234"),
            (9_007_199_254_740_992.0, "9007199254740992.0"),
        ] {
            let mut out = Vec::new();
            write_float(value, NegativeZero::Hidden, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        write_float(-0.0, NegativeZero::Kept, &mut out);
        assert_eq!(out, b"-0.0");
    }

    #[test]
    fn integers_of_any_length() {
        for value in [0u128, 7, 255, 256, 1 << 32, 1 << 64, 999_999_999_999_999_999, u128::MAX, u128::MAX - 1]
        {
            let bytes = value.to_le_bytes();
            for len in 0..=16 {
                if bytes[len..].iter().all(|byte| *byte == 0) {
                    assert_eq!(decimal(&bytes[..len]), value.to_string());
                }
            }
        }
    }
}
