//! Which processes of this machine hold the other end of a TCP connection. The kernel tells no pid for TCP as it does for
//! Unix sockets, so its tables are looked through, once for a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Both ends of a connection that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The caller's.
    pub peer: SocketAddr,
    /// Ours.
    pub own: SocketAddr,
}

/// Who holds the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Processes of this machine.
    Processes(Vec<i32>),
    /// One of these processes of this machine, into which this one may not look.
    Closed(Vec<i32>),
    /// Another user of this machine, such as that of a proxy.
    OtherUser(u32),
    /// Another machine.
    Elsewhere,
    /// Somebody on this machine who has closed it or is gone.
    Gone,
}

/// Looks for the processes at the other end. Blocks.
#[must_use]
pub fn owner(ends: Ends) -> Owner {
    let found = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find_map(|table| entry(&table, ends));
    match found {
        None if plain(ends.peer).ip().is_loopback() || plain(ends.peer).ip() == plain(ends.own).ip() => Owner::Gone,
        None => Owner::Elsewhere,
        Some(entry) => {
            let (holders, closed) = holders(entry.inode);
            if !holders.is_empty() {
                Owner::Processes(holders)
            } else if entry.uid != nix::unistd::geteuid().as_raw() {
                Owner::OtherUser(entry.uid)
            } else if entry.inode == 0 || closed.is_empty() {
                Owner::Gone
            } else {
                Owner::Closed(closed)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    uid: u32,
    inode: u64,
}

/// The line of the caller's end in a table of the kernel; see proc_net_tcp in the kernel's documentation.
fn entry(table: &str, ends: Ends) -> Option<Entry> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
        if plain(local) != plain(ends.peer) || plain(remote) != plain(ends.own) {
            return None;
        }
        // State, queues, timer and retransmits stand between the addresses and the user.
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some(Entry { uid, inode })
    })
}

/// An address as the kernel writes it: words of four bytes in the machine's own order, in base 16, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The address with an IPv4 address in IPv6's clothes taken out of them.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Every process that has this socket open, and those into which this one may not look.
fn holders(inode: u64) -> (Vec<i32>, Vec<i32>) {
    let wanted = format!("socket:[{inode}]");
    let (mut found, mut closed) = (Vec::new(), Vec::new());
    let Ok(processes) = std::fs::read_dir("/proc") else { return (found, closed) };
    for pid in processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
        match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(descriptors) => {
                let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok());
                if targets.any(|target| target.as_os_str() == wanted.as_str()) {
                    found.push(pid);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => closed.push(pid),
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    (found, closed)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_process_at_the_other_end_is_found_until_it_closes() {
        for own in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(own) else { continue };
            let port = listener.local_addr().unwrap().port();
            let to = if own.starts_with("127") || own == "[::]:0" { "127.0.0.1" } else { "::1" };
            let client = TcpStream::connect((to, port)).unwrap();
            let (served, peer) = listener.accept().unwrap();
            let ends = Ends { peer, own: served.local_addr().unwrap() };
            let own_pid = i32::try_from(std::process::id()).unwrap();
            assert_eq!(owner(ends), Owner::Processes(vec![own_pid]), "{own}");
            drop(client);
            assert_eq!(owner(ends), Owner::Gone, "{own}");
        }
        let far = Ends { peer: "192.0.2.1:5".parse().unwrap(), own: "192.0.2.2:80".parse().unwrap() };
        assert_eq!(owner(far), Owner::Elsewhere);
    }

    #[test]
    fn the_kernels_addresses_are_read() {
        assert_eq!(address("0100007F:1F90"), Some("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(address("0000000000000000FFFF00000100007F:0050").map(plain), Some("127.0.0.1:80".parse().unwrap()));
        for bad in ["", "0100007F", "01:zz", "0100007F:1F90F", "xx00007F:0050"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
