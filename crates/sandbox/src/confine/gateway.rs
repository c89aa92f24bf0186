//! The one way out of a closed network: connections to a port on the session's own loopback are carried to the same port
//! on the machine's. The listening socket is made inside and passed out; who accepts on it stays outside.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::descriptors;

/// Connections carried at once; further ones are closed.
const CONNECTIONS: usize = 256;
/// How long the machine's port may take to accept.
const CONNECT: Duration = Duration::from_secs(10);

/// Listens on the session's own loopback and passes the socket out. Runs inside.
pub(super) fn offer(out: &UnixStream, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    descriptors::send(out.as_fd(), b"l", &[listener.as_fd()])?;
    Ok(())
}

/// Takes the listening socket and carries connections until the process is ended. Runs outside.
pub(super) fn carry(inside: &UnixStream, port: u16) -> io::Result<()> {
    let listener = receive(inside)?;
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let (near, _) = listener.accept()?;
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let count = Arc::clone(&open);
        std::thread::Builder::new().name("gateway".to_owned()).spawn(move || {
            // A connection that fails is closed, which is all that its two ends need to know.
            let _ = connect(&near, port);
            count.fetch_sub(1, Ordering::Relaxed);
        })?;
    }
}

fn connect(near: &TcpStream, port: u16) -> io::Result<()> {
    let far = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), CONNECT)?;
    for stream in [near, &far] {
        stream.set_nodelay(true)?;
    }
    let (mut near_in, mut far_out) = (near.try_clone()?, far.try_clone()?);
    let sending = std::thread::Builder::new().name("gateway-send".to_owned()).spawn(move || {
        let _ = io::copy(&mut near_in, &mut far_out);
        let _ = far_out.shutdown(Shutdown::Write);
    })?;
    let (mut far_in, mut near_out) = (far, near.try_clone()?);
    let _ = io::copy(&mut far_in, &mut near_out);
    let _ = near_out.shutdown(Shutdown::Both);
    let _ = far_in.shutdown(Shutdown::Both);
    let _ = sending.join();
    Ok(())
}

fn receive(inside: &UnixStream) -> io::Result<TcpListener> {
    let (_, received) = descriptors::receive(inside.as_fd(), &mut [0; 1])?;
    let listener = received.into_iter().next().ok_or_else(|| io::Error::other("no socket came from inside"))?;
    Ok(TcpListener::from(listener))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn what_is_said_at_the_near_port_arrives_at_the_far_one() {
        // The same number cannot be listened on twice in one namespace, so the two ends are put together by hand.
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = far.local_addr().unwrap().port();
        let near = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(near.local_addr().unwrap()).unwrap();
        let (accepted, _) = near.accept().unwrap();
        let carrying = std::thread::spawn(move || connect(&accepted, port));
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut server, _) = far.accept().unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        carrying.join().unwrap().unwrap();
    }
}
