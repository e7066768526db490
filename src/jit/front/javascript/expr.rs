//! Expressions.

use super::super::super::error::{JitError, Pos, Result};
use super::super::super::ir::{BlockId, Op, Reg, Ty};
use super::lower::Lower;
use super::tree::{Item, Node};
use super::values::{Val, is_int32};

impl<'a> Lower<'a> {
    // --- conversions ------------------------------------------------------------------------------

    /// `ToNumber`.
    pub(super) fn num(&mut self, value: Val) -> Reg {
        match value {
            Val::Const(x) => self.f.f64(x),
            Val::Int(x) => self.f.op(Op::F64FromI32, &[x], None),
            Val::Number(x) | Val::Maybe(x, _) => x,
            Val::Bool(x) => {
                let x = self.f.op(Op::I64FromBool, &[x], None);
                self.f.op(Op::F64FromI64, &[x], None)
            }
            Val::Undefined | Val::Array(_) => self.f.f64(f64::NAN),
        }
    }

    /// `ToInt32`.
    pub(super) fn int(&mut self, value: Val) -> Reg {
        match value {
            Val::Const(x) if is_int32(x) => self.f.i32(x as i32),
            Val::Int(x) => x,
            Val::Bool(x) => {
                let x = self.f.op(Op::I64FromBool, &[x], None);
                self.f.op(Op::I32FromI64, &[x], None)
            }
            other => {
                let x = self.num(other);
                self.f.op(Op::JsToInt32, &[x], None)
            }
        }
    }

    /// `ToBoolean`.
    pub(super) fn truth(&mut self, value: Val) -> Reg {
        match value {
            Val::Bool(x) => x,
            Val::Undefined => self.f.bool(false),
            Val::Array(_) => self.f.bool(true),
            other => {
                let x = self.num(other);
                self.f.op(Op::JsToBool, &[x], None)
            }
        }
    }

    /// A number, and whether there is one.
    pub(super) fn maybe(&mut self, value: Val) -> (Reg, Reg) {
        match value {
            Val::Maybe(x, there) => (x, there),
            Val::Undefined => (self.f.f64(f64::NAN), self.f.bool(false)),
            other => (self.num(other), self.f.bool(true)),
        }
    }

    // --- expressions ------------------------------------------------------------------------------

    /// An operand: what arithmetic takes.
    pub(super) fn operand(&mut self, node: &'a Node) -> Result<Val> {
        match self.expr(node)? {
            Val::Array(_) => {
                let why = "a typed array is no number here; `a[i]` and `a.length` are";
                Err(JitError::unsupported(node.pos, why))
            }
            value => Ok(value),
        }
    }

    /// Goes on at `then` or `otherwise`.
    pub(super) fn condition(
        &mut self,
        node: &'a Node,
        then: BlockId,
        otherwise: BlockId,
    ) -> Result<()> {
        match (node.kind.as_str(), node.name(0)) {
            ("Logical", Ok(op @ ("&&" | "||"))) => {
                let middle = self.f.block();
                if op == "&&" {
                    self.condition(node.sub(1)?, middle, otherwise)?;
                } else {
                    self.condition(node.sub(1)?, then, middle)?;
                }
                self.f.switch_to(middle);
                self.condition(node.sub(2)?, then, otherwise)
            }
            ("Unary", Ok("!")) => self.condition(node.sub(1)?, otherwise, then),
            _ => {
                let value = self.operand(node)?;
                let cond = self.truth(value);
                self.branch(cond, then, otherwise);
                Ok(())
            }
        }
    }

