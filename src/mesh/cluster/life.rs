//! Joining, the task that keeps membership and names up to date, leaving. On the I/O thread.

use super::members::Members;
use super::{Claim, NodeId, Running};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Pid;
use crate::mesh::host::Sink;
use crate::mesh::node::Node;
use crate::mesh::options::ClusterOptions;
use crate::mesh::session::Event;
use crate::mesh::transport::gossip::{self, LEAVING, Sessions, address_of, node_of};
use crate::mesh::transport::{Address, driver};
use crate::mesh::wire::op::MAX_CODEC;
use crate::sync::atomic::Ordering;
use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What a node says about itself: where it listens.
const ADDRESS: &str = "a";
/// And, behind this, each of its names.
const NAME: &str = "n:";
/// How long what a dead node said is remembered, so that a partition of that length heals by itself.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// Pause between tries to reach a seed.
const RESEED_MS: u64 = 2_000;

impl Node {
    /// Makes this node a member of the cluster that the nodes at `seeds` are in.
    pub(crate) fn join_cluster(
        self: &Arc<Self>,
        seeds: Vec<String>,
        options: ClusterOptions,
        sink: Sink<()>,
    ) {
        let parsed: Result<Vec<String>> = (|| {
            self.check_open()?;
            options.validate()?;
            if let Some(a) = &options.advertise {
                Address::parse(a)?;
            }
            seeds.iter().map(|s| Ok(Address::parse(s)?.to_string())).collect()
        })();
        let me = Arc::clone(self);
        match parsed {
            Err(e) => sink(Err(e)),
            Ok(seeds) => self.run_or(sink, move |sink| async move {
                sink(join(&me, seeds, options).await);
            }),
        }
    }

    /// Tells everybody that this node goes for good.
    pub(crate) fn leave_cluster(&self) {
        if let Some(running) = self.cluster.running.lock().take() {
            running.stop.abort();
            for s in self.peers.lock().all() {
                s.post(Event::Gossip(vec![LEAVING]));
            }
        }
    }
}

async fn join(node: &Arc<Node>, seeds: Vec<String>, options: ClusterOptions) -> Result<()> {
    let patience = options.timeout;
    let fresh = begin(node, &seeds, options.clone())?;
    let mut own = node.listening();
    own.extend(options.advertise.clone());
    let (tell, mut told) = mpsc::channel(seeds.len().max(1));
    for seed in seeds.iter().filter(|s| !own.contains(s)) {
        let (me, seed, tell) = (Arc::clone(node), seed.clone(), tell.clone());
        driver::task(async move {
            let _ = tell.send(reach(&me, &seed).await).await;
        });
    }
    drop(tell);
    let first = async {
        let mut failed = None;
        while let Some(outcome) = told.recv().await {
            match outcome {
                Ok(()) => return Ok(()),
                // It is this node under another address.
                Err(e) if e.kind() == ErrorKind::InvalidArgument => {}
                Err(e) => failed = Some(e),
            }
        }
        failed.map_or(Ok(()), Err)
    };
    let outcome = timeout(patience, first).await.unwrap_or_else(|_| {
        let ms = patience.as_millis();
        let who = seeds.join(", ");
        Err(Error::new(
            ErrorKind::Timeout,
            format!("none of {who} took this node into its cluster within {ms} ms; have they joined one of the same name?"),
        ))
    });
    if outcome.is_err() && fresh {
        node.leave_cluster();
    }
    outcome
}

/// Starts the membership if it has not begun; answers whether it did.
fn begin(node: &Arc<Node>, seeds: &[String], options: ClusterOptions) -> Result<bool> {
    let mut running = node.cluster.running.lock();
    if let Some(r) = &*running {
        if r.options.name != options.name {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "this node is in the cluster {:?} already and cannot join {:?}, too",
                    r.options.name, options.name
                ),
            ));
        }
        return Ok(false);
    }
    let (inlet, incoming) = gossip::inlet();
    let wire = Sessions::new(node, incoming);
    let (me, seeds, with) = (Arc::clone(node), seeds.to_vec(), options.clone());
    let stop = driver::task(async move {
        let config = config(me.cluster.me, &with);
        if let Ok(chitchat) = chitchat::spawn_chitchat(config, Vec::new(), &wire).await {
            let handle = Aborts(chitchat);
            run(&me, &handle.0, &seeds, &with).await;
        }
    });
    node.cluster.registry.lock().tell_all();
    *running = Some(Running { options, inlet, stop });
    Ok(true)
}

