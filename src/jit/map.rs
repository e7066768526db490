//! A function of scalars becomes a loop over buffers: IR in, IR out.
//!
//! The loop runs over `[start, end)`, so that any partition of the range gives the same bytes. Before each element it marks
//! the index: when the call leaves, the host does element `Frame::mark` itself and goes on behind it.

use super::builder::{FuncBuilder, ModuleBuilder};
use super::error::{JitError, Pos, Result};
use super::ir::{
    Block, BlockId, BufId, Elem, Exit, ExitId, Fit, Func, FuncId, Inst, Module, Op, Reason, Reg,
    Term, Ty,
};

/// Where a parameter of the mapped function comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// One value for all elements.
    Scalar,
    /// An element of the next input buffer. Integers are made floats where the parameter is F64.
    Buffer(Elem),
}

/// What becomes of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The element type of the output buffer.
    pub elem: Elem,
    /// The shape that is stored; it has one value, of the type that `elem` takes. Other shapes leave with `Type`.
    pub shape: u32,
    /// How integers that do not fit are treated.
    pub fit: Fit,
}

/// Elements between two polls.
const CHUNK: i64 = 4_096;

/// The map of a module's entry. Parameters: `start`, `end`, then the scalars in order. Buffers: the module's own, then the
/// inputs in order, then the output. Shape 0: done.
///
/// # Errors
/// `Invalid` if inputs or output do not fit the function.
pub fn elementwise(module: &Module, inputs: &[Input], output: Output) -> Result<Module> {
    let entry = module.entry();
    if inputs.len() != entry.params as usize {
        return Err(JitError::invalid("a map needs an input for every parameter"));
    }
    let shape = entry.shapes.get(output.shape as usize);
    if shape.is_none_or(|types| **types != [output.elem.ty()]) {
        return Err(JitError::invalid("the output buffer does not take what the function returns"));
    }
    let mut m = ModuleBuilder::of(module.clone());
    let buffers: Vec<Option<BufId>> = inputs
        .iter()
        .map(|input| match input {
            Input::Scalar => None,
            Input::Buffer(elem) => Some(m.buffer(*elem, false)),
        })
        .collect();
    let out = m.buffer(output.elem, true);
    let leave = |m: &mut ModuleBuilder, reason| m.exit(reason, Pos::default());
    let (range, other, stop) = (
        leave(&mut m, Reason::Range),
        leave(&mut m, Reason::Type),
        leave(&mut m, Reason::Interrupted),
    );

    let mut params = vec![Ty::I64, Ty::I64];
    for (i, input) in inputs.iter().enumerate() {
        if *input == Input::Scalar {
            params.push(entry.regs[i]);
        }
    }
    let mut f = FuncBuilder::new(format!("map {}", entry.name), &params);
    let (start, end) = (Reg(0), Reg(1));
    let done = f.shape(&[]);
    let index = f.reg(Ty::I64);
    f.copy(index, start);
    let chunk_end = f.reg(Ty::I64);
    let one = f.i64(1);
    let chunk = f.i64(CHUNK);
    let [outer, turn, inner, body, finish] = std::array::from_fn(|_| f.block());
    f.jump(outer);

    f.switch_to(outer);
    let more = f.op(Op::I64Lt, &[index, end], None);
    f.branch(more, turn, finish);
    f.switch_to(turn);
    f.push(Inst::Mark { src: index });
    f.poll(stop);
    let left = f.op(Op::I64SubWrap, &[end, index], None);
    let short = f.op(Op::I64Lt, &[left, chunk], None);
    let step = f.op(Op::I64Select, &[short, left, chunk], None);
    f.op_to(chunk_end, Op::I64AddWrap, &[index, step], None);
    f.jump(inner);

    f.switch_to(inner);
    let more = f.op(Op::I64Lt, &[index, chunk_end], None);
    f.branch(more, body, outer);

    f.switch_to(body);
    f.push(Inst::Mark { src: index });
    let mut args = Vec::new();
    let mut scalars = 2..;
    for (i, input) in inputs.iter().enumerate() {
        let want = entry.regs[i];
        args.push(match (input, buffers[i]) {
            (Input::Buffer(elem), Some(buf)) => {
                let value = f.load(buf, *elem, index, range);
                match (elem.ty(), want) {
                    (have, want) if have == want => value,
                    (Ty::I64, Ty::F64) => f.op(Op::F64FromI64, &[value], None),
                    _ => {
                        return Err(JitError::invalid(
                            "an input buffer does not fit its parameter",
                        ));
                    }
                }
            }
            _ => Reg(scalars.next().unwrap_or_default()),
        });
    }
    let latch = f.block();
    let first = inline(&mut f, &mut m, entry, &args, &mut |f, shape, values| {
        if shape == output.shape {
            f.store(out, index, values[0], output.fit, range);
            f.jump(latch);
        } else {
            f.end(Term::Exit(other));
        }
    });
    f.switch_to(body);
    f.jump(first);
    f.switch_to(latch);
    f.op_to(index, Op::I64AddWrap, &[index, one], None);
    f.jump(inner);
    f.switch_to(finish);
    f.ret(done, &[]);

    // Whoever called the entry (recursion) calls its copy.
    let copy = m.declare();
    m.define(copy, entry.clone());
    m.define(FuncId(0), f.finish());
    let mut module = m.finish();
    let called = redirect(&mut module, copy);
    if !called {
        module.funcs.pop();
    }
    Ok(module)
}

