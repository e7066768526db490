//! Ends of blocks: branches, returns, calls between functions of a module.

use super::super::ir::{BlockId, ExitId, FuncId, Reg, Term};
use super::super::kernel::NativeLayout;
use super::function::Translator;
use super::{inner_signature, own};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};

impl Translator<'_> {
    pub(super) fn term(&mut self, term: &Term) {
        match term {
            Term::Jump(to) => {
                self.b.ins().jump(self.blocks[to.at()], &[]);
            }
            Term::Branch { cond, then, otherwise } => {
                let cond = self.get(*cond);
                let (then, otherwise) = (self.blocks[then.at()], self.blocks[otherwise.at()]);
                self.b.ins().brif(cond, then, &[], otherwise, &[]);
            }
            Term::Exit(exit) => {
                let out = self.exit_block(*exit);
                self.b.ins().jump(out, &[]);
            }
            Term::Return { shape, values } => {
                let status = self.b.ins().iconst(types::I64, i64::from(*shape));
                let in_register = !self.entry && values.len() == 1;
                let mut bits = status;
                for (i, value) in values.iter().enumerate() {
                    bits = self.bits_of(*value);
                    if !in_register {
                        self.store_value(i, bits);
                    }
                }
                self.finish(status, bits);
            }
            Term::Call { func, args, shapes, depth } => self.call(*func, args, shapes, *depth),
        }
    }

    pub(super) fn call(
        &mut self,
        func: FuncId,
        args: &[Reg],
        shapes: &[(Box<[Reg]>, BlockId)],
        too_deep: ExitId,
    ) {
        let depth = self.field(NativeLayout::DEPTH);
        let out = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, depth, 0);
        self.exit_if(out, too_deep);
        let less = self.b.ins().iadd_imm_s(depth, -1);
        self.set_field(NativeLayout::DEPTH, less);
        self.write_fuel();

        let callee = &self.module.funcs[func.at()];
        let sig = self.b.import_signature(inner_signature(callee));
        let table = self.field(NativeLayout::FUNCTIONS);
        let at = i32::try_from(func.at() * 8).unwrap_or(i32::MAX);
        let target = self.b.ins().load(types::I64, own(), table, at);
        let mut values = vec![self.native];
        for arg in args {
            values.push(self.get(*arg));
        }
        let call = self.b.ins().call_indirect(sig, target, &values);
        let [status, bits] = [0, 1].map(|i| self.b.inst_results(call)[i]);
        self.set_field(NativeLayout::DEPTH, depth);
        self.read_fuel();

        let statuses = *self.statuses.get_or_insert_with(|| {
            let block = self.b.create_block();
            self.b.append_block_param(block, types::I64);
            self.b.set_cold_block(block);
            block
        });
        let returned = self.b.create_block();
        let left = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, status, 0);
        self.b.ins().brif(left, statuses, &[BlockArg::from(status)], returned, &[]);
        self.b.switch_to_block(returned);
        for (i, (regs, to)) in shapes.iter().enumerate() {
            if i + 1 < shapes.len() {
                let (this, other) = (self.b.create_block(), self.b.create_block());
                let is = self.b.ins().icmp_imm_s(IntCC::Equal, status, i as i64);
                self.b.ins().brif(is, this, &[], other, &[]);
                self.b.switch_to_block(this);
                self.take_results(regs, bits);
                self.b.ins().jump(self.blocks[to.at()], &[]);
                self.b.switch_to_block(other);
            } else {
                self.take_results(regs, bits);
                self.b.ins().jump(self.blocks[to.at()], &[]);
            }
        }
        if shapes.is_empty() {
            // It never returns: whatever it answers is an exit.
            self.b.ins().jump(statuses, &[BlockArg::from(status)]);
        }
    }

    pub(super) fn take_results(&mut self, regs: &[Reg], bits: Value) {
        for (i, reg) in regs.iter().enumerate() {
            let bits = if regs.len() == 1 {
                bits
            } else {
                let values = self.field(NativeLayout::VALUES);
                let offset = i32::try_from(i * 8).unwrap_or(i32::MAX);
                self.b.ins().load(types::I64, own(), values, offset)
            };
            let value = self.of_bits(self.ty(*reg), bits);
            self.set(*reg, value);
        }
    }
}
