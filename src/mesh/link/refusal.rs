//! Why a connection does not open, in words for both ends.

use crate::error::{Error, ErrorKind};
use crate::mesh::secure::Failure;
use crate::mesh::transport::{Address, Refused, io_error};
use crate::mesh::wire::greeting::{Greeting, Refuse, RefuseCode};
use std::io;

/// Why a connection did not open.
pub(super) enum Opened {
    Io(io::Error),
    Failure(Failure),
    /// The other closed the connection while certificates were to be shown.
    Certificate,
}

impl From<io::Error> for Opened {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<Failure> for Opened {
    fn from(f: Failure) -> Self {
        Self::Failure(f)
    }
}

impl Opened {
    pub(super) fn error(&self, address: &Address) -> Error {
        let unreachable = |why: String| Error::new(ErrorKind::Unreachable, why);
        match self {
            Self::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                unreachable(format!("{address} closed the connection before it said who it is"))
            }
            Self::Io(e) if e.get_ref().is_some_and(|why| why.is::<Refused>()) => {
                Error::new(ErrorKind::AuthFailed, format!("{address}: {e}"))
            }
            Self::Certificate => Error::new(
                ErrorKind::AuthFailed,
                format!("{address} closed the connection instead of showing a certificate"),
            ),
            Self::Io(e) => match io_error("cannot connect to", address, e) {
                e if e.kind() == ErrorKind::AtCapacity => e,
                e => unreachable(e.message().to_owned()),
            },
            Self::Failure(Failure::Malformed(m)) => {
                unreachable(format!("{address} does not speak the iris protocol: {m}"))
            }
            Self::Failure(Failure::Secret(why)) => {
                Error::new(ErrorKind::AuthFailed, format!("{address}: {why}"))
            }
            Self::Failure(Failure::Version((low, high))) => unreachable(format!(
                "{address} speaks versions {low} to {high} of the protocol, this node others"
            )),
            Self::Failure(Failure::Refused(r)) => refused(address, r),
        }
    }
}

pub(super) fn refused(address: &Address, r: &Refuse) -> Error {
    let kind = match r.code {
        RefuseCode::Secret => ErrorKind::AuthFailed,
        RefuseCode::Capacity => ErrorKind::AtCapacity,
        RefuseCode::Itself => ErrorKind::InvalidArgument,
        _ => ErrorKind::Unreachable,
    };
    Error::new(kind, format!("{address} refused the connection: {}", r.why))
}

pub(super) fn refusal(code: RefuseCode, incarnation: u64) -> Greeting {
    let why = match code {
        RefuseCode::DeclaredDown => "this incarnation was declared down; come as a new one",
        RefuseCode::UnknownSession => "there is no such session here any more",
        RefuseCode::WrongNode => "another node listens here now",
        RefuseCode::Capacity => "too many peers are connected; raise max_peers",
        RefuseCode::Itself => "a node cannot connect to itself; use its names and pids directly",
        RefuseCode::Closing => "the node is closing",
        RefuseCode::Version | RefuseCode::Secret => "",
    };
    Greeting::Refuse(Refuse { code, incarnation, why: why.to_owned() })
}
