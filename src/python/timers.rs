//! Messages that are sent later.

use super::args::{Delay, PidArg, Timer};
use super::errors::OrRaise;
use super::runtime::PyRuntime;
use crate::runtime::TimerId;
use pyo3::prelude::*;

#[pymethods]
impl PyRuntime {
    /// Sends once, after a delay; answers the timer's id.
    fn send_after(
        &self,
        py: Python<'_>,
        pid: PidArg,
        delay_ms: Delay,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let shared = self.open(py)?;
        let (data, _) = shared.encode(pid.0, data)?;
        let timer = shared.rt.send_after(pid.known(py)?, delay_ms.0, data).or_raise(py)?;
        Ok(timer.to_bits())
    }

    /// Sends again and again; answers the timer's id.
    fn send_interval(
        &self,
        py: Python<'_>,
        pid: PidArg,
        interval_ms: Delay,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<u64> {
        let shared = self.open(py)?;
        let (data, _) = shared.encode(pid.0, data)?;
        let timer = shared.rt.send_interval(pid.known(py)?, interval_ms.0, data).or_raise(py)?;
        Ok(timer.to_bits())
    }

    /// Takes a timer back; answers whether it was still to fire.
    fn cancel_timer(&self, py: Python<'_>, timer_id: Timer) -> PyResult<bool> {
        let shared = self.open(py)?;
        Ok(timer_id.0.is_some_and(|bits| shared.rt.cancel_timer(TimerId::from_bits(bits))))
    }
}
