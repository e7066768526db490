//! Who is there: the greeting from both sides, up to the session that a connection carries.

use super::carry::carry;
use super::conn::Conn;
use super::refusal::{Opened, refusal, refused};
use crate::error::{Error, ErrorKind, Result};
use crate::mesh::node::{Node, own_grants};
use crate::mesh::peers::{Answer, Verdict};
use crate::mesh::secure::{Failure, Role, Secret};
use crate::mesh::session::Session;
use crate::mesh::transport::{Address, driver};
use crate::mesh::wire::greeting::{Greeting, Hello, NodeRef, Permissions, RefuseCode};
use crate::mesh::wire::record::{LENGTH, Record};
use crate::mesh::wire::{MAX_RECORD, Malformed};
use crate::message::ExitReason;
use std::sync::Arc;
use tokio::time::timeout;

/// The accepting side of the greeting. The connection carries the session only once the other has confirmed it with a
/// first record: that proves that it knows the key of *this* connection.
pub(super) async fn welcome(
    node: &Arc<Node>,
    conn: &mut Conn,
    secret: Option<Secret>,
    allowed: Permissions,
) -> Option<(Arc<Session>, Hello)> {
    conn.open(Role::Responder, secret).await.ok()?;
    let Ok(Greeting::Hello(theirs)) = conn.greeting().await else { return None };
    let (answer, mut me) = {
        let peers = node.peers.lock();
        (peers.on_hello(&theirs), peers.me())
    };
    let answer = if node.is_closed() { Answer::Refuse(RefuseCode::Closing, 0) } else { answer };
    let (known, received) = match answer {
        Answer::Refuse(code, incarnation) => {
            let _ = conn.say(&refusal(code, incarnation)).await;
            return None;
        }
        Answer::Resume(s) => {
            me.incarnation = s.mine;
            let received = s.received();
            (Some(s), received)
        }
        Answer::Begin { over } => {
            if let Some(old) = over {
                node.over(&old, ExitReason::NodeDown);
            }
            if node.peers.lock().len() >= node.options().max_peers {
                let _ = conn.say(&refusal(RefuseCode::Capacity, 0)).await;
                return None;
            }
            (None, 0)
        }
    };
    let you = known.as_ref().map_or(NodeRef::UNKNOWN, |s| s.peer);
    let hello = hello(node, me, you, received, allowed);
    conn.say(&Greeting::Welcome(hello)).await.ok()?;
    let n = conn.whole(MAX_RECORD).await.ok()?;
    // The record itself is left for `carry`; a refusal can only be told apart by opening it, which works only once.
    let sealed = conn.read.bytes()[LENGTH..LENGTH + n].to_vec();
    let plain = conn.channel.opener.open(&sealed, &mut conn.scratch).ok()?.to_vec();
    conn.read.used(LENGTH + n);
    if let Ok(Greeting::Refuse(r)) = Greeting::decode(&plain) {
        if r.code == RefuseCode::DeclaredDown && r.incarnation >= me.incarnation {
            node.declared_down(known.as_ref(), r.incarnation);
        }
        return None;
    }
    // Whatever else comes first would be lost here: closed, so that it is sent again.
    if !matches!(Record::decode(&plain), Ok(Record::Ping { .. })) {
        return None;
    }
    let session = match known {
        Some(s) => s,
        None => {
            let mut peers = node.peers.lock();
            match peers.on_hello(&theirs) {
                Answer::Resume(s) if s.mine == me.incarnation => s,
                Answer::Begin { over: None } => {
                    let s = Arc::new(Session::new(node, theirs.me, me.incarnation));
                    peers.add(&s);
                    s
                }
                _ => return None,
            }
        }
    };
    Some((session, theirs))
}

fn hello(node: &Node, me: NodeRef, you: NodeRef, received: u64, grants: Permissions) -> Hello {
    let max_payload = u32::try_from(node.options().max_payload).unwrap_or(u32::MAX);
    Hello { me, you, received, grants, max_payload, address: node.public_address() }
}

