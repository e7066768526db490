//! Whether a module is well-formed and within the limits: types fit, registers are written before they are read, numbers
//! are in range. The interpreter and the code generator rely on it; what fails here never runs.

use super::error::{JitError, Pos, Result};
use super::ir::{BlockId, BufId, ExitId, Func, Inst, Module, Op, Reg, Term, Ty};

/// Bounds on what is compiled; each has a reason in ADR 0022.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of source of one function. Default 64 KiB.
    pub source: usize,
    /// Nesting of expressions and statements. Default 100.
    pub nesting: usize,
    /// Instructions of a module. Default 20,000: about 100 ms of compile time.
    pub insts: usize,
    /// Blocks of a function. Default 4,000.
    pub blocks: usize,
    /// Functions of a module. Default 64.
    pub funcs: usize,
    /// Values of a return shape or of an exit's state. Default 64.
    pub values: usize,
    /// Buffers of a module. Default 32.
    pub buffers: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        source: 64 * 1024,
        nesting: 100,
        insts: 20_000,
        blocks: 4_000,
        funcs: 64,
        values: 64,
        buffers: 32,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Checks a module.
///
/// # Errors
/// `Limit` where it is too large, `Invalid` where it is ill-formed.
pub fn check(module: &Module, limits: &Limits) -> Result<()> {
    let too_many = |what: &str, n: usize, max: usize| {
        if n > max {
            Err(JitError::limit(Pos::default(), format!("too large: {n} {what}, at most {max}")))
        } else {
            Ok(())
        }
    };
    too_many("functions", module.funcs.len(), limits.funcs)?;
    too_many("instructions", module.size(), limits.insts)?;
    too_many("buffers", module.buffers.len(), limits.buffers)?;
    if module.funcs.is_empty() {
        return Err(JitError::invalid("a module without a function"));
    }
    for func in &module.funcs {
        too_many("blocks", func.blocks.len(), limits.blocks)?;
        for shape in &func.shapes {
            too_many("returned values", shape.len(), limits.values)?;
        }
    }
    for exit in &module.exits {
        too_many("live values", exit.state.len(), limits.values)?;
    }
    for func in &module.funcs {
        Checker { module, func }.check().map_err(|what| {
            JitError::invalid(format!("invalid IR in `{}`: {what} (a bug in iris)", func.name))
        })?;
    }
    Ok(())
}

struct Checker<'a> {
    module: &'a Module,
    func: &'a Func,
}

type Check<T = ()> = std::result::Result<T, String>;

