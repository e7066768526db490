//! Connections: how they open, carry a session and end. Tasks of the I/O thread.

use super::node::{Node, own_grants};
use super::peers::{Answer, Verdict};
use super::secure::{Channel, Failure, Opening, Role, Secret};
use super::session::{Session, Workspace};
use super::transport::{Address, Listener, Stream, driver, io_error};
use super::wire::greeting::{Greeting, Hello, NodeRef, Permissions, Refuse, RefuseCode};
use super::wire::record::{self, LENGTH, Record};
use super::wire::{MAX_RECORD, Malformed};
use crate::error::{Error, ErrorKind, Result};
use crate::message::ExitReason;
use crate::sync::atomic::Ordering;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Bytes that are read at a time.
const READ: usize = 64 << 10;
/// The largest read buffer of a connection that is busy.
const READ_BUSY: usize = 512 << 10;
/// Longest record before both have said who they are, in bytes.
const MAX_GREETING: usize = 2048;
/// Received bytes that are acknowledged at once; less waits for [`ACK_DELAY`] or the next record.
const ACK_AT: u64 = 256 << 10;
const ACK_DELAY: Duration = Duration::from_millis(20);
/// How often actors that lag behind are looked at.
const CREDIT_DELAY: Duration = Duration::from_millis(1);
/// First and last wait between two tries to connect again.
const REDIAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A connection with its buffers.
struct Conn {
    stream: Stream,
    channel: Channel,
    /// What was read: `read[start..end]` is not used yet.
    read: Vec<u8>,
    start: usize,
    end: usize,
    scratch: Vec<u8>,
    /// The last read filled the buffer: a larger one pays.
    filled: bool,
    /// What is to be written.
    out: Vec<u8>,
    written: usize,
}

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

impl From<Malformed> for Cut {
    fn from(m: Malformed) -> Self {
        Self::Malformed(m)
    }
}

