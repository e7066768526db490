use super::{lanes, wide};
use crate::jit::ir::{Elem, Fit, Module, Op, Reason, Reg, Ty};
use crate::jit::map::{Input, Output, elementwise};
use crate::jit::{
    Budget, Buffer, Frame, FuncBuilder, Kernel, ModuleBuilder, Options, Outcome, Pos,
};

/// `op` of up to three numbers; booleans among its operands are comparisons, a boolean result chooses.
fn of(op: Op) -> Module {
    let mut m = ModuleBuilder::new();
    let entry = m.declare();
    let leave = m.exit(Reason::Domain, Pos::default());
    let mut f = FuncBuilder::new(op.name(), &[Ty::F64, Ty::F64, Ty::F64]);
    let shape = f.shape(&[Ty::F64]);
    let limit = f.f64(1.5);
    let args: Vec<Reg> = op
        .args()
        .iter()
        .enumerate()
        .map(|(i, ty)| match ty {
            Ty::Bool => f.op(Op::F64Lt, &[Reg(i as u32), limit], None),
            Ty::I64 => f.op(Op::PyTruncI64, &[Reg(i as u32)], Some(leave)),
            Ty::I32 => f.op(Op::JsToInt32, &[Reg(i as u32)], None),
            _ => Reg(i as u32),
        })
        .collect();
    let mut result = f.op(op, &args, Some(leave));
    result = match op.result() {
        Ty::Bool => f.op(Op::F64Select, &[result, Reg(1), limit], None),
        Ty::I64 => f.op(Op::F64FromI64, &[result], None),
        Ty::I32 => f.op(Op::F64FromI32, &[result], None),
        _ => result,
    };
    f.ret(shape, &[result]);
    m.define(entry, f.finish());
    m.finish()
}

fn bytes(elem: Elem, values: &[f64]) -> Vec<u8> {
    let one = |x: &f64| match elem {
        Elem::F32 => (*x as f32).to_ne_bytes().to_vec(),
        Elem::I32 => (*x as i32).to_ne_bytes().to_vec(),
        _ => x.to_ne_bytes().to_vec(),
    };
    values.iter().flat_map(one).collect()
}

fn lent(elem: Elem, bytes: &mut [u8]) -> Buffer {
    // SAFETY: each test keeps `bytes` until after its calls.
    #[allow(unsafe_code, reason = "tests lend memory as a host does")]
    unsafe {
        Buffer::new(bytes.as_mut_ptr(), bytes.len() / elem.size(), elem, true)
    }
}

/// What a map left behind: how it ended, the mark if it left, the output. One NaN is as good as another.
type Trace = (Outcome, Option<i64>, Vec<u64>);

fn run(kernel: &Kernel, columns: &[(Elem, Vec<f64>)], out: Elem, from: usize, spec: bool) -> Trace {
    let count = columns[0].1.len();
    let mut memory: Vec<Vec<u8>> = columns.iter().map(|(e, v)| bytes(*e, v)).collect();
    memory.push(vec![0xee; count * out.size()]);
    let elems = columns.iter().map(|(e, _)| *e).chain([out]);
    let buffers: Vec<Buffer> = memory.iter_mut().zip(elems).map(|(m, e)| lent(e, m)).collect();
    let args = [from as u64, count as u64];
    let mut frame = Frame::default();
    let budget = Budget::default();
    let outcome = if spec {
        kernel.interpret(&args, &buffers, budget, &mut frame, &mut ())
    } else {
        kernel.call(&args, &buffers, budget, &mut frame, &mut ())
    }
    .unwrap();
    let plain = |bits: u64| if f64::from_bits(bits).is_nan() { f64::NAN.to_bits() } else { bits };
    let values = (0..count).map(|i| plain(buffers[columns.len()].get(i as i64).unwrap_or(0)));
    let mark = matches!(outcome, Outcome::Left(_)).then_some(frame.mark);
    (outcome, mark, values.collect())
}

const ODD: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.5,
    -7.5,
    1e-320,
    1e308,
    -1e308,
    4_503_599_627_370_497.5,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];
/// Nothing of these makes lanes leave, whatever the operation.
const TAME: &[f64] = &[1.0, -1.0, 0.5, 2.5, -7.5, 1e10, 3.25, -0.5, 1.5];

