//! The tree of a function becomes stack code without types: Python's evaluation order, written out.

use super::env::{Builtin, Entry, Math, PyFn, Usage};
use super::tree::{Item, Node};
use crate::jit::error::{JitError, Pos, Result};
use std::collections::HashMap;

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bin {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
    Shl,
    Shr,
    And,
    Or,
    Xor,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Is,
    IsNot,
}

/// An instruction of the stack machine. The comments show the top of the stack at the right.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ins {
    Int(i64),
    Float(u64),
    Bool(bool),
    None,
    Entry(Entry),
    Load(usize),
    Store(usize),
    /// `a -> a a`
    Dup,
    /// `a b -> a b a b`
    Dup2,
    Pop,
    /// `a b -> b a`
    Swap,
    /// `a b c -> c a b`
    Rot3,
    Bin(Bin),
    /// `total item -> total + item`, as `sum` adds
    SumStep,
    Neg,
    Pos,
    Invert,
    Not,
    Cmp(Cmp),
    Jump(usize),
    JumpFalse(usize),
    JumpTrue(usize),
    /// Jumps if the variable has no value; known without looking.
    JumpUnset(usize, usize),
    /// Forgets a variable.
    Unset(usize),
    Tuple(usize),
    /// The first item ends on top.
    Unpack(usize),
    /// `a i -> a[i]`
    Index,
    /// `v a i ->`, stores
    SetIndex,
    Attr(String),
    Call(usize),
    Iter,
    /// `it -> it value`, or at the end `->` and jumps
    Next(usize),
    NewList,
    /// `list v ->`
    Append,
    Return,
    /// Whatever comes here, the host does.
    Leave,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    pub(super) code: Vec<(Ins, Pos)>,
    /// The number of local variables, hidden ones included; the parameters come first.
    pub(super) locals: usize,
    /// For each place, the variables that may be read from there on.
    pub(super) live: Vec<Box<[u64]>>,
    /// For each place, whether a jump arrives there.
    pub(super) targets: Vec<bool>,
}

pub(super) fn lower(node: &Node, names: &HashMap<String, Entry>) -> Result<PyFn> {
    let name = node.name(0)?.to_owned();
    let params: Vec<String> =
        node.list(1)?.iter().map(|p| p.atom().map(str::to_owned)).collect::<Result<_>>()?;
    let locals = node.list(2)?;
    let mut l = Lowerer {
        names,
        scopes: vec![HashMap::new()],
        slots: 0,
        code: Vec::new(),
        loops: Vec::new(),
        usage: vec![Usage::default(); params.len()],
        pos: node.pos,
    };
    for name in params.iter().map(String::as_str).chain(locals.iter().map_while(|l| l.atom().ok()))
    {
        if !l.scopes[0].contains_key(name) {
            let slot = l.slot();
            l.scopes[0].insert(name.to_owned(), slot);
        }
    }
    l.body(node.list(3)?)?;
    l.emit(Ins::None);
    l.emit(Ins::Return);
    let live = liveness(&l.code, l.slots);
    let mut targets = vec![false; l.code.len() + 1];
    for (ins, _) in &l.code {
        if let Ins::Jump(to)
        | Ins::JumpFalse(to)
        | Ins::JumpTrue(to)
        | Ins::JumpUnset(_, to)
        | Ins::Next(to) = ins
        {
            targets[*to] = true;
        }
    }
    // A call may return several types; all of them go on behind it.
    for (at, (ins, _)) in l.code.iter().enumerate() {
        targets[at + 1] |= matches!(ins, Ins::Call(_));
    }
    let code = Code { code: l.code, locals: l.slots, live, targets };
    Ok(PyFn { name, params, usage: l.usage, defaults: Vec::new(), code })
}

struct Loop {
    head: usize,
    /// Jumps to what comes after the loop, `else` included.
    breaks: Vec<usize>,
    /// An iterator lies on the stack.
    iterator: bool,
}

