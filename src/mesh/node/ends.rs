//! Goodbyes, verdicts, and this node's own end.

use super::Node;
use crate::error::Result;
use crate::mesh::link;
use crate::mesh::session::Session;
use crate::mesh::transport::Address;
use crate::message::ExitReason;
use crate::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

impl Node {
    /// Says goodbye to the node at an address: its proxies end with `disconnected`, and so do ours there.
    pub(crate) fn disconnect(self: &Arc<Self>, address: &str) -> Result<bool> {
        let address = Address::parse(address)?.to_string();
        let Some(s) = self.peers.lock().at(&address) else { return Ok(false) };
        s.part();
        let me = Arc::clone(self);
        self.driver.run(async move {
            link::leave(&s).await;
            me.over(&s, ExitReason::Disconnected);
        })?;
        Ok(true)
    }

    /// A session is over: on the I/O thread.
    pub(in crate::mesh) fn over(&self, s: &Arc<Session>, reason: ExitReason) {
        {
            let mut peers = self.peers.lock();
            peers.remove(s);
            if s.ended().is_none() {
                peers.bury(s.peer);
                if reason == ExitReason::Disconnected {
                    // Whoever parts on purpose comes back as somebody else, too.
                    peers.outlive(s.mine);
                }
            }
        }
        s.end(reason);
    }

    /// The peer has declared this node's `incarnation` down: the session with it is over, and this node goes on as
    /// another. On the I/O thread.
    pub(in crate::mesh) fn declared_down(&self, s: Option<&Arc<Session>>, incarnation: u64) {
        let mut peers = self.peers.lock();
        peers.outlive(incarnation);
        if let Some(s) = s {
            peers.remove(s);
            drop(peers);
            s.end(ExitReason::NodeDown);
        }
    }

    /// Sends what proxies hold, as far as peers take it within `patience`, says goodbye to all and ends the I/O thread;
    /// then calls `done`.
    pub(crate) fn close(self: &Arc<Self>, patience: Duration, done: Box<dyn FnOnce() + Send>) {
        let stops: Vec<_> = self.listeners.lock().drain().map(|(_, l)| l.stop).collect();
        for stop in stops {
            let _ = stop.send(());
        }
        let first = !self.closed.swap(true, Ordering::AcqRel);
        let handle = self.driver.started().filter(|_| first).cloned();
        let Some(handle) = handle else { return done() };
        self.leave_cluster();
        let me = Arc::clone(self);
        handle.spawn(async move {
            let sessions = me.peers.lock().all();
            let all = async {
                for s in &sessions {
                    link::flush(s).await;
                    s.part();
                    link::leave(s).await;
                }
            };
            let _ = tokio::time::timeout(patience, all).await;
            for s in &sessions {
                me.over(s, ExitReason::Disconnected);
            }
            done();
            me.driver.stop();
        });
    }

    /// Ends everything at once.
    pub(crate) fn abort(&self) {
        self.closed.store(true, Ordering::Release);
        self.listeners.lock().clear();
        let sessions = self.peers.lock().all();
        // Nobody hears of what ends from now on.
        sessions.iter().for_each(|s| s.silence());
        self.driver.stop();
        // The cycles of sessions and node end here.
        for s in sessions {
            self.peers.lock().remove(&s);
        }
        self.routes.clear();
    }
}