impl Conn {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            channel: Channel::Plain,
            read: Vec::new(),
            start: 0,
            end: 0,
            scratch: Vec::new(),
            filled: false,
            out: Vec::new(),
            written: 0,
        }
    }

    async fn write_all(&mut self) -> io::Result<()> {
        while !self.write_some()? {
            self.stream.writable().await?;
        }
        Ok(())
    }

    /// Writes what there is room for; `true`: everything is written.
    fn write_some(&mut self) -> io::Result<bool> {
        while self.written < self.out.len() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    /// Reads what is there, up to one buffer; answers how much, 0 if nothing is there.
    fn read_some(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.read.len() - self.end < READ / 4 {
            self.read.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.read.len() - self.end < READ / 4 || self.filled {
            let len = (self.read.len() * 2).clamp(READ, READ_BUSY.max(self.end + READ));
            self.read.resize(len.max(self.read.len()), 0);
        }
        loop {
            match self.stream.try_read(&mut self.read[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.end += n;
                    self.filled = self.end == self.read.len();
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Opens the channel. No more than a few hundred bytes are kept meanwhile.
    async fn open(
        &mut self,
        role: Role,
        secret: Option<Secret>,
    ) -> std::result::Result<(), Opened> {
        let mut opening = Opening::new(role, secret, &mut self.out);
        let mut read = Vec::new();
        let mut some = [0; 1024];
        loop {
            self.write_all().await?;
            match opening.advance(&mut read, &mut self.out) {
                Ok(None) => {}
                Ok(Some(channel)) => {
                    self.write_all().await?;
                    self.channel = channel;
                    self.end = read.len();
                    self.read = read;
                    return Ok(());
                }
                Err(failure) => {
                    // The other shall know why, if it listens.
                    let _ = self.write_all().await;
                    return Err(Opened::Failure(failure));
                }
            }
            self.stream.readable().await?;
            match self.stream.try_read(&mut some) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(n) => read.extend_from_slice(&some[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    async fn say(&mut self, greeting: &Greeting) -> std::result::Result<(), Opened> {
        self.channel.seal(&greeting.encode(), &mut self.out).map_err(Failure::Malformed)?;
        self.write_all().await?;
        Ok(())
    }

    /// The next greeting, and nothing else.
    async fn greeting(&mut self) -> std::result::Result<Greeting, Opened> {
        let n = self.whole(MAX_GREETING).await?;
        let sealed = &self.read[self.start + LENGTH..self.start + LENGTH + n];
        let open = self.channel.open(sealed, &mut self.scratch);
        let plain = open.map_err(|_| Failure::Secret("the other does not know the secret"))?;
        let greeting = Greeting::decode(plain).map_err(Failure::Malformed)?;
        self.start += LENGTH + n;
        Ok(greeting)
    }

    /// Waits until a whole record is there; answers its length.
    async fn whole(&mut self, most: usize) -> std::result::Result<usize, Opened> {
        loop {
            let split = record::split(&self.read[self.start..self.end], most);
            if let Some(n) = split.map_err(Failure::Malformed)? {
                return Ok(n);
            }
            if self.read_some()? == 0 {
                self.stream.readable().await?;
            }
        }
    }
}

/// Why a connection did not open.
enum Opened {
    Io(io::Error),
    Failure(Failure),
}

impl From<io::Error> for Opened {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<Failure> for Opened {
    fn from(f: Failure) -> Self {
        Self::Failure(f)
    }
}

impl Opened {
    fn error(&self, address: &Address) -> Error {
        let unreachable = |why: String| Error::new(ErrorKind::Unreachable, why);
        match self {
            Self::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                unreachable(format!("{address} closed the connection before it said who it is"))
            }
            Self::Io(e) => match io_error("cannot connect to", address, e) {
                e if e.kind() == ErrorKind::AtCapacity => e,
                e => unreachable(e.message().to_owned()),
            },
            Self::Failure(Failure::Malformed(m)) => {
                unreachable(format!("{address} does not speak the iris protocol: {m}"))
            }
            Self::Failure(Failure::Secret(why)) => {
                Error::new(ErrorKind::AuthFailed, format!("{address}: {why}"))
            }
            Self::Failure(Failure::Version((low, high))) => unreachable(format!(
                "{address} speaks versions {low} to {high} of the protocol, this node others"
            )),
            Self::Failure(Failure::Refused(r)) => refused(address, r),
        }
    }
}

fn refused(address: &Address, r: &Refuse) -> Error {
    let kind = match r.code {
        RefuseCode::Secret => ErrorKind::AuthFailed,
        RefuseCode::Capacity => ErrorKind::AtCapacity,
        RefuseCode::Itself => ErrorKind::InvalidArgument,
        _ => ErrorKind::Unreachable,
    };
    Error::new(kind, format!("{address} refused the connection: {}", r.why))
}

fn refusal(code: RefuseCode, incarnation: u64) -> Greeting {
    let why = match code {
        RefuseCode::DeclaredDown => "this incarnation was declared down; come as a new one",
        RefuseCode::UnknownSession => "there is no such session here any more",
        RefuseCode::WrongNode => "another node listens here now",
        RefuseCode::Capacity => "too many peers are connected; raise max_peers",
        RefuseCode::Itself => "a node cannot connect to itself; use its names and pids directly",
        RefuseCode::Closing => "the node is closing",
        RefuseCode::Version | RefuseCode::Secret => "",
    };
    Greeting::Refuse(Refuse { code, incarnation, why: why.to_owned() })
}

/// Accepts connections until it is told to stop.
pub(super) async fn accept(
    node: Arc<Node>,
    listener: Listener,
    secret: Option<Secret>,
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
        let task = serve(Arc::clone(&node), stream, secret.clone(), allowed, number);
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
async fn serve(
    node: Arc<Node>,
    stream: Stream,
    secret: Option<Secret>,
    allowed: Permissions,
    number: u64,
) {
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

/// The accepting side of the greeting. The connection carries the session only once the other has confirmed it with a
/// first record: that proves that it knows the key of *this* connection.
async fn welcome(
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
    let sealed = conn.read[conn.start + LENGTH..conn.start + LENGTH + n].to_vec();
    let plain = conn.channel.open(&sealed, &mut conn.scratch).ok()?.to_vec();
    conn.start += LENGTH + n;
    if let Ok(Greeting::Refuse(r)) = Greeting::decode(&plain) {
        if r.code == RefuseCode::DeclaredDown && r.incarnation >= me.incarnation {
            node.declared_down(known.as_ref(), r.incarnation);
        }
        return None;
    }
    Record::decode(&plain).ok()?;
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
enum Dialled {
    /// Carried from now on, by a task of its own.
    Carried(Arc<Session>),
    /// Another connection carries it.
    Already(Arc<Session>),
    /// This node or the peer has to come as a new incarnation first.
    Again,
}

/// Connects to an address.
pub(super) async fn dial(node: &Arc<Node>, address: &Address) -> Result<Arc<Session>> {
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
async fn dial_once(
    node: &Arc<Node>,
    address: &Address,
    resume: Option<&Arc<Session>>,
) -> Result<Dialled> {
    let stream = address.connect().await.map_err(|e| Opened::Io(e).error(address))?;
    let mut conn = Conn::new(stream);
    let secret = node.options().secret.clone();
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

/// Lets a connection carry a session until it is cut, and sees to what comes then.
fn carry(
    node: Arc<Node>,
    mut conn: Conn,
    session: Arc<Session>,
    theirs: &Hello,
    allowed: Permissions,
    address: Option<Address>,
) -> impl Future<Output = ()> + Send + use<> {
    let number = session.attach(theirs, allowed, address.is_some(), address.as_ref());
    async move {
        let Some(number) = number else { return };
        let cut = run(&node, &mut conn, &session, number).await;
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
async fn run(node: &Arc<Node>, conn: &mut Conn, session: &Arc<Session>, number: u64) -> Cut {
    match run_until(node, conn, session, number).await {
        Err(cut) => cut,
        Ok(never) => match never {},
    }
}

enum Never {}

async fn run_until(
    node: &Arc<Node>,
    conn: &mut Conn,
    session: &Arc<Session>,
    number: u64,
) -> std::result::Result<Never, Cut> {
    let options = node.options();
    let heartbeat = options.heartbeat;
    let mut space = Workspace::default();
    let closed = |_: io::Error| Cut::Closed;
    let ping = |stalled| move |ack| Record::Ping { ack, stalled, stamp: 0 };
    // The first record tells the other that this connection is the one.
    session.control(
        &mut conn.channel,
        ping(node.host.stalled() >= options.stall),
        &mut conn.out,
    )?;
    let mut said_ms = node.now_ms();
    loop {
        if session.ended().is_some() || !session.is_carrier(number) {
            // What the other should know, goodbye for one, is on its way if there was room.
            let _ = conn.write_some();
            return Err(Cut::Replaced);
        }
        // Write as long as there is something and room for it.
        loop {
            if conn.out.is_empty() {
                session.pump(number, &mut conn.channel, &mut space, &mut conn.out)?;
                if conn.out.is_empty() {
                    break;
                }
                said_ms = node.now_ms();
            }
            if !conn.write_some().map_err(closed)? {
                break;
            }
        }
        // Read what is there; a few buffers, then write again.
        let mut quiet = false;
        for _ in 0..4 {
            let n = conn.read_some().map_err(closed)?;
            if n == 0 {
                quiet = true;
                break;
            }
            take_records(conn, session, number)?;
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
        let lags = session.top_up();
        let now = node.now_ms();
        let since = Duration::from_millis(now.saturating_sub(said_ms));
        if since >= heartbeat && conn.out.is_empty() {
            session.control(
                &mut conn.channel,
                ping(node.host.stalled() >= options.stall),
                &mut conn.out,
            )?;
            said_ms = now;
            continue;
        }
        if session.untold() >= ACK_AT && conn.out.is_empty() {
            session.control(&mut conn.channel, |ack| Record::Ack { ack }, &mut conn.out)?;
            said_ms = now;
            continue;
        }
        if conn.out.is_empty() && !session.sleep() {
            continue;
        }
        let mut wait = heartbeat.saturating_sub(since).max(Duration::from_millis(1));
        let silence = Duration::from_millis(session.silence_ms());
        wait = wait.min(heartbeat.max(silence / 8));
        let owes = session.untold() != 0 && conn.out.is_empty();
        if owes {
            wait = wait.min(ACK_DELAY);
        }
        if lags {
            wait = wait.min(CREDIT_DELAY);
        }
        let blocked = !conn.out.is_empty();
        let woken = tokio::select! {
            biased;
            r = conn.stream.readable() => { r.map_err(closed)?; true }
            () = session.wake.notified() => true,
            r = conn.stream.writable(), if blocked => { r.map_err(closed)?; true }
            () = sleep(wait) => false,
        };
        if !woken && owes && conn.out.is_empty() {
            session.control(&mut conn.channel, |ack| Record::Ack { ack }, &mut conn.out)?;
            said_ms = node.now_ms();
        }
    }
}

/// Takes every whole record that was read.
fn take_records(conn: &mut Conn, session: &Arc<Session>, number: u64) -> Result<(), Cut> {
    while let Some(n) = record::split(&conn.read[conn.start..conn.end], MAX_RECORD)? {
        let from = conn.start + LENGTH;
        conn.start = from + n;
        let plain = conn.channel.open(&conn.read[from..from + n], &mut conn.scratch)?;
        // A refusal may come instead of the first record, never later.
        if plain.first() == Some(&3)
            && let Ok(Greeting::Refuse(r)) = Greeting::decode(plain)
        {
            return Err(match r.code {
                RefuseCode::DeclaredDown => Cut::DeclaredDown(r.incarnation),
                _ => Cut::Closed,
            });
        }
        let question = session.receive(number, Record::decode(plain)?)?;
        if let Some(stamp) = question {
            let answer = |ack| Record::Pong { ack, stamp };
            session.control(&mut conn.channel, answer, &mut conn.out)?;
        }
    }
    Ok(())
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
