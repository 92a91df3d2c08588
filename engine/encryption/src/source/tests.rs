//! Tests of reading by ranges.

use std::sync::Mutex;

use super::*;
use crate::testing::{
    ED25519, RSA, SIZES, age_pair, code_in, code_of, encrypted, for_key, for_passphrase, plain, with_key,
    with_passphrase,
};

/// Records the ranges that are asked for.
struct Recorded(Vec<u8>, Mutex<Vec<(u64, usize)>>);

impl Recorded {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self(bytes, Mutex::new(Vec::new())))
    }

    fn take(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut *self.1.lock().unwrap())
    }
}

impl ReadAt for Recorded {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.lock().unwrap().push((offset, buf.len()));
        self.0.read_exact_at(buf, offset)
    }
}

fn open(bytes: &[u8], identities: &Identities) -> Result<DecryptedSource> {
    DecryptedSource::open(Arc::new(bytes.to_vec()), "a", identities)
}

fn all(source: &DecryptedSource) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; source.len() as usize];
    source.read_exact_at(&mut buf, 0)?;
    Ok(buf)
}

#[test]
fn every_size_is_read_back_with_every_kind_of_key() {
    let [public, private] = age_pair();
    let kinds = [
        (for_key(&public), with_key(&private)),
        (for_passphrase("pass"), with_passphrase("pass")),
        (for_key(ED25519[0]), with_key(ED25519[1])),
    ];
    for (recipients, identities) in &kinds {
        for size in SIZES {
            let plain = plain(size);
            let source = open(&encrypted(recipients, &plain), identities).unwrap();
            assert_eq!(source.len(), size as u64);
            assert!(all(&source).unwrap() == plain, "{size}");
            let error = source.read_exact_at(&mut [0], size as u64).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert!(source.read_exact_at(&mut [0; 2], u64::MAX).is_err());
            assert!(source.read_exact_at(&mut [], size as u64).is_ok());
        }
    }
}

#[test]
fn every_range_is_read_back() {
    let [public, private] = age_pair();
    let plain = plain(5 * PLAIN + 100);
    let bytes = encrypted(&for_key(&public), &plain);
    let identities = with_key(&private);
    let edges = [0, 1, PLAIN - 1, PLAIN, PLAIN + 1, 3 * PLAIN, 5 * PLAIN - 1, 5 * PLAIN + 1, plain.len()];
    let warm = open(&bytes, &identities).unwrap();
    for from in edges {
        for to in edges.into_iter().filter(|to| *to >= from) {
            for source in [&warm, &open(&bytes, &identities).unwrap()] {
                let mut buf = vec![0; to - from];
                source.read_exact_at(&mut buf, from as u64).unwrap();
                assert!(buf == plain[from..to], "{from} {to}");
            }
        }
    }
}

#[test]
fn a_read_asks_the_source_once() {
    let [public, private] = age_pair();
    let bytes = encrypted(&for_key(&public), &plain(10 * PLAIN));
    let payload = Header::parse(&bytes).ok().unwrap().len + NONCE_LEN;
    let place = |chunk: usize| (payload + chunk * SEALED) as u64;
    let recorded = Recorded::new(bytes);
    let source = DecryptedSource::open(recorded.clone(), "a", &with_key(&private)).unwrap();
    assert_eq!(recorded.take(), [(0, 65_536), (place(9), SEALED)]);

    let mut buf = vec![0; 3 * PLAIN];
    source.read_exact_at(&mut buf, 100).unwrap();
    assert_eq!(recorded.take(), [(place(0), 4 * SEALED)]);
    // The first and the last chunk were used in part only.
    source.read_exact_at(&mut buf[..PLAIN], 100).unwrap();
    source.read_exact_at(&mut buf[..PLAIN], 3 * PLAIN as u64 + 10).unwrap();
    assert_eq!(recorded.take(), [(place(1), SEALED), (place(4), SEALED)]);
    source.read_exact_at(&mut buf[..10], 10).unwrap();
    source.read_exact_at(&mut buf[..10], 10 * PLAIN as u64 - 10).unwrap();
    assert_eq!(recorded.take(), []);

    let small = Recorded::new(encrypted(&for_key(&public), b"small"));
    let len = small.0.len();
    DecryptedSource::open(small.clone(), "a", &with_key(&private)).unwrap();
    assert_eq!(small.take(), [(0, len)]);
}

#[test]
fn a_large_header_takes_a_second_read() {
    let [public, private] = age_pair();
    let recipients = crate::Recipients::gather(&vec![public; 1000], &[], None).unwrap();
    let recorded = Recorded::new(encrypted(&recipients, &plain(2_000_000)));
    let source = DecryptedSource::open(recorded.clone(), "a", &with_key(&private)).unwrap();
    assert_eq!(recorded.take().len(), 3);
    assert!(all(&source).unwrap() == plain(2_000_000));
}

