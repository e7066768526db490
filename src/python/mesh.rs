//! Other nodes: listening, connecting, names and pids over there.

use super::args::{Count, Flag, Name, PidArg, Seconds};
use super::buffer::payload;
use super::errors::{OrRaise, fail, wrong_type};
use super::futures;
use super::home::{Outcome, attached};
use super::runtime::PyRuntime;
use super::waits::{self, Answer};
use crate::error::{ErrorKind, Result as CoreResult};
use crate::id::Pid;
use crate::runtime::mesh::{ListenOptions, MeshOptions, Permissions, Secret, Seen, Tls, TlsFiles};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyString};
use std::time::Duration;

const QUESTION: Duration = Duration::from_secs(5);
const PROBE: Duration = Duration::from_secs(2);

/// A secret: str or bytes.
struct SecretArg(Secret);

impl<'py> FromPyObject<'_, 'py> for SecretArg {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = obj.py();
        let secret = if let Ok(text) = obj.cast::<PyString>() {
            Secret::new(text.to_cow()?.as_bytes())
        } else {
            let bytes = payload(&obj)
                .map_err(|_| wrong_type(&obj, "a secret must be a str or bytes-like"))?;
            Secret::new(&bytes)
        };
        secret.map(Self).or_raise(py)
    }
}

/// Certificates: a dict with `cert`, `key`, `ca` and, if wanted, `server_name`.
struct TlsArg(Tls);

impl<'py> FromPyObject<'_, 'py> for TlsArg {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = obj.py();
        let dict = obj.cast::<PyDict>().map_err(|_| wrong_type(&obj, "tls must be a dict"))?;
        let mut parts: [Option<String>; 4] = Default::default();
        for (key, value) in dict.iter() {
            let key: String =
                key.extract().map_err(|_| wrong_type(&key, "a key of tls must be a str"))?;
            let at = ["cert", "key", "ca", "server_name"].iter().position(|name| *name == key);
            let Some(part) = at.and_then(|at| parts.get_mut(at)) else {
                let m = format!("tls has no {key:?}; it has cert, key, ca and server_name");
                return Err(fail(py, ErrorKind::InvalidArgument, m));
            };
            if !value.is_none() {
                let wrong = |_| wrong_type(&value, &format!("tls[{key:?}] must be a str"));
                *part = Some(value.extract().map_err(wrong)?);
            }
        }
        let [cert, key, ca, server_name] = parts;
        let need = |part: Option<String>, name: &str| {
            let m = || format!("tls has no {name:?}; it needs cert, key and ca");
            part.ok_or_else(|| fail(py, ErrorKind::InvalidArgument, m()))
        };
        let (cert, key, ca) = (need(cert, "cert")?, need(key, "key")?, need(ca, "ca")?);
        let server_name = server_name.as_deref();
        let files = TlsFiles { cert: &cert, key: &key, ca: &ca, server_name };
        Tls::new(files).map(Self).or_raise(py)
    }
}

/// What peers may do: a dict with `send` (`"any"` or `"names"`), `resolve`, `stop`.
struct Allowed(Permissions);

impl<'py> FromPyObject<'_, 'py> for Allowed {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = obj.py();
        let wrong = |m: String| fail(py, ErrorKind::InvalidArgument, m);
        let dict =
            obj.cast::<PyDict>().map_err(|_| wrong_type(&obj, "permissions must be a dict"))?;
        let mut may = Permissions::ALL;
        for (key, value) in dict.iter() {
            let key: String =
                key.extract().map_err(|_| wrong_type(&key, "a permission must be a str"))?;
            let flag = || value.extract::<Flag>().map(|f| f.0);
            match key.as_str() {
                "send" => match value.extract::<String>().as_deref() {
                    Ok("any") => may.any_pid = true,
                    Ok("names") => may.any_pid = false,
                    Ok(other) => {
                        return Err(wrong(format!("send must be 'any' or 'names', got {other:?}")));
                    }
                    Err(_) => return Err(wrong_type(&value, "send must be a str")),
                },
                "resolve" => may.resolve = flag()?,
                "stop" => may.stop = flag()?,
                other => {
                    return Err(wrong(format!(
                        "permissions have only send, resolve and stop, got {other:?}"
                    )));
                }
            }
        }
        Ok(Self(may))
    }
}

/// A number of milliseconds, whole or not; above 0.
pub(super) struct Millis(pub(super) Duration);