struct Lowerer<'a> {
    names: &'a HashMap<String, Entry>,
    scopes: Vec<HashMap<String, usize>>,
    slots: usize,
    code: Vec<(Ins, Pos)>,
    loops: Vec<Loop>,
    usage: Vec<Usage>,
    pos: Pos,
}

fn unsupported<T>(pos: Pos, what: impl Into<String>) -> Result<T> {
    Err(JitError::unsupported(pos, what))
}

impl Lowerer<'_> {
    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn emit(&mut self, ins: Ins) -> usize {
        self.code.push((ins, self.pos));
        self.code.len() - 1
    }

    fn here(&self) -> usize {
        self.code.len()
    }

    /// Lets the jump at `at` go to here.
    fn land(&mut self, at: usize) {
        let here = self.here();
        match &mut self.code[at].0 {
            Ins::Jump(to)
            | Ins::JumpFalse(to)
            | Ins::JumpTrue(to)
            | Ins::JumpUnset(_, to)
            | Ins::Next(to) => *to = here,
            other => unreachable!("{other:?} is no jump"),
        }
    }

    fn land_all(&mut self, jumps: Vec<usize>) {
        jumps.into_iter().for_each(|at| self.land(at));
    }

    fn lookup(&self, name: &str) -> Option<usize> {
        self.scopes.iter().rev().find_map(|s| s.get(name)).copied()
    }

    /// What a name means where it is no local variable.
    fn global(&self, name: &str) -> Option<Entry> {
        if self.lookup(name).is_some() { None } else { self.names.get(name).copied() }
    }

    fn builtin(&self, callee: &Node) -> Option<Builtin> {
        let name = (callee.kind == "n").then(|| callee.name(0).ok()).flatten()?;
        match self.global(name)? {
            Entry::Builtin(b) => Some(b),
            _ => None,
        }
    }

    fn is_array(&mut self, node: &Node) {
        if node.kind == "n"
            && let Ok(name) = node.name(0)
            && let Some(slot) = self.lookup(name)
            && let Some(usage) = self.usage.get_mut(slot)
        {
            usage.array = true;
        }
    }

    // --- statements --------------------------------------------------------------------------------

    fn body(&mut self, items: &[Item]) -> Result<()> {
        items.iter().try_for_each(|item| self.statement(item.node()?))
    }

    fn statement(&mut self, node: &Node) -> Result<()> {
        self.pos = node.pos;
        match node.kind.as_str() {
            "=" => {
                self.expr(node.sub(0)?)?;
                let targets = node.list(1)?;
                for (i, target) in targets.iter().enumerate() {
                    if i + 1 < targets.len() {
                        self.emit(Ins::Dup);
                    }
                    self.assign(target.node()?)?;
                }
            }
            "aug" => self.augmented(node)?,
            "expr" => {
                self.expr(node.sub(0)?)?;
                self.emit(Ins::Pop);
            }
            "if" => {
                let no = self.condition(node.sub(0)?, false)?;
                self.body(node.list(1)?)?;
                let otherwise = node.list(2)?;
                if otherwise.is_empty() {
                    self.land_all(no);
                } else {
                    let end = self.emit(Ins::Jump(0));
                    self.land_all(no);
                    self.body(otherwise)?;
                    self.land(end);
                }
            }
            "while" => {
                let head = self.here();
                let no = self.condition(node.sub(0)?, false)?;
                self.loops.push(Loop { head, breaks: Vec::new(), iterator: false });
                self.body(node.list(1)?)?;
                self.emit(Ins::Jump(head));
                self.land_all(no);
                self.end_loop(node.list(2)?)?;
            }
            "for" => {
                self.iterable(node.sub(1)?)?;
                self.emit(Ins::Iter);
                let head = self.emit(Ins::Next(0));
                self.loops.push(Loop { head, breaks: Vec::new(), iterator: true });
                self.assign(node.sub(0)?)?;
                self.body(node.list(2)?)?;
                self.emit(Ins::Jump(head));
                self.land(head);
                self.end_loop(node.list(3)?)?;
            }
            "break" | "continue" => {
                let Some(of) = self.loops.last() else {
                    return unsupported(node.pos, "break or continue outside of a loop");
                };
                let (head, iterator) = (of.head, of.iterator);
                if node.kind == "continue" {
                    self.emit(Ins::Jump(head));
                } else {
                    if iterator {
                        self.emit(Ins::Pop);
                    }
                    let at = self.emit(Ins::Jump(0));
                    if let Some(of) = self.loops.last_mut() {
                        of.breaks.push(at);
                    }
                }
            }
            "pass" => {}
            "ret" => {
                self.expr(node.sub(0)?)?;
                self.emit(Ins::Return);
            }
            "raise" => {
                self.emit(Ins::Leave);
            }
            "assert" => {
                let no = self.condition(node.sub(0)?, false)?;
                let on = self.emit(Ins::Jump(0));
                self.land_all(no);
                self.emit(Ins::Leave);
                self.land(on);
            }
            "bad" => return unsupported(node.pos, words(node)),
            other => return unsupported(node.pos, format!("`{other}` does not compile")),
        }
        Ok(())
    }

    fn end_loop(&mut self, otherwise: &[Item]) -> Result<()> {
        let done = self.loops.pop();
        self.body(otherwise)?;
        self.land_all(done.map(|l| l.breaks).unwrap_or_default());
        Ok(())
    }

    /// Stores the top of the stack.
    fn assign(&mut self, target: &Node) -> Result<()> {
        match target.kind.as_str() {
            "n" => {
                let name = target.name(0)?;
                let Some(slot) = self.lookup(name) else {
                    return unsupported(target.pos, format!("`{name}` is not a local variable"));
                };
                self.emit(Ins::Store(slot));
            }
            "tup" => {
                let items = target.list(0)?;
                self.emit(Ins::Unpack(items.len()));
                for item in items {
                    self.assign(item.node()?)?;
                }
            }
            "sub" => {
                self.is_array(target.sub(0)?);
                self.expr(target.sub(0)?)?;
                self.expr(target.sub(1)?)?;
                self.emit(Ins::SetIndex);
            }
            "bad" => return unsupported(target.pos, words(target)),
            _ => return unsupported(target.pos, "an assignment to this target does not compile"),
        }
        Ok(())
    }

    fn augmented(&mut self, node: &Node) -> Result<()> {
        let op = binary(node.name(0)?, node.pos)?;
        let target = node.sub(1)?;
        match target.kind.as_str() {
            "n" => {
                self.expr(target)?;
                self.expr(node.sub(2)?)?;
                self.pos = node.pos;
                self.emit(Ins::Bin(op));
                self.assign(target)
            }
            "sub" => {
                self.is_array(target.sub(0)?);
                self.expr(target.sub(0)?)?;
                self.expr(target.sub(1)?)?;
                self.emit(Ins::Dup2);
                self.emit(Ins::Index);
                self.expr(node.sub(2)?)?;
                self.pos = node.pos;
                self.emit(Ins::Bin(op));
                self.emit(Ins::Rot3);
                self.emit(Ins::SetIndex);
                Ok(())
            }
            _ => unsupported(node.pos, "an augmented assignment to this target does not compile"),
        }
    }

    // --- expressions -------------------------------------------------------------------------------

    /// Jumps where the truth of `node` is `when`; answers the jumps, to be landed.
    fn condition(&mut self, node: &Node, when: bool) -> Result<Vec<usize>> {
        match (node.kind.as_str(), when) {
            ("not", _) => self.condition(node.sub(0)?, !when),
            ("and", false) | ("or", true) => {
                let mut jumps = Vec::new();
                for item in node.list(0)? {
                    jumps.extend(self.condition(item.node()?, when)?);
                }
                Ok(jumps)
            }
            ("and", true) | ("or", false) => {
                let items = node.list(0)?;
                let mut skips = Vec::new();
                let mut jumps = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    if i + 1 < items.len() {
                        skips.extend(self.condition(item.node()?, !when)?);
                    } else {
                        jumps = self.condition(item.node()?, when)?;
                    }
                }
                self.land_all(skips);
                Ok(jumps)
            }
            _ => {
                self.expr(node)?;
                self.pos = node.pos;
                let jump = if when { Ins::JumpTrue(0) } else { Ins::JumpFalse(0) };
                Ok(vec![self.emit(jump)])
            }
        }
    }

    fn expr(&mut self, node: &Node) -> Result<()> {
        self.pos = node.pos;
        match node.kind.as_str() {
            "n" => self.load(node)?,
            "i" => match node.name(0)?.parse() {
                Ok(value) => drop(self.emit(Ins::Int(value))),
                Err(_) => return unsupported(node.pos, "an int literal beyond 64 bits"),
            },
            "f" => match u64::from_str_radix(node.name(0)?, 16) {
                Ok(bits) => drop(self.emit(Ins::Float(bits))),
                Err(_) => return unsupported(node.pos, "a malformed float"),
            },
            "b" => drop(self.emit(Ins::Bool(node.name(0)? == "1"))),
            "none" => drop(self.emit(Ins::None)),
            "bin" => {
                let op = binary(node.name(0)?, node.pos)?;
                self.expr(node.sub(1)?)?;
                self.expr(node.sub(2)?)?;
                self.pos = node.pos;
                self.emit(Ins::Bin(op));
            }
            "neg" | "pos" | "inv" | "not" => {
                self.expr(node.sub(0)?)?;
                self.pos = node.pos;
                self.emit(match node.kind.as_str() {
                    "neg" => Ins::Neg,
                    "pos" => Ins::Pos,
                    "inv" => Ins::Invert,
                    _ => Ins::Not,
                });
            }
            "cmp" => self.comparison(node)?,
            "and" | "or" => {
                let items = node.list(0)?;
                let mut ends = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    self.expr(item.node()?)?;
                    if i + 1 < items.len() {
                        self.emit(Ins::Dup);
                        let jump =
                            if node.kind == "and" { Ins::JumpFalse(0) } else { Ins::JumpTrue(0) };
                        ends.push(self.emit(jump));
                        self.emit(Ins::Pop);
                    }
                }
                self.land_all(ends);
            }
            "ife" => {
                let no = self.condition(node.sub(0)?, false)?;
                self.expr(node.sub(1)?)?;
                let end = self.emit(Ins::Jump(0));
                self.land_all(no);
                self.expr(node.sub(2)?)?;
                self.land(end);
            }
            "tup" => {
                let items = node.list(0)?;
                for item in items {
                    self.expr(item.node()?)?;
                }
                self.emit(Ins::Tuple(items.len()));
            }
            "list" => {
                let list = self.slot();
                self.emit(Ins::NewList);
                self.emit(Ins::Store(list));
                for item in node.list(0)? {
                    self.emit(Ins::Load(list));
                    self.expr(item.node()?)?;
                    self.emit(Ins::Append);
                }
                self.emit(Ins::Load(list));
            }
            "lc" => {
                let list = self.slot();
                self.emit(Ins::NewList);
                self.emit(Ins::Store(list));
                self.comprehension(node, &mut |l| {
                    l.emit(Ins::Load(list));
                    l.emit(Ins::Swap);
                    l.emit(Ins::Append);
                    Ok(Vec::new())
                })?;
                self.emit(Ins::Load(list));
            }
            "sub" => {
                self.is_array(node.sub(0)?);
                self.expr(node.sub(0)?)?;
                self.expr(node.sub(1)?)?;
                self.pos = node.pos;
                self.emit(Ins::Index);
            }
            "attr" => {
                self.expr(node.sub(0)?)?;
                self.emit(Ins::Attr(node.name(1)?.to_owned()));
            }
            "walrus" => {
                self.expr(node.sub(1)?)?;
                self.emit(Ins::Dup);
                self.assign(node.sub(0)?)?;
            }
            "call" => self.call(node)?,
            "gen" => return unsupported(node.pos, "a generator expression here does not compile"),
            "bad" => return unsupported(node.pos, words(node)),
            other => return unsupported(node.pos, format!("`{other}` does not compile")),
        }
        Ok(())
    }

    fn load(&mut self, node: &Node) -> Result<()> {
        let name = node.name(0)?;
        if let Some(slot) = self.lookup(name) {
            self.emit(Ins::Load(slot));
        } else if let Some(entry) = self.names.get(name) {
            self.emit(match entry {
                Entry::Math(Math::Constant(bits)) => Ins::Float(*bits),
                entry => Ins::Entry(*entry),
            });
        } else {
            return unsupported(node.pos, format!("the value of `{name}` does not compile"));
        }
        Ok(())
    }

    fn comparison(&mut self, node: &Node) -> Result<()> {
        self.expr(node.sub(0)?)?;
        let rest = node.list(1)?;
        let mut ends = Vec::new();
        for (i, pair) in rest.iter().enumerate() {
            let pair = pair.list()?;
            let (Some(op), Some(right)) = (pair.first(), pair.get(1)) else {
                return unsupported(node.pos, "a malformed comparison");
            };
            let op = match op.atom()? {
                "Eq" => Cmp::Eq,
                "NotEq" => Cmp::Ne,
                "Lt" => Cmp::Lt,
                "LtE" => Cmp::Le,
                "Gt" => Cmp::Gt,
                "GtE" => Cmp::Ge,
                "Is" => Cmp::Is,
                "IsNot" => Cmp::IsNot,
                other => {
                    return unsupported(node.pos, format!("the operator {other} does not compile"));
                }
            };
            self.expr(right.node()?)?;
            self.pos = node.pos;
            if i + 1 < rest.len() {
                // a b -> b (a op b)
                self.emit(Ins::Dup);
                self.emit(Ins::Rot3);
                self.emit(Ins::Cmp(op));
                self.emit(Ins::Dup);
                ends.push(self.emit(Ins::JumpFalse(0)));
                self.emit(Ins::Pop);
            } else {
                self.emit(Ins::Cmp(op));
            }
        }
        if !ends.is_empty() {
            let done = self.emit(Ins::Jump(0));
            self.land_all(ends);
            self.emit(Ins::Swap);
            self.emit(Ins::Pop);
            self.land(done);
        }
        Ok(())
    }

    // --- calls -------------------------------------------------------------------------------------

    fn call(&mut self, node: &Node) -> Result<()> {
        let callee = node.sub(0)?;
        let args = node.list(1)?;
        if callee.kind == "attr" && callee.name(1)? == "append" && args.len() == 1 {
            self.expr(callee.sub(0)?)?;
            self.expr(args[0].node()?)?;
            self.emit(Ins::Append);
            self.emit(Ins::None);
            return Ok(());
        }
        if let Some(builtin) = self.builtin(callee)
            && self.folded(builtin, args)?
        {
            return Ok(());
        }
        self.expr(callee)?;
        for arg in args {
            let arg = arg.node()?;
            self.is_passed_on(callee, arg);
            self.expr(arg)?;
        }
        self.pos = node.pos;
        self.emit(Ins::Call(args.len()));
        Ok(())
    }

    /// `len(a)` needs an array; what is handed to another function may be one, which that function decides.
    fn is_passed_on(&mut self, callee: &Node, arg: &Node) {
        if self.builtin(callee) == Some(Builtin::Len) {
            self.is_array(arg);
        }
    }

    /// The built-in functions that are loops, or choose among their arguments.
    fn folded(&mut self, builtin: Builtin, args: &[Item]) -> Result<bool> {
        let pos = self.pos;
        match (builtin, args) {
            (Builtin::Sum, [of]) => self.sum(of.node()?, None)?,
            (Builtin::Sum, [of, start]) => self.sum(of.node()?, Some(start.node()?))?,
            (Builtin::Any | Builtin::All, [of]) => {
                let any = builtin == Builtin::Any;
                self.comprehension(of.node()?, &mut |l| {
                    let jump = if any { Ins::JumpTrue(0) } else { Ins::JumpFalse(0) };
                    Ok(vec![l.emit(jump)])
                })
                .map(|found| {
                    self.emit(Ins::Bool(!any));
                    let end = self.emit(Ins::Jump(0));
                    self.land_all(found);
                    self.emit(Ins::Bool(any));
                    self.land(end);
                })?;
            }
            (Builtin::Min | Builtin::Max, [of]) => {
                let best = self.slot();
                self.emit(Ins::Unset(best));
                self.comprehension(of.node()?, &mut |l| {
                    l.better(builtin, best);
                    Ok(Vec::new())
                })?;
                self.pos = pos;
                let empty = self.emit(Ins::JumpUnset(best, 0));
                let on = self.emit(Ins::Jump(0));
                self.land(empty);
                self.emit(Ins::Leave);
                self.land(on);
                self.emit(Ins::Load(best));
            }
            (Builtin::Min | Builtin::Max, [_, _, ..]) => {
                let slots: Vec<usize> = args.iter().map(|_| self.slot()).collect();
                for (arg, slot) in args.iter().zip(&slots) {
                    self.expr(arg.node()?)?;
                    self.emit(Ins::Store(*slot));
                }
                let best = self.slot();
                self.emit(Ins::Unset(best));
                for slot in slots {
                    self.emit(Ins::Load(slot));
                    self.better(builtin, best);
                }
                self.emit(Ins::Load(best));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Keeps the top of the stack in `best` if it is the first, or better than what is there.
    fn better(&mut self, builtin: Builtin, best: usize) {
        let item = self.slot();
        self.emit(Ins::Store(item));
        let first = self.emit(Ins::JumpUnset(best, 0));
        self.emit(Ins::Load(item));
        self.emit(Ins::Load(best));
        self.emit(Ins::Cmp(if builtin == Builtin::Max { Cmp::Gt } else { Cmp::Lt }));
        let keep = self.emit(Ins::JumpFalse(0));
        self.land(first);
        self.emit(Ins::Load(item));
        self.emit(Ins::Store(best));
        self.land(keep);
    }

    fn sum(&mut self, of: &Node, start: Option<&Node>) -> Result<()> {
        let total = self.slot();
        // `sum` evaluates the iterable before the start; only a constant start is the same in either order.
        match start {
            None => drop(self.emit(Ins::Int(0))),
            Some(start) if matches!(start.kind.as_str(), "i" | "f") => self.expr(start)?,
            Some(start) => return unsupported(start.pos, "`sum` with a start that is no literal"),
        }
        self.emit(Ins::Store(total));
        self.comprehension(of, &mut |l| {
            l.emit(Ins::Load(total));
            l.emit(Ins::Swap);
            l.emit(Ins::SumStep);
            l.emit(Ins::Store(total));
            Ok(Vec::new())
        })?;
        self.emit(Ins::Load(total));
        Ok(())
    }

    /// What a `for` iterates over.
    fn iterable(&mut self, node: &Node) -> Result<()> {
        self.is_array(node);
        self.expr(node)
    }

    /// A comprehension, a generator expression or any iterable: `each` gets the element on top of the stack and answers
    /// jumps that leave all loops; they are answered here, landing with the stack as it was before.
    fn comprehension(
        &mut self,
        node: &Node,
        each: &mut dyn FnMut(&mut Self) -> Result<Vec<usize>>,
    ) -> Result<Vec<usize>> {
        if !matches!(node.kind.as_str(), "gen" | "lc") {
            self.iterable(node)?;
            self.emit(Ins::Iter);
            let head = self.emit(Ins::Next(0));
            let found = each(self)?;
            self.emit(Ins::Jump(head));
            self.land(head);
            return Ok(self.leave_loops(found, 1));
        }
        let loops = node.list(1)?;
        let (Some(first), Ok(elt)) = (loops.first(), node.sub(0)) else {
            return unsupported(node.pos, "a malformed comprehension");
        };
        // The first iterable belongs to the scope outside.
        self.iterable(first.node()?.sub(1)?)?;
        self.emit(Ins::Iter);
        self.scopes.push(HashMap::new());
        let found = self.nested(loops, 0, elt, each);
        self.scopes.pop();
        let found = found?;
        Ok(self.leave_loops(found, loops.len()))
    }

    fn nested(
        &mut self,
        loops: &[Item],
        at: usize,
        elt: &Node,
        each: &mut dyn FnMut(&mut Self) -> Result<Vec<usize>>,
    ) -> Result<Vec<usize>> {
        let Some(this) = loops.get(at) else {
            self.expr(elt)?;
            return each(self);
        };
        let this = this.node()?;
        if at > 0 {
            self.iterable(this.sub(1)?)?;
            self.emit(Ins::Iter);
        }
        let head = self.emit(Ins::Next(0));
        self.declare(this.sub(0)?)?;
        self.assign(this.sub(0)?)?;
        let mut skips = Vec::new();
        for condition in this.list(2)? {
            skips.extend(self.condition(condition.node()?, false)?);
        }
        let found = self.nested(loops, at + 1, elt, each)?;
        self.land_all(skips);
        self.emit(Ins::Jump(head));
        self.land(head);
        Ok(found)
    }

    /// Gives the targets of a comprehension variables of their own.
    fn declare(&mut self, target: &Node) -> Result<()> {
        match target.kind.as_str() {
            "n" => {
                let slot = self.slot();
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(target.name(0)?.to_owned(), slot);
                }
                Ok(())
            }
            "tup" => target.list(0)?.iter().try_for_each(|t| self.declare(t.node()?)),
            _ => unsupported(target.pos, "this target of a comprehension does not compile"),
        }
    }

    /// Turns jumps out of `depth` loops into jumps that have dropped the iterators.
    fn leave_loops(&mut self, found: Vec<usize>, depth: usize) -> Vec<usize> {
        if found.is_empty() {
            return found;
        }
        let on = self.emit(Ins::Jump(0));
        self.land_all(found);
        for _ in 0..depth {
            self.emit(Ins::Pop);
        }
        let out = self.emit(Ins::Jump(0));
        self.land(on);
        vec![out]
    }
}

fn binary(name: &str, pos: Pos) -> Result<Bin> {
    Ok(match name {
        "Add" => Bin::Add,
        "Sub" => Bin::Sub,
        "Mult" => Bin::Mul,
        "Div" => Bin::Div,
        "FloorDiv" => Bin::FloorDiv,
        "Mod" => Bin::Mod,
        "Pow" => Bin::Pow,
        "LShift" => Bin::Shl,
        "RShift" => Bin::Shr,
        "BitAnd" => Bin::And,
        "BitOr" => Bin::Or,
        "BitXor" => Bin::Xor,
        other => return unsupported(pos, format!("the operator {other} does not compile")),
    })
}

/// The reason of a `bad` node; its words are joined by underscores.
fn words(node: &Node) -> String {
    node.name(0).unwrap_or("this").replace('_', " ")
}

/// Which variables may be read before they are written, from each place on.
fn liveness(code: &[(Ins, Pos)], slots: usize) -> Vec<Box<[u64]>> {
    let words = slots.div_ceil(64).max(1);
    let mut live: Vec<Box<[u64]>> = vec![vec![0; words].into(); code.len() + 1];
    let mut changed = true;
    while changed {
        changed = false;
        for at in (0..code.len()).rev() {
            let ins = &code[at].0;
            let mut now: Box<[u64]> = match ins {
                Ins::Return | Ins::Leave => vec![0; words].into(),
                Ins::Jump(to) => live[*to].clone(),
                _ => live[at + 1].clone(),
            };
            if let Ins::JumpFalse(to) | Ins::JumpTrue(to) | Ins::JumpUnset(_, to) | Ins::Next(to) =
                ins
            {
                now.iter_mut().zip(&live[*to]).for_each(|(n, l)| *n |= l);
            }
            match ins {
                Ins::Store(slot) | Ins::Unset(slot) => now[slot / 64] &= !(1 << (slot % 64)),
                Ins::Load(slot) | Ins::JumpUnset(slot, _) => now[slot / 64] |= 1 << (slot % 64),
                _ => {}
            }
            if now != live[at] {
                live[at] = now;
                changed = true;
            }
        }
    }
    live
}
