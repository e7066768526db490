//! Sockets: TCP over IPv4 and IPv6, and Unix sockets. Nothing above this folder knows which.

pub mod driver;
pub(super) mod gossip;
mod intake;
mod lowat;
#[cfg(test)]
pub(super) mod sim;
mod tls;

pub use intake::{By, Intake};
pub use tls::{Refused, TlsStream};

use crate::error::{Error, ErrorKind, Result};
use rustls::Connection;
use socket2::SockRef;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, lookup_host};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// Longest address, in bytes.
const MAX_ADDRESS: usize = 255;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `host:port`, with the host in brackets if it is an IPv6 address.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `sim:name`: in the network of a test.
    #[cfg(test)]
    Sim(String),
}

impl Address {
    /// From its text: `127.0.0.1:9000`, `[::1]:9000`, `host.example:9000`, `unix:/run/app.sock`.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("address {text:?}: {why}; write host:port, [ipv6]:port or unix:/path"),
            ))
        };
        if text.len() > MAX_ADDRESS {
            return wrong("it is longer than 255 bytes");
        }
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() || path.contains('\0') {
                return wrong("the path is missing");
            }
            return Ok(Self::Unix(path.into()));
        }
        #[cfg(test)]
        if let Some(name) = text.strip_prefix("sim:") {
            return Ok(Self::Sim(name.into()));
        }
        let Some((host, port)) = text.rsplit_once(':') else { return wrong("the port is missing") };
        if port.parse::<u16>().is_err() {
            return wrong("the port must be 0 to 65535");
        }
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let fine = match bare {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '[', ']', '/', ' ', '\0']),
        };
        if !fine {
            return wrong("the host is missing or not a host");
        }
        Ok(Self::Tcp(text.to_owned()))
    }

    /// Whether only this machine can reach it. A name other than `localhost` is taken for the world.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            #[cfg(test)]
            Self::Sim(_) => true,
            Self::Tcp(_) => {
                let host = self.host();
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    /// The host, for a certificate to name.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            #[cfg(test)]
            Self::Sim(_) => "localhost",
            Self::Tcp(text) => {
                let host = text.rsplit_once(':').map_or("", |(host, _)| host);
                host.trim_start_matches('[').trim_end_matches(']')
            }
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The system's.
    pub async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(text) => {
                let stream = TcpStream::connect(text).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Plain(Socket::Tcp(stream)))
            }
            #[cfg(unix)]
            Self::Unix(path) => Ok(Stream::Plain(Socket::Unix(UnixStream::connect(path).await?))),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
            #[cfg(test)]
            Self::Sim(name) => Ok(Stream::Plain(Socket::Sim(sim::Pipe::connect(name).await?))),
        }
    }

    /// Listens; answers the address with the port that was given.
    ///
    /// # Errors
    /// The system's.
    pub async fn listen(&self) -> io::Result<(Listener, Self)> {
        match self {
            Self::Tcp(text) => {
                // A name may mean several addresses: the first that can be had.
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for at in lookup_host(text.as_str()).await? {
                    match TcpListener::bind(at).await {
                        Ok(listener) => {
                            let bound = tcp_text(listener.local_addr()?);
                            return Ok((Listener::Tcp(listener), Self::Tcp(bound)));
                        }
                        Err(e) => last = e,
                    }
                }
                Err(last)
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let listener = match UnixListener::bind(path) {
                    // What a dead process left behind is in nobody's use.
                    Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                        match UnixStream::connect(path).await {
                            Err(dead) if dead.kind() == io::ErrorKind::ConnectionRefused => {
                                std::fs::remove_file(path)?;
                                UnixListener::bind(path)?
                            }
                            _ => return Err(e),
                        }
                    }
                    other => other?,
                };
                Ok((Listener::Unix(listener, path.clone()), self.clone()))
            }
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
            #[cfg(test)]
            Self::Sim(name) => Ok((Listener::Sim(sim::Door::open(name)?), self.clone())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(test)]
            Self::Sim(name) => write!(f, "sim:{name}"),
        }
    }
}

fn tcp_text(at: SocketAddr) -> String {
    at.to_string()
}

/// What accepts connections.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; its file goes with it.
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
    /// In the network of a test.
    #[cfg(test)]
    Sim(std::sync::Arc<sim::Door>),
}

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// The system's; the listener can be asked again.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(l) => {
                let (stream, _) = l.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Plain(Socket::Tcp(stream)))
            }
            #[cfg(unix)]
            Self::Unix(l, _) => Ok(Stream::Plain(Socket::Unix(l.accept().await?.0))),
            #[cfg(test)]
            Self::Sim(door) => Ok(Stream::Plain(Socket::Sim(door.accept().await))),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket of either kind.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// In the network of a test.
    #[cfg(test)]
    Sim(sim::Pipe),
}