impl<'py> FromPyObject<'_, 'py> for Millis {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let ms = if obj.is_instance_of::<PyBool>() { None } else { obj.extract::<f64>().ok() };
        let ms = ms.ok_or_else(|| wrong_type(&obj, "a time must be a number of milliseconds"))?;
        if !(0.0..=9_007_199_254_740_992.0).contains(&ms) {
            let message = format!("a time must be 0 to 2^53 milliseconds, got {ms}");
            return Err(fail(obj.py(), ErrorKind::InvalidArgument, message));
        }
        Ok(Self(Duration::from_secs_f64(ms / 1e3)))
    }
}

/// The threshold of the accrual detector.
struct Phi(f64);

impl<'py> FromPyObject<'_, 'py> for Phi {
    type Error = PyErr;
    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let phi = if obj.is_instance_of::<PyBool>() { None } else { obj.extract::<f64>().ok() };
        phi.map(Self).ok_or_else(|| wrong_type(&obj, "phi must be a number"))
    }
}

fn info<'py>(py: Python<'py>, seen: Option<Seen>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(seen) = seen else { return Ok(None) };
    let dict = PyDict::new(py);
    dict.set_item("queue", seen.queue)?;
    dict.set_item("capacity", seen.capacity)?;
    dict.set_item("handled", seen.handled)?;
    Ok(Some(dict))
}

/// What an awaited question about a remote actor came to.
pub(super) fn remote_info(py: Python<'_>, seen: Option<Seen>) -> PyResult<Bound<'_, PyAny>> {
    Ok(info(py, seen)?.map_or_else(|| py.None().into_bound(py), Bound::into_any))
}

impl PyRuntime {
    /// Asks the core and waits, without the GIL.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        py: Python<'_>,
        begin: impl FnOnce(Box<dyn FnOnce(CoreResult<T>) + Send>) + Send,
    ) -> PyResult<T> {
        let shared = self.open(py)?;
        let answer = Answer::new();
        let sink = answer.clone();
        attached(py, shared, || begin(Box::new(move |outcome| sink.give(outcome))));
        match answer.wait_for(py, &shared.clock, None)? {
            Some(outcome) => outcome.or_raise(py),
            None => Err(fail(py, ErrorKind::Internal, "a question had no outcome")),
        }
    }
}

#[pymethods]
impl PyRuntime {
    /// Changes how this node behaves towards other nodes.
    #[pyo3(signature = (*, secret=None, heartbeat_ms=None, down_after_ms=None, phi=None, resume_window_ms=None,
        handshake_timeout_ms=None, stall_ms=None, max_payload=None, send_buffer=None, proxy_capacity=None, window=None,
        max_peers=None, max_handshakes=None, permissions=None, tls=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords, and optional")]
    fn configure_mesh(
        &self,
        py: Python<'_>,
        secret: Option<SecretArg>,
        heartbeat_ms: Option<Millis>,
        down_after_ms: Option<Millis>,
        phi: Option<Phi>,
        resume_window_ms: Option<Millis>,
        handshake_timeout_ms: Option<Millis>,
        stall_ms: Option<Millis>,
        max_payload: Option<Count>,
        send_buffer: Option<Count>,
        proxy_capacity: Option<Count>,
        window: Option<Count>,
        max_peers: Option<Count>,
        max_handshakes: Option<Count>,
        permissions: Option<Allowed>,
        tls: Option<TlsArg>,
    ) -> PyResult<()> {
        let rt = &self.open(py)?.rt;
        let mut o: MeshOptions = rt.mesh_options().or_raise(py)?;
        let size = |n: Option<Count>, old: usize| n.map_or(old, |n| n.0 as usize);
        o.secret = secret.map(|s| s.0).or(o.secret);
        o.tls = tls.map(|t| t.0).or(o.tls);
        o.heartbeat = heartbeat_ms.map_or(o.heartbeat, |t| t.0);
        let silence = down_after_ms.map(|t| t.0.as_millis() as u64);
        o.judge = o.judge.changed(silence, phi.map(|p| p.0), o.heartbeat);
        o.resume_window = resume_window_ms.map_or(o.resume_window, |t| t.0);
        o.handshake_timeout = handshake_timeout_ms.map_or(o.handshake_timeout, |t| t.0);
        o.stall = stall_ms.map_or(o.stall, |t| t.0);
        o.max_payload = size(max_payload, o.max_payload);
        o.send_buffer = size(send_buffer, o.send_buffer);
        o.proxy_capacity = proxy_capacity.map(|n| n.0).or(o.proxy_capacity);
        o.window = window.map_or(o.window, |n| n.0);
        o.max_peers = size(max_peers, o.max_peers);
        o.max_handshakes = size(max_handshakes, o.max_handshakes);
        o.permissions = permissions.map_or(o.permissions, |p| p.0);
        rt.configure_mesh(o).or_raise(py)
    }

