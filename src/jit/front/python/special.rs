//! Stack code becomes IR for the types of one call.
//!
//! A *version* is a place of the code with the kinds of all variables and of the stack. Each version is translated once,
//! into a block that finds its values in registers of its own; a jump copies them there. (Cranelift makes SSA of it, so
//! the copies cost nothing.)

use super::env::{Entry, Program};
use super::kinds::{Kind, Val};
use super::lower::{Code, Ins};
use crate::jit::builder::{FuncBuilder, ModuleBuilder};
use crate::jit::check::Limits;
use crate::jit::error::{JitError, Pos, Result};
use crate::jit::ir::{BlockId, ExitId, FuncId, Inst, Module, Op, Reason, Reg, Term, Ty};
use std::collections::HashMap;

/// Versions of one place before the types are said to be too many.
const MAX_VERSIONS: usize = 12;
/// Rounds until the types that recursive functions return are known.
const MAX_ROUNDS: usize = 6;

/// A program for the types of one call.
#[derive(Debug)]
pub struct Specialised {
    /// The code.
    pub module: Module,
    /// What each shape of the entry means.
    pub shapes: Vec<Kind>,
    /// Whether it calls itself, directly or not: the host must tell how deep it may.
    pub recursive: bool,
    /// Whether it loops: then it may run for long.
    pub loops: bool,
    /// The buffers that it writes to.
    pub writes: Vec<bool>,
}

/// Translates the entry of a program for arguments of these kinds. `hidden` are the kinds of the numeric globals. Buffers
/// among the arguments are numbered in order.
///
/// # Errors
/// `Unsupported` with the reason, `Limit` where it grows too large.
pub fn specialise(
    program: &Program,
    args: &[Kind],
    hidden: &[Kind],
    limits: &Limits,
) -> Result<Specialised> {
    let mut known: HashMap<Key, Vec<Kind>> = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let mut s = Specialiser {
            program,
            limits,
            hidden,
            known: &known,
            m: ModuleBuilder::new(),
            done: HashMap::new(),
            exits: HashMap::new(),
            stale: false,
            recursive: false,
            loops: false,
            depth: 0,
            element: None,
            next: HashMap::new(),
        };
        for kind in args {
            if let Kind::Buffer { elem, .. } = kind {
                s.m.buffer(*elem, false);
            }
        }
        let (_, shapes) = s.function(0, args)?;
        if s.stale {
            known = s.next;
            continue;
        }
        let (recursive, loops) = (s.recursive, s.loops);
        let module = s.m.finish();
        let writes = module.buffers.iter().map(|b| b.writable).collect();
        return Ok(Specialised { module, shapes, recursive, loops, writes });
    }
    Err(JitError::unsupported(Pos::default(), "the types that recursion returns do not settle"))
}

/// A function for arguments of some kinds.
type Key = (usize, Vec<Kind>);

pub(super) struct Specialiser<'a> {
    pub(super) program: &'a Program,
    limits: &'a Limits,
    hidden: &'a [Kind],
    /// What functions returned in the round before: recursion has to know in advance.
    known: &'a HashMap<Key, Vec<Kind>>,
    pub(super) m: ModuleBuilder,
    /// Translated, or (`None`) being translated.
    done: HashMap<Key, (FuncId, Option<Vec<Kind>>)>,
    exits: HashMap<(Reason, Pos), ExitId>,
    stale: bool,
    recursive: bool,
    loops: bool,
    depth: usize,
    /// What was appended last: what reading a list expects.
    pub(super) element: Option<Kind>,
    next: HashMap<Key, Vec<Kind>>,
}

impl Specialiser<'_> {
    pub(super) fn exit(&mut self, reason: Reason, pos: Pos) -> ExitId {
        let m = &mut self.m;
        *self.exits.entry((reason, pos)).or_insert_with(|| m.exit(reason, pos))
    }

    fn function(&mut self, index: usize, args: &[Kind]) -> Result<(FuncId, Vec<Kind>)> {
        let key = (index, args.to_vec());
        if let Some((id, shapes)) = self.done.get(&key) {
            let id = *id;
            if let Some(shapes) = shapes {
                return Ok((id, shapes.clone()));
            }
            self.recursive = true;
            return Ok((id, self.known.get(&key).cloned().unwrap_or_default()));
        }
        self.depth += 1;
        if self.depth > 16 {
            return Err(JitError::limit(Pos::default(), "too many functions call each other"));
        }
        let id = self.m.declare();
        self.done.insert(key.clone(), (id, None));
        let was_recursive = std::mem::replace(&mut self.recursive, false);
        let (func, shapes) = Translation::run(self, index, args)?;
        if self.recursive && self.known.get(&key).is_none_or(|known| *known != shapes) {
            self.stale = true;
        }
        self.recursive |= was_recursive;
        self.next.insert(key.clone(), shapes.clone());
        self.m.define(id, func);
        self.done.insert(key, (id, Some(shapes.clone())));
        self.depth -= 1;
        Ok((id, shapes))
    }
}

