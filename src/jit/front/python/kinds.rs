//! What is known about a value before it is there.

use super::env::Entry;
use crate::jit::ir::{Elem, Reg, Ty};

/// The kind of a value: all that the translation of an operation depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No value: a local variable before its first assignment, or one that nobody reads any more.
    Unset,
    /// `None`.
    None,
    /// An int within i64.
    Int {
        /// Known to be 0 or more: needs no wrap as an index.
        natural: bool,
    },
    /// A float.
    Float {
        /// It is a `numpy.float64`, which has its own rules for errors.
        numpy: bool,
    },
    /// A bool.
    Bool,
    /// A `numpy.bool_`: good for a branch.
    NumpyBool,
    /// A tuple.
    Tuple(Vec<Kind>),
    /// A list that the function made.
    List,
    /// A buffer argument.
    Buffer {
        /// Its number in the module.
        number: u32,
        /// Its element type.
        elem: Elem,
        /// It is a numpy array: its elements are numpy scalars.
        numpy: bool,
    },
    /// `range(...)`: start, stop, step.
    Range {
        /// The step, where it is a constant.
        step: Option<i64>,
        /// All of its values are 0 or more.
        natural: bool,
    },
    /// An iterator over a range: next value, how many are left, step.
    RangeIter {
        /// The step, where it is a constant.
        step: Option<i64>,
        /// All of its values are 0 or more.
        natural: bool,
    },
    /// An iterator over a buffer or a list (registers: position; the list's before it).
    SequenceIter(Box<Kind>),
    /// An iterator over a tuple, and how many it gave.
    TupleIter(Vec<Kind>, usize),
    /// What a name means that is no value.
    Entry(Entry),
}

impl Kind {
    pub(super) const INT: Self = Self::Int { natural: false };
    pub(super) const FLOAT: Self = Self::Float { numpy: false };

    /// The types of the registers that hold such a value.
    #[must_use]
    pub fn types(&self) -> Vec<Ty> {
        match self {
            Self::Int { .. } => vec![Ty::I64],
            Self::Float { .. } => vec![Ty::F64],
            Self::Bool | Self::NumpyBool => vec![Ty::Bool],
            Self::List => vec![Ty::List],
            Self::Tuple(kinds) => kinds.iter().flat_map(Self::types).collect(),
            Self::Range { .. } | Self::RangeIter { .. } => vec![Ty::I64; 3],
            Self::SequenceIter(of) => {
                let mut types = of.types();
                types.push(Ty::I64);
                types
            }
            Self::TupleIter(kinds, _) => kinds.iter().flat_map(Self::types).collect(),
            Self::Unset | Self::None | Self::Buffer { .. } | Self::Entry(_) => Vec::new(),
        }
    }

    /// As something that is returned; `None` for what only lives inside of a function.
    pub(super) fn returned(&self) -> Option<Self> {
        match self {
            Self::Int { .. } => Some(Self::INT),
            Self::Tuple(kinds) => {
                kinds.iter().map(Self::returned).collect::<Option<_>>().map(Self::Tuple)
            }
            Self::None | Self::Float { .. } | Self::Bool | Self::List => Some(self.clone()),
            _ => None,
        }
    }

    /// What Python calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::None => "None",
            Self::Int { .. } => "int",
            Self::Float { numpy: false } => "float",
            Self::Float { numpy: true } => "numpy.float64",
            Self::Bool => "bool",
            Self::NumpyBool => "numpy.bool_",
            Self::Tuple(_) => "tuple",
            Self::List => "list",
            Self::Buffer { .. } => "array",
            Self::Range { .. } => "range",
            Self::RangeIter { .. } | Self::SequenceIter(_) | Self::TupleIter(..) => "iterator",
            Self::Entry(_) => "function",
        }
    }
}

/// A value: its kind, the registers that hold it, and its number where that is a constant.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub(super) kind: Kind,
    pub(super) regs: Vec<Reg>,
    pub(super) constant: Option<i64>,
}

impl Val {
    pub(super) fn new(kind: Kind, regs: Vec<Reg>) -> Self {
        Self { kind, regs, constant: None }
    }

    pub(super) fn bare(kind: Kind) -> Self {
        Self::new(kind, Vec::new())
    }

    pub(super) fn unset() -> Self {
        Self::bare(Kind::Unset)
    }

    pub(super) fn int(reg: Reg) -> Self {
        Self::new(Kind::INT, vec![reg])
    }

    pub(super) fn float(reg: Reg) -> Self {
        Self::new(Kind::FLOAT, vec![reg])
    }

    pub(super) fn bool(reg: Reg) -> Self {
        Self::new(Kind::Bool, vec![reg])
    }

    pub(super) fn reg(&self) -> Reg {
        self.regs[0]
    }

    /// The items of a tuple.
    pub(super) fn items(&self, kinds: &[Kind]) -> Vec<Val> {
        let mut at = 0;
        kinds
            .iter()
            .map(|kind| {
                let n = kind.types().len();
                at += n;
                Val::new(kind.clone(), self.regs[at - n..at].to_vec())
            })
            .collect()
    }
}
