//! For which machines a binary is.

use std::path::Path;

use outcome::{Code, Failure, Result};

/// For which machines a binary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As the names of files have it.
    pub(crate) name: String,
    /// As Debian calls it.
    pub(crate) debian: &'static str,
    /// Whether it needs the C library of the system.
    pub(crate) is_dynamic: bool,
}

/// ELF's numbers of machines, with their names in Rust and in Debian. Source: elf.h (EM_X86_64, EM_AARCH64).
const MACHINES: [(u16, &str, &str); 2] = [(62, "x86_64", "amd64"), (183, "aarch64", "arm64")];

/// The type of a program header that names a dynamic linker. Source: elf.h (PT_INTERP).
const PT_INTERP: u32 = 3;

impl Target {
    /// Of a target of Rust.
    pub(crate) fn of_triple(triple: &str) -> Result<Self> {
        let machine = MACHINES.iter().find(|(_, name, _)| triple.split('-').next() == Some(name));
        let Some((_, name, debian)) = machine else { return Err(unknown(triple)) };
        Ok(Self { name: format!("{name}-linux"), debian, is_dynamic: !triple.ends_with("-musl") })
    }

    /// Of a binary, from its ELF header.
    pub(crate) fn of_binary(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Failure::io("read", path, e))?;
        Self::of_elf(&bytes).ok_or_else(|| unknown(&path.display().to_string()))
    }

    /// Only of 64 bits, little endian.
    fn of_elf(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let number = u16::from_le_bytes(bytes.get(18..20)?.try_into().ok()?);
        let (_, name, debian) = MACHINES.iter().find(|(of, _, _)| *of == number)?;
        let headers = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
        let size = usize::from(u16::from_le_bytes(bytes.get(54..56)?.try_into().ok()?));
        let count = usize::from(u16::from_le_bytes(bytes.get(56..58)?.try_into().ok()?));
        let kind = |i: usize| {
            let at = headers.checked_add(i.checked_mul(size)?)?;
            Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
        };
        let is_dynamic = (0..count).any(|i| kind(i) == Some(PT_INTERP));
        Some(Self { name: format!("{name}-linux"), debian, is_dynamic })
    }
}

fn unknown(what: &str) -> Failure {
    Failure::refused(
        Code::new("CC-X99"),
        format!("{what} is not for a machine that is released for"),
        "Binaries for x86-64 and aarch64 with Linux can be packaged.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_says_for_what_it_is() {
        let own = std::env::current_exe().unwrap();
        let target = Target::of_binary(&own).unwrap();
        assert_eq!(target.name, format!("{}-linux", std::env::consts::ARCH));
        assert!(target.is_dynamic);
        assert_eq!(Target::of_elf(b"#!/bin/sh\n"), None);
        let bytes = std::fs::read(own).unwrap();
        for length in [0, 6, 19, 40, 57] {
            assert_eq!(Target::of_elf(&bytes[..length]), None);
        }
        assert!(!Target::of_triple("aarch64-unknown-linux-musl").unwrap().is_dynamic);
        assert!(Target::of_triple("riscv64gc-unknown-linux-gnu").is_err());
    }
}
