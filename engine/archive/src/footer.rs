//! The last bytes of an archive: an empty gzip member that records where the table of contents lies.

/// Length of the footer in bytes.
pub const FOOTER_LENGTH: usize = 56;
/// Version of the format that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u8 = 1;

/// gzip header with FEXTRA set, and the extra field's length.
const START: [u8; 12] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 34, 0];
/// Length of the subfield.
const SUBFIELD_LENGTH: [u8; 2] = [30, 0];
const MAGIC: &[u8; 9] = b"couchcopy";
/// An empty final DEFLATE block, the CRC-32 and the size of nothing.
const END: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Which entries an archive holds; the identification of the footer's subfield tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A backup's data.
    Data,
    /// Configuration files, too. Readers that were made before there were any find no footer, and so read the archive in
    /// one pass, in which any name may come.
    Config,
}

impl Holds {
    fn subfield(self) -> [u8; 2] {
        match self {
            Self::Data => *b"CC",
            Self::Config => *b"C2",
        }
    }
}

/// What the end of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Footer {
    /// The member at `offset`, `length` bytes long, is the table of contents.
    Here { offset: u64, length: u64 },
    /// The archive is of a format that is not known yet.
    Newer(u8),
    /// There is no footer.
    Missing,
}

/// The footer of an archive with its table of contents at `offset`.
pub(crate) fn encode(holds: Holds, offset: u64, length: u64) -> [u8; FOOTER_LENGTH] {
    let mut footer = Vec::with_capacity(FOOTER_LENGTH);
    footer.extend_from_slice(&START);
    footer.extend_from_slice(&holds.subfield());
    footer.extend_from_slice(&SUBFIELD_LENGTH);
    footer.extend_from_slice(MAGIC);
    footer.push(FORMAT_VERSION);
    footer.extend_from_slice(&offset.to_le_bytes());
    footer.extend_from_slice(&length.to_le_bytes());
    let checksum = libdeflater::crc32(&footer[16..]);
    footer.extend_from_slice(&checksum.to_le_bytes());
    footer.extend_from_slice(&END);
    let mut bytes = [0; FOOTER_LENGTH];
    bytes.copy_from_slice(&footer);
    bytes
}

/// Reads the last bytes of a file.
pub(crate) fn parse(bytes: &[u8; FOOTER_LENGTH]) -> Footer {
    let checksum = libdeflater::crc32(&bytes[16..42]).to_le_bytes();
    let subfield_known =
        [Holds::Data, Holds::Config].into_iter().any(|holds| bytes[12..14] == holds.subfield());
    let known = bytes[..12] == START
        && subfield_known
        && bytes[14..16] == SUBFIELD_LENGTH
        && &bytes[16..25] == MAGIC
        && bytes[42..46] == checksum
        && bytes[46..] == END;
    if !known {
        return Footer::Missing;
    }
    match bytes[25] {
        FORMAT_VERSION => Footer::Here { offset: number(&bytes[26..34]), length: number(&bytes[34..42]) },
        newer if newer > FORMAT_VERSION => Footer::Newer(newer),
        _ => Footer::Missing,
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_every_flipped_bit_seen() {
        for holds in [Holds::Data, Holds::Config] {
            let footer = encode(holds, 0x0102_0304_0506_0708, 1234);
            assert_eq!(parse(&footer), Footer::Here { offset: 0x0102_0304_0506_0708, length: 1234 });
            for bit in 0..8 * FOOTER_LENGTH {
                let mut damaged = footer;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(parse(&damaged), Footer::Missing, "bit {bit}");
            }
        }
    }

    #[test]
    fn it_is_a_valid_empty_gzip_member() {
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(&encode(Holds::Config, 1, 2)[..]).read_to_end(&mut content).unwrap();
        assert!(content.is_empty());
    }

    #[test]
    fn a_newer_version_is_told() {
        let mut footer = encode(Holds::Data, 1, 2);
        footer[25] = 7;
        let checksum = libdeflater::crc32(&footer[16..42]).to_le_bytes();
        footer[42..46].copy_from_slice(&checksum);
        assert_eq!(parse(&footer), Footer::Newer(7));
    }
}
