//! Codecs: what turns messages that are no bytes into bytes, and back. The registry is `iris.codecs`; an actor's cell in the
//! core carries the name of its codec.

use super::buffer;
use super::errors::{fail, wrong_type};
use super::shared::Shared;
use super::system::system_message;
use crate::error::ErrorKind;
use crate::id::Pid;
use crate::message::Payload;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A codec with its two functions at hand.
pub(super) struct Codec {
    name: Arc<str>,
    /// It trusts whoever encoded, so it is not for other nodes.
    local_only: bool,
    encode: Py<PyAny>,
    decode: Py<PyAny>,
}

impl Codec {
    /// Whether it carries trace contexts: the codecs of `iris.telemetry` are named so.
    pub(super) fn is_traced(&self) -> bool {
        self.name.starts_with("traced+")
    }
}

/// A codec or, without one, plain bytes.
pub(super) type MaybeCodec = Option<Arc<Codec>>;

/// What the core is told of a codec: its name, and whether it is for this process only.
pub(super) fn noted(codec: &MaybeCodec) -> Option<(Arc<str>, bool)> {
    codec.as_ref().map(|codec| (Arc::clone(&codec.name), codec.local_only))
}

/// The codecs that a runtime's actors use, by their names.
pub(super) type Codecs = HashMap<Arc<str>, Arc<Codec>>;

/// A message, or a reply, as bytes.
///
/// # Errors
/// What the codec raises; `InvalidType` if there is none and this is no bytes-like object, or if it makes none.
#[inline]
pub(super) fn encode(codec: Option<&Codec>, value: &Bound<'_, PyAny>) -> PyResult<Payload> {
    match codec {
        None => buffer::payload(value),
        Some(codec) => encode_with(codec, value),
    }
}

#[cold]
fn encode_with(codec: &Codec, value: &Bound<'_, PyAny>) -> PyResult<Payload> {
    let encoded = encoded(Some(codec), value)?;
    buffer::payload(&encoded).map_err(|e| {
        if !e.is_instance_of::<PyTypeError>(value.py()) {
            return e;
        }
        wrong_type(&encoded, &format!("codec {:?} must encode to bytes-like", codec.name))
    })
}

/// A message as the bytes-like object that [`encode`] takes the bytes of.
///
/// # Errors
/// What the codec raises.
pub(super) fn encoded<'py>(
    codec: Option<&Codec>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    match codec {
        None => Ok(value.clone()),
        Some(codec) => codec.encode.bind(value.py()).call1((value,)),
    }
}

/// What a payload says; a system message is no codec's.
///
/// # Errors
/// What the codec raises.
#[inline]
pub(super) fn decode<'py>(
    py: Python<'py>,
    codec: Option<&Codec>,
    payload: Payload,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(message) = payload.as_system() {
        return system_message(py, message, true);
    }
    let data = buffer::bytes(py, payload).into_any();
    match codec {
        None => Ok(data),
        Some(codec) => codec.decode.bind(py).call1((data,)),
    }
}

impl Shared {
    /// What `codec=` of a spawn means: nothing, a name, or a codec, which is registered by the way.
    ///
    /// # Errors
    /// `NoSuchCodec`, `InvalidType`; `InvalidArgument` if another codec has the name.
    pub(super) fn codec(&self, arg: Option<&Bound<'_, PyAny>>) -> PyResult<MaybeCodec> {
        let Some(arg) = arg else { return Ok(None) };
        // What a name means never changes, so actors of one codec share it.
        let known = |name: &str| self.codecs.lock().get(name).map(Arc::clone);
        if let Ok(name) = arg.extract::<Cow<'_, str>>()
            && let Some(codec) = known(&name)
        {
            return Ok(Some(codec));
        }
        self.resolve_codec(arg)
    }

    fn codec_named(&self, py: Python<'_>, name: &str) -> PyResult<MaybeCodec> {
        self.resolve_codec(&PyString::new(py, name).into_any())
    }

    fn resolve_codec(&self, arg: &Bound<'_, PyAny>) -> PyResult<MaybeCodec> {
        let found = arg.py().import("iris.codecs")?.call_method1("resolve", (arg,))?;
        if found.is_none() {
            return Ok(None);
        }
        let (name, local_only, encode, decode): (String, bool, Py<PyAny>, Py<PyAny>) =
            found.extract()?;
        let known = self.codecs.lock().get(name.as_str()).map(Arc::clone);
        if known.is_some() {
            return Ok(known);
        }
        let codec = Arc::new(Codec { name: name.into(), local_only, encode, decode });
        let old = self.codecs.lock().insert(Arc::clone(&codec.name), Arc::clone(&codec));
        drop(old);
        Ok(Some(codec))
    }

    /// Notes the codec of a new actor.
    pub(super) fn note_codec(&self, pid: Pid, codec: Option<(Arc<str>, bool)>) {
        let Some((name, local_only)) = codec else { return };
        self.rt.set_codec(pid, name);
        if local_only {
            self.rt.keep_local(pid);
        }
    }

    /// The codec of an actor.
    ///
    /// # Errors
    /// `NoSuchCodec` if its name is not known here.
    #[inline]
    pub(super) fn codec_of(&self, py: Python<'_>, pid: Option<Pid>) -> PyResult<MaybeCodec> {
        if !self.rt.has_codecs() {
            return Ok(None);
        }
        let spoken = pid.and_then(|pid| Some((pid, self.rt.codec_of(pid)?)));
        let Some((pid, name)) = spoken else { return Ok(None) };
        let found = self.codecs.lock().get(&name).map(Arc::clone);
        let found = match found {
            Some(codec) => Some(codec),
            // That of an actor of another node, which none here was spawned with yet.
            None => self.codec_named(py, &name).map_err(|e| {
                fail(
                    py,
                    ErrorKind::NoSuchCodec,
                    format!("pid {} speaks {name:?}, but {}", pid, e.value(py)),
                )
            })?,
        };
        let Some(codec) = found else { return Ok(None) };
        if codec.local_only && self.is_remote(pid) {
            return Err(fail(
                py,
                ErrorKind::NotLocal,
                format!("codec {name:?} is for actors of this process; that actor is elsewhere"),
            ));
        }
        Ok(Some(codec))
    }

    fn is_remote(&self, pid: Pid) -> bool {
        self.rt.actor_info(pid).is_some_and(|info| info.kind == "remote")
    }

    /// A message for `pid` as bytes, and its codec.
    ///
    /// # Errors
    /// As [`encode`] and [`codec_of`](Self::codec_of).
    #[inline]
    pub(super) fn encode(
        &self,
        pid: Option<Pid>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<(Payload, MaybeCodec)> {
        let codec = self.codec_of(data.py(), pid)?;
        Ok((self.encode_with(pid, codec.as_deref(), data)?, codec))
    }

    /// A message for `pid`, whose codec this is, as bytes.
    ///
    /// # Errors
    /// As [`encode`].
    #[inline]
    pub(super) fn encode_with(
        &self,
        pid: Option<Pid>,
        codec: Option<&Codec>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<Payload> {
        encode(codec, data).or_else(|e| {
            // The codec of an actor ended with it: a message that it would have encoded is refused like any other.
            let had_one = codec.is_none() && self.rt.has_codecs();
            if had_one
                && e.is_instance_of::<PyTypeError>(data.py())
                && pid.is_some_and(|pid| self.rt.is_gone(pid))
            {
                return Ok(Payload::empty());
            }
            Err(e)
        })
    }
}
