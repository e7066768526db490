//! Clusters: joining one, and who hears of nodes that come and go.

use super::args::{Name, Seconds};
use super::errors::{fail, wrong_type};
use super::futures;
use super::handler;
use super::home::{Outcome, attached};
use super::mesh::Millis;
use super::runtime::PyRuntime;
use super::shared::Shared;
use super::waits;
use crate::error::ErrorKind;
use crate::runtime::mesh::ClusterOptions;
use crate::runtime::{Event, EventWatch, NODES};
use crate::sync::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::sync::{Arc, Weak};

/// Addresses: any iterable of str but a str.
pub(super) struct Seeds(Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Seeds {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let wrong = || wrong_type(&obj, "seeds must be a list of str");
        if obj.is_instance_of::<PyString>() || obj.is_instance_of::<PyBytes>() {
            return Err(wrong());
        }
        let each = obj.try_iter().map_err(|_| wrong())?;
        let seeds = each.map(|seed| {
            let seed = seed?;
            let text =
                seed.cast::<PyString>().map_err(|_| wrong_type(&seed, "a seed must be a str"));
            Ok(text?.to_cow()?.into_owned())
        });
        Ok(Self(seeds.collect::<PyResult<_>>()?))
    }
}

fn options(
    name: Option<Name>,
    gossip_ms: Option<Millis>,
    timeout: Option<Seconds>,
    advertise: Option<Name>,
) -> ClusterOptions {
    let usual = ClusterOptions::default();
    ClusterOptions {
        name: name.map_or(usual.name, |n| n.0),
        gossip: gossip_ms.map_or(usual.gossip, |t| t.0),
        timeout: timeout.map_or(usual.timeout, |t| t.0),
        advertise: advertise.map(|a| a.0),
    }
}

/// A hook, and what it is told from.
type Hook = Mutex<Option<(Arc<EventWatch>, Py<PyAny>)>>;

/// Who hears of nodes: that they are up, that they are down.
#[derive(Default)]
pub(super) struct NodeHooks([Hook; 2]);

impl NodeHooks {
    /// Lets go of the hooks.
    pub(super) fn clear(&self) {
        for hook in &self.0 {
            let old = hook.lock().take();
            drop(old);
        }
    }

    fn set(&self, shared: &Arc<Shared>, down: bool, hook: Option<Py<PyAny>>) {
        let new = hook.map(|hook| {
            let (me, courier) = (Arc::downgrade(shared), Arc::clone(&shared.courier));
            let bell = move || {
                let shared = Weak::clone(&me);
                courier.call(&me, move |py| {
                    if let Some(shared) = shared.upgrade() {
                        shared.node_hooks.tell(py, down);
                    }
                });
            };
            (Arc::new(shared.rt.watch_events(NODES, bell)), hook)
        });
        let old = std::mem::replace(&mut *self.0[usize::from(down)].lock(), new);
        drop(old);
    }

    fn tell(&self, py: Python<'_>, down: bool) {
        let held = &self.0[usize::from(down)];
        let watch = held.lock().as_ref().map(|(w, h)| (Arc::clone(w), h.clone_ref(py)));
        let Some((watch, hook)) = watch else { return };
        let (events, _) = watch.take(usize::MAX);
        for event in events {
            let Event::Node(node) = event else { continue };
            if node.down.is_some() != down {
                continue;
            }
            let told = (|| {
                let d = PyDict::new(py);
                d.set_item("id", &node.id)?;
                d.set_item("address", &node.address)?;
                if let Some(reason) = node.down {
                    d.set_item("reason", reason.as_str())?;
                }
                hook.call1(py, (d,))
            })();
            if let Err(e) = told {
                let logged = py
                    .import("iris._support")
                    .and_then(|m| m.call_method1("log_callback", (handler::value_of(py, &e),)));
                if let Err(e) = logged {
                    e.write_unraisable(py, None);
                }
            }
        }
    }
}

impl PyRuntime {
    fn hear_of_nodes(
        &self,
        py: Python<'_>,
        down: bool,
        hook: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let shared = self.open(py)?;
        if hook.is_some_and(|h| !h.is_callable()) {
            return Err(fail(py, ErrorKind::InvalidType, "a node hook must be callable or None"));
        }
        let hook = hook.map(|h| h.clone().unbind());
        attached(py, shared, || shared.node_hooks.set(shared, down, hook));
        Ok(())
    }
}

#[pymethods]
impl PyRuntime {
    /// Makes this node a member of a cluster; blocks.
    #[pyo3(signature = (seeds, *, name=None, gossip_ms=None, timeout=None, advertise=None))]
    fn join_cluster(
        &self,
        py: Python<'_>,
        seeds: Seeds,
        name: Option<Name>,
        gossip_ms: Option<Millis>,
        timeout: Option<Seconds>,
        advertise: Option<Name>,
    ) -> PyResult<()> {
        let rt = self.open(py)?.rt.clone();
        let _waits = waits::check(py, "join_cluster")?;
        let options = options(name, gossip_ms, timeout, advertise);
        self.wait_for(py, move |sink| rt.join_cluster_with(seeds.0, options, sink))
    }

    /// Makes this node a member of a cluster; answers an awaitable.
    #[pyo3(signature = (seeds, *, name=None, gossip_ms=None, timeout=None, advertise=None))]
    fn join_cluster_async<'py>(
        &self,
        py: Python<'py>,
        seeds: Seeds,
        name: Option<Name>,
        gossip_ms: Option<Millis>,
        timeout: Option<Seconds>,
        advertise: Option<Name>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = options(name, gossip_ms, timeout, advertise);
        futures::ask(py, self.open(py)?, "join_cluster_async", |rt, done| {
            rt.join_cluster_with(seeds.0, options, move |outcome| done(Outcome::Joined(outcome)));
        })
    }

    /// Sets who hears that there is a session with a node; None: nobody.
    #[pyo3(signature = (hook))]
    fn on_node_up(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.hear_of_nodes(py, false, hook)
    }

    /// Sets who hears that there is none any more; None: nobody.
    #[pyo3(signature = (hook))]
    fn on_node_down(&self, py: Python<'_>, hook: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.hear_of_nodes(py, true, hook)
    }
}
