//! How front ends write IR.

use super::error::Pos;
use super::ir::{
    Block, BlockId, BufId, BufParam, Elem, Exit, ExitId, Fit, Func, FuncId, Import, Inst, Module,
    Op, Reason, Reg, Term, Ty,
};

/// Collects the functions, buffers and exits of a module.
#[derive(Debug, Default)]
pub struct ModuleBuilder {
    module: Module,
}

impl ModuleBuilder {
    /// An empty module.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with a module.
    #[must_use]
    pub fn of(module: Module) -> Self {
        Self { module }
    }

    /// What an exit says.
    #[must_use]
    pub fn exit_at(&self, id: ExitId) -> &Exit {
        &self.module.exits[id.at()]
    }

    /// Reserves the number of a function that is built later (recursion needs it earlier). The first is the entry.
    pub fn declare(&mut self) -> FuncId {
        self.module.funcs.push(Func {
            name: String::new(),
            params: 0,
            regs: Vec::new(),
            shapes: Vec::new(),
            blocks: Vec::new(),
        });
        FuncId(u32::try_from(self.module.funcs.len() - 1).unwrap_or(u32::MAX))
    }

    /// Fills a declared function in.
    pub fn define(&mut self, id: FuncId, func: Func) {
        self.module.funcs[id.at()] = func;
    }

    /// Adds a buffer parameter.
    pub fn buffer(&mut self, elem: Elem, writable: bool) -> BufId {
        self.module.buffers.push(BufParam { elem, writable });
        BufId(u32::try_from(self.module.buffers.len() - 1).unwrap_or(u32::MAX))
    }

    /// Marks a buffer as written to.
    pub fn make_writable(&mut self, buf: BufId) {
        self.module.buffers[buf.at()].writable = true;
    }

    /// An exit after which the host restarts the call.
    pub fn exit(&mut self, reason: Reason, pos: Pos) -> ExitId {
        self.exit_with(Exit { reason, pos, resume: None, state: Box::default() })
    }

    /// An exit with all that it says.
    pub fn exit_with(&mut self, exit: Exit) -> ExitId {
        self.module.exits.push(exit);
        ExitId(u32::try_from(self.module.exits.len() - 1).unwrap_or(u32::MAX))
    }

    /// The number of instructions so far.
    #[must_use]
    pub fn size(&self) -> usize {
        self.module.size()
    }

    /// The module; `check` finds functions that were declared and never defined.
    #[must_use]
    pub fn finish(self) -> Module {
        self.module
    }
}

/// Writes one function, block by block.
#[derive(Debug)]
pub struct FuncBuilder {
    func: Func,
    current: BlockId,
}

impl FuncBuilder {
    /// A function with parameters of these types, in registers 0 to n-1; writing starts at its first block.
    #[must_use]
    pub fn new(name: impl Into<String>, params: &[Ty]) -> Self {
        let func = Func {
            name: name.into(),
            params: u32::try_from(params.len()).unwrap_or(u32::MAX),
            regs: params.to_vec(),
            shapes: Vec::new(),
            blocks: vec![Block { insts: Vec::new(), term: None }],
        };
        Self { func, current: BlockId(0) }
    }

