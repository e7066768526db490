//! How many bytes must be there before the system wakes who waits for a socket.

#![allow(unsafe_code, reason = "no crate that we have wraps this socket option")]

use socket2::SockRef;

/// Less than that many bytes wake nobody from now on; what is there is told again when less is enough. Where the system cannot
/// do it, everything wakes.
#[cfg(target_os = "linux")]
pub(super) fn set(socket: &SockRef<'_>, bytes: i32) {
    use std::os::fd::AsRawFd;
    let value = std::ptr::from_ref(&bytes).cast();
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as the socket is borrowed; the option reads `size` bytes at `value`, which is
    // an `i32` that outlives the call. A failure changes nothing.
    unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, value, size);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set(_: &SockRef<'_>, _: i32) {}
