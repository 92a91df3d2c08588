//! The port of a CouchDB that does not record it: up to 3.1, the file for it names only another interface.

use std::fs;
use std::path::Path;

/// The state of a listening socket in the system's table.
const LISTENS: &str = "0A";

/// The port on which a process listens; `None` as long as it does not listen.
pub(super) fn port(pid: u32) -> Option<u16> {
    let process = Path::new("/proc").join(pid.to_string());
    let table = fs::read_to_string(process.join("net/tcp")).ok()?;
    let sockets: Vec<String> = fs::read_dir(process.join("fd"))
        .ok()?
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    table
        .lines()
        .find_map(|line| listens(line).filter(|(inode, _)| sockets.iter().any(|s| s == inode)))
        .map(|(_, port)| port)
}

/// The inode and port of a listening socket in a line of the table.
fn listens(line: &str) -> Option<(&str, u16)> {
    let mut fields = line.split_whitespace();
    let address = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let (_, port) = address.rsplit_once(':')?;
    (state == LISTENS).then_some(())?;
    Some((inode, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn the_port_of_a_process_is_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let bound = listener.local_addr().unwrap().port();
        // Other tests of this process may listen, too.
        assert!(port(std::process::id()).is_some());
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        assert!(table.lines().filter_map(listens).any(|(_, port)| port == bound));
    }

    #[test]
    fn lines_of_the_table_are_read() {
        let line = "   0: 0100007F:1770 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listens(line), Some(("4711", 6000)));
        assert_eq!(listens(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listens("  sl  local_address rem_address   st tx_queue"), None);
    }
}
