//! One function: registers as variables, blocks, exits.

use super::super::ir::{ExitId, Func, Inst, Module, Reg, Term, Ty};
use super::super::kernel::{Helper, NativeLayout};
use super::{Lanes, clif_type, own};
use cranelift_codegen::ir::{
    self as clif, AbiParam, InstBuilder, MemFlagsData, SigRef, Signature, Value, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, Variable};

/// The bits of the registers that are written once, as a constant or a copy of one.
pub(super) fn constants(func: &Func) -> Vec<Option<u64>> {
    let mut writes = vec![0; func.regs.len()];
    let mut last: Vec<Option<&Inst>> = vec![None; func.regs.len()];
    writes[..func.params as usize].fill(1);
    for block in &func.blocks {
        for inst in &block.insts {
            if let Some(dst) = inst.dst() {
                writes[dst.at()] += 1;
                last[dst.at()] = Some(inst);
            }
        }
        if let Some(Term::Call { shapes, .. }) = &block.term {
            shapes.iter().flat_map(|(regs, _)| regs).for_each(|r| writes[r.at()] += 2);
        }
    }
    let of = |mut reg: Reg| {
        // A chain of copies this long is no constant of a front end's.
        for _ in 0..8 {
            match last[reg.at()].filter(|_| writes[reg.at()] == 1)? {
                Inst::Const { bits, .. } => return Some(*bits),
                Inst::Copy { src, .. } => reg = *src,
                _ => return None,
            }
        }
        None
    };
    (0..func.regs.len()).map(|i| of(Reg(u32::try_from(i).unwrap_or(u32::MAX)))).collect()
}