/// Whether translation goes on behind an instruction.
pub(super) enum Flow {
    On,
    /// The block has its end.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    at: usize,
    locals: Vec<Kind>,
    stack: Vec<Kind>,
}

struct Version {
    block: BlockId,
    locals: Vec<Val>,
    stack: Vec<Val>,
}

pub(super) struct Translation<'s, 'a> {
    pub(super) s: &'s mut Specialiser<'a>,
    pub(super) f: FuncBuilder,
    code: &'a Code,
    hidden: Vec<Val>,
    pub(super) locals: Vec<Val>,
    pub(super) stack: Vec<Val>,
    versions: HashMap<State, Version>,
    count: HashMap<usize, usize>,
    work: Vec<State>,
    shapes: Vec<Kind>,
    pub(super) pos: Pos,
    pub(super) at: usize,
}

impl<'s, 'a> Translation<'s, 'a> {
    fn run(
        s: &'s mut Specialiser<'a>,
        index: usize,
        args: &[Kind],
    ) -> Result<(crate::jit::ir::Func, Vec<Kind>)> {
        let function = &s.program.functions[index];
        let types: Vec<Ty> = args.iter().chain(s.hidden).flat_map(Kind::types).collect();
        let mut next = 0..;
        let mut take = |kind: &Kind| {
            let regs = kind.types().iter().map(|_| Reg(next.next().unwrap_or_default())).collect();
            Val::new(kind.clone(), regs)
        };
        let mut locals: Vec<Val> = args.iter().map(&mut take).collect();
        let hidden = s.hidden.iter().map(&mut take).collect();
        locals.resize_with(function.code.locals, Val::unset);
        let mut t = Self {
            f: FuncBuilder::new(function.name.clone(), &types),
            code: &function.code,
            hidden,
            locals,
            stack: Vec::new(),
            versions: HashMap::new(),
            count: HashMap::new(),
            work: Vec::new(),
            shapes: Vec::new(),
            pos: Pos::default(),
            at: 0,
            s,
        };
        // Recursion without a loop can run for very long as well.
        let stop = t.s.exit(Reason::Interrupted, Pos::default());
        if index_is_called(t.code) {
            t.f.poll(stop);
        }
        t.goto(0)?;
        while let Some(state) = t.work.pop() {
            t.version(&state)?;
        }
        let shapes = t.shapes;
        Ok((t.f.finish(), shapes))
    }

    fn version(&mut self, state: &State) -> Result<()> {
        let Some(version) = self.versions.get(state) else { return Ok(()) };
        self.f.switch_to(version.block);
        self.locals.clone_from(&version.locals);
        self.stack.clone_from(&version.stack);
        let mut at = state.at;
        loop {
            let (ins, pos) = &self.code.code[at];
            self.pos = *pos;
            self.at = at;
            if self.s.m.size() + self.f.regs() / 2 > self.s.limits.insts {
                return Err(JitError::limit(self.pos, "the function grows too large"));
            }
            if let Flow::Ended = self.instruction(ins, at)? {
                return Ok(());
            }
            at += 1;
            // Where other jumps arrive the version may exist already: join it.
            if self.is_joined(at) {
                return self.goto(at);
            }
        }
    }

    fn is_joined(&self, at: usize) -> bool {
        self.code.targets.get(at).copied().unwrap_or(false)
    }