/// What a try to connect came to.
pub(super) enum Dialled {
    /// Carried from now on, by a task of its own.
    Carried(Arc<Session>),
    /// Another connection carries it.
    Already(Arc<Session>),
    /// This node or the peer has to come as a new incarnation first.
    Again,
}

/// Connects to an address.
pub(in crate::mesh) async fn dial(node: &Arc<Node>, address: &Address) -> Result<Arc<Session>> {
    let deadline = node.options().handshake_timeout;
    let tries = async {
        for _ in 0..4 {
            match dial_once(node, address, None).await? {
                Dialled::Carried(s) | Dialled::Already(s) => return Ok(s),
                Dialled::Again => {}
            }
        }
        Err(Error::new(
            ErrorKind::Unreachable,
            format!("{address} does not come as a new incarnation"),
        ))
    };
    match timeout(deadline, tries).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{address} did not say who it is within {} ms", deadline.as_millis()),
        )),
    }
}

/// One try; `resume` is the session to go on with.
pub(super) async fn dial_once(
    node: &Arc<Node>,
    address: &Address,
    resume: Option<&Arc<Session>>,
) -> Result<Dialled> {
    let stream = address.connect().await.map_err(|e| Opened::Io(e).error(address))?;
    let options = node.options();
    let stream = match &options.tls {
        Some(tls) => stream.within(tls.client(address.host())?),
        None => stream,
    };
    let mut conn = Conn::new(stream);
    let secret = options.secret.clone();
    let fail = |o: Opened| o.error(address);
    conn.open(Role::Initiator, secret).await.map_err(fail)?;
    let allowed = own_grants(node);
    let mut me = node.peers.lock().me();
    let (you, received) = match resume {
        Some(s) => {
            me.incarnation = s.mine;
            (s.peer, s.received())
        }
        None => (NodeRef::UNKNOWN, 0),
    };
    conn.say(&Greeting::Hello(hello(node, me, you, received, allowed))).await.map_err(fail)?;
    let theirs = match conn.greeting().await.map_err(fail)? {
        Greeting::Welcome(theirs) => theirs,
        Greeting::Refuse(r) if r.code == RefuseCode::DeclaredDown => {
            node.declared_down(resume, r.incarnation);
            return Ok(Dialled::Again);
        }
        Greeting::Refuse(r) => {
            let lost = matches!(r.code, RefuseCode::UnknownSession | RefuseCode::WrongNode);
            if let Some(s) = resume.filter(|_| lost) {
                node.over(s, ExitReason::NodeDown);
            }
            return Err(refused(address, &r));
        }
        Greeting::Hello(_) => return Err(fail(Failure::Malformed(Malformed::Kind(1)).into())),
    };
    let session = match resume {
        Some(s) if theirs.me == s.peer => Arc::clone(s),
        Some(s) => {
            node.over(s, ExitReason::NodeDown);
            return Ok(Dialled::Again);
        }
        None => {
            let verdict = node.peers.lock().on_welcome(&theirs, me.incarnation);
            match verdict {
                Verdict::Carry(s) => s,
                Verdict::Drop(s) => return Ok(Dialled::Already(s)),
                Verdict::Itself => {
                    let why = "a node cannot connect to itself; use its names and pids directly";
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        format!("{address}: {why}"),
                    ));
                }
                Verdict::Tell(incarnation) => {
                    let _ = conn.say(&refusal(RefuseCode::DeclaredDown, incarnation)).await;
                    return Ok(Dialled::Again);
                }
                Verdict::Begin { over } => {
                    if let Some(old) = over {
                        node.over(&old, ExitReason::NodeDown);
                    }
                    let s = Arc::new(Session::new(node, theirs.me, me.incarnation));
                    node.peers.lock().add(&s);
                    s
                }
            }
        }
    };
    let task = carry(
        Arc::clone(node),
        conn,
        Arc::clone(&session),
        &theirs,
        allowed,
        Some(address.clone()),
    );
    driver::task(task);
    Ok(Dialled::Carried(session))
}