    pub(super) fn expr(&mut self, node: &'a Node) -> Result<Val> {
        match node.kind.as_str() {
            "Number" => {
                let bits = u64::from_str_radix(node.name(0)?, 16).unwrap_or_default();
                Ok(Val::Const(f64::from_bits(bits)))
            }
            "Bool" => Ok(Val::Bool(self.f.bool(node.name(0)? == "true"))),
            "Undefined" => Ok(Val::Undefined),
            "Name" => {
                let value = self.known(node.name(0)?, node.pos)?.slot;
                Ok(self.copied(value.unwrap_or(Val::Undefined)))
            }
            "Void" => {
                self.expr(node.sub(0)?)?;
                Ok(Val::Undefined)
            }
            "Unary" => self.unary(node),
            "Binary" => {
                let left = self.operand(node.sub(1)?)?;
                let right = self.operand(node.sub(2)?)?;
                self.binary(node.name(0)?, left, right, node.pos)
            }
            "Logical" => self.logical(node),
            "Cond" => self.ternary(node),
            "Assign" => self.assignment(node),
            "Update" => self.update(node),
            "Index" => {
                let (array, index) = self.place(node)?;
                Ok(self.load(array, index))
            }
            "Length" => match self.expr(node.sub(0)?)? {
                Val::Array(array) => {
                    let len = self.f.len(self.bufs[array].id);
                    Ok(Val::Number(self.f.op(Op::F64FromI64, &[len], None)))
                }
                _ => Err(JitError::unsupported(node.pos, "`length` is for typed arrays")),
            },
            "Math" => self.math(node),
            "Sequence" => {
                let mut last = Val::Undefined;
                for item in node.list(0)? {
                    last = self.expr(item.node()?)?;
                }
                Ok(last)
            }
            other => Err(JitError::unsupported(node.pos, format!("`{other}` does not compile"))),
        }
    }

    /// What a variable holds now; it may change while the value is still needed.
    fn copied(&mut self, value: Val) -> Val {
        match value {
            Val::Const(_) | Val::Undefined | Val::Array(_) => value,
            _ => {
                let copy = self.slot(value.kind());
                self.write(Some(copy), value);
                copy
            }
        }
    }

    fn unary(&mut self, node: &'a Node) -> Result<Val> {
        let value = self.operand(node.sub(1)?)?;
        match (node.name(0)?, value) {
            ("-", Val::Const(x)) => Ok(Val::Const(-x)),
            ("+", Val::Const(_) | Val::Int(_) | Val::Number(_)) => Ok(value),
            ("+", value) => Ok(Val::Number(self.num(value))),
            ("-", value) => {
                let x = self.num(value);
                Ok(Val::Number(self.f.op(Op::F64Neg, &[x], None)))
            }
            ("~", value) => {
                let x = self.int(value);
                Ok(Val::Int(self.f.op(Op::JsBitNot, &[x], None)))
            }
            ("!", value) => {
                let x = self.truth(value);
                Ok(Val::Bool(self.f.op(Op::BoolNot, &[x], None)))
            }
            (op, _) => Err(JitError::unsupported(node.pos, format!("`{op}` does not compile"))),
        }
    }

    pub(super) fn binary(&mut self, op: &str, a: Val, b: Val, pos: Pos) -> Result<Val> {
        let float = |l: &mut Self, op| {
            let (x, y) = (l.num(a), l.num(b));
            Ok(Val::Number(l.f.op(op, &[x, y], None)))
        };
        let bits = |l: &mut Self, op| {
            let (x, y) = (l.int(a), l.int(b));
            Ok(Val::Int(l.f.op(op, &[x, y], None)))
        };
        let compare = |l: &mut Self, op| {
            let (x, y) = (l.num(a), l.num(b));
            Ok(Val::Bool(l.f.op(op, &[x, y], None)))
        };
        match op {
            "+" => float(self, Op::F64Add),
            "-" => float(self, Op::F64Sub),
            "*" => float(self, Op::F64Mul),
            "/" => float(self, Op::F64Div),
            "%" => float(self, Op::F64Rem),
            "&" => bits(self, Op::JsBitAnd),
            "|" => bits(self, Op::JsBitOr),
            "^" => bits(self, Op::JsBitXor),
            "<<" => bits(self, Op::JsShl),
            ">>" => bits(self, Op::JsShr),
            ">>>" => {
                let (x, y) = (self.int(a), self.int(b));
                let shifted = self.f.op(Op::JsUshr, &[x, y], None);
                Ok(Val::Number(self.f.op(Op::F64FromU32, &[shifted], None)))
            }
            "<" => compare(self, Op::F64Lt),
            "<=" => compare(self, Op::F64Le),
            ">" => compare(self, Op::F64Gt),
            ">=" => compare(self, Op::F64Ge),
            "===" => Ok(Val::Bool(self.strictly_equal(a, b, pos)?)),
            "!==" => {
                let same = self.strictly_equal(a, b, pos)?;
                Ok(Val::Bool(self.f.op(Op::BoolNot, &[same], None)))
            }
            "==" => Ok(Val::Bool(self.loosely_equal(a, b, pos)?)),
            "!=" => {
                let same = self.loosely_equal(a, b, pos)?;
                Ok(Val::Bool(self.f.op(Op::BoolNot, &[same], None)))
            }
            "**" => self.power(a, b, pos),
            other => Err(JitError::unsupported(pos, format!("`{other}` does not compile"))),
        }
    }

