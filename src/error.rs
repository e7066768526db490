//! One catalogue of errors for Rust, Node and Python.
//!
//! Every error has an [`ErrorKind`]; the kind has a stable code (`ERR_IRIS_...`) that Node shows as `err.code` and that
//! names the exception class in Python. Messages say which pid or name is meant and what to do.

use std::borrow::Cow;
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal),* $(,)?) => {
        /// What went wrong, in one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name),* }

        impl ErrorKind {
            /// The stable code: `err.code` in Node, `exc.code` in Python.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
            /// Every kind, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    /// An argument of the right type but out of range (budget 0, negative timeout, empty name).
    InvalidArgument = "ERR_IRIS_INVALID_ARGUMENT",
    /// An argument of the wrong type.
    InvalidType = "ERR_IRIS_INVALID_TYPE",
    /// The pid is unknown, dead, or of another runtime.
    NoSuchActor = "ERR_IRIS_NO_SUCH_ACTOR",
    /// The actor ended before it answered.
    ActorExited = "ERR_IRIS_ACTOR_EXITED",
    /// The handler threw while it handled the call.
    HandlerFailed = "ERR_IRIS_HANDLER_FAILED",
    /// The deadline passed first.
    Timeout = "ERR_IRIS_TIMEOUT",
    /// The mailbox is full.
    MailboxFull = "ERR_IRIS_MAILBOX_FULL",
    /// The name belongs to another live actor.
    NameTaken = "ERR_IRIS_NAME_TAKEN",
    /// The path is not absolute, too long, or has an empty segment.
    InvalidPath = "ERR_IRIS_INVALID_PATH",
    /// The runtime was closed, or belongs to the process before a fork.
    RuntimeClosed = "ERR_IRIS_RUNTIME_CLOSED",
    /// Waiting here would stop a lane, an event loop, a timer or I/O thread.
    WouldDeadlock = "ERR_IRIS_WOULD_DEADLOCK",
    /// No room for another actor, runtime or message.
    AtCapacity = "ERR_IRIS_AT_CAPACITY",
    /// An actor called itself and would wait for itself.
    SelfCall = "ERR_IRIS_SELF_CALL",
    /// The reply is late, or the call was answered already.
    StaleReply = "ERR_IRIS_STALE_REPLY",
    /// The caller gave up (an `AbortSignal`, a cancelled task).
    Aborted = "ERR_IRIS_ABORTED",
    /// The call needs the actor's own thread or process.
    NotLocal = "ERR_IRIS_NOT_LOCAL",
    /// No buffer that waits to be sent has this id: it was sent, or its owner has ended.
    NoSuchBuffer = "ERR_IRIS_NO_SUCH_BUFFER",
    /// Nobody has registered a codec of this name here.
    NoSuchCodec = "ERR_IRIS_NO_SUCH_CODEC",
    /// The link to a remote actor's node is gone: goodbye was said, or the node was declared down.
    Disconnected = "ERR_IRIS_DISCONNECTED",
    /// No node answers at the address, or it is none.
    Unreachable = "ERR_IRIS_UNREACHABLE",
    /// The other node has another secret or a certificate of another authority, or only one of the two has one.
    AuthFailed = "ERR_IRIS_AUTH_FAILED",
    /// The other node does not allow it.
    NotPermitted = "ERR_IRIS_NOT_PERMITTED",
    /// The message is larger than the wire or the other node takes.
    TooLarge = "ERR_IRIS_TOO_LARGE",
    /// The operating system refused (an address in use, a missing right).
    Io = "ERR_IRIS_IO",
    /// The source of a function is outside of what offload takes.
    NotCompilable = "ERR_IRIS_NOT_COMPILABLE",
    /// An effect of a speculating handler that answers something before the safe point.
    NotStaged = "ERR_IRIS_NOT_STAGED",
    /// A bug in iris: report it.
    Internal = "ERR_IRIS_INTERNAL",
}

/// An error of iris: a kind, and a sentence for people.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    stack: Option<Box<str>>,
}

/// The result of iris calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a sentence that names what is meant and says what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), stack: None }
    }

    /// Adds the host's stack trace.
    #[must_use]
    pub fn with_stack(mut self, stack: Option<String>) -> Self {
        self.stack = stack.map(String::into_boxed_str);
        self
    }

    /// What went wrong, in one word.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The stack trace of the host, where one is known.
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        self.stack.as_deref()
    }

    /// Whether the same call may succeed later without any other change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Timeout
                | ErrorKind::MailboxFull
                | ErrorKind::AtCapacity
                | ErrorKind::Unreachable
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::ErrorKind;

    #[test]
    fn codes_are_unique_and_carry_the_prefix() {
        let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|k| k.code()).collect();
        assert!(codes.iter().all(|c| c.starts_with("ERR_IRIS_")));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }
}
