//! What the core does about other nodes when it is built without them: nothing.

use super::core::Core;
use crate::error::Result;
use crate::id::{CallId, Pid};
use std::time::Duration;

/// No mesh.
#[derive(Default)]
pub(super) struct Slot {}

/// As in mesh.rs.
#[derive(Default)]
pub(super) struct Talk {
    pub(super) count: u64,
    pub(super) said: u64,
    pub(super) expects: bool,
}

impl Core {
    #[allow(clippy::unused_self, reason = "the twin in mesh.rs needs it")]
    pub(super) fn fits(&self, _: Pid, _: usize) -> bool {
        true
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn has_peers(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn may_end(&self, _: Pid, _: bool, _: bool) -> bool {
        true
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as above")]
    pub(super) fn link_there(&self, _: Pid, _: Pid, _: bool) -> Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as above")]
    pub(super) fn trap_there(&self, _: Pid, _: bool) -> Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn talk(&self) -> Talk {
        Talk::default()
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn news_there(&self) -> Option<impl FnMut() -> bool + use<>> {
        None::<fn() -> bool>
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn cancel_there(&self, _: Pid, _: CallId) {}

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn whereis_there(&self, _: &str) -> Option<Pid> {
        None
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn disclaim(&self, _: &str) -> bool {
        false
    }

    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn close_mesh(&self, _: Duration, then: Box<dyn FnOnce() + Send>) {
        then();
    }

    pub(super) fn abort_mesh(&self) {
        let Slot {} = &self.mesh;
    }
}
