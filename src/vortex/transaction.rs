//! What a branch has staged.

use crate::actor::context::Effects;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CallId, Pid};
use crate::message::Payload;
use crate::sync::Mutex;

/// One effect that waits for its branch's safe point.
#[derive(Debug)]
pub enum Effect {
    /// A message in the actor's name.
    Send(Pid, Payload),
    /// The answer to a call.
    Reply(CallId, Payload),
    /// The end of an actor, mostly its own.
    Stop(Pid),
}

/// The effects of one branch, in their order. Committing takes it, so nothing is done twice; dropping it does nothing.
#[derive(Debug, Default)]
pub struct Transaction {
    effects: Vec<Effect>,
}

impl Transaction {
    /// Adds an effect.
    pub fn stage(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// What was staged, in order, for a host that carries it out itself.
    #[must_use]
    pub fn into_effects(self) -> Vec<Effect> {
        self.effects
    }

    /// Carries out what was staged, in order. What nobody takes any more is refused as it would be now.
    pub fn commit(self, sender: Pid, through: &dyn Effects) {
        for effect in self.effects {
            match effect {
                Effect::Send(to, payload) => {
                    through.send(to, payload, sender);
                }
                Effect::Reply(call, payload) => {
                    through.reply(call, payload);
                }
                Effect::Stop(pid) => {
                    through.stop(pid);
                }
            }
        }
    }
}

/// What a Rust handler reaches instead of the runtime: everything is staged.
#[derive(Default)]
pub(super) struct Staging(Mutex<Transaction>);

impl Staging {
    pub(super) fn into_transaction(self) -> Transaction {
        std::mem::take(&mut *self.0.lock())
    }

    fn stage(&self, effect: Effect) -> bool {
        self.0.lock().stage(effect);
        true
    }
}

impl Effects for Staging {
    fn send(&self, to: Pid, payload: Payload, _sender: Pid) -> bool {
        self.stage(Effect::Send(to, payload))
    }
    fn reply(&self, call: CallId, payload: Payload) -> bool {
        self.stage(Effect::Reply(call, payload))
    }
    fn stop(&self, pid: Pid) -> bool {
        self.stage(Effect::Stop(pid))
    }
    fn monitor(&self, _target: Pid, watcher: Pid) -> Result<u64> {
        Err(not_staged(watcher, "monitor"))
    }
    fn link(&self, a: Pid, _b: Pid) -> Result<()> {
        Err(not_staged(a, "link"))
    }
}

/// The error of an effect whose answer is needed before the safe point.
#[must_use]
pub fn not_staged(pid: Pid, what: &str) -> Error {
    Error::new(
        ErrorKind::NotStaged,
        format!(
            "actor {pid} speculates: ctx.{what} answers something before the safe point, so it cannot be staged; \
             the runtime's own {what} is not staged either way"
        ),
    )
}
