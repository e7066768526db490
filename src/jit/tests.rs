use super::ir::{Elem, Fit, Inst, Module, Op, Reason, Reg, Ty};
use super::map::{Input, Output, elementwise};
use super::{
    Budget, Buffer, Frame, FuncBuilder, Hook, Kernel, ModuleBuilder, Options, Outcome, Pos,
};

fn buffer(values: &mut [f64]) -> Buffer {
    // SAFETY: each test keeps `values` until after its calls.
    #[allow(unsafe_code, reason = "tests lend memory as a host does")]
    unsafe {
        Buffer::new(values.as_mut_ptr().cast(), values.len(), Elem::F64, true)
    }
}

/// `for i in range(n): total += i` with overflow guards.
fn triangle() -> Module {
    let mut m = ModuleBuilder::new();
    let entry = m.declare();
    let overflow = m.exit(Reason::Overflow, Pos::new(2, 4));
    let stop = m.exit(Reason::Interrupted, Pos::default());
    let mut f = FuncBuilder::new("triangle", &[Ty::I64]);
    let shape = f.shape(&[Ty::I64]);
    let (i, total) = (f.reg(Ty::I64), f.reg(Ty::I64));
    let zero = f.i64(0);
    f.copy(i, zero);
    f.copy(total, zero);
    let [head, body, end] = std::array::from_fn(|_| f.block());
    f.jump(head);
    f.switch_to(head);
    let more = f.op(Op::I64Lt, &[i, Reg(0)], None);
    f.branch(more, body, end);
    f.switch_to(body);
    f.op_to(total, Op::PyAddI64, &[total, i], Some(overflow));
    let one = f.i64(1);
    f.op_to(i, Op::I64AddWrap, &[i, one], None);
    f.poll(stop);
    f.jump(head);
    f.switch_to(end);
    f.ret(shape, &[total]);
    m.define(entry, f.finish());
    m.finish()
}

/// `x / y` as Python divides.
fn quotient() -> Module {
    let mut m = ModuleBuilder::new();
    let entry = m.declare();
    let zero = m.exit(Reason::ZeroDivision, Pos::new(1, 10));
    let mut f = FuncBuilder::new("quotient", &[Ty::F64, Ty::F64]);
    let shape = f.shape(&[Ty::F64]);
    let result = f.op(Op::PyTrueDivF64, &[Reg(0), Reg(1)], Some(zero));
    f.ret(shape, &[result]);
    m.define(entry, f.finish());
    m.finish()
}

#[test]
fn a_loop_returns_what_it_added_up() {
    let kernel = Kernel::compile(triangle(), &Options::default()).unwrap();
    let mut frame = Frame::default();
    let outcome = kernel.call(&[1_000], &[], Budget::default(), &mut frame, &mut ()).unwrap();
    assert_eq!(outcome, Outcome::Returned(0));
    assert_eq!(frame.values, [499_500]);
}

#[test]
fn fault_42_a_compile_that_fails_in_mid_run_is_interpreted_and_reported() {
    let call = |kernel: &Kernel| {
        let mut frame = Frame::default();
        let outcome = kernel.call(&[1_000], &[], Budget::default(), &mut frame, &mut ()).unwrap();
        (outcome, frame.values)
    };
    let native = Kernel::compile(triangle(), &Options::default()).unwrap();
    let answer = call(&native);
    super::code::tests::DENIED.set(true);
    let late = Kernel::compile(triangle(), &Options::default()).unwrap();
    super::code::tests::DENIED.set(false);
    assert!(native.is_native() && !late.is_native());
    let reported = late.backend_error().expect("it says why").to_string();
    assert!(reported.contains("no executable memory"), "{reported}");
    assert_eq!(call(&late), answer);
    assert_eq!(call(&native), answer);
    assert_eq!(late.code_size(), 0);
}

#[test]
fn a_hook_stops_a_loop() {
    struct Third(u32);
    impl Hook for Third {
        fn poll(&mut self) -> Option<u64> {
            self.0 += 1;
            (self.0 < 3).then_some(10)
        }
    }
    let kernel = Kernel::compile(triangle(), &Options::default()).unwrap();
    let mut hook = Third(0);
    let budget = Budget { fuel: 10, ..Budget::default() };
    let args = [i64::MAX.cast_unsigned()];
    let outcome = kernel.call(&args, &[], budget, &mut Frame::default(), &mut hook).unwrap();
    let Outcome::Left(exit) = outcome else { panic!("it should have been stopped: {outcome:?}") };
    assert_eq!(kernel.module().exits[exit.at()].reason, Reason::Interrupted);
    assert_eq!(hook.0, 3);
}

