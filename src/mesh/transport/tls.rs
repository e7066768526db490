//! TLS over a socket: bytes go through a state machine of rustls on their way.

use super::Socket;
use crate::sync::Mutex;
use rustls::Connection;
use std::io::{self, IoSlice, Read, Write};

/// See the module.
pub struct TlsStream {
    pub(super) socket: Socket,
    state: Mutex<Connection>,
}

/// The socket, as rustls takes it.
struct Io<'a>(&'a Socket);

impl Read for Io<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Io<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsStream {
    pub(super) fn new(socket: Socket, state: Connection) -> Self {
        Self { socket, state: Mutex::new(state) }
    }

    /// Whether both have not shown their certificates yet.
    pub(super) fn is_opening(&self) -> bool {
        self.state.lock().is_handshaking()
    }

    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        loop {
            match state.reader().read(into) {
                Ok(n) => return Ok(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The other end left without a word, as a cut connection does.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(e) => return Err(e),
            }
            match state.read_tls(&mut Io(&self.socket)) {
                Ok(0) => return Ok(0),
                Ok(_) => {}
                Err(e) => {
                    if e.kind() == io::ErrorKind::WouldBlock {
                        flush(&mut state, &self.socket)?;
                    }
                    return Err(e);
                }
            }
            if let Err(e) = state.process_new_packets() {
                // The other shall know why.
                let _ = state.write_tls(&mut Io(&self.socket));
                return Err(io::Error::new(io::ErrorKind::InvalidData, Refused(e)));
            }
        }
    }

    pub(super) fn try_write(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if !flush(&mut state, &self.socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = state.writer().write_vectored(from)?;
        flush(&mut state, &self.socket)?;
        if n == 0 && from.iter().any(|part| !part.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }

    /// Whether the socket has all that was written.
    pub(super) fn flush(&self) -> io::Result<bool> {
        flush(&mut self.state.lock(), &self.socket)
    }
}

fn flush(state: &mut Connection, socket: &Socket) -> io::Result<bool> {
    while state.wants_write() {
        match state.write_tls(&mut Io(socket)) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// Why TLS ended a connection: a certificate, most likely.
#[derive(Debug)]
pub struct Refused(rustls::Error);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TLS: {}", self.0)
    }
}

impl std::error::Error for Refused {}
