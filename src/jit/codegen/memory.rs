//! Instructions, and what they do to memory: buffers, lists, polls.

use super::super::ir::{BufId, Elem, ExitId, Fit, Inst, Op, Reg, Ty};
use super::super::kernel::{Helper, NativeLayout};
use super::function::Translator;
use super::{lent, poll_signature};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Translator<'_> {
    pub(super) fn inst(&mut self, inst: &Inst) {
        match *inst {
            Inst::Const { dst, bits } => {
                let value = match self.ty(dst) {
                    Ty::F64 => self.b.ins().f64const(f64::from_bits(bits)),
                    Ty::I64 | Ty::List => self.b.ins().iconst(types::I64, bits.cast_signed()),
                    Ty::I32 => self.b.ins().iconst(types::I32, i64::from(bits as u32)),
                    Ty::Bool => self.b.ins().iconst(types::I8, i64::from(bits != 0)),
                };
                self.set(dst, value);
            }
            Inst::Copy { dst, src } => {
                let value = self.get(src);
                self.set(dst, value);
            }
            Inst::Op { op, dst, args, exit } => {
                let operands: Vec<Value> =
                    args[..op.args().len()].iter().map(|r| self.get(*r)).collect();
                let step = (op == Op::PyRangeLen).then(|| self.constants[args[2].at()]).flatten();
                let value = match exit {
                    Some(exit) if step == Some(1) => self.count(&operands, exit),
                    Some(exit) => self.checked(op, &operands, exit),
                    None => self.plain(op, &operands),
                };
                self.set(dst, value);
            }
            Inst::Import { import, dst, args } => {
                let args: Vec<Value> =
                    args[..import.arity()].iter().map(|r| self.get(*r)).collect();
                let params = vec![types::F64; args.len()];
                let value = self.call_address(import.address(), &params, types::F64, &args);
                self.set(dst, value);
            }
            Inst::Load { dst, buf, index, exit } => {
                let elem = self.module.buffers[buf.at()].elem;
                let address = self.element(buf, index, exit);
                let value = self.load(elem, address, Some(exit));
                self.set(dst, value);
            }
            Inst::Store { buf, index, src, fit, exit } => self.store(buf, index, src, fit, exit),
            Inst::Len { dst, buf } => {
                let len = self.buffer(buf).1;
                self.set(dst, len);
            }
            Inst::Guard { cond, expect, exit } => {
                let cond = self.get(cond);
                if expect {
                    self.exit_unless(cond, exit);
                } else {
                    self.exit_if(cond, exit);
                }
            }
            Inst::Poll { exit } => self.poll(exit),
            Inst::Mark { src } => {
                let value = self.get(src);
                self.set_field(NativeLayout::MARK, value);
            }
            _ => self.list(inst),
        }
    }

    pub(super) fn list(&mut self, inst: &Inst) {
        match *inst {
            Inst::ListNew { dst, exit } => {
                let value = self.helper_or_exit(Helper::ListNew, &[], exit);
                self.set(dst, value);
            }
            Inst::ListPush { list, src, tag, exit } => {
                let (list, src) = (self.get(list), self.bits_of(src));
                let tag = self.b.ins().iconst(types::I64, i64::from(tag));
                self.helper_or_exit(Helper::ListPush, &[list, src, tag], exit);
            }
            Inst::ListLen { dst, list } => {
                let list = self.get(list);
                let len = self.helper(Helper::ListLen, &[self.native, list]);
                self.set(dst, len);
            }
            Inst::ListGet { dst, list, index, tag, exit } => {
                let (list, index) = (self.get(list), self.get(index));
                let tag = self.b.ins().iconst(types::I64, i64::from(tag));
                let bits = self.helper_or_exit(Helper::ListGet, &[list, index, tag], exit);
                let value = self.of_bits(self.ty(dst), bits);
                self.set(dst, value);
            }
            Inst::ListSet { list, index, src, tag, exit } => {
                let (list, index, src) = (self.get(list), self.get(index), self.bits_of(src));
                let tag = self.b.ins().iconst(types::I64, i64::from(tag));
                self.helper_or_exit(Helper::ListSet, &[list, index, src, tag], exit);
            }
            _ => unreachable!("the other instructions are handled in `inst`"),
        }
    }

    pub(super) fn buffer(&mut self, buf: BufId) -> (Value, Value) {
        let (ptr, len) = self.buffers[buf.at()].expect("the prologue loads each used buffer");
        (self.b.use_var(ptr), self.b.use_var(len))
    }

    /// The address of an element; leaves if there is none. One unsigned compare covers both ends.
    pub(super) fn element(&mut self, buf: BufId, index: Reg, exit: ExitId) -> Value {
        let (ptr, len) = self.buffer(buf);
        let index = self.get(index);
        let out = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        self.exit_if(out, exit);
        let shift = self.module.buffers[buf.at()].elem.size().trailing_zeros();
        let offset = self.b.ins().ishl_imm_s(index, i64::from(shift));
        self.b.ins().iadd(ptr, offset)
    }

    pub(super) fn load(&mut self, elem: Elem, address: Value, exit: Option<ExitId>) -> Value {
        let f = lent();
        match elem {
            Elem::F64 => self.b.ins().load(types::F64, f, address, 0),
            Elem::F32 => {
                let value = self.b.ins().load(types::F32, f, address, 0);
                self.b.ins().fpromote(types::F64, value)
            }
            Elem::I64 => self.b.ins().load(types::I64, f, address, 0),
            Elem::U64 => {
                let value = self.b.ins().load(types::I64, f, address, 0);
                if let Some(exit) = exit {
                    let large = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, value, 0);
                    self.exit_if(large, exit);
                }
                value
            }
            Elem::I32 => self.b.ins().sload32(f, address, 0),
            Elem::U32 => self.b.ins().uload32(f, address, 0),
            Elem::I16 => self.b.ins().sload16(types::I64, f, address, 0),
            Elem::U16 => self.b.ins().uload16(types::I64, f, address, 0),
            Elem::I8 => self.b.ins().sload8(types::I64, f, address, 0),
            Elem::U8 => self.b.ins().uload8(types::I64, f, address, 0),
            Elem::Bool => {
                let value = self.b.ins().load(types::I8, f, address, 0);
                self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0)
            }
        }
    }

    pub(super) fn store(&mut self, buf: BufId, index: Reg, src: Reg, fit: Fit, exit: ExitId) {
        let elem = self.module.buffers[buf.at()].elem;
        let value = self.get(src);
        if let (Fit::Leave, Some((low, high))) = (fit, elem.range())
            && elem != Elem::I64
        {
            let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, value, low);
            let above = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, value, high);
            let out = self.b.ins().bor(below, above);
            self.exit_if(out, exit);
        }
        let address = self.element(buf, index, exit);
        let f = lent();
        match elem {
            Elem::F64 | Elem::I64 | Elem::U64 | Elem::Bool => {
                self.b.ins().store(f, value, address, 0);
            }
            Elem::F32 => {
                let value = self.b.ins().fdemote(types::F32, value);
                self.b.ins().store(f, value, address, 0);
            }
            Elem::I32 | Elem::U32 => {
                self.b.ins().istore32(f, value, address, 0);
            }
            Elem::I16 | Elem::U16 => {
                self.b.ins().istore16(f, value, address, 0);
            }
            Elem::I8 | Elem::U8 => {
                self.b.ins().istore8(f, value, address, 0);
            }
        }
    }

    pub(super) fn poll(&mut self, exit: ExitId) {
        let Some(fuel) = self.fuel else { return };
        let value = self.b.use_var(fuel);
        let left = self.b.ins().iadd_imm_s(value, -1);
        self.b.def_var(fuel, left);
        let empty = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, left, 0);
        let (ask, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(ask);
        self.b.ins().brif(empty, ask, &[], on, &[]);
        self.b.switch_to_block(ask);
        self.write_fuel();
        let sig = self.b.import_signature(poll_signature());
        let target = self.field(NativeLayout::POLL);
        self.b.ins().call_indirect(sig, target, &[self.native]);
        self.read_fuel();
        let now = self.b.use_var(fuel);
        let stop = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, now, 0);
        let out = self.exit_block(exit);
        self.b.ins().brif(stop, out, &[], on, &[]);
        self.b.switch_to_block(on);
    }
}