    pub(super) fn strictly_equal(&mut self, a: Val, b: Val, pos: Pos) -> Result<Reg> {
        use Val::{Array, Bool, Maybe, Undefined};
        Ok(match (a, b) {
            (Array(_), _) | (_, Array(_)) => {
                return Err(JitError::unsupported(pos, "typed arrays cannot be compared"));
            }
            (Bool(x), Bool(y)) => {
                let differ = self.f.op(Op::BoolXor, &[x, y], None);
                self.f.op(Op::BoolNot, &[differ], None)
            }
            (Undefined, Undefined) => self.f.bool(true),
            (Maybe(_, there), Undefined) | (Undefined, Maybe(_, there)) => {
                self.f.op(Op::BoolNot, &[there], None)
            }
            (Maybe(x, a), Maybe(y, b)) => {
                let same = self.f.op(Op::F64Eq, &[x, y], None);
                let any = self.f.op(Op::BoolOr, &[a, b], None);
                let neither = self.f.op(Op::BoolNot, &[any], None);
                self.f.op(Op::BoolOr, &[same, neither], None)
            }
            (Bool(_), _) | (_, Bool(_)) | (Undefined, _) | (_, Undefined) => self.f.bool(false),
            // The number of what is not there is NaN, which equals nothing.
            _ => {
                let (x, y) = (self.num(a), self.num(b));
                self.f.op(Op::F64Eq, &[x, y], None)
            }
        })
    }

    fn loosely_equal(&mut self, a: Val, b: Val, pos: Pos) -> Result<Reg> {
        match (a, b) {
            // A boolean is compared as a number; undefined's is NaN.
            (Val::Bool(_), _) | (_, Val::Bool(_)) => {
                if let (Val::Array(_), _) | (_, Val::Array(_)) = (a, b) {
                    return Err(JitError::unsupported(pos, "typed arrays cannot be compared"));
                }
                let (x, y) = (self.num(a), self.num(b));
                Ok(self.f.op(Op::F64Eq, &[x, y], None))
            }
            _ => self.strictly_equal(a, b, pos),
        }
    }

    /// `a && b`, `a || b`, `a ?? b` where the value counts.
    fn logical(&mut self, node: &'a Node) -> Result<Val> {
        let op = node.name(0)?;
        let left = self.operand(node.sub(1)?)?;
        if let ("??", Val::Undefined) = (op, left) {
            return self.operand(node.sub(2)?);
        }
        let (short, long) = (self.f.block(), self.f.block());
        match op {
            "&&" => {
                let goes_on = self.truth(left);
                self.branch(goes_on, long, short);
            }
            "||" => {
                let stays = self.truth(left);
                self.branch(stays, short, long);
            }
            _ => {
                let stays = match left {
                    Val::Maybe(_, there) => there,
                    _ => self.f.bool(true),
                };
                self.branch(stays, short, long);
            }
        }
        self.f.switch_to(long);
        let right = self.operand(node.sub(2)?)?;
        let after = self.f.current();
        // What is cut short by `??` is there.
        let left = match left {
            Val::Maybe(x, _) if op == "??" => Val::Number(x),
            left => left,
        };
        self.joined(node.pos, (short, left), (after, right))
    }

