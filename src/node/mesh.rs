//! The entries of the mesh. What takes time comes as the outcome of a call under a key.

use super::entries::text;
use super::face::{Face, number, pid, pid_or_none};
use super::raw::{Cx, Ret};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::mesh::{
    ClusterOptions, ListenOptions, MeshOptions, Permissions, Secret, Tls, TlsFiles,
};
use std::time::Duration;

fn key(cx: &Cx<'_>, i: usize) -> u64 {
    cx.f64(i).unwrap_or(0.0) as u64
}

fn millis(cx: &Cx<'_>, i: usize) -> Option<Duration> {
    cx.f64(i).map(|ms| Duration::from_secs_f64((ms / 1e3).clamp(0.0, 1e9)))
}

fn secret(cx: &Cx<'_>, i: usize) -> Result<Option<Secret>> {
    cx.with_bytes(i, Secret::new).transpose()
}

/// Certificates as one text: cert, key, ca and the server's name, with a NUL between them.
fn tls(cx: &Cx<'_>, i: usize) -> Result<Option<Tls>> {
    let Some(all) = cx.string(i) else { return Ok(None) };
    let mut parts = all.split('\0');
    let mut next = || parts.next().unwrap_or_default();
    let files = TlsFiles { cert: next(), key: next(), ca: next(), server_name: None };
    let server_name = parts.next().filter(|name| !name.is_empty());
    Tls::new(TlsFiles { server_name, ..files }).map(Some)
}

/// Bit 0: any pid, 1: resolve, 2: stop.
fn allowed(bits: u32) -> Permissions {
    Permissions { any_pid: bits & 1 != 0, resolve: bits & 2 != 0, stop: bits & 4 != 0 }
}

/// `configureMesh(secret, numbers, tls)`: what is `undefined` or NaN stays as it is. The numbers, as doubles: heartbeatMs,
/// downAfterMs, phi, resumeWindowMs, handshakeTimeoutMs, stallMs, maxPayload, sendBuffer, proxyCapacity, window, maxPeers,
/// maxHandshakes, permissions.
pub(super) fn configure_mesh(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let mut o: MeshOptions = inner.rt.mesh_options()?;
    if let Some(secret) = secret(cx, 0)? {
        o.secret = Some(secret);
    }
    o.tls = tls(cx, 2)?.or(o.tls);
    let numbers = cx.with_bytes(1, |b| {
        let (numbers, _) = b.as_chunks::<8>();
        numbers.iter().map(|n| f64::from_ne_bytes(*n)).collect::<Vec<f64>>()
    });
    let numbers = numbers.unwrap_or_default();
    let get = |i: usize| numbers.get(i).copied().filter(|n| !n.is_nan());
    let time = |i: usize| get(i).map(|ms| Duration::from_secs_f64((ms / 1e3).clamp(0.0, 1e9)));
    let count = |i: usize| get(i).map(|n| n as usize);
    for (i, knob) in [
        (0, &mut o.heartbeat),
        (3, &mut o.resume_window),
        (4, &mut o.handshake_timeout),
        (5, &mut o.stall),
    ] {
        *knob = time(i).unwrap_or(*knob);
    }
    o.judge = o.judge.changed(get(1).map(|ms| ms as u64), get(2), o.heartbeat);
    o.max_payload = count(6).unwrap_or(o.max_payload);
    o.send_buffer = count(7).unwrap_or(o.send_buffer);
    o.proxy_capacity = get(8).map(|n| n as u32).or(o.proxy_capacity);
    o.window = get(9).map_or(o.window, |n| n as u32);
    o.max_peers = count(10).unwrap_or(o.max_peers);
    o.max_handshakes = count(11).unwrap_or(o.max_handshakes);
    o.permissions = get(12).map_or(o.permissions, |n| allowed(n as u32));
    inner.rt.configure_mesh(o)?;
    Ok(Ret::Undefined)
}

/// `listen(address, secret, insecure, permissions, key, tls)`: the bound address.
pub(super) fn listen(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let address = text(cx, 0, "address")?;
    let options = ListenOptions {
        secret: secret(cx, 1)?,
        tls: tls(cx, 5)?,
        insecure: cx.bool(2),
        permissions: cx.f64(3).map(|bits| allowed(bits as u32)),
    };
    inner.rt.check_open()?;
    inner.lane.listen(&address, options, key(cx, 4));
    Ok(Ret::Undefined)
}

/// `unlisten(address)`: whether it listened there.
pub(super) fn unlisten(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    Ok(Ret::Bool(face.inner()?.rt.unlisten(&text(cx, 0, "address")?)?))
}

/// `resolveRemote(address, name, timeoutMs, key)`: the pid's bits, or nothing.
pub(super) fn resolve_remote(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    let (address, name) = (text(cx, 0, "address")?, text(cx, 1, "name")?);
    inner.rt.check_open()?;
    inner.lane.resolve_remote(&address, &name, millis(cx, 2).unwrap_or_default(), key(cx, 3));
    Ok(Ret::Undefined)
}

