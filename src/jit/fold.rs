//! A function of an accumulator and an element becomes a loop over a buffer: IR in, IR out.

use super::builder::{FuncBuilder, ModuleBuilder};
use super::error::{JitError, Pos, Result};
use super::ir::{Elem, FuncId, Module, Op, Reason, Reg, Ty};
use super::map::{inline, redirect};

/// The left fold of a module's entry over elements `[start, end)` of one buffer. Parameters: `start`, `end`, the accumulator.
/// Shape 0: the accumulator. The entry takes accumulator, element and perhaps the index, all F64, and answers an F64.
///
/// # Errors
/// `Invalid` if the function is no such function.
pub fn left(module: &Module, elem: Elem) -> Result<Module> {
    let entry = module.entry();
    let params = &entry.regs[..entry.params as usize];
    let fits = (2..=3).contains(&params.len()) && params.iter().all(|ty| *ty == Ty::F64);
    if !fits || entry.shapes.iter().any(|shape| **shape != [Ty::F64]) {
        return Err(JitError::invalid("a fold needs a function of two or three numbers"));
    }
    let mut m = ModuleBuilder::of(module.clone());
    let buf = m.buffer(elem, false);
    let range = m.exit(Reason::Range, Pos::default());
    let stop = m.exit(Reason::Interrupted, Pos::default());
    let mut f = FuncBuilder::new(format!("fold {}", entry.name), &[Ty::I64, Ty::I64, Ty::F64]);
    let (start, end, acc) = (Reg(0), Reg(1), Reg(2));
    let done = f.shape(&[Ty::F64]);
    let (index, total) = (f.reg(Ty::I64), f.reg(Ty::F64));
    f.copy(index, start);
    f.copy(total, acc);
    let one = f.i64(1);
    let [head, body, latch, finish] = std::array::from_fn(|_| f.block());
    f.jump(head);
    f.switch_to(head);
    let more = f.op(Op::I64Lt, &[index, end], None);
    f.branch(more, body, finish);
    f.switch_to(body);
    let value = f.load(buf, elem, index, range);
    let mut args = vec![total, as_float(&mut f, elem, value)];
    if params.len() == 3 {
        args.push(f.op(Op::F64FromI64, &[index], None));
    }
    let first = inline(&mut f, &mut m, entry, &args, &mut |f, _, values| {
        f.copy(total, values[0]);
        f.jump(latch);
    });
    f.switch_to(body);
    f.jump(first);
    f.switch_to(latch);
    f.op_to(index, Op::I64AddWrap, &[index, one], None);
    f.poll(stop);
    f.jump(head);
    f.switch_to(finish);
    f.ret(done, &[total]);

    let copy = m.declare();
    m.define(copy, entry.clone());
    m.define(FuncId(0), f.finish());
    let mut module = m.finish();
    if !redirect(&mut module, copy) {
        module.funcs.pop();
    }
    Ok(module)
}

fn as_float(f: &mut FuncBuilder, elem: Elem, value: Reg) -> Reg {
    match elem.ty() {
        Ty::F64 => value,
        _ => f.op(Op::F64FromI64, &[value], None),
    }
}