    /// Ends the block with a jump to the version of `at` for the kinds that are there now.
    fn goto(&mut self, at: usize) -> Result<()> {
        let live = &self.code.live[at];
        for (slot, val) in self.locals.iter_mut().enumerate() {
            if live[slot / 64] & (1 << (slot % 64)) == 0 {
                *val = Val::unset();
            }
        }
        let kinds = |vals: &[Val]| vals.iter().map(|v| v.kind.clone()).collect();
        let state = State { at, locals: kinds(&self.locals), stack: kinds(&self.stack) };
        if !self.versions.contains_key(&state) {
            let count = self.count.entry(at).or_default();
            *count += 1;
            if *count > MAX_VERSIONS {
                return Err(JitError::unsupported(
                    self.pos,
                    "too many combinations of types meet here",
                ));
            }
            let block = self.f.block();
            let fresh = |f: &mut FuncBuilder, vals: &[Val]| -> Vec<Val> {
                vals.iter()
                    .map(|v| {
                        let regs = v.kind.types().into_iter().map(|ty| f.reg(ty)).collect();
                        Val::new(v.kind.clone(), regs)
                    })
                    .collect()
            };
            let locals = fresh(&mut self.f, &self.locals);
            let stack = fresh(&mut self.f, &self.stack);
            self.versions.insert(state.clone(), Version { block, locals, stack });
            self.work.push(state.clone());
        }
        let Some(version) = self.versions.get(&state) else { return Ok(()) };
        let from = self.locals.iter().chain(&self.stack).flat_map(|v| &v.regs);
        let to = version.locals.iter().chain(&version.stack).flat_map(|v| &v.regs);
        let moves: Vec<(Reg, Reg)> =
            from.copied().zip(to.copied()).filter(|(from, to)| from != to).collect();
        // All at once: what is written may be read by another move.
        let held: Vec<(Reg, Reg)> = moves
            .iter()
            .map(|(from, to)| {
                let held = self.f.reg(self.f.ty(*from));
                self.f.copy(held, *from);
                (held, *to)
            })
            .collect();
        held.iter().for_each(|(held, to)| self.f.copy(*to, *held));
        self.f.jump(version.block);
        Ok(())
    }

    /// A jump of the code; a back-edge polls.
    pub(super) fn jump(&mut self, at: usize, to: usize) -> Result<()> {
        if to <= at {
            self.s.loops = true;
            let stop = self.s.exit(Reason::Interrupted, Pos::default());
            self.f.poll(stop);
        }
        self.goto(to)
    }

    /// Branches on a register: `yes` to a place of the code, else on.
    pub(super) fn branch(&mut self, cond: Reg, when: bool, at: usize, to: usize) -> Result<()> {
        let (jump, on) = (self.f.block(), self.f.block());
        let (then, otherwise) = if when { (jump, on) } else { (on, jump) };
        self.f.branch(cond, then, otherwise);
        let (locals, stack) = (self.locals.clone(), self.stack.clone());
        self.f.switch_to(jump);
        self.jump(at, to)?;
        self.locals = locals;
        self.stack = stack;
        self.f.switch_to(on);
        Ok(())
    }

