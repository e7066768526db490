//! Names of a cluster, as one node knows them. Pure: no I/O, no clock.
//!
//! Every node says which names it gives to its own actors and since when; nobody says anything about another's. Whoever sees
//! the same claims sees the same owner: the oldest claim of the nodes that count. A node counts while it is connected, or heard
//! of through others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A node, without its incarnation: a name stays with its actor when the link between two nodes is made anew.
pub(crate) type NodeId = [u8; 16];

/// A node says that an actor of its has a name. The smallest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// When the name was given, in milliseconds since 1970 on that node's clock.
    pub(crate) stamp: u64,
    /// Whose actor it is.
    pub(crate) node: NodeId,
    /// The actor's pid there.
    pub(crate) bits: u64,
}

impl Claim {
    /// As a value for others, with the codec that the actor speaks.
    pub(crate) fn text(self, codec: Option<&str>) -> String {
        let (dot, codec) = codec.map_or(("", ""), |name| (".", name));
        format!("{:x}.{:x}{dot}{codec}", self.stamp, self.bits)
    }

    /// From what a node said, and what the actor speaks; `None`: it makes no sense.
    pub(crate) fn parse(node: NodeId, text: &str) -> Option<(Self, Option<&str>)> {
        let (stamp, rest) = text.split_once('.')?;
        let (bits, codec) = rest.split_once('.').map_or((rest, None), |(b, c)| (b, Some(c)));
        let number = |s: &str| u64::from_str_radix(s, 16).ok();
        if codec == Some("") {
            return None;
        }
        Some((Self { stamp: number(stamp)?, node, bits: number(bits)? }, codec))
    }
}

/// See the module.
pub(crate) struct Registry {
    me: NodeId,
    own: HashMap<Box<str>, Claim>,
    theirs: HashMap<NodeId, HashMap<Box<str>, Claim>>,
    /// What those of their actors that have a name speak, by node and pid; bytes are not noted.
    speak: HashMap<NodeId, HashMap<u64, Arc<str>>>,
    counted: HashSet<NodeId>,
    /// Own names whose claim was made, changed or taken back since the last [`changed`](Self::changed).
    changed: BTreeSet<Box<str>>,
}

