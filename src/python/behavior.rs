//! What an actor is to the lane that runs it: its handler, and what it has from its spawn.

use super::codec::MaybeCodec;
use super::context::Context;
use super::home::Home;
use super::virtuals::Hooks;
use pyo3::prelude::*;
use std::sync::Arc;

/// What handles the messages of an actor.
pub(super) struct Behavior {
    pub(super) handler: Py<PyAny>,
    pub(super) wants_ctx: bool,
    /// 1 for that of the spawn; no number names two.
    pub(super) version: u32,
}

/// An actor's handler.
pub(super) struct Slot {
    pub(super) now: Behavior,
    /// The context that is used for all messages but calls, once there was one.
    pub(super) ctx: Option<Py<Context>>,
    /// `None`: it has nothing of all that.
    pub(super) origin: Option<Arc<Origin>>,
}

/// What an actor has from its spawn. Spawns in a row that agree in it share one: a million actors of one handler cost little.
#[derive(Default)]
pub(super) struct Origin {
    /// contextvars to run in; `None`: the thread's.
    pub(super) variables: Option<Py<PyAny>>,
    /// The event loop of the spawning thread.
    pub(super) home: Option<Arc<Home>>,
    /// What wakes a virtual actor and puts it to sleep.
    pub(super) hooks: Option<Arc<Hooks>>,
    /// What its messages are encoded with.
    pub(super) codec: MaybeCodec,
    /// How it speculates: makes its handler of whichever is swapped in.
    pub(super) vortex: Option<Arc<Py<PyAny>>>,
}

impl Origin {
    fn is_bare(&self) -> bool {
        let Self { variables, home, hooks, codec, vortex } = self;
        variables.is_none()
            && home.is_none()
            && hooks.is_none()
            && codec.is_none()
            && vortex.is_none()
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        fn same<T: ?Sized>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
            match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            }
        }
        same(self.home.as_ref(), other.home.as_ref())
            && same(self.hooks.as_ref(), other.hooks.as_ref())
            && same(self.codec.as_ref(), other.codec.as_ref())
            && same(self.vortex.as_ref(), other.vortex.as_ref())
    }
}

impl Slot {
    pub(super) fn new(now: Behavior, origin: Origin) -> Self {
        let origin = if origin.is_bare() { None } else { Some(Arc::new(origin)) };
        Self { now, ctx: None, origin }
    }
}
