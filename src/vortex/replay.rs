//! Rust actors: what a handler does through its context becomes visible when it returns, and after a crash the message is
//! handled once more. A worker runs one branch at a time, so there is no ghost beside a primary that is slow.

use super::ghost::{Hedge, Race, Vortex};
use super::policy::{Branch, Event, Verdict};
use super::transaction::{Staging, Transaction};
use crate::actor::behavior::{Actor, Crash, Message};
use crate::actor::context::Context;
use crate::id::{CallId, Pid};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// A Rust actor that speculates; made by [`Runtime::speculating`](crate::Runtime::speculating).
pub struct Replaying<F> {
    handler: F,
    vortex: Arc<Vortex>,
    hedge: Arc<Hedge>,
    exists: Exists,
}

/// Whether an actor has not ended.
pub(crate) type Exists = Box<dyn Fn(Pid) -> bool + Send>;

type Outcome = std::thread::Result<std::result::Result<(), Crash>>;

impl<F> Replaying<F>
where
    F: FnMut(Message, &mut Context<'_>) -> std::result::Result<(), Crash> + Send + 'static,
{
    /// An actor of this handler, counted by `vortex`.
    pub(crate) fn new(vortex: Arc<Vortex>, exists: Exists, handler: F) -> Self {
        Self { handler, vortex, hedge: Hedge::replays_only(), exists }
    }

    fn run(
        &mut self,
        message: Message,
        ctx: &Context<'_>,
    ) -> (Outcome, Transaction, Option<CallId>) {
        let staging = Staging::default();
        let mut branch = Context { effects: &staging, pid: ctx.pid, call: ctx.call };
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.handler)(message, &mut branch)));
        let call = branch.call;
        (outcome, staging.into_transaction(), call)
    }

    fn step(&self, race: &mut Race, branch: Branch, outcome: &Outcome, pid: Pid) -> Verdict {
        let event = match outcome {
            _ if !(self.exists)(pid) => Event::Gone,
            Ok(Ok(())) => Event::Finished(branch),
            _ => Event::Failed(branch),
        };
        race.step(event, 0)
    }
}

/// Carries out what the branch that has won has staged; of an actor that is gone, nothing.
fn finish(verdict: Verdict, staged: Transaction, call: Option<CallId>, ctx: &mut Context<'_>) {
    if matches!(verdict, Verdict::Commit(_)) {
        ctx.call = call;
        staged.commit(ctx.pid, ctx.effects);
    }
}

impl<F> Actor for Replaying<F>
where
    F: FnMut(Message, &mut Context<'_>) -> std::result::Result<(), Crash> + Send + 'static,
{
    fn handle(
        &mut self,
        message: Message,
        ctx: &mut Context<'_>,
    ) -> std::result::Result<(), Crash> {
        // No branch knows how long it takes: nobody would begin a ghost.
        let mut race = Race::new(&self.vortex, &self.hedge, 0);
        let again = Message { payload: message.payload.clone(), sender: message.sender };
        let (first, staged, call) = self.run(message, ctx);
        match self.step(&mut race, Branch::Primary, &first, ctx.pid) {
            Verdict::Start => drop(staged),
            verdict => {
                finish(verdict, staged, call, ctx);
                return Ok(());
            }
        }
        let (second, staged, call) = self.run(again, ctx);
        let verdict = self.step(&mut race, Branch::Ghost, &second, ctx.pid);
        if verdict != Verdict::Crash {
            finish(verdict, staged, call, ctx);
            return Ok(());
        }
        match first {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}
