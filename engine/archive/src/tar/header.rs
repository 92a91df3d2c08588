//! One header block of any tar.

use super::BLOCK;
use super::number::{Number, read_number};

/// What a header introduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// The name of the next entry (GNU).
    LongName,
    /// The link target of the next entry (GNU).
    LongLink,
    /// Attributes of the next entry (PAX).
    Pax,
    /// Attributes of all further entries (PAX).
    PaxGlobal,
    /// What no backup holds, in words.
    Refused(&'static str),
}

/// The fields of a header that matter here.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) size: Number,
    /// Seconds since 1970; 0 for what cannot be shown so.
    pub(crate) mtime: u64,
}

/// Reads a header; says what is wrong with it.
pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Header, &'static str> {
    check_sum(block)?;
    let posix = &block[257..263] == b"ustar\0";
    let mut name = until_nul(&block[..100]).to_vec();
    if posix {
        let prefix = until_nul(&block[345..500]);
        if !prefix.is_empty() {
            name = [prefix, &name].join(&b'/');
        }
    }
    let kind = match block[156] {
        b'0' | 0 => Kind::File,
        b'5' => Kind::Folder,
        b'L' => Kind::LongName,
        b'K' => Kind::LongLink,
        b'x' => Kind::Pax,
        b'g' => Kind::PaxGlobal,
        b'1' => Kind::Refused("it is a hard link"),
        b'2' => Kind::Refused("it is a symbolic link"),
        b'3' | b'4' => Kind::Refused("it is a device"),
        b'6' => Kind::Refused("it is a named pipe"),
        b'S' => Kind::Refused("it is a sparse file"),
        _ => Kind::Refused("it is neither a file nor a folder"),
    };
    let mtime = match read_number(&block[136..148]) {
        Number::Value(mtime) => mtime,
        Number::Negative | Number::TooLarge => 0,
        Number::Invalid => return Err("its time is not a number"),
    };
    Ok(Header { name, kind, size: read_number(&block[124..136]), mtime })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn check_sum(block: &[u8; BLOCK]) -> Result<(), &'static str> {
    let Number::Value(told) = read_number(&block[148..156]) else {
        return Err("the checksum of the header is not a number");
    };
    let mut unsigned = 0_u64;
    // Some old programs took bytes for signed.
    let mut signed = 0_i64;
    for (index, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { *byte };
        unsigned += u64::from(byte);
        signed += i64::from(byte as i8);
    }
    if told == unsigned || i64::try_from(told) == Ok(signed) {
        Ok(())
    } else {
        Err("the checksum of the header is wrong")
    }
}
