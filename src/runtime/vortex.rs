//! Speculation as hosts and Rust programs use it: races of actors of this runtime, and its telemetry.

use super::Runtime;
use super::core::Core;
use crate::actor::behavior::{Actor, Crash, Message};
use crate::actor::context::Context;
use crate::id::Pid;
use crate::mailbox::overflow::Pressure;
use std::sync::Arc;
use std::time::Duration;

pub use crate::vortex::transaction::not_staged;
pub use crate::vortex::{
    Branch, Effect, Event, Hedge, HedgeOptions, Policy, Transaction, Verdict, Vortex,
};

/// A message of an actor of this runtime that is being handled, by one branch or by two.
pub struct Race {
    race: crate::vortex::Race,
    core: Arc<Core>,
    pid: Pid,
}

impl Race {
    /// Says what has happened; the answer is to be carried out.
    pub fn step(&mut self, event: Event) -> Verdict {
        // Whoever was killed commits nothing.
        let event = if self.core.mailbox_size(self.pid).is_none() { Event::Gone } else { event };
        if event == Event::Slow && self.core.is_under_pressure(self.pid) {
            return Verdict::Wait;
        }
        self.race.step(event, self.core.clock.now_ns())
    }

    /// When a ghost is to be begun; `None`: only if the primary fails.
    #[must_use]
    pub fn ghost_after(&self) -> Option<Duration> {
        self.race.hedge().ghost_after()
    }

    /// How long a ghost that is held waits for the primary.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.race.hedge().grace()
    }
}

impl Core {
    /// Whether there is too much to do to do anything twice.
    fn is_under_pressure(&self, pid: Pid) -> bool {
        self.sheds_actors()
            || self.sheds_messages()
            || self.pressure(pid) == Some(Pressure::Critical)
    }
}

impl Runtime {
    /// The policy and the telemetry of this runtime's races.
    #[must_use]
    pub fn vortex(&self) -> &Arc<Vortex> {
        &self.core.vortex
    }

    /// A race begins: the primary branch of a message of `pid` runs.
    #[must_use]
    pub fn begin_race(&self, pid: Pid, hedge: &Arc<Hedge>) -> Race {
        let race = crate::vortex::Race::new(&self.core.vortex, hedge, self.core.clock.now_ns());
        Race { race, core: Arc::clone(&self.core), pid }
    }

    /// An actor that speculates: what the handler does through its context becomes visible when it returns, and after a
    /// crash the message is handled once more before the actor crashes.
    ///
    /// # Examples
    /// ```
    /// use iris::{Context, Crash, Message, Runtime};
    /// use std::time::Duration;
    ///
    /// let rt = Runtime::new(iris::Config::default())?;
    /// let mut fails = true;
    /// let pid = rt.spawn(rt.speculating(move |m: Message, ctx: &mut Context<'_>| {
    ///     ctx.reply(m.payload)?;
    ///     if std::mem::take(&mut fails) {
    ///         return Err(Crash(iris::CrashInfo { message: "once".into(), stack: None }));
    ///     }
    ///     Ok(())
    /// }))?;
    /// assert_eq!(&*rt.call_blocking(pid, b"hello", Duration::from_secs(5))?, b"hello");
    /// assert_eq!(rt.vortex().replays(), 1);
    /// rt.close(Duration::from_secs(1))?;
    /// # Ok::<(), iris::Error>(())
    /// ```
    pub fn speculating<F>(&self, handler: F) -> impl Actor + use<F>
    where
        F: FnMut(Message, &mut Context<'_>) -> Result<(), Crash> + Send + 'static,
    {
        let core = Arc::downgrade(&self.core);
        let exists = move |pid| core.upgrade().is_some_and(|core| core.mailbox_size(pid).is_some());
        crate::vortex::Replaying::new(Arc::clone(&self.core.vortex), Box::new(exists), handler)
    }
}
