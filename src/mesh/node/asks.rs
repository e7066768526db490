//! Questions to other nodes.

use super::Node;
use crate::error::{Error, ErrorKind};
use crate::id::Pid;
use crate::mesh::host::{Seen, Sink};
use crate::mesh::session::{Ask, Event, Session};
use crate::mesh::transport::Address;
use crate::sync::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl Node {
    /// Asks the node at an address for a name; the proxy goes to `sink`. `timeout` bounds all of it.
    pub(crate) fn resolve(
        self: &Arc<Self>,
        address: &str,
        name: &str,
        timeout: Duration,
        sink: Sink<Option<Pid>>,
    ) {
        if let Err(e) = crate::registry::names::Names::check(name) {
            return sink(Err(e));
        }
        let what = format!("{address} did not answer whether it knows {name:?}");
        let sink = self.with_deadline(what, timeout, sink);
        let name = name.to_owned();
        self.session_at(
            address,
            Box::new(move |session| match session {
                Err(e) => sink(Err(e)),
                Ok(s) if !s.grants().resolve => sink(Err(Error::new(
                    ErrorKind::NotPermitted,
                    format!("node {} lets nobody ask for names", s.peer),
                ))),
                Ok(s) => s.question_of(Ask::Resolve(name, sink)),
            }),
        );
    }

    /// Asks whether a node answers at an address.
    pub(crate) fn probe(self: &Arc<Self>, address: &str, timeout: Duration, sink: Sink<bool>) {
        if let Err(e) = Address::parse(address) {
            return sink(Err(e));
        }
        let answer: Sink<()> = Box::new(move |outcome| match outcome {
            Ok(()) => sink(Ok(true)),
            Err(e) if e.kind() == ErrorKind::RuntimeClosed => sink(Err(e)),
            Err(_) => sink(Ok(false)),
        });
        let answer = self.with_deadline("no answer".into(), timeout, answer);
        self.session_at(
            address,
            Box::new(move |session| match session {
                Err(e) => answer(Err(e)),
                Ok(s) => s.question_of(Ask::Ping(answer)),
            }),
        );
    }

    /// Asks a remote actor's node about it.
    pub(crate) fn look(self: &Arc<Self>, pid: Pid, timeout: Duration, sink: Sink<Option<Seen>>) {
        let route = self.routes.get(&pid).map(|r| Arc::clone(&r));
        let session = route.as_ref().and_then(|r| r.session());
        match (route, session) {
            (Some(r), Some(s)) => {
                let what = format!("node {} did not answer about pid {pid}", s.peer);
                s.question_of(Ask::Info(r.remote, self.with_deadline(what, timeout, sink)));
            }
            _ => sink(Ok(None)),
        }
    }

    /// Makes sure that `sink` is called once, at the deadline at the latest.
    fn with_deadline<T: Send + 'static>(
        self: &Arc<Self>,
        what: String,
        timeout: Duration,
        sink: Sink<T>,
    ) -> Sink<T> {
        let shared = Arc::new(Mutex::new(Some(sink)));
        let (done, waits) = oneshot::channel::<()>();
        let late = Arc::clone(&shared);
        let started = self.driver.run(async move {
            if tokio::time::timeout(timeout, waits).await.is_err() {
                let sink = late.lock().take();
                if let Some(sink) = sink {
                    sink(Err(Error::new(ErrorKind::Timeout, what)));
                }
            }
        });
        if let Err(e) = started {
            let sink = shared.lock().take();
            if let Some(sink) = sink {
                sink(Err(e));
            }
        }
        Box::new(move |outcome| {
            let sink = shared.lock().take();
            if let Some(sink) = sink {
                let _ = done.send(());
                sink(outcome);
            }
        })
    }
}

impl Session {
    pub(super) fn question_of(&self, ask: Ask) {
        match self.ended() {
            Some(reason) => ask.fail(self.gone(reason)),
            None => self.post(Event::Ask(ask)),
        }
    }
}