/// Copies the blocks of `callee` into `f`, its parameters set from `args`; `ret` ends each block that returned.
pub(super) fn inline(
    f: &mut FuncBuilder,
    m: &mut ModuleBuilder,
    callee: &Func,
    args: &[Reg],
    ret: &mut dyn FnMut(&mut FuncBuilder, u32, &[Reg]),
) -> BlockId {
    for (i, arg) in args.iter().enumerate() {
        let param = f.reg(callee.regs[i]);
        debug_assert_eq!(param.0 as usize, f.regs() - 1);
        f.copy(param, *arg);
    }
    let first_reg = u32::try_from(f.regs() - args.len()).unwrap_or(u32::MAX);
    for ty in &callee.regs[args.len()..] {
        f.reg(*ty);
    }
    let reg = |r: Reg| Reg(r.0 + first_reg);
    let blocks: Vec<BlockId> = callee.blocks.iter().map(|_| f.block()).collect();
    let to = |b: BlockId| blocks[b.at()];
    for (i, block) in callee.blocks.iter().enumerate() {
        f.switch_to(blocks[i]);
        for inst in &block.insts {
            let mut inst = inst.clone();
            inst.rename(&reg, &mut |exit| renumber(m, exit, &reg));
            f.push(inst);
        }
        match block.term.as_ref() {
            None => {}
            Some(Term::Jump(b)) => f.jump(to(*b)),
            Some(Term::Branch { cond, then, otherwise }) => {
                f.branch(reg(*cond), to(*then), to(*otherwise));
            }
            Some(Term::Return { shape, values }) => {
                let values: Vec<Reg> = values.iter().map(|r| reg(*r)).collect();
                ret(f, *shape, &values);
            }
            Some(Term::Exit(exit)) => f.end(Term::Exit(renumber(m, *exit, &reg))),
            Some(Term::Call { func, args, shapes, depth }) => f.end(Term::Call {
                func: *func,
                args: args.iter().map(|r| reg(*r)).collect(),
                shapes: shapes
                    .iter()
                    .map(|(regs, b)| (regs.iter().map(|r| reg(*r)).collect(), to(*b)))
                    .collect(),
                depth: renumber(m, *depth, &reg),
            }),
        }
    }
    blocks[0]
}

/// An exit with state is one of the inlined function's registers: it gets a copy. (A map restarts its element: the host
/// does not read the state.)
fn renumber(m: &mut ModuleBuilder, exit: ExitId, reg: &dyn Fn(Reg) -> Reg) -> ExitId {
    let old = m.exit_at(exit).clone();
    if old.state.is_empty() {
        return exit;
    }
    let state = old.state.iter().map(|r| reg(*r)).collect();
    m.exit_with(Exit { state, ..old })
}

/// Sends calls of function 0 to `copy`; whether there were any.
pub(super) fn redirect(module: &mut Module, copy: FuncId) -> bool {
    let mut called = false;
    let blocks = module.funcs.iter_mut().flat_map(|f| &mut f.blocks);
    for Block { term, .. } in blocks {
        if let Some(Term::Call { func, .. }) = term
            && *func == FuncId(0)
        {
            *func = copy;
            called = true;
        }
    }
    called
}
