//! The typed IR that both languages share: functions of blocks of instructions over typed registers.
//!
//! Registers are variables, not SSA values: they may be written many times, which keeps front ends and the interpreter
//! plain (Cranelift's frontend makes SSA out of them). Every register must be written before it is read on every path;
//! `check.rs` proves it, and with it that types fit, before anything runs.

use super::error::Pos;
pub use super::imports::Import;
pub use super::ops::Op;

/// The type of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    /// IEEE binary64.
    F64,
    /// 64-bit integer, two's complement.
    I64,
    /// 32-bit integer, two's complement; signedness is the operation's.
    I32,
    /// true or false.
    Bool,
    /// A list of tagged 64-bit values, owned by the call.
    List,
}

/// The element type of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Elem {
    F64,
    F32,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Elem {
    /// Bytes an element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The register type that a load gives and a store takes: floats are F64, integers I64, booleans Bool.
    #[must_use]
    pub const fn ty(self) -> Ty {
        match self {
            Self::F64 | Self::F32 => Ty::F64,
            Self::Bool => Ty::Bool,
            _ => Ty::I64,
        }
    }

    /// The integers that fit, `None` for floats and booleans.
    #[must_use]
    pub const fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::F64 | Self::F32 | Self::Bool => None,
            Self::I64 => Some((i64::MIN, i64::MAX)),
            Self::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::I16 => Some((i16::MIN as i64, i16::MAX as i64)),
            Self::I8 => Some((i8::MIN as i64, i8::MAX as i64)),
            // Loads beyond i64::MAX leave, so no such value is ever in a register.
            Self::U64 => Some((0, i64::MAX)),
            Self::U32 => Some((0, u32::MAX as i64)),
            Self::U16 => Some((0, u16::MAX as i64)),
            Self::U8 => Some((0, u8::MAX as i64)),
        }
    }
}

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            /// As an index.
            #[must_use]
            pub const fn at(self) -> usize { self.0 as usize }
        }
    )*};
}

index! {
    /// A register of a function.
    Reg,
    /// A block of a function.
    BlockId,
    /// A function of a module.
    FuncId,
    /// A buffer parameter of a module.
    BufId,
    /// An exit of a module.
    ExitId
}

/// Why native code leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// An integer does not fit in 64 bits.
    Overflow,
    /// A division by zero.
    ZeroDivision,
    /// A function outside of its domain, or a result that the host computes another way.
    Domain,
    /// An index out of range.
    Index,
    /// A value whose type this variant was not made for.
    Type,
    /// A variable without a value.
    Unbound,
    /// A value that the buffer's element type does not hold.
    Range,
    /// Too deep a recursion.
    Recursion,
    /// The poll hook said stop.
    Interrupted,
    /// The host raises here (an `assert`, a `raise`).
    Raise,
    /// A list outgrew its bound.
    Memory,
}

impl Reason {
    /// One or two words for `explain()`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::ZeroDivision => "zero division",
            Self::Domain => "domain",
            Self::Index => "index",
            Self::Type => "type",
            Self::Unbound => "unbound",
            Self::Range => "range",
            Self::Recursion => "recursion",
            Self::Interrupted => "interrupted",
            Self::Raise => "raise",
            Self::Memory => "memory",
        }
    }
}

/// Where and why a call leaves, and what it tells the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// Why.
    pub reason: Reason,
    /// Where in the source.
    pub pos: Pos,
    /// A number of the front end's: the point at which the host goes on. `None`: the host restarts the call.
    pub resume: Option<u32>,
    /// The registers that the host needs to go on, of the function that owns the exit.
    pub state: Box<[Reg]>,
}

/// How a store treats an integer that the element type does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Modulo 2^n (JavaScript).
    Wrap,
    /// Leave (Python).
    Leave,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the operands that the variant's sentence names")]
pub enum Inst {
    /// A constant: the bits of `dst`'s type (`f64::to_bits`, `i64 as u64`, `i32 as u32 as u64`, 0 or 1).
    Const { dst: Reg, bits: u64 },
    /// A copy between registers of one type.
    Copy { dst: Reg, src: Reg },
    /// An operation; `exit` is there if and only if `op.may_exit()`.
    Op { op: Op, dst: Reg, args: [Reg; 3], exit: Option<ExitId> },
    /// A function of the closed import table.
    Import { import: Import, dst: Reg, args: [Reg; 2] },
    /// `dst = buf[index]`; leaves unless `0 <= index < len`, and where a u64 is no i64.
    Load { dst: Reg, buf: BufId, index: Reg, exit: ExitId },
    /// `buf[index] = src`; leaves unless `0 <= index < len`, and as `fit` says. A visible write.
    Store { buf: BufId, index: Reg, src: Reg, fit: Fit, exit: ExitId },
    /// The number of elements of a buffer.
    Len { dst: Reg, buf: BufId },
    /// Leaves unless `cond` is `expect`.
    Guard { cond: Reg, expect: bool, exit: ExitId },
    /// One unit of fuel; once in a while the host's hook runs, and may say stop. At every loop back-edge.
    Poll { exit: ExitId },
    /// Notes how far the call has come, for the host to read in `Frame::mark` after it left (an index of a map).
    Mark { src: Reg },
    /// A new empty list.
    ListNew { dst: Reg, exit: ExitId },
    /// Appends `src` under a front end's tag; leaves when the lists of the call are too large.
    ListPush { list: Reg, src: Reg, tag: u8, exit: ExitId },
    /// The number of elements of a list.
    ListLen { dst: Reg, list: Reg },
    /// `dst = list[index]`; leaves unless `0 <= index < len` and the element's tag is `tag`.
    ListGet { dst: Reg, list: Reg, index: Reg, tag: u8, exit: ExitId },
    /// `list[index] = src`; leaves unless `0 <= index < len`.
    ListSet { list: Reg, index: Reg, src: Reg, tag: u8, exit: ExitId },
}

