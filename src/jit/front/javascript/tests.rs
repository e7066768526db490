use super::{Arg, Result_, compile, parse};
use crate::jit::{Budget, Frame, Kernel, Limits, Options, Outcome};

fn compiled(tree: &str, args: &[Arg]) -> Kernel {
    let tree = parse(tree, 400).expect("a tree");
    let module = compile(&tree, args, Result_::Value, false, &Limits::DEFAULT).expect("compiles");
    Kernel::compile(module, &Options::default()).expect("well-formed")
}

#[test]
fn a_variable_takes_the_join_of_what_is_assigned() {
    // (x) => { let s = 0; while (x > 0) { s = s + x; x = x - 1 } return s }
    let kernel = compiled(
        "(Function 1 1 [(Name 1 2 x)] [] [(Var 1 1 let [(One 1 1 s (Number 1 1 0))]) \
         (While 1 1 (Binary 1 1 > (Name 1 1 x) (Number 1 1 0)) (Block 1 1 [\
         (Expression 1 1 (Assign 1 1 = (Name 1 1 s) (Binary 1 1 + (Name 1 1 s) (Name 1 1 x))))\
         (Expression 1 1 (Update 1 1 -- false (Name 1 1 x)))])) (Return 1 1 (Name 1 1 s))])",
        &[Arg::Number],
    );
    let mut frame = Frame::default();
    let call = |frame: &mut Frame, native: bool| {
        let args = [4.0_f64.to_bits()];
        let run = if native { Kernel::call } else { Kernel::interpret };
        let outcome = run(&kernel, &args, &[], Budget::default(), frame, &mut ());
        (outcome.expect("fits"), f64::from_bits(frame.values[0]))
    };
    assert_eq!(call(&mut frame, true), (Outcome::Returned(0), 10.0));
    assert_eq!(call(&mut frame, false), (Outcome::Returned(0), 10.0));
}

#[test]
fn a_malformed_tree_is_an_error() {
    for text in
        ["", "(", "(Function 1 1", "(Function 1 1 [] [] [(Nonsense 1 1)])", "(Return 1 1 -)"]
    {
        let compiled = parse(text, 400)
            .and_then(|tree| compile(&tree, &[], Result_::Value, false, &Limits::DEFAULT));
        assert!(compiled.is_err(), "{text}");
    }
}
