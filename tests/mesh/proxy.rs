//! A TCP proxy that tests own: it cuts, freezes and delays.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct State {
    open: Mutex<Vec<(TcpStream, TcpStream)>>,
    refuse: AtomicBool,
    /// Bytes go nowhere: to the server, to the client.
    hold: [AtomicBool; 2],
    accepted: AtomicUsize,
    /// Each read waits so long, in milliseconds.
    delay: AtomicUsize,
}

/// See the module.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy in front of a server.
    pub(crate) fn new(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let (mine, to) = (Arc::clone(&state), to.to_owned());
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if mine.refuse.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&to) else { continue };
                let _ = client.set_nodelay(true);
                let _ = server.set_nodelay(true);
                for (from, into, way) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), 0),
                    (server.try_clone().unwrap(), client.try_clone().unwrap(), 1),
                ] {
                    let state = Arc::clone(&mine);
                    thread::spawn(move || pump(from, into, &state, way));
                }
                mine.open.lock().unwrap().push((client, server));
                mine.accepted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, state }
    }

    /// Cuts every connection, wherever in a frame it is.
    pub(crate) fn cut(&self) {
        for (a, b) in self.state.open.lock().unwrap().drain(..) {
            let _ = a.shutdown(Shutdown::Both);
            let _ = b.shutdown(Shutdown::Both);
        }
    }

    /// Whether new connections are dropped.
    pub(crate) fn refuse(&self, yes: bool) {
        self.state.refuse.store(yes, Ordering::SeqCst);
    }

    /// Whether bytes are held back: those to the server, those to the client.
    pub(crate) fn hold(&self, to_server: bool, to_client: bool) {
        self.state.hold[0].store(to_server, Ordering::SeqCst);
        self.state.hold[1].store(to_client, Ordering::SeqCst);
    }

    /// How long each read waits before it goes on.
    pub(crate) fn delay(&self, ms: usize) {
        self.state.delay.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

fn pump(mut from: TcpStream, mut into: TcpStream, state: &State, way: usize) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        let delay = state.delay.load(Ordering::SeqCst);
        if delay != 0 {
            thread::park_timeout(Duration::from_millis(delay as u64));
        }
        while n != 0 && state.hold[way].load(Ordering::SeqCst) {
            thread::park_timeout(Duration::from_millis(2));
        }
        if n == 0 || into.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = into.shutdown(Shutdown::Both);
}