    fn ternary(&mut self, node: &'a Node) -> Result<Val> {
        let (then, otherwise) = (self.f.block(), self.f.block());
        self.condition(node.sub(0)?, then, otherwise)?;
        self.f.switch_to(then);
        let a = self.operand(node.sub(1)?)?;
        let after_a = self.f.current();
        self.f.switch_to(otherwise);
        let b = self.operand(node.sub(2)?)?;
        let after_b = self.f.current();
        self.joined(node.pos, (after_a, a), (after_b, b))
    }

    /// One value of two, each known at the end of its block.
    fn joined(&mut self, pos: Pos, a: (BlockId, Val), b: (BlockId, Val)) -> Result<Val> {
        let kind = a.1.kind().join(b.1.kind(), pos, "the result")?;
        let slot = self.slot(kind);
        let end = self.f.block();
        for (block, value) in [a, b] {
            self.f.switch_to(block);
            self.write(Some(slot), value);
            self.jump(end);
        }
        self.f.switch_to(end);
        Ok(slot)
    }

    /// `(Assign op target value)`.
    fn assignment(&mut self, node: &'a Node) -> Result<Val> {
        let (op, target) = (node.name(0)?, node.sub(1)?);
        let arithmetic = op.strip_suffix('=').unwrap_or_default();
        if target.kind == "Index" {
            let (array, index) = self.place(target)?;
            let old = (!arithmetic.is_empty()).then(|| self.load(array, index));
            let right = self.operand(node.sub(2)?)?;
            let value = match old {
                Some(old) => self.binary(arithmetic, old, right, node.pos)?,
                None => right,
            };
            self.store(array, index, value);
            return Ok(value);
        }
        let name = target.name(0)?;
        let old = if arithmetic.is_empty() { None } else { Some(self.operand(target)?) };
        let right = self.operand(node.sub(2)?)?;
        let value = match old {
            Some(old) => self.binary(arithmetic, old, right, node.pos)?,
            None => right,
        };
        self.assign(name, node.pos, value)?;
        Ok(value)
    }

    /// `(Update op prefix target)`.
    fn update(&mut self, node: &'a Node) -> Result<Val> {
        let (op, prefix, target) = (node.name(0)?, node.name(1)? == "true", node.sub(2)?);
        let step = if op == "++" { Op::F64Add } else { Op::F64Sub };
        let place = if target.kind == "Index" { Some(self.place(target)?) } else { None };
        let old = match place {
            Some((array, index)) => self.load(array, index),
            None => self.operand(target)?,
        };
        let old = self.num(old);
        let one = self.f.f64(1.0);
        let new = Val::Number(self.f.op(step, &[old, one], None));
        match place {
            Some((array, index)) => self.store(array, index, new),
            None => self.assign(target.name(0)?, node.pos, new)?,
        }
        Ok(if prefix { new } else { Val::Number(old) })
    }

    /// `(Index array index)`: the array, and the index as a value.
    fn place(&mut self, node: &'a Node) -> Result<(usize, Val)> {
        let object = node.sub(0)?;
        let Val::Array(array) = self.expr(object)? else {
            return Err(JitError::unsupported(object.pos, "only typed arrays have elements"));
        };
        let index = self.operand(node.sub(1)?)?;
        if let Val::Bool(_) = index {
            return Err(JitError::unsupported(node.pos, "a boolean is no index"));
        }
        Ok((array, index))
    }

    /// Room for a result that two blocks write.
    pub(super) fn both(&mut self) -> (Reg, Reg) {
        (self.f.reg(Ty::F64), self.f.reg(Ty::Bool))
    }

    /// The nodes of a list field.
    pub(super) fn nodes(node: &'a Node, at: usize) -> Result<Vec<&'a Node>> {
        node.list(at)?.iter().map(Item::node).collect()
    }
}