#[test]
fn a_map_marks_the_element_that_left() {
    let output = Output { elem: Elem::F64, shape: 0, fit: Fit::Leave };
    let inputs = [Input::Buffer(Elem::F64), Input::Buffer(Elem::F64)];
    let map = elementwise(&quotient(), &inputs, output).unwrap();
    let kernel = Kernel::compile(map, &Options::default()).unwrap();
    let (mut x, mut y, mut out) = ([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 0.0, 8.0], [0.0; 4]);
    let buffers = [buffer(&mut x), buffer(&mut y), buffer(&mut out)];
    let mut frame = Frame::default();
    let mut call = |start: u64| {
        let args = [start, 4];
        kernel.call(&args, &buffers, Budget::default(), &mut frame, &mut ()).unwrap();
        frame.mark
    };
    assert_eq!(call(0), 2);
    assert_eq!(call(3), 3);
    assert_eq!(out, [0.5, 0.5, 0.0, 0.5]);
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let kernel = Kernel::compile(triangle(), &Options::default()).unwrap();
    let mut frame = Frame::default();
    assert!(kernel.call(&[], &[], Budget::default(), &mut frame, &mut ()).is_err());
    let lent = [buffer(&mut [])];
    assert!(kernel.call(&[1], &lent, Budget::default(), &mut frame, &mut ()).is_err());
}

#[test]
fn ill_formed_ir_is_refused() {
    let mut m = ModuleBuilder::new();
    let entry = m.declare();
    let mut f = FuncBuilder::new("reads too early", &[]);
    let shape = f.shape(&[Ty::I64]);
    let never = f.reg(Ty::I64);
    f.ret(shape, &[never]);
    m.define(entry, f.finish());
    let error = Kernel::compile(m.finish(), &Options::default()).unwrap_err();
    assert!(error.message.contains("before it is written"), "{error}");

    let mut m = ModuleBuilder::new();
    let entry = m.declare();
    let mut f = FuncBuilder::new("mixes types", &[Ty::I64]);
    let dst = f.reg(Ty::F64);
    f.push(Inst::Copy { dst, src: Reg(0) });
    f.ret(0, &[]);
    m.define(entry, f.finish());
    assert!(Kernel::compile(m.finish(), &Options::default()).is_err());
}

const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    -7.5,
    1e-20,
    -1e-20,
    5e-324,
    1e308,
    -1e308,
    9_007_199_254_740_993.0,
    9.223_372_036_854_775e18,
    9.3e18,
    -9.223_372_036_854_776e18,
    4_294_967_296.5,
    -2_147_483_649.0,
    1e25,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];
const INTS: &[i64] = &[
    0,
    1,
    -1,
    2,
    -2,
    3,
    5,
    -7,
    31,
    32,
    62,
    63,
    64,
    65,
    1 << 31,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53) - 1,
    i64::MAX,
    i64::MIN,
    i64::MAX - 1,
    i64::MIN + 1,
    3_037_000_500,
];

fn pool(ty: Ty) -> Vec<u64> {
    match ty {
        Ty::F64 => FLOATS.iter().map(|f| f.to_bits()).collect(),
        Ty::I64 => INTS.iter().map(|i| i.cast_unsigned()).collect(),
        Ty::I32 => INTS.iter().map(|i| u64::from(*i as u32)).collect(),
        Ty::Bool => vec![0, 1],
        Ty::List => Vec::new(),
    }
}

/// Equal bits; one NaN is as good as another.
fn same(ty: Ty, a: &[u64], b: &[u64]) -> bool {
    let nan = |v: u64| ty == Ty::F64 && f64::from_bits(v).is_nan();
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || nan(*a) && nan(*b))
}

#[test]
fn native_operations_do_what_the_interpreter_says() {
    for op in Op::ALL {
        let mut m = ModuleBuilder::new();
        let entry = m.declare();
        let leave = m.exit(Reason::Domain, Pos::default());
        let mut f = FuncBuilder::new(op.name(), op.args());
        let shape = f.shape(&[op.result()]);
        let args: Vec<Reg> = (0..).map(Reg).take(op.args().len()).collect();
        let result = f.op(*op, &args, Some(leave));
        f.ret(shape, &[result]);
        m.define(entry, f.finish());
        let kernel = Kernel::compile(m.finish(), &Options::default()).unwrap();
        assert!(kernel.is_native(), "{}: {:?}", op.name(), kernel.backend_error());

        let pools: Vec<Vec<u64>> = op.args().iter().map(|ty| pool(*ty)).collect();
        let count: usize = pools.iter().map(Vec::len).product();
        for case in 0..count {
            let mut rest = case;
            let args: Vec<u64> = pools
                .iter()
                .map(|p| {
                    let value = p[rest % p.len()];
                    rest /= p.len();
                    value
                })
                .collect();
            let (mut native, mut spec) = (Frame::default(), Frame::default());
            let budget = Budget::default();
            let a = kernel.call(&args, &[], budget, &mut native, &mut ()).unwrap();
            let b = kernel.interpret(&args, &[], budget, &mut spec, &mut ()).unwrap();
            assert!(
                a == b && same(op.result(), &native.values, &spec.values),
                "{} of {args:x?}: native {a:?} {:x?}, interpreter {b:?} {:x?}",
                op.name(),
                native.values,
                spec.values
            );
        }
    }
}