    /// The number of the shape with these types; a new one if there is none.
    pub fn shape(&mut self, types: &[Ty]) -> u32 {
        let at = self.func.shapes.iter().position(|s| **s == *types).unwrap_or_else(|| {
            self.func.shapes.push(types.into());
            self.func.shapes.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// A new shape, even if there is one with the same types: for front ends that tell them apart otherwise.
    pub fn new_shape(&mut self, types: &[Ty]) -> u32 {
        self.func.shapes.push(types.into());
        u32::try_from(self.func.shapes.len() - 1).unwrap_or(u32::MAX)
    }

    /// A new register.
    pub fn reg(&mut self, ty: Ty) -> Reg {
        self.func.regs.push(ty);
        Reg(u32::try_from(self.func.regs.len() - 1).unwrap_or(u32::MAX))
    }

    /// The number of registers.
    #[must_use]
    pub fn regs(&self) -> usize {
        self.func.regs.len()
    }

    /// The type of a register.
    #[must_use]
    pub fn ty(&self, reg: Reg) -> Ty {
        self.func.regs[reg.at()]
    }

    /// A new block.
    pub fn block(&mut self) -> BlockId {
        self.func.blocks.push(Block { insts: Vec::new(), term: None });
        BlockId(u32::try_from(self.func.blocks.len() - 1).unwrap_or(u32::MAX))
    }

    /// Goes on writing at the end of `block`.
    pub fn switch_to(&mut self, block: BlockId) {
        self.current = block;
    }

    /// The block that is written to.
    #[must_use]
    pub fn current(&self) -> BlockId {
        self.current
    }

    /// Whether the current block has its end.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.func.blocks[self.current.at()].term.is_some()
    }

    /// Appends an instruction; after the end of a block it is dropped (dead code).
    pub fn push(&mut self, inst: Inst) {
        let block = &mut self.func.blocks[self.current.at()];
        if block.term.is_none() {
            block.insts.push(inst);
        }
    }

    /// Ends the current block; the first end counts.
    pub fn end(&mut self, term: Term) {
        let block = &mut self.func.blocks[self.current.at()];
        if block.term.is_none() {
            block.term = Some(term);
        }
    }

    /// `op` into a new register. An operation that may exit needs `exit`.
    pub fn op(&mut self, op: Op, args: &[Reg], exit: Option<ExitId>) -> Reg {
        let dst = self.reg(op.result());
        self.op_to(dst, op, args, exit);
        dst
    }

    /// `op` into `dst`.
    pub fn op_to(&mut self, dst: Reg, op: Op, args: &[Reg], exit: Option<ExitId>) {
        let mut all = [Reg(0); 3];
        all[..args.len()].copy_from_slice(args);
        self.push(Inst::Op { op, dst, args: all, exit: exit.filter(|_| op.may_exit()) });
    }

    /// A float constant.
    pub fn f64(&mut self, value: f64) -> Reg {
        self.constant(Ty::F64, value.to_bits())
    }

    /// An integer constant.
    pub fn i64(&mut self, value: i64) -> Reg {
        self.constant(Ty::I64, value.cast_unsigned())
    }

    /// A 32-bit integer constant.
    pub fn i32(&mut self, value: i32) -> Reg {
        self.constant(Ty::I32, u64::from(value.cast_unsigned()))
    }

    /// A boolean constant.
    pub fn bool(&mut self, value: bool) -> Reg {
        self.constant(Ty::Bool, u64::from(value))
    }

    fn constant(&mut self, ty: Ty, bits: u64) -> Reg {
        let dst = self.reg(ty);
        self.push(Inst::Const { dst, bits });
        dst
    }

    /// `dst = src`.
    pub fn copy(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.push(Inst::Copy { dst, src });
        }
    }

    /// A function of the import table; of one argument: `b` is ignored.
    pub fn import(&mut self, import: Import, a: Reg, b: Option<Reg>) -> Reg {
        let dst = self.reg(Ty::F64);
        self.push(Inst::Import { import, dst, args: [a, b.unwrap_or(a)] });
        dst
    }

    /// `buf[index]`.
    pub fn load(&mut self, buf: BufId, elem: Elem, index: Reg, exit: ExitId) -> Reg {
        let dst = self.reg(elem.ty());
        self.push(Inst::Load { dst, buf, index, exit });
        dst
    }

    /// `buf[index] = src`.
    pub fn store(&mut self, buf: BufId, index: Reg, src: Reg, fit: Fit, exit: ExitId) {
        self.push(Inst::Store { buf, index, src, fit, exit });
    }

    /// `len(buf)`.
    pub fn len(&mut self, buf: BufId) -> Reg {
        let dst = self.reg(Ty::I64);
        self.push(Inst::Len { dst, buf });
        dst
    }

    /// Leaves unless `cond` is `expect`.
    pub fn guard(&mut self, cond: Reg, expect: bool, exit: ExitId) {
        self.push(Inst::Guard { cond, expect, exit });
    }

    /// One unit of fuel: at every back-edge.
    pub fn poll(&mut self, exit: ExitId) {
        self.push(Inst::Poll { exit });
    }

    /// Ends the current block with a jump.
    pub fn jump(&mut self, to: BlockId) {
        self.end(Term::Jump(to));
    }

    /// Ends the current block with a choice.
    pub fn branch(&mut self, cond: Reg, then: BlockId, otherwise: BlockId) {
        self.end(Term::Branch { cond, then, otherwise });
    }

    /// Ends the current block with a return.
    pub fn ret(&mut self, shape: u32, values: &[Reg]) {
        self.end(Term::Return { shape, values: values.into() });
    }

    /// The function.
    #[must_use]
    pub fn finish(self) -> Func {
        self.func
    }
}