    /// Listens for other nodes; answers the bound address.
    #[pyo3(
        signature = (addr, *, secret=None, insecure=Flag(false), permissions=None, tls=None),
        text_signature = "($self, addr, *, secret=None, insecure=False, permissions=None, tls=None)"
    )]
    fn listen(
        &self,
        py: Python<'_>,
        addr: Name,
        secret: Option<SecretArg>,
        insecure: Flag,
        permissions: Option<Allowed>,
        tls: Option<TlsArg>,
    ) -> PyResult<String> {
        let rt = self.open(py)?.rt.clone();
        let options = ListenOptions {
            secret: secret.map(|s| s.0),
            tls: tls.map(|t| t.0),
            insecure: insecure.0,
            permissions: permissions.map(|p| p.0),
        };
        // Not a wait that could stop anything: the I/O thread binds a socket.
        self.wait_for(py, move |sink| rt.listen_with(&addr.0, options, sink))
    }

    /// Stops listening at an address; answers whether it listened there.
    fn unlisten(&self, py: Python<'_>, addr: Name) -> PyResult<bool> {
        self.open(py)?.rt.unlisten(&addr.0).or_raise(py)
    }

    /// The addresses that this node listens at.
    fn listening(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.open(py)?.rt.listening())
    }

    /// Asks the node at an address who has a name; blocks.
    #[pyo3(signature = (addr, name, timeout=None))]
    fn resolve_remote(
        &self,
        py: Python<'_>,
        addr: Name,
        name: Name,
        timeout: Option<Seconds>,
    ) -> PyResult<Option<u64>> {
        let rt = self.open(py)?.rt.clone();
        let _waits = waits::check(py, "resolve_remote")?;
        let timeout = timeout.map_or(QUESTION, |t| t.0);
        let found: Option<Pid> = self.wait_for(py, move |sink| {
            rt.resolve_remote_with(&addr.0, &name.0, timeout, sink);
        })?;
        Ok(found.map(Pid::to_bits))
    }

    /// Asks the node at an address who has a name; answers an awaitable.
    #[pyo3(signature = (addr, name, timeout=None))]
    fn resolve_remote_py<'py>(
        &self,
        py: Python<'py>,
        addr: Name,
        name: Name,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shared = self.open(py)?;
        let timeout = timeout.map_or(QUESTION, |t| t.0);
        futures::ask(py, shared, "resolve_remote_py", |rt, done| {
            rt.resolve_remote_with(&addr.0, &name.0, timeout, move |found| {
                done(Outcome::Resolved(found.map(|pid| pid.map(Pid::to_bits))));
            });
        })
    }

    /// Whether a node answers at an address; blocks.
    #[pyo3(signature = (addr, timeout=None))]
    fn is_node_up(&self, py: Python<'_>, addr: Name, timeout: Option<Seconds>) -> PyResult<bool> {
        let rt = self.open(py)?.rt.clone();
        let _waits = waits::check(py, "is_node_up")?;
        let timeout = timeout.map_or(PROBE, |t| t.0);
        self.wait_for(py, move |sink| rt.is_node_up_with(&addr.0, timeout, sink))
    }

    /// Whether a node answers at an address; answers an awaitable.
    #[pyo3(signature = (addr, timeout=None))]
    fn is_node_up_async<'py>(
        &self,
        py: Python<'py>,
        addr: Name,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = timeout.map_or(PROBE, |t| t.0);
        futures::ask(py, self.open(py)?, "is_node_up_async", |rt, done| {
            rt.is_node_up_with(&addr.0, timeout, move |up| done(Outcome::Probed(up)));
        })
    }

    /// The proxy of an actor by its node's address and its pid there.
    fn remote_pid(&self, py: Python<'_>, addr: Name, pid: PidArg) -> PyResult<u64> {
        let shared = self.open(py)?;
        let remote = pid.known(py)?;
        let made = attached(py, shared, || shared.rt.remote_pid(&addr.0, remote));
        made.or_raise(py).map(Pid::to_bits)
    }

    /// Sends to an actor by its node's address and its pid there; whether its proxy took the message.
    fn send_remote(
        &self,
        py: Python<'_>,
        addr: Name,
        pid: PidArg,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let shared = self.open(py)?;
        let (data, _) = shared.encode(None, data)?;
        let remote = pid.known(py)?;
        let proxy = attached(py, shared, || shared.rt.remote_pid(&addr.0, remote)).or_raise(py)?;
        shared.send(py, PidArg(Some(proxy)), data, None)
    }

    /// Watches an actor by its node's address and its pid there; answers its proxy.
    #[pyo3(signature = (addr, pid, watcher=None))]
    fn monitor_remote(
        &self,
        py: Python<'_>,
        addr: Name,
        pid: PidArg,
        watcher: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let shared = self.open(py)?;
        let remote = pid.known(py)?;
        let made = attached(py, shared, || shared.rt.monitor_remote(&addr.0, remote));
        let proxy = made.or_raise(py)?.to_bits();
        if let Some(watcher) = watcher {
            self.monitor(py, PidArg(Pid::from_bits(proxy)), watcher)?;
        }
        Ok(proxy)
    }

    /// Says goodbye to the node at an address; whether there was a session.
    fn disconnect(&self, py: Python<'_>, addr: Name) -> PyResult<bool> {
        let shared = self.open(py)?;
        attached(py, shared, || shared.rt.disconnect(&addr.0)).or_raise(py)
    }

    /// A pid as bytes that any node of the mesh can turn back.
    fn export_pid<'py>(&self, py: Python<'py>, pid: PidArg) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.open(py)?.rt.export_pid(pid.known(py)?).or_raise(py)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The pid that such bytes mean: the actor itself where it lives, a proxy elsewhere.
    fn import_pid(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        let shared = self.open(py)?;
        let bytes = payload(data)?;
        attached(py, shared, || shared.rt.import_pid(&bytes)).or_raise(py).map(Pid::to_bits)
    }

    /// Whether an actor lives on another node.
    fn is_remote(&self, py: Python<'_>, pid: PidArg) -> PyResult<bool> {
        let shared = self.open(py)?;
        Ok(pid.0.is_some_and(|pid| shared.rt.is_remote(pid)))
    }

    /// Asks the node of a remote actor about it; blocks.
    #[pyo3(signature = (pid, timeout=None))]
    fn remote_info<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        timeout: Option<Seconds>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let rt = self.open(py)?.rt.clone();
        let Some(pid) = pid.0.filter(|pid| rt.is_remote(*pid)) else { return Ok(None) };
        let _waits = waits::check(py, "remote_info")?;
        let timeout = timeout.map_or(QUESTION, |t| t.0);
        info(py, self.wait_for(py, move |sink| rt.look_remote_with(pid, timeout, sink))?)
    }

    /// Asks the node of a remote actor about it; answers an awaitable.
    #[pyo3(signature = (pid, timeout=None))]
    fn remote_info_async<'py>(
        &self,
        py: Python<'py>,
        pid: PidArg,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shared = self.open(py)?;
        let Some(pid) = pid.0 else {
            return futures::ready(py, shared, &py.None().into_bound(py));
        };
        let timeout = timeout.map_or(QUESTION, |t| t.0);
        futures::ask(py, shared, "remote_info_async", |rt, done| {
            rt.look_remote_with(pid, timeout, move |seen| done(Outcome::Seen(seen)));
        })
    }

    /// The nodes that this one has a session with.
    fn nodes<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let nodes = self.open(py)?.rt.nodes();
        let dict = |n: &crate::runtime::mesh::NodeInfo| {
            let d = PyDict::new(py);
            d.set_item("id", &n.id)?;
            d.set_item("address", &n.address)?;
            d.set_item("connected", n.connected)?;
            d.set_item("stalled", n.stalled)?;
            Ok(d)
        };
        nodes.iter().map(dict).collect()
    }

    /// The numbers of the mesh.
    fn mesh_metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let mut outcome = Ok(());
        self.open(py)?.rt.mesh_metrics().each(|name, n| {
            if let Err(e) = dict.set_item(name, n) {
                outcome = Err(e);
            }
        });
        outcome.map(|()| dict)
    }
}
