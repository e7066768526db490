//! What handles the messages.

use super::context::Context;
use crate::message::{CrashInfo, Payload};

/// A message as a Rust actor gets it.
#[derive(Debug)]
pub struct Message {
    /// The bytes.
    pub payload: Payload,
    /// The actor that sent it in its own name, if one did.
    pub sender: Option<crate::id::Pid>,
}

/// What a handler threw, from any error.
#[derive(Debug)]
pub struct Crash(pub CrashInfo);

impl<E: std::error::Error> From<E> for Crash {
    fn from(e: E) -> Self {
        Self(CrashInfo { message: e.to_string(), stack: None })
    }
}

/// A Rust actor: one message at a time, on the core's worker threads.
///
/// Let it crash: an `Err` or a panic ends the actor with `crash` or `panic`; the process and its neighbours go on. A
/// closure `FnMut(Message, &mut Context)` is an actor too.
pub trait Actor: Send + 'static {
    /// Handles one message.
    ///
    /// # Errors
    /// An `Err` is a crash of this actor.
    fn handle(&mut self, message: Message, ctx: &mut Context<'_>) -> Result<(), Crash>;
}

impl<F> Actor for F
where
    F: FnMut(Message, &mut Context<'_>) + Send + 'static,
{
    fn handle(&mut self, message: Message, ctx: &mut Context<'_>) -> Result<(), Crash> {
        self(message, ctx);
        Ok(())
    }
}
