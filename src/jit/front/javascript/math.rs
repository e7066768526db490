//! `Math`: what ECMAScript specifies exactly, and with `approxMath` the rest.

use super::super::super::error::{JitError, Pos, Result};
use super::super::super::ir::{Import, Op};
use super::lower::Lower;
use super::tree::Node;
use super::values::Val;

impl<'a> Lower<'a> {
    /// `(Math name [arguments])`; `Number.isNaN` and its like as well.
    pub(super) fn math(&mut self, node: &'a Node) -> Result<Val> {
        let name = node.name(0)?;
        let mut args = Vec::new();
        for arg in Self::nodes(node, 1)? {
            args.push(self.operand(arg)?);
        }
        let first = args.first().copied().unwrap_or(Val::Undefined);
        let second = args.get(1).copied().unwrap_or(Val::Undefined);
        let float = |l: &mut Self, op| {
            let x = l.num(first);
            Ok(Val::Number(l.f.op(op, &[x], None)))
        };
        match name {
            "sqrt" => float(self, Op::F64Sqrt),
            "abs" => float(self, Op::F64Abs),
            "floor" => float(self, Op::F64Floor),
            "ceil" => float(self, Op::F64Ceil),
            "trunc" => float(self, Op::F64Trunc),
            "round" => float(self, Op::JsRound),
            "sign" => float(self, Op::JsSign),
            "fround" => float(self, Op::F64Fround),
            "Number" if args.is_empty() => Ok(Val::Const(0.0)),
            "Number" => Ok(Val::Number(self.num(first))),
            "min" | "max" => {
                let (op, none) = if name == "min" {
                    (Op::JsMin, f64::INFINITY)
                } else {
                    (Op::JsMax, f64::NEG_INFINITY)
                };
                let numbers: Vec<_> = args.iter().map(|arg| self.num(*arg)).collect();
                let all = numbers.into_iter().reduce(|a, b| self.f.op(op, &[a, b], None));
                Ok(all.map_or(Val::Const(none), Val::Number))
            }
            "imul" => {
                let (x, y) = (self.int(first), self.int(second));
                Ok(Val::Int(self.f.op(Op::JsImul, &[x, y], None)))
            }
            "clz32" => {
                let x = self.int(first);
                Ok(Val::Int(self.f.op(Op::JsClz32, &[x], None)))
            }
            "isNaN" => {
                let x = self.num(first);
                Ok(Val::Bool(self.f.op(Op::F64Ne, &[x, x], None)))
            }
            "isFinite" => {
                let x = self.num(first);
                Ok(Val::Bool(self.f.op(Op::F64IsFinite, &[x], None)))
            }
            // Of what is no number they answer false, whatever `ToNumber` makes of it.
            "Number.isNaN" | "Number.isFinite" | "Number.isInteger" => match first {
                Val::Bool(_) | Val::Undefined => Ok(Val::Bool(self.f.bool(false))),
                _ => {
                    let x = self.num(first);
                    let mut answer = if name == "Number.isNaN" {
                        self.f.op(Op::F64Ne, &[x, x], None)
                    } else {
                        self.f.op(Op::F64IsFinite, &[x], None)
                    };
                    if name == "Number.isInteger" {
                        let whole = self.f.op(Op::F64Trunc, &[x], None);
                        let same = self.f.op(Op::F64Eq, &[x, whole], None);
                        answer = self.f.op(Op::BoolAnd, &[answer, same], None);
                    }
                    if let Val::Maybe(_, there) = first {
                        answer = self.f.op(Op::BoolAnd, &[answer, there], None);
                    }
                    Ok(Val::Bool(answer))
                }
            },
            "pow" => self.power(first, second, node.pos),
            _ => self.approximate(name, &args, node.pos),
        }
    }

    fn approximate(&mut self, name: &str, args: &[Val], pos: Pos) -> Result<Val> {
        let import = Import::ALL.iter().find(|i| {
            i.name() == name
                && !matches!(i, Import::Fmod | Import::Erf | Import::Erfc | Import::Exp2)
        });
        let Some(import) = import else {
            return Err(JitError::unsupported(pos, format!("`Math.{name}` does not compile")));
        };
        self.allow(name, pos)?;
        if args.len() != import.arity() {
            let why = format!("`Math.{name}` compiles with {} argument(s)", import.arity());
            return Err(JitError::unsupported(pos, why));
        }
        let args: Vec<_> = args.iter().map(|arg| self.num(*arg)).collect();
        Ok(Val::Number(self.f.import(*import, args[0], args.get(1).copied())))
    }

    /// The exponent decides where C and JavaScript differ: NaN stays NaN, and so does 1 to an infinite power.
    pub(super) fn power(&mut self, base: Val, exponent: Val, pos: Pos) -> Result<Val> {
        self.allow("pow", pos)?;
        let (x, y) = (self.num(base), self.num(exponent));
        let power = self.f.import(Import::Pow, x, Some(y));
        let (nan, one, infinite) =
            (self.f.f64(f64::NAN), self.f.f64(1.0), self.f.f64(f64::INFINITY));
        let size = self.f.op(Op::F64Abs, &[x], None);
        let unit = self.f.op(Op::F64Eq, &[size, one], None);
        let size = self.f.op(Op::F64Abs, &[y], None);
        let endless = self.f.op(Op::F64Eq, &[size, infinite], None);
        let undecided = self.f.op(Op::BoolAnd, &[unit, endless], None);
        let unknown = self.f.op(Op::F64Ne, &[y, y], None);
        let none = self.f.op(Op::BoolOr, &[undecided, unknown], None);
        Ok(Val::Number(self.f.op(Op::F64Select, &[none, nan, power], None)))
    }

    fn allow(&self, name: &str, pos: Pos) -> Result<()> {
        if self.approximate {
            return Ok(());
        }
        let what = if name == "pow" { "`**` and `Math.pow`" } else { &format!("`Math.{name}`") };
        Err(JitError::unsupported(
            pos,
            format!("engines differ in the last bit of {what}: say {{ approxMath: true }}"),
        ))
    }
}
