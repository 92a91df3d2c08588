//! Measures encryption and decryption on one core, against the writer and the reader of the crate `age`.
//!
//! `cargo run --release --example speed`

use std::fs;
use std::hint::black_box;
use std::io::{Read, Write, sink};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use age::secrecy::ExposeSecret;
use couchfile::read_at::ReadAt;
use encryption::{DecryptedSource, Identities, Recipients, decrypt_stream};

/// Bytes of plaintext.
const SIZE: usize = 256 * 1024 * 1024;

/// Bytes of a write or a read.
const PIECE: usize = 1024 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let key = age::x25519::Identity::generate();
    let file = folder.path().join("key");
    fs::write(&file, key.to_string().expose_secret())?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let recipients = Recipients::gather(&[key.to_public().to_string()], &[], None)?;
    let identities = Identities::gather(&[file], None)?;
    let plain: Vec<u8> = (0..SIZE).map(|i| (i ^ (i >> 8)) as u8).collect();

    let mut sealed = Vec::with_capacity(SIZE + SIZE / 1000);
    for _ in 0..3 {
        measured("write, age", || {
            let recipient = key.to_public();
            let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _))?;
            let mut writer = encryptor.wrap_output(sink())?;
            plain.chunks(PIECE).try_for_each(|piece| writer.write_all(piece))?;
            writer.finish()?;
            Ok(())
        })?;
        measured("write, here", || {
            let mut writer = recipients.encrypt("archive", sink())?;
            plain.chunks(PIECE).try_for_each(|piece| writer.write_all(piece))?;
            writer.finish()?;
            Ok(())
        })?;
    }
    sealed = {
        let mut writer = recipients.encrypt("archive", sealed)?;
        writer.write_all(&plain)?;
        writer.finish()?
    };
    let mut buf = vec![0; PIECE];
    for _ in 0..3 {
        measured("read as a stream, age", || {
            let decryptor = age::Decryptor::new_buffered(&sealed[..])?;
            let mut reader = decryptor.decrypt(std::iter::once(&key as _))?;
            while reader.read(&mut buf)? > 0 {}
            black_box(&buf);
            Ok(())
        })?;
        let copy = sealed.clone();
        measured("read as a stream, here", || {
            let mut reader = decrypt_stream(Box::new(std::io::Cursor::new(copy)), "archive", &identities)?;
            while reader.read(&mut buf)? > 0 {}
            black_box(&buf);
            Ok(())
        })?;
    }
    let source = DecryptedSource::open(Arc::new(sealed), "archive", &identities)?;
    for piece in [4 * 1024, 64 * 1024, PIECE, 8 * PIECE] {
        buf.resize(piece, 0);
        measured(&format!("read by ranges of {} KiB", piece / 1024), || {
            for offset in (0..SIZE as u64).step_by(piece) {
                source.read_exact_at(&mut buf, offset)?;
            }
            black_box(&buf);
            Ok(())
        })?;
    }
    Ok(())
}

fn measured(
    what: &str,
    work: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    work()?;
    println!("{what}: {:.0} MB/s", SIZE as f64 / 1e6 / begun.elapsed().as_secs_f64());
    Ok(())
}