impl Inst {
    /// The register that it writes, if it writes one.
    #[must_use]
    pub fn dst(&self) -> Option<Reg> {
        match *self {
            Self::Const { dst, .. }
            | Self::Copy { dst, .. }
            | Self::Op { dst, .. }
            | Self::Import { dst, .. }
            | Self::Load { dst, .. }
            | Self::Len { dst, .. }
            | Self::ListNew { dst, .. }
            | Self::ListLen { dst, .. }
            | Self::ListGet { dst, .. } => Some(dst),
            _ => None,
        }
    }

    /// Replaces every register and exit: how code is copied into another function.
    pub fn rename(&mut self, reg: &dyn Fn(Reg) -> Reg, to: &mut dyn FnMut(ExitId) -> ExitId) {
        let set = |r: &mut Reg| *r = reg(*r);
        match self {
            Self::Const { dst, .. } | Self::Len { dst, .. } => set(dst),
            Self::Copy { dst, src } => [dst, src].into_iter().for_each(set),
            Self::Op { op, dst, args, exit } => {
                set(dst);
                args[..op.args().len()].iter_mut().for_each(set);
                exit.iter_mut().for_each(|e| *e = to(*e));
            }
            Self::Import { dst, args, .. } => {
                set(dst);
                args.iter_mut().for_each(set);
            }
            Self::Load { dst, index, exit, .. } => {
                [dst, index].into_iter().for_each(set);
                *exit = to(*exit);
            }
            Self::Store { index, src, exit, .. } => {
                [index, src].into_iter().for_each(set);
                *exit = to(*exit);
            }
            Self::Guard { cond: r, exit, .. } | Self::ListNew { dst: r, exit } => {
                set(r);
                *exit = to(*exit);
            }
            Self::Poll { exit } => *exit = to(*exit),
            Self::Mark { src } => set(src),
            Self::ListPush { list, src, exit, .. } => {
                [list, src].into_iter().for_each(set);
                *exit = to(*exit);
            }
            Self::ListLen { dst, list } => [dst, list].into_iter().for_each(set),
            Self::ListGet { dst, list, index, exit, .. } => {
                [dst, list, index].into_iter().for_each(set);
                *exit = to(*exit);
            }
            Self::ListSet { list, index, src, exit, .. } => {
                [list, index, src].into_iter().for_each(set);
                *exit = to(*exit);
            }
        }
    }
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the operands that the variant's sentence names")]
pub enum Term {
    /// Goes on at a block.
    Jump(BlockId),
    /// Chooses between two.
    Branch { cond: Reg, then: BlockId, otherwise: BlockId },
    /// Returns values under shape number `shape` of the function.
    Return { shape: u32, values: Box<[Reg]> },
    /// Leaves.
    Exit(ExitId),
    /// Calls a function of the module; goes on, for each shape of the callee, at a block with the values in registers.
    /// `depth`: leaves there when the recursion is too deep.
    Call { func: FuncId, args: Box<[Reg]>, shapes: Box<[(Box<[Reg]>, BlockId)]>, depth: ExitId },
}

/// A block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its instructions.
    pub insts: Vec<Inst>,
    /// Its end; `None` only while a builder is at work.
    pub term: Option<Term>,
}

/// A function. Its parameters are its first registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// For people.
    pub name: String,
    /// The number of parameters.
    pub params: u32,
    /// The type of each register.
    pub regs: Vec<Ty>,
    /// What it may return: the types of the values of each shape.
    pub shapes: Vec<Box<[Ty]>>,
    /// The blocks; it starts at the first.
    pub blocks: Vec<Block>,
}

/// A buffer parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufParam {
    /// The element type.
    pub elem: Elem,
    /// Whether the module writes to it.
    pub writable: bool,
}

/// What is compiled at once: the entry (function 0), what it calls, the buffers and exits of all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// The functions; the first is the entry.
    pub funcs: Vec<Func>,
    /// The buffer parameters.
    pub buffers: Vec<BufParam>,
    /// The exits.
    pub exits: Vec<Exit>,
}

impl Module {
    /// The entry function.
    #[must_use]
    pub fn entry(&self) -> &Func {
        &self.funcs[0]
    }

    /// The number of instructions, terminators counted.
    #[must_use]
    pub fn size(&self) -> usize {
        self.funcs.iter().flat_map(|f| &f.blocks).map(|b| b.insts.len() + 1).sum()
    }
}
