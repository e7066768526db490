//! Four lanes: the loop of a map on machines with AVX2, whose 256-bit vectors the code generator library does not have.
//!
//! The loop of one chunk is a function of its own, made here byte by byte; it stops before the last elements that fill no
//! vector, and before any that leaves. The scalar loop goes on from there. ADR 0050 says why, and what it brings.

mod body;
mod emit;
mod vex;

use super::super::ir::{BlockId, BufId, Func, Inst, Module, Op, Reg, Term, Ty};
use super::function::{Translator, constants};
use super::own;
use crate::jit::kernel::NativeLayout;
use body::Planner;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self as clif, AbiParam, InstBuilder, Signature, StackSlotData, StackSlotKind, Value, types,
};
use cranelift_codegen::isa::CallConv;
use std::collections::HashSet;

/// A loop `while index < end { body; index += 1 }`, and the code of its body in four lanes.
pub(super) struct Wide {
    pub(super) head: BlockId,
    pub(super) latch: BlockId,
    pub(super) code: Vec<u8>,
    index: Reg,
    end: Reg,
    invariants: Vec<Reg>,
    buffers: Vec<BufId>,
}

/// The first such loop of a function, where this machine has the instructions.
pub(super) fn find(module: &Module, func: &Func) -> Option<Wide> {
    if !available() {
        return None;
    }
    (0..func.blocks.len()).find_map(|at| at_head(module, func, BlockId(u32::try_from(at).ok()?)))
}

#[cfg(target_arch = "x86_64")]
pub(super) fn available() -> bool {
    #[cfg(test)]
    if tests::NARROW.get() {
        return false;
    }
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn available() -> bool {
    false
}

fn at_head(module: &Module, func: &Func, head: BlockId) -> Option<Wide> {
    let block = &func.blocks[head.at()];
    let ([Inst::Op { op: Op::I64Lt, dst, args, .. }], Some(Term::Branch { cond, then, .. })) =
        (&block.insts[..], &block.term)
    else {
        return None;
    };
    let [index, end, _] = *args;
    (cond == dst && index != end).then_some(())?;
    let mut order = Vec::new();
    walk(func, *then, head, &mut HashSet::new(), &mut HashSet::new(), &mut order)?;
    order.reverse();
    // One block goes back, and does nothing else than count.
    let back: Vec<BlockId> = order
        .iter()
        .copied()
        .filter(|b| matches!(func.blocks[b.at()].term, Some(Term::Jump(to)) if to == head))
        .collect();
    let [latch] = back[..] else { return None };
    let [Inst::Op { op: Op::I64AddWrap, dst, args: [from, one, _], .. }] =
        func.blocks[latch.at()].insts[..]
    else {
        return None;
    };
    (dst == index && from == index && constants(func)[one.at()] == Some(1)).then_some(())?;
    order.retain(|b| *b != latch);
    let written: HashSet<Reg> =
        order.iter().flat_map(|b| &func.blocks[b.at()].insts).filter_map(Inst::dst).collect();
    let outside = |i: usize| i != head.at() && !order.iter().any(|b| b.at() == i);
    let others = func.blocks.iter().enumerate().filter(|(i, _)| outside(*i));
    for (_, block) in others {
        // What the body writes is nobody else's: the lanes do not leave it in the registers.
        super::lanes::mentioned(block).is_disjoint(&written).then_some(())?;
    }
    (!written.contains(&end)).then_some(())?;
    let body = Planner::new(module, func, index).plan(&order, latch)?;
    let code = emit::emit(module, &body)?;
    let (invariants, buffers) = (body.invariants, body.buffers);
    Some(Wide { head, latch, code, index, end, invariants, buffers })
}

/// The blocks that come before `head` does again, in reverse order; `None` if there is a loop among them.
fn walk(
    func: &Func,
    at: BlockId,
    head: BlockId,
    above: &mut HashSet<BlockId>,
    seen: &mut HashSet<BlockId>,
    order: &mut Vec<BlockId>,
) -> Option<()> {
    if at == head || seen.contains(&at) {
        return Some(());
    }
    (above.len() < 64 && above.insert(at)).then_some(())?;
    let next = match *func.blocks[at.at()].term.as_ref()? {
        Term::Jump(to) => [Some(to), None],
        Term::Branch { then, otherwise, .. } => [Some(then), Some(otherwise)],
        Term::Exit(_) => [None, None],
        _ => return None,
    };
    for to in next.into_iter().flatten() {
        walk(func, to, head, above, seen, order)?;
    }
    above.remove(&at);
    seen.insert(at);
    order.push(at);
    Some(())
}

impl Translator<'_> {
    /// At the preheader: a call of the wide loop, then the scalar one at `scalar`.
    pub(super) fn wide(&mut self, wide: &Wide, scalar: clif::Block) {
        let call = self.b.create_block();
        let zero = self.b.ins().iconst(types::I64, 0);
        let index = self.get(wide.index);
        let inside = self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, index, zero);
        self.b.ins().brif(inside, call, &[], scalar, &[]);
        self.b.switch_to_block(call);
        let mut limit = self.get(wide.end);
        let table = self.slot(8 * wide.buffers.len());
        for (i, buf) in wide.buffers.iter().enumerate() {
            let (address, len) = self.buffer(*buf);
            limit = self.b.ins().smin(limit, len);
            self.b.ins().store(own(), address, table, offset(8 * i));
        }
        let limit = self.b.ins().smax(limit, zero);
        let invariants = self.slot(32 * wide.invariants.len());
        for (i, reg) in wide.invariants.iter().enumerate() {
            let bits = match self.ty(*reg) {
                Ty::Bool => {
                    let value = self.get(*reg);
                    let wide = self.b.ins().uextend(types::I64, value);
                    self.b.ins().ineg(wide)
                }
                _ => self.bits_of(*reg),
            };
            for lane in 0..4 {
                self.b.ins().store(own(), bits, invariants, offset(32 * i + 8 * lane));
            }
        }
        let mut sig = Signature::new(CallConv::SystemV);
        sig.params.extend([AbiParam::new(types::I64); 4]);
        sig.returns.push(AbiParam::new(types::I64));
        let sig = self.b.import_signature(sig);
        let target = self.field(NativeLayout::WIDE);
        let call = self.b.ins().call_indirect(sig, target, &[table, index, limit, invariants]);
        let next = self.b.inst_results(call)[0];
        self.set(wide.index, next);
        self.b.ins().jump(scalar, &[]);
    }

    /// The address of memory of this call's.
    fn slot(&mut self, size: usize) -> Value {
        let size = u32::try_from(size.max(8)).unwrap_or(u32::MAX);
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        let slot = self.b.create_sized_stack_slot(data);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }
}

fn offset(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub(super) mod tests;