impl Checker<'_> {
    fn check(&self) -> Check {
        let func = self.func;
        if func.blocks.is_empty() {
            return Err("declared, never defined".into());
        }
        if func.params as usize > func.regs.len() {
            return Err("more parameters than registers".into());
        }
        for (i, block) in func.blocks.iter().enumerate() {
            for inst in &block.insts {
                self.inst(inst).map_err(|e| format!("block {i}, {inst:?}: {e}"))?;
            }
            let term = block.term.as_ref().ok_or_else(|| format!("block {i} has no end"))?;
            self.term(term).map_err(|e| format!("block {i}, {term:?}: {e}"))?;
        }
        self.written_before_read()
    }

    fn ty(&self, reg: Reg) -> Check<Ty> {
        self.func.regs.get(reg.at()).copied().ok_or_else(|| format!("no register {}", reg.0))
    }

    fn is(&self, reg: Reg, ty: Ty) -> Check {
        let found = self.ty(reg)?;
        if found == ty { Ok(()) } else { Err(format!("r{} is {found:?}, not {ty:?}", reg.0)) }
    }

    fn block(&self, id: BlockId) -> Check {
        if id.at() < self.func.blocks.len() { Ok(()) } else { Err(format!("no block {}", id.0)) }
    }

    fn exit(&self, id: ExitId) -> Check {
        let exit = self.module.exits.get(id.at()).ok_or_else(|| format!("no exit {}", id.0))?;
        exit.state.iter().try_for_each(|r| self.ty(*r).map(drop))
    }

    fn buffer(&self, id: BufId) -> Check<Ty> {
        let buf = self.module.buffers.get(id.at()).ok_or_else(|| format!("no buffer {}", id.0))?;
        Ok(buf.elem.ty())
    }

    fn inst(&self, inst: &Inst) -> Check {
        match *inst {
            Inst::Const { dst, .. } => self.ty(dst).map(drop),
            Inst::Copy { dst, src } => self.is(src, self.ty(dst)?),
            Inst::Op { op, dst, args, exit } => self.op(op, dst, args, exit),
            Inst::Import { dst, args, .. } => {
                self.is(dst, Ty::F64)?;
                args.iter().try_for_each(|a| self.is(*a, Ty::F64))
            }
            Inst::Load { dst, buf, index, exit } => {
                self.is(dst, self.buffer(buf)?)?;
                self.is(index, Ty::I64)?;
                self.exit(exit)
            }
            Inst::Store { buf, index, src, exit, .. } => {
                self.is(src, self.buffer(buf)?)?;
                if !self.module.buffers[buf.at()].writable {
                    return Err("a store to a buffer that is not declared writable".into());
                }
                self.is(index, Ty::I64)?;
                self.exit(exit)
            }
            Inst::Len { dst, buf } => {
                self.buffer(buf)?;
                self.is(dst, Ty::I64)
            }
            Inst::Guard { cond, exit, .. } => {
                self.is(cond, Ty::Bool)?;
                self.exit(exit)
            }
            Inst::Poll { exit } => self.exit(exit),
            Inst::Mark { src } => self.is(src, Ty::I64),
            Inst::ListNew { dst, exit } => {
                self.is(dst, Ty::List)?;
                self.exit(exit)
            }
            Inst::ListPush { list, src, exit, .. } => {
                self.is(list, Ty::List)?;
                self.ty(src)?;
                self.exit(exit)
            }
            Inst::ListLen { dst, list } => {
                self.is(list, Ty::List)?;
                self.is(dst, Ty::I64)
            }
            Inst::ListGet { dst, list, index, exit, .. } => {
                self.is(list, Ty::List)?;
                self.ty(dst)?;
                self.is(index, Ty::I64)?;
                self.exit(exit)
            }
            Inst::ListSet { list, index, src, exit, .. } => {
                self.is(list, Ty::List)?;
                self.ty(src)?;
                self.is(index, Ty::I64)?;
                self.exit(exit)
            }
        }
    }

    fn op(&self, op: Op, dst: Reg, args: [Reg; 3], exit: Option<ExitId>) -> Check {
        self.is(dst, op.result())?;
        for (arg, ty) in args.iter().zip(op.args()) {
            self.is(*arg, *ty)?;
        }
        match exit {
            Some(exit) if op.may_exit() => self.exit(exit),
            None if !op.may_exit() => Ok(()),
            _ => Err("an exit if and only if the operation may exit".into()),
        }
    }

    fn term(&self, term: &Term) -> Check {
        match term {
            Term::Jump(to) => self.block(*to),
            Term::Branch { cond, then, otherwise } => {
                self.is(*cond, Ty::Bool)?;
                self.block(*then)?;
                self.block(*otherwise)
            }
            Term::Return { shape, values } => {
                let types = self.func.shapes.get(*shape as usize).ok_or("no such shape")?;
                self.fits(values, types)
            }
            Term::Exit(exit) => self.exit(*exit),
            Term::Call { func, args, shapes, depth } => {
                let callee = self.module.funcs.get(func.at()).ok_or("no such function")?;
                self.fits(args, &callee.regs[..callee.params as usize])?;
                if shapes.len() != callee.shapes.len() {
                    return Err(format!("{} of {} shapes", shapes.len(), callee.shapes.len()));
                }
                for ((regs, to), types) in shapes.iter().zip(&callee.shapes) {
                    self.fits(regs, types)?;
                    self.block(*to)?;
                }
                self.exit(*depth)
            }
        }
    }

    fn fits(&self, regs: &[Reg], types: &[Ty]) -> Check {
        if regs.len() != types.len() {
            return Err(format!("{} values for {} places", regs.len(), types.len()));
        }
        regs.iter().zip(types).try_for_each(|(r, t)| self.is(*r, *t))
    }

    /// Forward data flow: the registers that are written on every path to a block.
    fn written_before_read(&self) -> Check {
        let func = self.func;
        let words = func.regs.len().div_ceil(64);
        let mut at_entry: Vec<Option<Vec<u64>>> = vec![None; func.blocks.len()];
        let mut first = vec![0_u64; words];
        (0..func.params as usize).for_each(|r| first[r / 64] |= 1 << (r % 64));
        at_entry[0] = Some(first);
        let mut work = vec![0_usize];
        while let Some(b) = work.pop() {
            let Some(mut known) = at_entry[b].clone() else { continue };
            let block = &func.blocks[b];
            for inst in &block.insts {
                self.reads(inst, &known, b)?;
                if let Some(dst) = inst.dst() {
                    known[dst.at() / 64] |= 1 << (dst.at() % 64);
                }
            }
            let mut flow = |to: BlockId, known: &[u64]| {
                let old = &mut at_entry[to.at()];
                let changed = match old {
                    None => {
                        *old = Some(known.to_vec());
                        true
                    }
                    Some(old) => {
                        let mut changed = false;
                        for (o, k) in old.iter_mut().zip(known) {
                            changed |= *o & !*k != 0;
                            *o &= *k;
                        }
                        changed
                    }
                };
                if changed {
                    work.push(to.at());
                }
            };
            let need = |regs: &[Reg]| regs.iter().try_for_each(|r| written(&known, *r, b));
            match block.term.as_ref() {
                None => {}
                Some(Term::Jump(to)) => flow(*to, &known),
                Some(Term::Branch { cond, then, otherwise }) => {
                    need(&[*cond])?;
                    flow(*then, &known);
                    flow(*otherwise, &known);
                }
                Some(Term::Return { values, .. }) => need(values)?,
                Some(Term::Exit(exit)) => need(&self.module.exits[exit.at()].state)?,
                Some(Term::Call { args, shapes, depth, .. }) => {
                    need(args)?;
                    need(&self.module.exits[depth.at()].state)?;
                    for (regs, to) in shapes {
                        let mut after = known.clone();
                        regs.iter().for_each(|r| after[r.at() / 64] |= 1 << (r.at() % 64));
                        flow(*to, &after);
                    }
                }
            }
        }
        Ok(())
    }

    fn reads(&self, inst: &Inst, known: &[u64], block: usize) -> Check {
        let need = |regs: &[Reg]| regs.iter().try_for_each(|r| written(known, *r, block));
        let at_exit = |exit: ExitId| need(&self.module.exits[exit.at()].state);
        match *inst {
            Inst::Const { .. } | Inst::Len { .. } => Ok(()),
            Inst::Copy { src, .. } => need(&[src]),
            Inst::Op { op, args, exit, .. } => {
                need(&args[..op.args().len()])?;
                exit.map_or(Ok(()), at_exit)
            }
            Inst::Import { args, .. } => need(&args),
            Inst::Mark { src } => need(&[src]),
            Inst::Load { index, exit, .. } => need(&[index]).and_then(|()| at_exit(exit)),
            Inst::Store { index, src, exit, .. } => {
                need(&[index, src]).and_then(|()| at_exit(exit))
            }
            Inst::Guard { cond, exit, .. } => need(&[cond]).and_then(|()| at_exit(exit)),
            Inst::Poll { exit } | Inst::ListNew { exit, .. } => at_exit(exit),
            Inst::ListPush { list, src, exit, .. } => {
                need(&[list, src]).and_then(|()| at_exit(exit))
            }
            Inst::ListLen { list, .. } => need(&[list]),
            Inst::ListGet { list, index, exit, .. } => {
                need(&[list, index]).and_then(|()| at_exit(exit))
            }
            Inst::ListSet { list, index, src, exit, .. } => {
                need(&[list, index, src]).and_then(|()| at_exit(exit))
            }
        }
    }
}

fn written(known: &[u64], reg: Reg, block: usize) -> Check {
    if known[reg.at() / 64] & (1 << (reg.at() % 64)) == 0 {
        return Err(format!("block {block} reads r{} before it is written", reg.0));
    }
    Ok(())
}