/// All pairs, the third from the pool in turn.
fn columns(pool: &[f64]) -> Vec<Vec<f64>> {
    let n = pool.len();
    let at = |f: &dyn Fn(usize) -> usize| (0..n * n).map(|i| pool[f(i) % n]).collect();
    vec![at(&|i| i), at(&|i| i / n), at(&|i| i * 7 + i / n)]
}

/// Compiles for a machine without AVX2 while it lives.
struct Narrow;

impl Narrow {
    fn new() -> Self {
        wide::tests::NARROW.set(true);
        Self
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        wide::tests::NARROW.set(false);
    }
}

fn agrees(module: &Module, elems: [Elem; 3], out: Elem, what: &str) {
    let inputs = elems.map(Input::Buffer);
    let output = Output { elem: out, shape: 0, fit: Fit::Leave };
    let map = elementwise(module, &inputs, output).unwrap();
    if wide::available() {
        assert!(wide::find(&map, map.entry()).is_some(), "{what}: no wide lanes");
        equal(&map, elems, out, what);
    }
    let _narrow = Narrow::new();
    assert!(lanes::find(&map, map.entry()).is_some(), "{what}: no lanes");
    equal(&map, elems, out, what);
}

fn equal(map: &Module, elems: [Elem; 3], out: Elem, what: &str) {
    let kernel = Kernel::compile(map.clone(), &Options::default()).unwrap();
    assert!(kernel.is_native(), "{what}: {:?}", kernel.backend_error());
    for pool in [ODD, TAME] {
        let columns: Vec<(Elem, Vec<f64>)> = elems.into_iter().zip(columns(pool)).collect();
        for from in (0..columns[0].1.len()).filter(|i| i % 60 == 0 || *i < 5) {
            let native = run(&kernel, &columns, out, from, false);
            let spec = run(&kernel, &columns, out, from, true);
            assert_eq!(native, spec, "{what}, {out:?}, from {from}");
        }
    }
}

#[test]
fn lanes_do_what_the_interpreter_says() {
    let floats = |op: &&Op| {
        op.args().iter().all(|ty| matches!(ty, Ty::F64 | Ty::Bool))
            && matches!(op.result(), Ty::F64 | Ty::Bool)
            && lanes::has_lanes(**op)
    };
    let ops: Vec<Op> = Op::ALL.iter().filter(floats).copied().collect();
    assert!(ops.len() > 25, "{ops:?}");
    for op in ops {
        agrees(&of(op), [Elem::F64; 3], Elem::F64, op.name());
    }
}

/// Operations whose operands and results pass through integers.
#[test]
fn wide_lanes_of_integers_do_what_the_interpreter_says() {
    let integers = |op: &&Op| {
        let types = || op.args().iter().chain([&op.result()]).copied().collect::<Vec<_>>();
        types().iter().any(|ty| matches!(ty, Ty::I64 | Ty::I32)) && !types().contains(&Ty::List)
    };
    let mut found = 0;
    for op in Op::ALL.iter().filter(integers) {
        let output = Output { elem: Elem::F64, shape: 0, fit: Fit::Leave };
        let map = elementwise(&of(*op), &[Input::Buffer(Elem::F64); 3], output).unwrap();
        if wide::find(&map, map.entry()).is_some() {
            found += 1;
            equal(&map, [Elem::F64; 3], Elem::F64, op.name());
        }
    }
    assert!(found >= 38 || !wide::available(), "{found}");
}

#[test]
fn lanes_read_and_write_other_elements() {
    let sum = of(Op::F64Add);
    for elem in [Elem::F32, Elem::I32] {
        agrees(&sum, [elem, Elem::F64, Elem::F64], Elem::F64, "sum");
    }
    agrees(&sum, [Elem::F32, Elem::I32, Elem::F64], Elem::F32, "sum");
}

#[test]
fn what_is_carried_from_turn_to_turn_has_no_lanes() {
    // A fold: the total is read before it is written.
    let sum = {
        let mut m = ModuleBuilder::new();
        let entry = m.declare();
        let mut f = FuncBuilder::new("sum", &[Ty::F64, Ty::F64]);
        let shape = f.shape(&[Ty::F64]);
        let total = f.op(Op::F64Add, &[Reg(0), Reg(1)], None);
        f.ret(shape, &[total]);
        m.define(entry, f.finish());
        m.finish()
    };
    let fold = crate::jit::fold::left(&sum, Elem::F64).unwrap();
    assert!(lanes::find(&fold, fold.entry()).is_none());
}
