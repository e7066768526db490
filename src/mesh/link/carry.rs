//! The life of a connection that carries a session, and what comes after it.

use super::conn::Conn;
use super::greet::dial_once;
use crate::mesh::node::Node;
use crate::mesh::session::{Broken, Session, Stuck};
use crate::mesh::transport::{Address, driver};
use crate::mesh::wire::Malformed;
use crate::mesh::wire::greeting::{Hello, Permissions};
use crate::mesh::wire::record::Record;
use crate::message::ExitReason;
use crate::sync::atomic::Ordering;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Received bytes that are acknowledged at once; less waits for [`ACK_DELAY`] or the next record.
const ACK_AT: u64 = 256 << 10;
const ACK_DELAY: Duration = Duration::from_millis(20);
/// First and last wait between two tries to connect again.
const REDIAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Why a connection ended.
#[derive(Debug)]
enum Cut {
    /// The other end closed it, or the system did.
    Closed,
    /// What came makes no sense.
    Malformed(Malformed),
    /// The peer has declared this node's incarnation down.
    DeclaredDown(u64),
    /// The peer said goodbye.
    Goodbye,
    /// The peer is silent.
    Silent,
    /// Another connection carries the session, or the session has ended.
    Replaced,
}

impl From<Stuck> for Cut {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Closed => Self::Closed,
            Stuck::Malformed(m) => Self::Malformed(m),
            Stuck::Replaced => Self::Replaced,
        }
    }
}

impl From<Broken> for Cut {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Closed => Self::Closed,
            Broken::Malformed(m) => Self::Malformed(m),
            Broken::DeclaredDown(incarnation) => Self::DeclaredDown(incarnation),
            Broken::Replaced => Self::Replaced,
        }
    }
}

/// Lets a connection carry a session until it is cut, and sees to what comes then.
pub(super) fn carry(
    node: Arc<Node>,
    mut conn: Conn,
    session: Arc<Session>,
    theirs: &Hello,
    allowed: Permissions,
    address: Option<Address>,
) -> impl Future<Output = ()> + Send + use<> {
    let number = session.attach(theirs, allowed, address.is_some(), address.as_ref(), conn.ends());
    async move {
        let Some(number) = number else { return };
        let cut = run(&node, &conn, &session, number).await;
        drop(conn);
        match cut {
            Cut::Goodbye => node.over(&session, ExitReason::Disconnected),
            Cut::Silent => node.over(&session, ExitReason::NodeDown),
            Cut::DeclaredDown(incarnation) => node.declared_down(Some(&session), incarnation),
            // A hole in the stream is the connection's fault; anything else in an authenticated stream is the peer's.
            Cut::Malformed(m) if m != Malformed::Gap && m != Malformed::Kind(0) => {
                node.over(&session, ExitReason::NodeDown);
            }
            Cut::Replaced => {
                session.detach(number);
            }
            Cut::Closed | Cut::Malformed(_) if session.is_leaving() => {
                node.over(&session, ExitReason::Disconnected);
            }
            Cut::Closed | Cut::Malformed(_) => {
                if session.detach(number) {
                    node.counts.cuts.fetch_add(1, Ordering::Relaxed);
                    driver::task(mend(node, session, number));
                }
            }
        }
    }
}

/// Connects again, or waits for the other to, until the resume window is over.
async fn mend(node: Arc<Node>, session: Arc<Session>, number: u64) {
    let window = node.options().resume_window;
    let again = async {
        let mut pause = REDIAL.0;
        loop {
            if session.ended().is_some() || session.was_carried_since(number) || node.is_closed() {
                return;
            }
            if let Some(address) = session.address() {
                let deadline = node.options().handshake_timeout;
                let _ = timeout(deadline, dial_once(&node, &address, Some(&session))).await;
                if session.ended().is_some() || session.was_carried_since(number) {
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(REDIAL.1);
        }
    };
    if timeout(window, again).await.is_err() && !session.was_carried_since(number) {
        node.over(&session, ExitReason::NodeDown);
    }
}

/// The life of a connection.
async fn run(node: &Arc<Node>, conn: &Conn, session: &Arc<Session>, number: u64) -> Cut {
    match run_until(node, conn, session, number).await {
        Err(cut) => cut,
        Ok(never) => match never {},
    }
}

enum Never {}

async fn run_until(
    node: &Arc<Node>,
    conn: &Conn,
    session: &Arc<Session>,
    number: u64,
) -> Result<Never, Cut> {
    let options = node.options();
    let heartbeat = options.heartbeat;
    let ping = || {
        let stalled = node.host.stalled() >= options.stall;
        move |ack| Record::Ping { ack, stalled, stamp: 0 }
    };
    // The first record tells the other that this connection is the one.
    session.say(number, ping())?;
    // What came together with the greeting.
    session.begin_reading(number)?;
    let mut alarm = pin!(sleep(Duration::ZERO));
    let mut alarm_ms = 0;
    loop {
        if session.ended().is_some() || !session.is_carrier(number) {
            return Err(Cut::Replaced);
        }
        let wrote = session.write(number)?;
        // Read what is there; a few buffers, then write again.
        let mut quiet = false;
        for _ in 0..4 {
            let looked = session.read(number)?;
            if !looked.some || !looked.more {
                quiet = true;
                break;
            }
        }
        if session.was_bidden_farewell() {
            return Err(Cut::Goodbye);
        }
        if !quiet {
            continue;
        }
        // Nobody is judged by what this node has not read yet.
        if session.is_silent() {
            return Err(Cut::Silent);
        }
        let now = node.now_ms();
        let since = Duration::from_millis(now.saturating_sub(wrote.said_ms));
        if since >= heartbeat && !wrote.blocked {
            session.say(number, ping())?;
            continue;
        }
        let owed = session.untold();
        if owed >= ACK_AT && !wrote.blocked {
            session.say(number, |ack| Record::Ack { ack })?;
            continue;
        }
        if !wrote.blocked && !session.sleep() {
            continue;
        }
        let mut wait = heartbeat.saturating_sub(since).max(Duration::from_millis(1));
        let silence = Duration::from_millis(session.silence_ms());
        wait = wait.min(heartbeat.max(silence / 8));
        let owes = owed != 0 && !wrote.blocked;
        if owes {
            wait = wait.min(ACK_DELAY);
        }
        // A timer that is due earlier than it has to be costs less than one that is set for every message.
        let due = now + wait.as_millis() as u64;
        if alarm_ms <= now || due < alarm_ms {
            alarm.set(sleep(wait));
            alarm_ms = due;
        }
        let woken = tokio::select! {
            biased;
            r = conn.stream.readable() => { r.map_err(|_| Cut::Closed)?; true }
            () = session.wake.notified() => true,
            r = conn.stream.writable(), if wrote.blocked => { r.map_err(|_| Cut::Closed)?; true }
            () = &mut alarm => false,
        };
        if !woken {
            alarm_ms = 0;
            if owes {
                session.say(number, |ack| Record::Ack { ack })?;
            }
        }
    }
}