/// `isNodeUp(address, timeoutMs, key)`
pub(super) fn is_node_up(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    let address = text(cx, 0, "address")?;
    inner.lane.is_node_up(&address, millis(cx, 1).unwrap_or_default(), key(cx, 2));
    Ok(Ret::Undefined)
}

/// `remotePid(address, pid, watched)`: the proxy; `watched`: under the global supervisor.
pub(super) fn remote_pid(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    let address = text(cx, 0, "address")?;
    let remote = pid_or_none(cx, 1)?.ok_or_else(|| {
        Error::new(ErrorKind::NoSuchActor, "the pid is no actor's number, on no node")
    })?;
    let proxy = if cx.bool(2) {
        inner.rt.monitor_remote(&address, remote)?
    } else {
        inner.rt.remote_pid(&address, remote)?
    };
    Ok(Ret::F64(number(proxy)))
}

/// `disconnect(address)`: whether there was a session.
pub(super) fn disconnect(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    Ok(Ret::Bool(face.synced()?.rt.disconnect(&text(cx, 0, "address")?)?))
}

/// `joinCluster(seeds, name, gossipMs, timeoutMs, advertise, key)`: seeds are parted by NULs; what is `undefined` is as usual.
pub(super) fn join_cluster(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.rt.check_open()?;
    let seeds = text(cx, 0, "seeds")?;
    let seeds = seeds.split('\0').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let usual = ClusterOptions::default();
    let options = ClusterOptions {
        name: cx.string(1).unwrap_or(usual.name),
        gossip: millis(cx, 2).unwrap_or(usual.gossip),
        timeout: millis(cx, 3).unwrap_or(usual.timeout),
        advertise: cx.string(4),
    };
    inner.lane.join_cluster(seeds, options, key(cx, 5));
    Ok(Ret::Undefined)
}

/// `registerCluster(name, pid)`
pub(super) fn register_cluster(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let name = text(cx, 0, "name")?;
    face.synced()?.rt.register_cluster(&name, pid(cx, 1)?)?;
    Ok(Ret::Undefined)
}

/// `exportPid(pid)`
pub(super) fn export_pid(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let bytes = face.synced()?.rt.export_pid(pid(cx, 0)?)?;
    Ok(cx.ret(cx.buffer(bytes)))
}

/// `importPid(bytes)`
pub(super) fn import_pid(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    let imported = cx.with_bytes(0, |b| inner.rt.import_pid(b));
    let wrong = || Err(Error::new(ErrorKind::InvalidType, "an exported pid must be bytes"));
    Ok(Ret::F64(number(imported.unwrap_or_else(wrong)?)))
}

/// `isRemote(pid)`
pub(super) fn is_remote(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    Ok(Ret::Bool(pid_or_none(cx, 0)?.is_some_and(|pid| inner.rt.is_remote(pid))))
}

/// `lookRemote(pid, timeoutMs, key)`: queue, capacity, handled, or nothing.
pub(super) fn look_remote(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.synced()?;
    inner.lane.look_remote(pid(cx, 0)?, millis(cx, 1).unwrap_or_default(), key(cx, 2));
    Ok(Ret::Undefined)
}

/// `nodes()`: id, address, whether it is connected, whether it is stalled; again and again.
pub(super) fn nodes(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    let flag = |on: bool| cx.num(f64::from(u8::from(on)));
    let items: Vec<_> = inner
        .rt
        .nodes()
        .iter()
        .flat_map(|n| {
            [cx.str(&n.id), cx.opt_str(n.address.as_deref()), flag(n.connected), flag(n.stalled)]
        })
        .collect();
    Ok(cx.ret(cx.array(items.into_iter())))
}

/// `listening()`: addresses.
pub(super) fn listening(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let addresses = face.inner()?.rt.listening();
    Ok(cx.ret(cx.array(addresses.iter().map(|a| cx.str(a)))))
}

/// `isMeshSending()`: whether bytes are on their way.
pub(super) fn is_mesh_sending(face: &Face, _: &Cx<'_>) -> Result<Ret> {
    Ok(Ret::Bool(face.inner().is_ok_and(|inner| inner.rt.is_mesh_sending())))
}

/// `meshMetrics()`: names and numbers in turn.
pub(super) fn mesh_metrics(face: &Face, cx: &Cx<'_>) -> Result<Ret> {
    let inner = face.inner()?;
    inner.rt.check_open()?;
    let mut items = Vec::new();
    inner.rt.mesh_metrics().each(|name, n| items.extend([cx.str(name), cx.num(n as f64)]));
    Ok(cx.ret(cx.array(items.into_iter())))
}
