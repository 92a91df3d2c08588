//! Numbers in tar headers: octal digits, or base-256 if they do not fit.

/// Writes `value` into `field`: octal digits and a NUL if they fit, base-256 otherwise.
///
/// Fields are 8 or 12 bytes long; a value that fits in neither form is cut to its low bytes, which 12 bytes
/// never need for 64 bits.
pub(crate) fn write_number(field: &mut [u8], value: u64) {
    let Some((last, digits)) = field.split_last_mut() else {
        return;
    };
    if digits.len() >= 22 || value >> (3 * digits.len()) == 0 {
        let mut rest = value;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest & 7) as u8;
            rest >>= 3;
        }
        *last = 0;
        return;
    }
    let mut rest = value;
    for byte in field.iter_mut().rev() {
        *byte = rest as u8;
        rest >>= 8;
    }
    if let Some(first) = field.first_mut() {
        *first |= 0x80;
    }
}

/// A number read from a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// A number of up to 64 bits; an empty field counts as 0.
    Value(u64),
    /// Below zero, as times before 1970 are.
    Negative,
    /// More than 64 bits.
    TooLarge,
    /// No number.
    Invalid,
}

/// Reads a field as [`write_number`] and other programs write it.
pub(crate) fn read_number(field: &[u8]) -> Number {
    match field.first() {
        Some(first) if first & 0x80 != 0 => read_base_256(*first, &field[1..]),
        _ => read_octal(field),
    }
}

fn read_base_256(first: u8, rest: &[u8]) -> Number {
    if first & 0x40 != 0 {
        return Number::Negative;
    }
    let mut value = u64::from(first & 0x3f);
    for byte in rest {
        if value >> 56 != 0 {
            return Number::TooLarge;
        }
        value = value << 8 | u64::from(*byte);
    }
    Number::Value(value)
}

fn read_octal(field: &[u8]) -> Number {
    let field = field.trim_ascii_start();
    let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    if rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return Number::Invalid;
    }
    let mut value = 0_u64;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return Number::Invalid;
        }
        if value >> 61 != 0 {
            return Number::TooLarge;
        }
        value = value << 3 | u64::from(digit - b'0');
    }
    Number::Value(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64) {
            let mut field = [0xaa; 12];
            write_number(&mut field, value);
            prop_assert_eq!(read_number(&field), Number::Value(value));
        }

        #[test]
        fn any_bytes_are_read_without_panic(field: Vec<u8>) {
            read_number(&field);
        }
    }

    #[test]
    fn borders() {
        let mut field = [0; 12];
        write_number(&mut field, 0o77_777_777_777);
        assert_eq!(&field, b"77777777777\0");
        write_number(&mut field, 0o100_000_000_000);
        assert_eq!(field, [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(read_number(&[0xff; 12]), Number::Negative);
        assert_eq!(read_number(&[0xbf; 12]), Number::TooLarge);
        assert_eq!(read_number(b"  17 \0"), Number::Value(15));
        assert_eq!(read_number(b"\0\0\0"), Number::Value(0));
        assert_eq!(read_number(b"18"), Number::Invalid);
        assert_eq!(read_number(b"1 1"), Number::Invalid);
    }
}