impl Socket {
    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.readable().await,
            #[cfg(unix)]
            Self::Unix(s) => s.readable().await,
            #[cfg(test)]
            Self::Sim(s) => s.readable().await,
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.writable().await,
            #[cfg(unix)]
            Self::Unix(s) => s.writable().await,
            #[cfg(test)]
            Self::Sim(s) => s.writable().await,
        }
    }

    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.try_read(into),
            #[cfg(unix)]
            Self::Unix(s) => s.try_read(into),
            #[cfg(test)]
            Self::Sim(s) => s.try_read(into),
        }
    }

    fn try_write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.try_write_vectored(from),
            #[cfg(unix)]
            Self::Unix(s) => s.try_write_vectored(from),
            #[cfg(test)]
            Self::Sim(s) => s.try_write(from),
        }
    }

    /// As the system knows it; `None`: it does not.
    fn raw(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Tcp(s) => Some(SockRef::from(s)),
            #[cfg(unix)]
            Self::Unix(s) => Some(SockRef::from(s)),
            #[cfg(test)]
            Self::Sim(_) => None,
        }
    }

    /// Reads past the driver, which does not know then that it may have to be asked again.
    fn try_read_here(&self, into: &mut [u8]) -> io::Result<usize> {
        let socket = self.raw().ok_or(io::ErrorKind::WouldBlock)?;
        (&*socket).read(into)
    }

    fn has_read_all(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = match self {
            Self::Tcp(s) => s.try_io(Interest::READABLE, nothing),
            #[cfg(unix)]
            Self::Unix(s) => s.try_io(Interest::READABLE, nothing),
            #[cfg(test)]
            Self::Sim(_) => Ok(()),
        };
    }
}

/// A connection.
pub enum Stream {
    /// Bytes as they are.
    Plain(Socket),
    /// Within TLS.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// The same connection, within TLS from its first byte on.
    #[must_use]
    pub fn within(self, tls: Connection) -> Self {
        match self {
            Self::Plain(socket) => Self::Tls(Box::new(TlsStream::new(socket, tls))),
            already @ Self::Tls(_) => already,
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// Whether certificates are being shown.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.is_opening())
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    /// The system's.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket().readable().await
    }

    /// Waits until there may be room to write.
    ///
    /// # Errors
    /// The system's.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().writable().await
    }

    /// Reads what is there. Only after `WouldBlock` will [`readable`](Self::readable) tell of more.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is; [`Refused`]; the system's.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(into),
            Self::Tls(tls) => tls.try_read(into),
        }
    }

    /// As [`try_read`](Self::try_read), on any thread: the I/O thread hears of everything that comes all the same.
    ///
    /// # Errors
    /// As there; `WouldBlock` within TLS, too.
    pub fn try_read_here(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read_here(into),
            Self::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether any thread can [read](Self::try_read_here) it.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        matches!(self, Self::Plain(socket) if socket.raw().is_some())
    }

    /// From now on the I/O thread is woken by so many bytes, and at once if they are there.
    pub fn wake_at(&self, bytes: i32) {
        if let Some(socket) = self.socket().raw() {
            lowat::set(&socket, bytes);
        }
    }

    /// Says that everything which was there has been read, so that [`readable`](Self::readable) waits for more: spares
    /// the read that would find nothing.
    pub fn has_read_all(&self) {
        if let Self::Plain(socket) = self {
            socket.has_read_all();
        }
    }

    /// Writes what there is room for. What TLS has taken may wait there until it is [flushed](Self::flush).
    ///
    /// # Errors
    /// `WouldBlock` if there is none; the system's.
    pub fn try_write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(from),
            Self::Tls(tls) => tls.try_write(from),
        }
    }

    /// Whether the socket has all that was written; it is tried.
    ///
    /// # Errors
    /// The system's.
    pub fn flush(&self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// The typed error of a socket call; a system without file descriptors is `AtCapacity`.
#[must_use]
pub fn io_error(what: &str, address: &dyn fmt::Display, e: &io::Error) -> Error {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    let kind = match e.raw_os_error() {
        Some(EMFILE | ENFILE) => ErrorKind::AtCapacity,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("{what} {address}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_or_refused() {
        for good in
            ["127.0.0.1:0", "localhost:9000", "[::1]:80", "node-1.example:65535", "unix:/tmp/x"]
        {
            assert_eq!(Address::parse(good).map(|a| a.to_string()).ok().as_deref(), Some(good));
        }
        let long = format!("{}:1", "x".repeat(300));
        for bad in [
            "",
            ":1",
            "host",
            "host:",
            "host:70000",
            "host:-1",
            "::1:80",
            "[x]:1",
            "unix:",
            "a b:1",
            &long,
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        for (text, local) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("[::1]:1", true),
            ("localhost:1", true),
            ("unix:/x", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
            ("example.org:1", false),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.is_local()).ok(), Some(local), "{text}");
        }
    }
}