impl Registry {
    pub(crate) fn new(me: NodeId) -> Self {
        Self {
            me,
            own: HashMap::new(),
            theirs: HashMap::new(),
            speak: HashMap::new(),
            counted: HashSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Who has the name.
    pub(crate) fn owner(&self, name: &str) -> Option<Claim> {
        self.other(name).into_iter().chain(self.own.get(name).copied()).min()
    }

    fn other(&self, name: &str) -> Option<Claim> {
        let all = self.counted.iter().filter_map(|n| self.theirs.get(n)?.get(name));
        all.min().copied()
    }

    /// Gives a name to an actor of this node; answers the owner if there is another. The same actor keeps its stamp.
    pub(crate) fn claim(&mut self, name: &str, bits: u64, stamp: u64) -> Result<(), Claim> {
        match self.owner(name) {
            Some(owner) if owner.node == self.me && owner.bits == bits => Ok(()),
            Some(owner) => Err(owner),
            None => {
                self.own.insert(name.into(), Claim { stamp, node: self.me, bits });
                self.changed.insert(name.into());
                Ok(())
            }
        }
    }

    /// The name has come to the replacement of its actor.
    pub(crate) fn hand_on(&mut self, name: &str, bits: u64) {
        if let Some(claim) = self.own.get_mut(name) {
            claim.bits = bits;
            self.changed.insert(name.into());
        }
    }

    /// Takes a name of this node's back; whether it was one.
    pub(crate) fn disclaim(&mut self, name: &str) -> bool {
        let was = self.own.remove(name).is_some();
        if was {
            self.changed.insert(name.into());
        }
        was
    }

    /// This node's names.
    pub(crate) fn own(&self) -> impl Iterator<Item = (&str, u64)> {
        self.own.iter().map(|(name, c)| (&**name, c.bits))
    }

    /// What others have to be told: names of this node with their claims, or without one.
    pub(crate) fn changed(&mut self) -> Vec<(Box<str>, Option<Claim>)> {
        let names = std::mem::take(&mut self.changed);
        names.into_iter().map(|n| (n.clone(), self.own.get(&n).copied())).collect()
    }

    /// All of it has to be told again.
    pub(crate) fn tell_all(&mut self) {
        self.changed.extend(self.own.keys().cloned());
    }

    /// A node says that these, and no others, are its names, and what their actors speak.
    pub(crate) fn learn(
        &mut self,
        node: NodeId,
        names: HashMap<Box<str>, Claim>,
        speak: HashMap<u64, Arc<str>>,
    ) {
        self.theirs.insert(node, names);
        self.speak.insert(node, speak);
    }

    /// What an actor of another node speaks; `None`: bytes.
    pub(crate) fn codec(&self, owner: Claim) -> Option<Arc<str>> {
        self.speak.get(&owner.node)?.get(&owner.bits).cloned()
    }

    /// Nothing is known of the node any more.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.theirs.remove(node);
        self.speak.remove(node);
        self.counted.remove(node);
    }

    /// Whether the node's claims count.
    pub(crate) fn count(&mut self, node: NodeId, on: bool) {
        if on {
            self.counted.insert(node);
        } else {
            self.counted.remove(&node);
        }
    }

    /// Takes back the names of this node that another has had for longer; answers them with the actors that lose them.
    pub(crate) fn lose(&mut self) -> Vec<(Box<str>, u64, Claim)> {
        let mut lost = Vec::new();
        // The smaller side is looked up in the larger: there may be many names and few in common.
        for claims in self.counted.iter().filter_map(|n| self.theirs.get(n)) {
            if claims.len() < self.own.len() {
                for (name, theirs) in claims {
                    if let Some(mine) = self.own.get(name).filter(|mine| theirs < *mine) {
                        lost.push((name.clone(), mine.bits, *theirs));
                    }
                }
            } else {
                for (name, mine) in &self.own {
                    if let Some(theirs) = claims.get(name).filter(|theirs| *theirs < mine) {
                        lost.push((name.clone(), mine.bits, *theirs));
                    }
                }
            }
        }
        lost.retain(|(name, _, _)| self.disclaim(name));
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, NodeId, Registry};

    const A: NodeId = [1; 16];
    const B: NodeId = [2; 16];
    const C: NodeId = [3; 16];

    fn said(r: &mut Registry, node: NodeId, name: &str, bits: u64, stamp: u64) {
        r.learn(node, [(name.into(), Claim { stamp, node, bits })].into(), [].into());
    }

    #[test]
    fn the_oldest_claim_of_those_that_count_is_the_owner_everywhere() {
        let mut c = Registry::new(C);
        said(&mut c, A, "x", 1, 200);
        said(&mut c, B, "x", 2, 100);
        assert_eq!(c.owner("x"), None, "nobody counts yet");
        c.count(A, true);
        assert_eq!(c.owner("x").map(|o| o.node), Some(A));
        c.count(B, true);
        assert_eq!(c.owner("x").map(|o| o.node), Some(B));
        c.count(B, false);
        assert_eq!(c.owner("x").map(|o| o.node), Some(A));
    }

    #[test]
    fn the_younger_loses_and_the_older_does_not() {
        let mut a = Registry::new(A);
        let mut b = Registry::new(B);
        a.claim("x", 1, 100).unwrap();
        b.claim("x", 2, 100).unwrap();
        said(&mut a, B, "x", 2, 100);
        said(&mut b, A, "x", 1, 100);
        a.count(B, true);
        b.count(A, true);
        assert!(a.lose().is_empty(), "equal stamps: the smaller node id");
        let lost = b.lose();
        assert_eq!(lost.len(), 1);
        assert_eq!((&*lost[0].0, lost[0].1, lost[0].2.node), ("x", 2, A));
        assert_eq!(b.lose().len(), 0, "once");
        assert_eq!(b.owner("x"), a.owner("x"));
    }

    #[test]
    fn a_taken_name_is_refused_and_a_restart_keeps_the_stamp() {
        let mut a = Registry::new(A);
        said(&mut a, B, "x", 2, 100);
        a.count(B, true);
        assert_eq!(a.claim("x", 1, 50).unwrap_err().node, B);
        a.claim("y", 1, 50).unwrap();
        a.claim("y", 1, 99).unwrap();
        assert_eq!(a.changed().len(), 1);
        a.hand_on("y", 7);
        assert_eq!(a.owner("y"), Some(Claim { stamp: 50, node: A, bits: 7 }));
        assert!(a.disclaim("y"));
        assert_eq!(a.changed(), [("y".into(), None)]);
    }

    #[test]
    fn claims_survive_their_text() {
        let claim = Claim { stamp: 1_700_000_000_000, node: A, bits: 0x1f_ffff_ffff_ffff };
        for codec in [None, Some("json"), Some("a.b")] {
            assert_eq!(Claim::parse(A, &claim.text(codec)), Some((claim, codec)));
        }
        for wrong in ["", ".", "1", "1.", "x.1", "1.1.", "1..x", "1ffffffffffffffff.1"] {
            assert_eq!(Claim::parse(A, wrong), None, "{wrong}");
        }
    }
}
