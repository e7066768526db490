//! Actors that end with their parent.

use super::args::{Count, Flag, PidArg};
use super::runtime::PyRuntime;
use crate::config::SpawnOptions;
use pyo3::prelude::*;

#[pymethods]
impl PyRuntime {
    /// Spawns an actor that ends with its parent.
    #[pyo3(signature = (parent, handler, budget=Count(100), release_gil=Flag(false), *, system=Flag(false), codec=None, vortex=None), text_signature = "($self, parent, handler, budget=100, release_gil=False, *, system=False, codec=None, vortex=False)")]
    #[allow(clippy::too_many_arguments, reason = "the seed's signature, and three options")]
    fn spawn_child(
        slf: &Bound<'_, Self>,
        parent: PidArg,
        handler: &Bound<'_, PyAny>,
        budget: Count,
        release_gil: Flag,
        system: Flag,
        codec: Option<&Bound<'_, PyAny>>,
        vortex: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        slf.get().open(slf.py())?;
        let parent = Some(parent.known(slf.py())?);
        let options =
            SpawnOptions { budget: budget.0, parent, system: system.0, ..SpawnOptions::default() };
        Self::spawn_with(slf, handler, options, release_gil, codec, vortex)
    }
}