pub(super) struct Translator<'a> {
    pub(super) module: &'a Module,
    pub(super) func: &'a Func,
    pub(super) entry: bool,
    pub(super) host: CallConv,
    pub(super) b: FunctionBuilder<'a>,
    pub(super) vars: Vec<Variable>,
    pub(super) blocks: Vec<clif::Block>,
    pub(super) native: Value,
    pub(super) buffers: Vec<Option<(Variable, Variable)>>,
    pub(super) fuel: Option<Variable>,
    pub(super) exits: Vec<Option<clif::Block>>,
    pub(super) pending: Vec<(clif::Block, ExitId)>,
    pub(super) statuses: Option<clif::Block>,
    pub(super) constants: Vec<Option<u64>>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(
        module: &'a Module,
        func: &'a Func,
        entry: bool,
        host: CallConv,
        mut b: FunctionBuilder<'a>,
    ) -> Self {
        let vars = func.regs.iter().map(|ty| b.declare_var(clif_type(*ty))).collect();
        let blocks = func.blocks.iter().map(|_| b.create_block()).collect();
        Self {
            module,
            func,
            entry,
            host,
            b,
            vars,
            blocks,
            native: Value::from_u32(0),
            buffers: vec![None; module.buffers.len()],
            fuel: None,
            exits: vec![None; module.exits.len()],
            pending: Vec::new(),
            statuses: None,
            constants: constants(func),
        }
    }

    pub(super) fn run(mut self, isa: &OwnedTargetIsa, lanes: &Lanes) {
        self.prologue();
        let mut scalar = None;
        if let Some((head, latch)) = lanes.ends() {
            let single = self.b.create_block();
            self.b.switch_to_block(self.blocks[head.at()]);
            match lanes {
                Lanes::Two(each) => self.lanes(each, single),
                Lanes::Wide(wide) => self.wide(wide, single),
                Lanes::None => {}
            }
            scalar = Some((head, latch, single));
        }
        for (i, block) in self.func.blocks.iter().enumerate() {
            match scalar {
                Some((head, _, block)) if i == head.at() => self.b.switch_to_block(block),
                _ => self.b.switch_to_block(self.blocks[i]),
            }
            // From the end of the loop it goes on by single elements.
            let lanes = match scalar {
                Some((head, latch, at)) if i == latch.at() => {
                    Some((head, std::mem::replace(&mut self.blocks[head.at()], at)))
                }
                _ => None,
            };
            for inst in &block.insts {
                self.inst(inst);
            }
            if let Some(term) = &block.term {
                self.term(term);
            }
            if let Some((head, at)) = lanes {
                self.blocks[head.at()] = at;
            }
        }
        while let Some((block, exit)) = self.pending.pop() {
            self.b.switch_to_block(block);
            for (i, reg) in self.module.exits[exit.at()].state.iter().enumerate() {
                let bits = self.bits_of(*reg);
                self.store_value(i, bits);
            }
            let status = self.b.ins().iconst(types::I64, -1 - i64::from(exit.0));
            self.leave(status);
        }
        if let Some(block) = self.statuses {
            self.b.switch_to_block(block);
            let status = self.b.block_params(block)[0];
            self.leave(status);
        }
        self.b.seal_all_blocks();
        self.b.finalize(isa.frontend_config());
    }

    pub(super) fn prologue(&mut self) {
        let start = self.b.create_block();
        self.b.append_block_params_for_function_params(start);
        self.b.switch_to_block(start);
        self.native = self.b.block_params(start)[0];
        let params = &self.func.regs[..self.func.params as usize];
        if self.entry {
            let args = self.field(NativeLayout::ARGS);
            for (i, ty) in params.iter().enumerate() {
                let offset = i32::try_from(i * 8).unwrap_or(i32::MAX);
                let value = self.b.ins().load(clif_type(*ty), own(), args, offset);
                self.b.def_var(self.vars[i], value);
            }
        } else {
            for i in 0..params.len() {
                let value = self.b.block_params(start)[i + 1];
                self.b.def_var(self.vars[i], value);
            }
        }
        let insts = || self.func.blocks.iter().flat_map(|b| &b.insts);
        let mut used = vec![false; self.module.buffers.len()];
        let mut polls = false;
        for inst in insts() {
            match inst {
                Inst::Load { buf, .. } | Inst::Store { buf, .. } | Inst::Len { buf, .. } => {
                    used[buf.at()] = true;
                }
                Inst::Poll { .. } => polls = true,
                _ => {}
            }
        }
        for (i, _) in used.iter().enumerate().filter(|(_, used)| **used) {
            let table = self.field(NativeLayout::BUFFERS);
            let at = i32::try_from(i * NativeLayout::BUFFER_SIZE).unwrap_or(i32::MAX);
            let [ptr, len] = [0, 8].map(|o| {
                let value = self.b.ins().load(types::I64, own(), table, at + o);
                let var = self.b.declare_var(types::I64);
                self.b.def_var(var, value);
                var
            });
            self.buffers[i] = Some((ptr, len));
        }
        if polls {
            let fuel = self.b.declare_var(types::I64);
            let value = self.field(NativeLayout::FUEL);
            self.b.def_var(fuel, value);
            self.fuel = Some(fuel);
        }
        self.b.ins().jump(self.blocks[0], &[]);
    }

    pub(super) fn field(&mut self, offset: i32) -> Value {
        self.b.ins().load(types::I64, own(), self.native, offset)
    }

    pub(super) fn set_field(&mut self, offset: i32, value: Value) {
        self.b.ins().store(own(), value, self.native, offset);
    }

    pub(super) fn get(&mut self, reg: Reg) -> Value {
        self.b.use_var(self.vars[reg.at()])
    }

    pub(super) fn set(&mut self, reg: Reg, value: Value) {
        self.b.def_var(self.vars[reg.at()], value);
    }

    pub(super) fn ty(&self, reg: Reg) -> Ty {
        self.func.regs[reg.at()]
    }

    /// A register as 64 bits.
    pub(super) fn bits_of(&mut self, reg: Reg) -> Value {
        let value = self.get(reg);
        match self.ty(reg) {
            Ty::F64 => self.b.ins().bitcast(types::I64, MemFlagsData::new(), value),
            Ty::I64 | Ty::List => value,
            Ty::I32 | Ty::Bool => self.b.ins().uextend(types::I64, value),
        }
    }

    pub(super) fn of_bits(&mut self, ty: Ty, bits: Value) -> Value {
        match ty {
            Ty::F64 => self.b.ins().bitcast(types::F64, MemFlagsData::new(), bits),
            Ty::I64 | Ty::List => bits,
            Ty::I32 | Ty::Bool => self.b.ins().ireduce(clif_type(ty), bits),
        }
    }

    pub(super) fn store_value(&mut self, index: usize, bits: Value) {
        let values = self.field(NativeLayout::VALUES);
        let offset = i32::try_from(index * 8).unwrap_or(i32::MAX);
        self.b.ins().store(own(), bits, values, offset);
    }

    /// Returns a status from 0 up, with the fuel written back.
    pub(super) fn finish(&mut self, status: Value, bits: Value) {
        self.write_fuel();
        if self.entry {
            self.b.ins().return_(&[status]);
        } else {
            self.b.ins().return_(&[status, bits]);
        }
    }

    pub(super) fn leave(&mut self, status: Value) {
        if self.entry {
            self.b.ins().return_(&[status]);
        } else {
            self.b.ins().return_(&[status, status]);
        }
    }

    pub(super) fn write_fuel(&mut self) {
        if let Some(fuel) = self.fuel {
            let value = self.b.use_var(fuel);
            self.set_field(NativeLayout::FUEL, value);
        }
    }

    pub(super) fn read_fuel(&mut self) {
        if let Some(fuel) = self.fuel {
            let value = self.field(NativeLayout::FUEL);
            self.b.def_var(fuel, value);
        }
    }

    /// The cold block of an exit: shared where there is no state, since what is live differs from place to place.
    pub(super) fn exit_block(&mut self, exit: ExitId) -> clif::Block {
        let stateless = self.module.exits[exit.at()].state.is_empty();
        if let Some(block) = self.exits[exit.at()].filter(|_| stateless) {
            return block;
        }
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        self.exits[exit.at()] = Some(block);
        self.pending.push((block, exit));
        block
    }

    /// Leaves if `cond` (an I8) is not 0.
    pub(super) fn exit_if(&mut self, cond: Value, exit: ExitId) {
        let out = self.exit_block(exit);
        let on = self.b.create_block();
        self.b.ins().brif(cond, out, &[], on, &[]);
        self.b.switch_to_block(on);
    }

    pub(super) fn exit_unless(&mut self, cond: Value, exit: ExitId) {
        let out = self.exit_block(exit);
        let on = self.b.create_block();
        self.b.ins().brif(cond, on, &[], out, &[]);
        self.b.switch_to_block(on);
    }

    pub(super) fn signature(&mut self, params: &[clif::Type], result: clif::Type) -> SigRef {
        let mut sig = Signature::new(self.host);
        sig.params.extend(params.iter().map(|ty| AbiParam::new(*ty)));
        sig.returns.push(AbiParam::new(result));
        self.b.import_signature(sig)
    }

    pub(super) fn call_address(
        &mut self,
        address: usize,
        params: &[clif::Type],
        result: clif::Type,
        args: &[Value],
    ) -> Value {
        let sig = self.signature(params, result);
        let target = self.b.ins().iconst(types::I64, address.cast_signed() as i64);
        let call = self.b.ins().call_indirect(sig, target, args);
        self.b.inst_results(call)[0]
    }

    pub(super) fn helper(&mut self, helper: Helper, args: &[Value]) -> Value {
        let params: Vec<clif::Type> = args.iter().map(|v| self.b.func.dfg.value_type(*v)).collect();
        let result = match helper {
            Helper::ModF64 | Helper::FloorDivF64 | Helper::PowF64 | Helper::RemF64 => types::F64,
            Helper::ToInt32 => types::I32,
            _ => types::I64,
        };
        self.call_address(helper.address(), &params, result, args)
    }

    /// A helper that answers whether it left a result in `scratch`.
    pub(super) fn helper_or_exit(&mut self, helper: Helper, args: &[Value], exit: ExitId) -> Value {
        let mut all = vec![self.native];
        all.extend_from_slice(args);
        let ok = self.helper(helper, &all);
        self.exit_unless(ok, exit);
        self.field(NativeLayout::SCRATCH)
    }
}
