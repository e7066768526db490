//! Listeners, and sessions by address.

use super::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::mesh::host::Sink;
use crate::mesh::link;
use crate::mesh::options::{ListenOptions, MeshOptions};
use crate::mesh::session::Session;
use crate::mesh::transport::{Address, driver, io_error};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct Listening {
    pub(super) stop: oneshot::Sender<()>,
    /// What it was asked to be, where that differs from what it is (port 0).
    asked: String,
}

pub(in crate::mesh) type Dialled = Box<dyn FnOnce(Result<Arc<Session>>) + Send>;

impl Node {
    /// Addresses that this node listens at.
    pub(crate) fn listening(&self) -> Vec<String> {
        let mut all: Vec<String> = self.listeners.lock().keys().cloned().collect();
        all.sort();
        all
    }

    /// Listens; the bound address goes to `sink`, on the I/O thread.
    pub(crate) fn listen(self: &Arc<Self>, address: &str, o: ListenOptions, sink: Sink<String>) {
        let begin = || {
            self.check_open()?;
            let address = Address::parse(address)?;
            let mut options = self.options.lock();
            let secret = o.secret.clone().or_else(|| options.secret.clone());
            let tls = o.tls.clone().or_else(|| options.tls.clone());
            if secret.is_none() && tls.is_none() && !o.insecure && !address.is_local() {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "{address} can be reached from other machines and no secret is set: give a secret or \
                         certificates (tls), or say insecure if the network itself is trusted"
                    ),
                ));
            }
            if options.secret.is_none() && secret.is_some()
                || options.tls.is_none() && tls.is_some()
            {
                let mut changed = MeshOptions::clone(&options);
                changed.secret = changed.secret.or_else(|| secret.clone());
                changed.tls = changed.tls.or_else(|| tls.clone());
                *options = Arc::new(changed);
            }
            let allowed = o.permissions.unwrap_or(options.permissions);
            drop(options);
            Ok((address, link::Keys { secret, tls }, allowed))
        };
        let (address, keys, allowed) = match begin() {
            Ok(all) => all,
            Err(e) => return sink(Err(e)),
        };
        let me = Arc::clone(self);
        self.run_or(sink, move |sink| async move {
            let (listener, bound) = match address.listen().await {
                Ok(both) => both,
                Err(e) => return sink(Err(io_error("cannot listen on", &address, &e))),
            };
            let text = bound.to_string();
            let (stop, stopped) = oneshot::channel();
            me.listeners
                .lock()
                .insert(text.clone(), Listening { stop, asked: address.to_string() });
            driver::task(link::accept(me, listener, keys, allowed, stopped));
            sink(Ok(text));
        });
    }

    /// Stops listening at an address; connections that are open stay. Answers whether it listened there.
    pub(crate) fn unlisten(&self, address: &str) -> bool {
        let mut listeners = self.listeners.lock();
        let key = if listeners.contains_key(address) {
            Some(address.to_owned())
        } else {
            listeners.iter().find(|(_, l)| l.asked == address).map(|(k, _)| k.clone())
        };
        match key.and_then(|k| listeners.remove(&k)) {
            Some(l) => {
                let _ = l.stop.send(());
                true
            }
            None => false,
        }
    }

    /// Runs a task that ends by calling `sink`, on the I/O thread.
    pub(in crate::mesh) fn run_or<T, F>(
        self: &Arc<Self>,
        sink: Sink<T>,
        task: impl FnOnce(Sink<T>) -> F,
    ) where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        match self.driver.handle() {
            Ok(handle) => {
                handle.spawn(task(sink));
            }
            Err(e) => sink(Err(e)),
        }
    }

    /// Gives the session with the node at an address to `sink`; connects if there is none.
    pub(in crate::mesh) fn session_at(self: &Arc<Self>, address: &str, sink: Dialled) {
        let parsed = match self.check_open().and_then(|()| Address::parse(address)) {
            Ok(parsed) => parsed,
            Err(e) => return sink(Err(e)),
        };
        let address = parsed.to_string();
        // The lock ends here: the sink may want it.
        let known = self.peers.lock().at(&address);
        if let Some(s) = known {
            return sink(Ok(s));
        }
        {
            let mut dials = self.dials.lock();
            let waiting = dials.entry(address.clone()).or_default();
            waiting.push(sink);
            if waiting.len() > 1 {
                return;
            }
        }
        let me = Arc::clone(self);
        let key = address.clone();
        let started = self.driver.run(async move {
            let outcome = link::dial(&me, &parsed).await;
            me.dialled(&key, &outcome);
        });
        if let Err(e) = started {
            self.dialled(&address, &Err(e));
        }
    }

    fn dialled(&self, address: &str, outcome: &Result<Arc<Session>>) {
        if let Ok(s) = outcome {
            self.peers.lock().add_address(address.to_owned(), s);
        }
        let waiting = self.dials.lock().remove(address).unwrap_or_default();
        for sink in waiting {
            sink(outcome.clone());
        }
    }
}
