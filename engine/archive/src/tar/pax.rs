//! PAX attribute records: `LENGTH KEY=VALUE\n`.

/// What PAX attributes say of the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    /// Seconds since 1970, fractions cut off.
    pub(crate) mtime: Option<u64>,
    /// The attributes make the entry a sparse file.
    pub(crate) sparse: bool,
}

/// Reads the records of one PAX header; says what is wrong with them.
pub(crate) fn parse(mut records: &[u8]) -> Result<Attributes, &'static str> {
    const WRONG: &str = "its PAX header is damaged";
    let mut attributes = Attributes::default();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').ok_or(WRONG)?;
        let (digits, _) = records.split_at(space);
        let length: usize = number(digits).ok_or(WRONG)?.try_into().map_err(|_| WRONG)?;
        let record = records.get(space + 1..length).ok_or(WRONG)?;
        let record = record.strip_suffix(b"\n").ok_or(WRONG)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => attributes.path = Some(value.to_vec()),
            b"size" => attributes.size = Some(number(value).ok_or("its PAX size is not a number")?),
            b"mtime" => {
                let seconds = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                attributes.mtime = Some(number(seconds).unwrap_or(0));
            }
            _ if key.starts_with(b"GNU.sparse.") || key.starts_with(b"SCHILY.realsize") => {
                attributes.sparse = true;
            }
            _ => {}
        }
        records = records.get(length..).ok_or(WRONG)?;
    }
    Ok(attributes)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_read() {
        let attributes = parse(b"10 path=a\n10 size=7\n20 mtime=12.5000000\n11 other=x\n").unwrap();
        let expected =
            Attributes { path: Some(b"a".to_vec()), size: Some(7), mtime: Some(12), sparse: false };
        assert_eq!(attributes, expected);
        assert!(parse(b"22 GNU.sparse.major=1\n").unwrap().sparse);
    }

    #[test]
    fn damage_is_told() {
        for records in
            [&b"10 path=a"[..], b"0 path=a\n", b"x path=a\n", b"99 path=a\n", b"7 path\n", b"10 size=x\n"]
        {
            assert!(parse(records).is_err(), "{}", String::from_utf8_lossy(records));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(records: Vec<u8>) {
            let _ = parse(&records);
        }

        #[test]
        fn any_records_are_read_without_panic(records in "([0-9]{1,3} [a-z]{1,5}=?.{0,5}\n?){0,4}") {
            let _ = parse(records.as_bytes());
        }
    }
}