    pub(super) fn unsupported<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(JitError::unsupported(self.pos, what))
    }

    pub(super) fn leave(&mut self, reason: Reason) -> Result<Flow> {
        let exit = self.s.exit(reason, self.pos);
        self.f.end(Term::Exit(exit));
        Ok(Flow::Ended)
    }

    pub(super) fn pop(&mut self) -> Result<Val> {
        match self.stack.pop() {
            Some(val) => Ok(val),
            None => Err(JitError::invalid("the stack is empty (a bug in iris)")),
        }
    }

    pub(super) fn push(&mut self, val: Val) -> Result<Flow> {
        self.stack.push(val);
        Ok(Flow::On)
    }

    pub(super) fn op(&mut self, op: Op, args: &[Reg], reason: Reason) -> Reg {
        let exit = op.may_exit().then(|| self.s.exit(reason, self.pos));
        self.f.op(op, args, exit)
    }

    pub(super) fn constant(&mut self, value: i64) -> Val {
        let kind = Kind::Int { natural: value >= 0 };
        Val { kind, regs: vec![self.f.i64(value)], constant: Some(value) }
    }

    fn instruction(&mut self, ins: &Ins, at: usize) -> Result<Flow> {
        match ins {
            Ins::Int(value) => {
                let val = self.constant(*value);
                self.push(val)
            }
            Ins::Float(bits) => {
                let reg = self.f.f64(f64::from_bits(*bits));
                self.push(Val::float(reg))
            }
            Ins::Bool(value) => {
                let reg = self.f.bool(*value);
                self.push(Val { constant: Some(i64::from(*value)), ..Val::bool(reg) })
            }
            Ins::None | Ins::Entry(Entry::None) => self.push(Val::bare(Kind::None)),
            Ins::Entry(Entry::Number(i)) => {
                let val = self.hidden[*i].clone();
                self.push(val)
            }
            Ins::Entry(entry) => self.push(Val::bare(Kind::Entry(*entry))),
            Ins::Load(slot) => {
                let val = self.locals[*slot].clone();
                if val.kind == Kind::Unset { self.leave(Reason::Unbound) } else { self.push(val) }
            }
            Ins::Store(slot) => {
                self.locals[*slot] = self.pop()?;
                Ok(Flow::On)
            }
            Ins::Unset(slot) => {
                self.locals[*slot] = Val::unset();
                Ok(Flow::On)
            }
            Ins::Dup => {
                let top = self.pop()?;
                self.stack.push(top.clone());
                self.push(top)
            }
            Ins::Dup2 => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.stack.extend([a.clone(), b.clone(), a, b]);
                Ok(Flow::On)
            }
            Ins::Pop => self.pop().map(|_| Flow::On),
            Ins::Swap => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.stack.extend([b, a]);
                Ok(Flow::On)
            }
            Ins::Rot3 => {
                let (c, b, a) = (self.pop()?, self.pop()?, self.pop()?);
                self.stack.extend([c, a, b]);
                Ok(Flow::On)
            }
            Ins::Bin(op) => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.binary(*op, &a, &b)
            }
            Ins::SumStep => {
                let (b, a) = (self.pop()?, self.pop()?);
                let float = |v: &Val| matches!(v.kind, Kind::Float { .. });
                if self.s.program.compensated_sum && (float(&a) || float(&b)) {
                    return self.unsupported("`sum` of floats (this Python compensates rounding)");
                }
                self.binary(super::lower::Bin::Add, &a, &b)
            }
            Ins::Neg | Ins::Pos | Ins::Invert | Ins::Not => {
                let a = self.pop()?;
                self.unary(ins, &a)
            }
            Ins::Cmp(op) => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.compare(*op, &a, &b)
            }
            Ins::Jump(to) => {
                self.jump(at, *to)?;
                Ok(Flow::Ended)
            }
            Ins::JumpFalse(to) | Ins::JumpTrue(to) => {
                let when = matches!(ins, Ins::JumpTrue(_));
                let cond = self.pop()?;
                let truth = self.truth(&cond)?;
                match truth.constant {
                    Some(value) if (value != 0) == when => {
                        self.jump(at, *to)?;
                        Ok(Flow::Ended)
                    }
                    Some(_) => Ok(Flow::On),
                    None => {
                        self.branch(truth.reg(), when, at, *to)?;
                        Ok(Flow::On)
                    }
                }
            }
            Ins::JumpUnset(slot, to) => {
                if self.locals[*slot].kind == Kind::Unset {
                    self.jump(at, *to)?;
                    return Ok(Flow::Ended);
                }
                Ok(Flow::On)
            }
            Ins::Tuple(n) => {
                let items = self.stack.split_off(self.stack.len().saturating_sub(*n));
                let kinds = items.iter().map(|v| v.kind.clone()).collect();
                let regs = items.into_iter().flat_map(|v| v.regs).collect();
                self.push(Val::new(Kind::Tuple(kinds), regs))
            }
            Ins::Unpack(n) => {
                let from = self.pop()?;
                match &from.kind {
                    Kind::Tuple(kinds) if kinds.len() == *n => {
                        let items = from.items(kinds);
                        self.stack.extend(items.into_iter().rev());
                        Ok(Flow::On)
                    }
                    Kind::Tuple(_)
                    | Kind::Int { .. }
                    | Kind::Float { .. }
                    | Kind::None
                    | Kind::Bool => self.leave(Reason::Raise),
                    other => self.unsupported(format!("unpacking of {}", other.name())),
                }
            }
            Ins::Index => {
                let (index, of) = (self.pop()?, self.pop()?);
                self.index(&of, &index)
            }
            Ins::SetIndex => {
                let (index, of, value) = (self.pop()?, self.pop()?, self.pop()?);
                self.set_index(&of, &index, &value)
            }
            Ins::Attr(name) => {
                let of = self.pop()?;
                self.attribute(&of, name)
            }
            Ins::Call(n) => {
                let args = self.stack.split_off(self.stack.len().saturating_sub(*n));
                let callee = self.pop()?;
                match callee.kind {
                    Kind::Entry(Entry::Function(index)) => self.call(index, &args),
                    Kind::Entry(Entry::Builtin(builtin)) => self.builtin(builtin, &args),
                    Kind::Entry(Entry::Math(math)) => self.math(math, &args),
                    Kind::Entry(Entry::MathModule) | Kind::Entry(_) => self.leave(Reason::Raise),
                    other => self.unsupported(format!("a call of {}", other.name())),
                }
            }
            Ins::Iter => {
                let of = self.pop()?;
                self.iterate(&of)
            }
            Ins::Next(end) => self.next(at, *end),
            Ins::NewList => {
                let dst = self.f.reg(Ty::List);
                let exit = self.s.exit(Reason::Memory, self.pos);
                self.f.push(Inst::ListNew { dst, exit });
                self.push(Val::new(Kind::List, vec![dst]))
            }
            Ins::Append => {
                let (value, list) = (self.pop()?, self.pop()?);
                self.append(&list, &value)
            }
            Ins::Return => {
                let val = self.pop()?;
                let Some(kind) = val.kind.returned() else {
                    return self.unsupported(format!("returning {}", val.kind.name()));
                };
                let shape = self.shapes.iter().position(|k| *k == kind).unwrap_or_else(|| {
                    self.shapes.push(kind.clone());
                    self.f.new_shape(&kind.types());
                    self.shapes.len() - 1
                });
                if self.shapes.len() > 16 {
                    return self.unsupported("it returns too many different types");
                }
                self.f.ret(u32::try_from(shape).unwrap_or(u32::MAX), &val.regs);
                Ok(Flow::Ended)
            }
            Ins::Leave => self.leave(Reason::Raise),
        }
    }

    // --- calls -------------------------------------------------------------------------------------

    fn call(&mut self, index: usize, args: &[Val]) -> Result<Flow> {
        let callee = &self.s.program.functions[index];
        let missing = callee.params.len().checked_sub(args.len());
        let first_default = callee.params.len() - callee.defaults.len();
        let Some(missing) = missing.filter(|m| *m <= callee.defaults.len()) else {
            return self.leave(Reason::Raise);
        };
        let mut args = args.to_vec();
        for at in callee.params.len() - missing..callee.params.len() {
            match callee.defaults[at - first_default] {
                Some(Entry::Number(i)) => args.push(self.hidden[i].clone()),
                Some(Entry::None) => args.push(Val::bare(Kind::None)),
                _ => return self.unsupported(format!("a default argument of `{}`", callee.name)),
            }
        }
        let kinds: Vec<Kind> = args
            .iter()
            .map(|v| match &v.kind {
                Kind::Int { .. } => Kind::INT,
                other => other.clone(),
            })
            .collect();
        if kinds.iter().any(|k| matches!(k, Kind::Range { .. } | Kind::Unset)) {
            return self.unsupported("an argument that is no number, tuple, list or array");
        }
        let (func, shapes) = self.s.function(index, &kinds)?;
        let regs: Vec<Reg> =
            args.iter().chain(&self.hidden).flat_map(|v| v.regs.iter().copied()).collect();
        let depth = self.s.exit(Reason::Recursion, self.pos);
        let mut targets = Vec::new();
        let mut results = Vec::new();
        for kind in &shapes {
            let regs: Vec<Reg> = kind.types().into_iter().map(|ty| self.f.reg(ty)).collect();
            let block = self.f.block();
            targets.push((regs.clone().into_boxed_slice(), block));
            results.push((Val::new(kind.clone(), regs), block));
        }
        self.f.end(Term::Call { func, args: regs.into(), shapes: targets.into(), depth });
        self.fork(results)
    }

    /// Goes on from several blocks, each with its value on the stack: all but the last as versions of the next place.
    pub(super) fn fork(&mut self, mut results: Vec<(Val, BlockId)>) -> Result<Flow> {
        let Some((last, block)) = results.pop() else { return Ok(Flow::Ended) };
        for (val, block) in results {
            let (locals, stack) = (self.locals.clone(), self.stack.clone());
            self.f.switch_to(block);
            self.stack.push(val);
            self.goto(self.at + 1)?;
            self.locals = locals;
            self.stack = stack;
        }
        self.f.switch_to(block);
        self.push(last)
    }
}

/// Whether the code calls functions at all.
fn index_is_called(code: &Code) -> bool {
    code.code.iter().any(|(ins, _)| matches!(ins, Ins::Call(_)))
}
