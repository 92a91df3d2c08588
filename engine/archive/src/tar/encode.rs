//! The headers that our archives hold: exactly these bytes and no others.

use super::number::{Number, read_number, write_number};
use super::{BLOCK, padding};
use crate::names::is_config;

const NAME_FIELD: usize = 100;
/// Name that GNU tar gives to the entry before one with a long name.
const LONG_NAME: &str = "././@LongLink";

/// Length of the headers of an entry of this name: one block, and those that hold a long name.
pub(crate) fn header_length(name: &str) -> usize {
    if name.len() <= NAME_FIELD {
        return BLOCK;
    }
    let content = name.len() + 1;
    BLOCK + content + padding(content as u64) + BLOCK
}

/// Appends the headers of a file: owner root, mode 0644 (0600 for configuration, which holds passwords), `mtime` in seconds
/// since 1970.
pub(crate) fn push_header(out: &mut Vec<u8>, name: &str, size: u64, mtime: u64) {
    if name.len() > NAME_FIELD {
        let content = name.len() as u64 + 1;
        out.extend_from_slice(&block(LONG_NAME, content, 0, b'L'));
        out.extend_from_slice(name.as_bytes());
        push_zeros(out, 1 + padding(content));
    }
    out.extend_from_slice(&block(name, size, mtime, b'0'));
}

/// Appends `count` zeros.
pub(crate) fn push_zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}

fn block(name: &str, size: u64, mtime: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (to, from) in block[..NAME_FIELD].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    block[100..108].copy_from_slice(if is_config(name) { b"0000600\0" } else { b"0000644\0" });
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    write_number(&mut block[124..136], size);
    write_number(&mut block[136..148], mtime);
    block[148..156].copy_from_slice(b"        ");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    write_number(&mut block[148..155], u64::from(sum));
    block
}

/// Says whether `header` is what [`push_header`] writes for this name and size, and gives its time.
pub(crate) fn check_header(header: &[u8], name: &str, size: u64) -> Result<u64, &'static str> {
    const WRONG: &str = "the header does not belong to this entry";
    let field = header.len().checked_sub(BLOCK).and_then(|start| header.get(start + 136..start + 148));
    let Some(Number::Value(mtime)) = field.map(read_number) else {
        return Err(WRONG);
    };
    let mut expected = Vec::with_capacity(header_length(name));
    push_header(&mut expected, name, size, mtime);
    if header == expected { Ok(mtime) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tar::header::{Kind, parse};

    proptest! {
        #[test]
        fn headers_are_read_as_written(name in "[a-z/$()+_-]{1,300}", size: u64, mtime: u64) {
            let mut out = Vec::new();
            push_header(&mut out, &name, size, mtime);
            prop_assert_eq!(out.len(), header_length(&name));
            prop_assert_eq!(check_header(&out, &name, size), Ok(mtime));
            let last = out.last_chunk::<BLOCK>().unwrap();
            let header = parse(last).unwrap();
            prop_assert_eq!(header.kind, Kind::File);
            prop_assert_eq!(header.size, Number::Value(size));
            prop_assert_eq!(header.mtime, mtime);
            if name.len() <= 100 {
                prop_assert_eq!(header.name, name.as_bytes());
            } else {
                let first = parse(out.first_chunk::<BLOCK>().unwrap()).unwrap();
                prop_assert_eq!(first.kind, Kind::LongName);
                prop_assert_eq!(first.size, Number::Value(name.len() as u64 + 1));
                prop_assert_eq!(&out[BLOCK..BLOCK + name.len()], name.as_bytes());
            }
        }

        #[test]
        fn every_flipped_bit_is_seen(bit in 0..8 * 1536_usize) {
            let name = "n".repeat(120);
            let mut out = Vec::new();
            push_header(&mut out, &name, 5, 7);
            out[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(check_header(&out, &name, 5).is_err());
        }
    }
}