/// Ends chitchat's own task with ours.
struct Aborts(ChitchatHandle);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn config(me: NodeId, o: &ClusterOptions) -> ChitchatConfig {
    let address = address_of(me);
    ChitchatConfig {
        chitchat_id: ChitchatId::new(address.ip().to_string(), 0, address),
        cluster_id: o.name.clone(),
        gossip_interval: o.gossip,
        listen_addr: address,
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            initial_interval: o.gossip * 5,
            max_interval: o.gossip * 20,
            dead_node_grace_period: REMEMBERED,
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: REMEMBERED,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

/// Connects to a seed and waits until it has told what it knows.
async fn reach(node: &Arc<Node>, seed: &str) -> Result<()> {
    let (tx, rx) = tokio::sync::oneshot::channel();
    node.session_at(
        seed,
        Box::new(move |session| {
            let _ = tx.send(session);
        }),
    );
    let gone = || Error::new(ErrorKind::RuntimeClosed, "this runtime is closed; make a new one");
    let s = rx.await.map_err(|_| gone())??;
    let mut looks = node.cluster.looks.subscribe();
    loop {
        if node.cluster.members.lock().knows(&s.peer.node) {
            return Ok(());
        }
        node.cluster.rouse();
        looks.changed().await.map_err(|_| gone())?;
    }
}

/// Looks at everything whenever something may have changed, and once in a gossip interval.
async fn run(node: &Arc<Node>, chitchat: &ChitchatHandle, seeds: &[String], o: &ClusterOptions) {
    let cluster = &node.cluster;
    let state = chitchat.chitchat();
    let mut greeted = HashSet::new();
    let mut address = None;
    let mut reseed_ms = node.now_ms() + RESEED_MS;
    loop {
        let _ = timeout(o.gossip, cluster.wake.notified()).await;
        if node.is_closed() {
            return;
        }
        settle_own(node);
        let mut news = false;
        {
            let mut chitchat = state.lock().await;
            let listens = o.advertise.clone().unwrap_or_else(|| node.public_address());
            if address.as_ref() != Some(&listens) {
                chitchat.self_node_state().set(ADDRESS, &listens);
                address = Some(listens);
                news = true;
            }
            let changed = cluster.registry.lock().changed();
            for (name, claim) in changed {
                let key = format!("{NAME}{name}");
                match claim {
                    Some(claim) => {
                        let pid = Pid::from_bits(claim.bits);
                        let codec = pid.and_then(|pid| node.host.codec_of(pid));
                        let value = claim.text(codec.as_deref());
                        chitchat.self_node_state().set(key, value);
                    }
                    None => chitchat.self_node_state().delete(&key),
                }
                news = true;
            }
            learn(node, &chitchat);
        }
        judge(node, o.gossip);
        let lost = cluster.registry.lock().lose();
        for (name, bits, owner) in lost {
            if let Some(pid) = Pid::from_bits(bits) {
                node.host.lose_name(&name, pid, &super::short(&owner.node));
            }
            cluster.rouse();
        }
        // What is new goes to everybody at once, not only to those that chance picks.
        let sessions = node.peers.lock().all();
        greeted.retain(|n| sessions.iter().any(|s| s.peer.node == *n));
        for s in &sessions {
            if greeted.insert(s.peer.node) || news {
                let _ = chitchat.gossip(address_of(s.peer.node));
            }
        }
        connect(node, &sessions.iter().map(|s| s.peer.node).collect());
        let now = node.now_ms();
        if now >= reseed_ms {
            reseed_ms = now + RESEED_MS;
            for seed in seeds {
                if node.peers.lock().at(seed).is_none() && !node.listening().contains(seed) {
                    dial(node, seed);
                }
            }
        }
        cluster.looks.send_modify(|n| *n += 1);
    }
}

/// Names of this node whose actor has ended go to its replacement, or away.
fn settle_own(node: &Arc<Node>) {
    if !node.cluster.stale.swap(false, Ordering::AcqRel) {
        return;
    }
    let own: Vec<(String, u64)> = {
        let registry = node.cluster.registry.lock();
        registry.own().map(|(name, bits)| (name.to_owned(), bits)).collect()
    };
    for (name, bits) in own {
        match node.host.whereis(&name) {
            Some(pid) if pid.to_bits() == bits => {}
            Some(pid) => {
                node.cluster.registry.lock().hand_on(&name, pid.to_bits());
                node.watch_holder(pid);
            }
            // Its replacement is not there yet: look again.
            None if node.host.is_kept(&name) => node.cluster.stale.store(true, Ordering::Release),
            None => {
                node.cluster.registry.lock().disclaim(&name);
            }
        }
    }
}

/// Takes in what gossip has brought.
fn learn(node: &Node, chitchat: &Chitchat) {
    let cluster = &node.cluster;
    let options = node.options();
    let now = node.now_ms();
    let mut members = cluster.members.lock();
    let mut known = HashSet::new();
    let mut keys = 0;
    for (id, state) in chitchat.node_states() {
        let Some(other) = node_of(id.gossip_advertise_addr).filter(|n| *n != cluster.me) else {
            continue;
        };
        keys += state.num_key_values();
        if known.len() >= options.max_peers || !known.insert(other) {
            continue;
        }
        let member = members.get_mut(other);
        member.heard(state.heartbeat(), now);
        let version = (state.last_gc_version(), state.max_version());
        if member.version == version {
            continue;
        }
        member.version = version;
        member.address = state.get(ADDRESS).unwrap_or_default().to_owned();
        let (mut names, mut speak) = (HashMap::new(), HashMap::new());
        let mut codecs: HashMap<&str, Arc<str>> = HashMap::new();
        let all = state.iter_prefix(NAME).filter(|(_, value)| !value.is_deleted());
        for (key, value) in all.take(options.max_refs) {
            let Some((claim, codec)) = Claim::parse(other, &value.value) else { continue };
            let Some(name) = key.strip_prefix(NAME) else { continue };
            names.insert(name.into(), claim);
            if let Some(codec) = codec.filter(|c| c.len() <= MAX_CODEC) {
                let codec = codecs.entry(codec).or_insert_with(|| codec.into());
                speak.insert(claim.bits, Arc::clone(codec));
            }
        }
        cluster.registry.lock().learn(other, names, speak);
    }
    for gone in members.keep(&known) {
        cluster.registry.lock().forget(&gone);
    }
    cluster.flooded.store(keys > options.max_refs, Ordering::Relaxed);
}

/// Says whose names count: of those that are connected, and of those that others hear.
fn judge(node: &Node, gossip: Duration) {
    let patience = (gossip * 5).max(Duration::from_secs(1)).as_millis() as u64;
    let now = node.now_ms();
    let judged: Vec<(NodeId, bool)> = {
        let members = node.cluster.members.lock();
        let counts = |m: &Members, n: &NodeId| {
            !m.has_left(n) && (node.session_with(n).is_some() || m.is_heard(n, now, patience))
        };
        members.nodes().into_iter().map(|n| (n, counts(&members, &n))).collect()
    };
    let mut registry = node.cluster.registry.lock();
    for (other, counts) in judged {
        registry.count(other, counts);
    }
}

/// Connects to members that this node has no session with.
fn connect(node: &Arc<Node>, connected: &HashSet<NodeId>) {
    let now = node.now_ms();
    let due: Vec<String> = {
        let mut members = node.cluster.members.lock();
        let missing = members.nodes().into_iter().filter(|n| !connected.contains(n));
        let missing: Vec<NodeId> = missing.collect();
        missing.iter().filter_map(|n| members.take_due(n, now)).collect()
    };
    for address in due {
        dial(node, &address);
    }
}

fn dial(node: &Arc<Node>, address: &str) {
    let me = Arc::downgrade(node);
    node.session_at(
        address,
        Box::new(move |_| {
            if let Some(me) = me.upgrade() {
                me.cluster.rouse();
            }
        }),
    );
}
