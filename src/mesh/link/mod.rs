//! Connections: how they open, carry a session and end. Tasks of the I/O thread.

mod carry;
mod conn;
mod greet;
mod refusal;

pub(super) use greet::dial;

use super::node::Node;
use super::secure::Secret;
use super::session::Session;
use super::tls::Tls;
use super::transport::{Listener, Stream, driver};
use super::wire::greeting::Permissions;
use crate::sync::atomic::Ordering;
use carry::carry;
use conn::Conn;
use greet::welcome;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// What a listener wants of who connects.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) secret: Option<Secret>,
    pub(super) tls: Option<Tls>,
}

/// Accepts connections until it is told to stop.
pub(super) async fn accept(
    node: Arc<Node>,
    listener: Listener,
    keys: Keys,
    allowed: Permissions,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let Ok(stream) = accepted else {
            // Out of descriptors, most likely: the connection waits in the backlog.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let number = node.numbers.fetch_add(1, Ordering::Relaxed);
        let task = serve(Arc::clone(&node), stream, keys.clone(), allowed, number);
        let task = driver::task(task);
        let most = node.options().max_handshakes;
        let mut handshakes = node.handshakes.lock();
        handshakes.push_back((number, task));
        // Who takes its time is the first to go: an honest peer is done in milliseconds.
        if handshakes.len() > most
            && let Some((_, oldest)) = handshakes.pop_front()
        {
            oldest.abort();
            node.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One accepted connection.
async fn serve(node: Arc<Node>, stream: Stream, keys: Keys, allowed: Permissions, number: u64) {
    let stream = match keys.tls.as_ref().map(Tls::server) {
        None => stream,
        Some(Ok(tls)) => stream.within(tls),
        Some(Err(_)) => return,
    };
    let secret = keys.secret;
    let mut conn = Conn::new(stream);
    let deadline = node.options().handshake_timeout;
    let greeted = timeout(deadline, welcome(&node, &mut conn, secret, allowed)).await;
    node.handshakes.lock().retain(|(n, _)| *n != number);
    if let Ok(Some((session, theirs))) = greeted {
        carry(node, conn, session, &theirs, allowed, None).await;
    } else {
        node.counts.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until the peer has all that this node wanted to send it, as long as a connection carries the session.
pub(super) async fn flush(session: &Arc<Session>) {
    while session.ended().is_none() && session.carried().is_some() {
        if session.kept() == 0 && !session.has_ready() {
            return;
        }
        session.wake.notify_one();
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until what was said last is on its way.
pub(super) async fn leave(session: &Arc<Session>) {
    flush(session).await;
}
