//! Why something does not compile: one sentence, and where.

use std::fmt;

/// A place in the source, both numbers from 1; `0:0` is nowhere in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pos {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Pos {
    /// A place.
    #[must_use]
    pub const fn new(line: u32, column: u32) -> Self {
        Self { line, column }
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JitErrorKind {
    /// The source is not valid in its language.
    Syntax,
    /// Valid, but outside of what compiles; the host runs the function as it is.
    Unsupported,
    /// Too large, too deep, or too many variants: see [`super::Limits`].
    Limit,
    /// The machine or the operating system refused; the interpreter runs the function.
    Backend,
    /// The IR is ill-formed: a bug in a front end.
    Invalid,
}

/// A refusal to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JitError {
    /// What kind of refusal it is.
    pub kind: JitErrorKind,
    /// Where in the source, `0:0` if nowhere in particular.
    pub pos: Pos,
    /// The reason, for people.
    pub message: String,
}

/// The result of a compile stage.
pub type Result<T> = std::result::Result<T, JitError>;

impl JitError {
    /// An error of `kind` at `pos`.
    #[must_use]
    pub fn new(kind: JitErrorKind, pos: Pos, message: impl Into<String>) -> Self {
        Self { kind, pos, message: message.into() }
    }

    /// Outside of what compiles.
    #[must_use]
    pub fn unsupported(pos: Pos, message: impl Into<String>) -> Self {
        Self::new(JitErrorKind::Unsupported, pos, message)
    }

    /// Beyond a limit.
    #[must_use]
    pub fn limit(pos: Pos, message: impl Into<String>) -> Self {
        Self::new(JitErrorKind::Limit, pos, message)
    }

    /// Ill-formed IR.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(JitErrorKind::Invalid, Pos::default(), message)
    }

    /// The machine refused.
    #[must_use]
    pub fn backend(message: impl Into<String>) -> Self {
        Self::new(JitErrorKind::Backend, Pos::default(), message)
    }
}

impl fmt::Display for JitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pos == Pos::default() {
            f.write_str(&self.message)
        } else {
            write!(f, "{} (at {})", self.message, self.pos)
        }
    }
}

impl std::error::Error for JitError {}