#[test]
fn a_file_that_is_cut_off_does_not_open() {
    let [public, private] = age_pair();
    let identities = with_key(&private);
    let bytes = encrypted(&for_key(&public), &plain(3 * PLAIN + 100));
    let payload = Header::parse(&bytes).ok().unwrap().len + NONCE_LEN;
    let near_chunks = (0..=3).flat_map(|n| (0..40).map(move |i| payload + n * SEALED + i - 20));
    for end in (0..payload).chain(near_chunks).filter(|end| *end < bytes.len()) {
        let error = open(&bytes[..end], &identities).unwrap_err();
        // A file with 16 bytes of payload could be one of no plaintext.
        let boundary = end > payload + 16 && (end - payload) % SEALED <= 16;
        let code = code_of(&error);
        if end == 0 {
            assert_eq!(code, "CC-K02");
        } else if end < payload + 16 || boundary {
            assert_eq!(code, "CC-K10", "{end}");
        } else {
            assert_eq!(code, "CC-K11", "{end}");
        }
    }
    assert_eq!(
        open(&bytes[..payload + 2 * SEALED], &identities).unwrap_err().to_string(),
        format!(
            "a: the encrypted archive is cut off: it ends at byte {}, and more should follow",
            payload + 2 * SEALED
        )
    );
    assert_eq!(code_of(&open(&[&bytes[..], b"x"].concat(), &identities).unwrap_err()), "CC-K11");
}

#[test]
fn no_changed_byte_gives_other_plaintext() {
    let [public, private] = age_pair();
    let passphrase = (for_passphrase("p").with_work_factor(2), with_passphrase("p"));
    let kinds = [
        (for_key(&public), with_key(&private)),
        passphrase,
        (for_key(ED25519[0]), with_key(ED25519[1])),
        (for_key(RSA[0]), with_key(RSA[1])),
    ];
    for (recipients, identities) in &kinds {
        let bytes = encrypted(recipients, b"some plaintext");
        for at in 0..bytes.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let refused = open(&changed, identities).map_or(true, |source| all(&source).is_err());
                assert!(refused, "{at} {flip}");
            }
        }
    }
}

#[test]
fn damage_is_told_by_its_offset_and_spares_the_rest() {
    let [public, private] = age_pair();
    let plain = plain(5 * PLAIN);
    let mut bytes = encrypted(&for_key(&public), &plain);
    let chunk = Header::parse(&bytes).ok().unwrap().len + NONCE_LEN + 2 * SEALED;
    bytes[chunk + 5] ^= 4;
    let source = open(&bytes, &with_key(&private)).unwrap();
    let mut buf = vec![0; 2 * PLAIN];
    source.read_exact_at(&mut buf, 0).unwrap();
    assert!(buf == plain[..2 * PLAIN]);
    let error = source.read_exact_at(&mut buf, PLAIN as u64).unwrap_err();
    assert_eq!(code_in(&error), "CC-K11");
    assert_eq!(
        error.to_string(),
        format!(
            "a: the encrypted data at byte {chunk} is damaged: bytes {chunk} to {} are not authentic",
            chunk + SEALED - 1
        )
    );
    // Chunks in another order are no archive either.
    let start = chunk - 2 * SEALED;
    let (first, second) = (start..start + SEALED, start + SEALED..chunk);
    let swapped = [&bytes[..start], &bytes[second], &bytes[first], &bytes[chunk..]].concat();
    let source = open(&swapped, &with_key(&private)).unwrap();
    assert_eq!(code_in(&source.read_exact_at(&mut buf[..10], 0).unwrap_err()), "CC-K11");
}

#[test]
fn many_threads_read_at_once() {
    let [public, private] = age_pair();
    let plain = plain(100 * PLAIN + 7);
    let source = open(&encrypted(&for_key(&public), &plain), &with_key(&private)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (source, plain) = (&source, &plain);
            scope.spawn(move || {
                for step in 0..200_usize {
                    let from = (thread * 7_919 + step * 104_729 * 31) % plain.len();
                    let len = (step * 1_237).min(plain.len() - from);
                    let mut buf = vec![0; len];
                    source.read_exact_at(&mut buf, from as u64).unwrap();
                    assert!(buf == plain[from..from + len], "{from} {len}");
                }
            });
        }
    });
}

#[test]
fn an_error_of_the_source_stays_itself() {
    struct Broken;
    impl ReadAt for Broken {
        fn len(&self) -> u64 {
            1000
        }
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let error = DecryptedSource::open(Arc::new(Broken), "a", &Identities::default()).unwrap_err();
    assert!(matches!(error, EncryptionError::Io { source, .. } if source.kind() == io::ErrorKind::TimedOut));
}
