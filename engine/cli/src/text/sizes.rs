//! Numbers for people.

/// A number of bytes, such as `1.5 KiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A number with its noun: `1 database`, `2 databases`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The first items of a list, and how many more there are: `a, b and 3 more`.
pub(crate) fn first_of(items: &[String], shown: usize) -> String {
    let first = items.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(shown) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(count(1, "file", "files"), "1 file");
    }

    #[test]
    fn the_first_of_many() {
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(first_of(&items, 3), "a, b, c");
        assert_eq!(first_of(&items, 2), "a, b and 1 more");
    }
}
