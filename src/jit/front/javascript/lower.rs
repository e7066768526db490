//! Statements.

use super::super::super::builder::{FuncBuilder, ModuleBuilder};
use super::super::super::check::Limits;
use super::super::super::error::{JitError, Pos, Result};
use super::super::super::ir::{BlockId, BufId, ExitId, Module, Op, Reason, Reg, Ty};
use super::tree::{Item, Node};
use super::values::{Kind, Val};
use super::{Arg, Array, Result_};
use std::collections::HashSet;

/// Where the value of a variable is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Var {
    pub(super) number: usize,
    pub(super) constant: bool,
    /// Its block declares it further down.
    pub(super) early: bool,
    pub(super) slot: Option<Val>,
}

struct Target<'a> {
    labels: Vec<&'a str>,
    /// Without a label of its own, `break` leaves it.
    plain: bool,
    break_to: BlockId,
    continue_to: Option<BlockId>,
}

pub(super) struct Buf {
    pub(super) id: BufId,
    pub(super) array: Array,
}

pub(super) struct Lower<'a> {
    pub(super) m: ModuleBuilder,
    pub(super) f: FuncBuilder,
    pub(super) bufs: Vec<Buf>,
    pub(super) approximate: bool,
    /// For what never happens: the index of an access that was checked before.
    pub(super) never: ExitId,
    /// For a store under the index `undefined`, which makes a property: only V8 can.
    pub(super) property: Option<ExitId>,
    stop: ExitId,
    result: Result_,
    scopes: Vec<Vec<(&'a str, Var)>>,
    /// The kind of each variable, in the order of their declarations; what this run has learnt is in it for the next.
    kinds: Vec<Option<Kind>>,
    declared: usize,
    changed: bool,
    targets: Vec<Target<'a>>,
    reachable: HashSet<BlockId>,
}

/// Kinds only ever rise, and a variable has three steps to rise.
const MOST_RUNS: usize = 64;

pub(super) fn compile(
    function: &Node,
    args: &[Arg],
    result: Result_,
    approximate: bool,
    limits: &Limits,
) -> Result<Module> {
    let mut kinds = Vec::new();
    for _ in 0..MOST_RUNS {
        let mut lower = Lower::new(args, result, approximate, kinds);
        lower.function(function, args)?;
        if lower.m.size() > limits.insts {
            return Err(JitError::limit(function.pos, "the function is too large"));
        }
        if !lower.changed {
            let Lower { mut m, f, .. } = lower;
            m.define(super::super::super::ir::FuncId(0), f.finish());
            return Ok(m.finish());
        }
        kinds = lower.kinds;
    }
    Err(JitError::limit(function.pos, "too many variables of changing type"))
}

impl<'a> Lower<'a> {
    fn new(args: &[Arg], result: Result_, approximate: bool, kinds: Vec<Option<Kind>>) -> Self {
        let mut m = ModuleBuilder::new();
        m.declare();
        let never = m.exit(Reason::Index, Pos::default());
        let stop = m.exit(Reason::Interrupted, Pos::default());
        let (mut params, mut bufs) = (Vec::new(), Vec::new());
        for arg in args {
            match *arg {
                Arg::Number => params.push(Ty::F64),
                Arg::Bool => params.push(Ty::Bool),
                Arg::Array(array) => {
                    bufs.push(Buf { id: m.buffer(array.elem, false), array });
                }
            }
        }
        let f = FuncBuilder::new("kernel", &params);
        let reachable = HashSet::from([f.current()]);
        Self {
            m,
            f,
            bufs,
            approximate,
            never,
            property: None,
            stop,
            result,
            scopes: vec![Vec::new()],
            kinds,
            declared: 0,
            changed: false,
            targets: Vec::new(),
            reachable,
        }
    }

    fn function(&mut self, function: &'a Node, args: &[Arg]) -> Result<()> {
        let params = function.list(0)?;
        if params.len() > args.len() {
            return Err(JitError::unsupported(function.pos, "too few arguments"));
        }
        let (mut reg, mut array) = (0, 0);
        for (i, arg) in args.iter().enumerate() {
            let value = match arg {
                Arg::Array(_) => Val::Array(array),
                Arg::Number => Val::Number(Reg(reg)),
                Arg::Bool => Val::Bool(Reg(reg)),
            };
            match arg {
                Arg::Array(_) => array += 1,
                _ => reg += 1,
            }
            if let Some(param) = params.get(i) {
                let param = param.node()?;
                self.declare(param.name(0)?, param.pos, value, false)?;
            }
        }
        for name in function.list(1)? {
            let name = name.atom()?;
            if self.find(name).is_none() {
                self.declare(name, function.pos, Val::Undefined, false)?;
            }
        }
        // A scope of their own: a `let` of the body may not have a parameter's name (acorn says so).
        self.statements(function.list(2)?)?;
        if self.is_reachable() {
            self.ret(Val::Undefined, function.pos)?;
        } else {
            // Nobody comes here; a block needs an end.
            let here = self.f.current();
            self.f.jump(here);
        }
        Ok(())
    }

    // --- blocks -----------------------------------------------------------------------------------

    fn is_reachable(&self) -> bool {
        self.reachable.contains(&self.f.current())
    }

    pub(super) fn jump(&mut self, to: BlockId) {
        if self.is_reachable() {
            self.reachable.insert(to);
        }
        self.f.jump(to);
    }

    pub(super) fn branch(&mut self, cond: Reg, then: BlockId, otherwise: BlockId) {
        if self.is_reachable() {
            self.reachable.extend([then, otherwise]);
        }
        self.f.branch(cond, then, otherwise);
    }

    /// What follows a jump is dead.
    fn dead(&mut self) {
        let block = self.f.block();
        self.f.switch_to(block);
    }

    // --- variables --------------------------------------------------------------------------------

    pub(super) fn find(&self, name: &str) -> Option<Var> {
        let mut scopes = self.scopes.iter().rev();
        scopes.find_map(|s| s.iter().rev().find(|(n, _)| *n == name)).map(|(_, var)| *var)
    }

    pub(super) fn known(&self, name: &str, pos: Pos) -> Result<Var> {
        match self.find(name) {
            Some(var) if !var.early => Ok(var),
            _ => Err(unknown(name, pos)),
        }
    }

    /// From the beginning of its block a name means what the block declares, but nobody may use it before.
    fn announce(&mut self, statement: &'a Node) -> Result<()> {
        if statement.kind == "Var" && statement.name(0)? != "var" {
            for item in statement.list(1)? {
                self.announce_name(item.node()?.name(0)?);
            }
        }
        Ok(())
    }

    fn announce_name(&mut self, name: &'a str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((name, Var { number: 0, constant: false, early: true, slot: None }));
        }
    }

    fn declare(&mut self, name: &'a str, pos: Pos, value: Val, constant: bool) -> Result<()> {
        let number = self.declared;
        self.declared += 1;
        if self.kinds.len() <= number {
            self.kinds.push(None);
        }
        self.learn(number, value.kind(), pos, name)?;
        let slot = self.kinds[number].map(|kind| self.slot(kind));
        let var = Var { number, constant, early: false, slot };
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((name, var));
        }
        self.write(slot, value);
        Ok(())
    }

    fn learn(&mut self, number: usize, kind: Kind, pos: Pos, name: &str) -> Result<()> {
        let old = self.kinds[number];
        let new = match old {
            None => kind,
            Some(old) => old.join(kind, pos, &format!("`{name}`"))?,
        };
        // The first kind is known before the variable is used.
        self.changed |= old.is_some_and(|old| old != new);
        self.kinds[number] = Some(new);
        Ok(())
    }

    pub(super) fn assign(&mut self, name: &str, pos: Pos, value: Val) -> Result<()> {
        let var = self.known(name, pos)?;
        if var.constant {
            return Err(JitError::unsupported(pos, format!("`{name}` is a constant")));
        }
        if let Val::Array(_) = value {
            return Err(JitError::unsupported(pos, "a typed array cannot be assigned"));
        }
        self.learn(var.number, value.kind(), pos, name)?;
        self.write(var.slot, value);
        Ok(())
    }

    /// Registers for a value of a kind.
    pub(super) fn slot(&mut self, kind: Kind) -> Val {
        match kind {
            Kind::Int => Val::Int(self.f.reg(Ty::I32)),
            Kind::Number => Val::Number(self.f.reg(Ty::F64)),
            Kind::Bool => Val::Bool(self.f.reg(Ty::Bool)),
            Kind::Undefined => Val::Undefined,
            Kind::Maybe => Val::Maybe(self.f.reg(Ty::F64), self.f.reg(Ty::Bool)),
            Kind::Array(n) => Val::Array(n),
        }
    }

    /// Fills a slot. One that is too small for the value belongs to a run whose result is thrown away.
    pub(super) fn write(&mut self, slot: Option<Val>, value: Val) {
        match slot {
            Some(Val::Number(to)) => {
                let from = self.num(value);
                self.f.copy(to, from);
            }
            Some(Val::Bool(to)) => {
                let from = self.truth(value);
                self.f.copy(to, from);
            }
            Some(Val::Maybe(to, there)) => {
                let (from, is) = self.maybe(value);
                self.f.copy(to, from);
                self.f.copy(there, is);
            }
            Some(Val::Int(to)) => {
                let from = self.int(value);
                self.f.copy(to, from);
            }
            _ => {}
        }
    }

    // --- statements -------------------------------------------------------------------------------

    fn statements(&mut self, items: &'a [Item]) -> Result<()> {
        items.iter().try_for_each(|item| self.announce(item.node()?))?;
        items.iter().try_for_each(|item| self.statement(item.node()?, &[]))
    }

    fn scoped(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.scopes.push(Vec::new());
        let done = body(self);
        self.scopes.pop();
        done
    }

    fn statement(&mut self, node: &'a Node, labels: &[&'a str]) -> Result<()> {
        match node.kind.as_str() {
            "Block" => {
                if labels.is_empty() {
                    return self.scoped(|l| l.statements(node.list(0)?));
                }
                let end = self.f.block();
                self.targets.push(Target {
                    labels: labels.to_vec(),
                    plain: false,
                    break_to: end,
                    continue_to: None,
                });
                self.scoped(|l| l.statements(node.list(0)?))?;
                self.targets.pop();
                self.jump(end);
                self.f.switch_to(end);
                Ok(())
            }
            "Empty" => Ok(()),
            "Expression" => self.expr(node.sub(0)?).map(drop),
            "Var" => self.declaration(node),
            "Return" => {
                let value = match node.field(0)? {
                    Item::Node(value) => self.expr(value)?,
                    _ => Val::Undefined,
                };
                self.ret(value, node.pos)?;
                self.dead();
                Ok(())
            }
            "If" => self.conditional(node),
            "While" | "DoWhile" | "For" => self.scoped(|l| l.repeat(node, labels)),
            "ForOf" => self.scoped(|l| l.for_of(node, labels)),
            "Switch" => self.scoped(|l| l.switch(node, labels)),
            "Label" => {
                let mut labels = labels.to_vec();
                labels.push(node.name(0)?);
                self.statement(node.sub(1)?, &labels)
            }
            "Break" | "Continue" => {
                let to = self.target(node)?;
                self.jump(to);
                self.dead();
                Ok(())
            }
            other => Err(JitError::unsupported(node.pos, format!("`{other}` does not compile"))),
        }
    }

    fn declaration(&mut self, node: &'a Node) -> Result<()> {
        let kind = node.name(0)?;
        for item in node.list(1)? {
            let one = item.node()?;
            let name = one.name(0)?;
            let value = match one.field(1)? {
                Item::Node(value) => Some(self.expr(value)?),
                _ => None,
            };
            if let Some(Val::Array(_)) = value {
                let why = "a typed array cannot be assigned; use the parameter itself";
                return Err(JitError::unsupported(one.pos, why));
            }
            match (kind, value) {
                ("var", Some(value)) => self.assign(name, one.pos, value)?,
                ("var", None) => {}
                (_, value) => {
                    let value = value.unwrap_or(Val::Undefined);
                    self.declare(name, one.pos, value, kind == "const")?;
                }
            }
        }
        Ok(())
    }

    fn conditional(&mut self, node: &'a Node) -> Result<()> {
        let [then, otherwise, end] = [self.f.block(), self.f.block(), self.f.block()];
        self.condition(node.sub(0)?, then, otherwise)?;
        self.f.switch_to(then);
        self.statement(node.sub(1)?, &[])?;
        self.jump(end);
        self.f.switch_to(otherwise);
        if let Item::Node(alternate) = node.field(2)? {
            self.statement(alternate, &[])?;
        }
        self.jump(end);
        self.f.switch_to(end);
        Ok(())
    }

    /// `(While test body)`, `(DoWhile test body)`, `(For test body init update)`.
    fn repeat(&mut self, node: &'a Node, labels: &[&'a str]) -> Result<()> {
        let [head, body, next, end] = std::array::from_fn(|_| self.f.block());
        if node.kind == "For"
            && let Item::Node(init) = node.field(2)?
        {
            self.announce(init)?;
            self.statement(init, &[])?;
        }
        self.jump(if node.kind == "DoWhile" { body } else { head });
        self.f.switch_to(head);
        if node.kind != "DoWhile" {
            self.test(node, body, end)?;
        }
        self.targets.push(Target {
            labels: labels.to_vec(),
            plain: true,
            break_to: end,
            continue_to: Some(next),
        });
        self.f.switch_to(body);
        self.statement(node.sub(1)?, &[])?;
        self.jump(next);
        self.targets.pop();
        self.f.switch_to(next);
        if node.kind == "For"
            && let Item::Node(update) = node.field(3)?
        {
            self.expr(update)?;
        }
        self.f.poll(self.stop);
        self.jump(head);
        if node.kind == "DoWhile" {
            self.f.switch_to(head);
            self.test(node, body, end)?;
        }
        self.f.switch_to(end);
        Ok(())
    }

    fn test(&mut self, node: &'a Node, then: BlockId, otherwise: BlockId) -> Result<()> {
        match node.field(0)? {
            Item::Node(test) => self.condition(test, then, otherwise),
            _ => {
                self.jump(then);
                Ok(())
            }
        }
    }

    /// `(ForOf kind name array body)`: the elements of a typed array.
    fn for_of(&mut self, node: &'a Node, labels: &[&'a str]) -> Result<()> {
        if matches!(node.name(0)?, "let" | "const") {
            self.announce_name(node.name(1)?);
        }
        let Val::Array(array) = self.expr(node.sub(2)?)? else {
            return Err(JitError::unsupported(node.pos, "`of` needs a typed array"));
        };
        let [head, body, next, end] = std::array::from_fn(|_| self.f.block());
        let index = self.f.reg(Ty::I64);
        let zero = self.f.i64(0);
        self.f.copy(index, zero);
        self.jump(head);
        self.f.switch_to(head);
        let len = self.f.len(self.bufs[array].id);
        let more = self.f.op(Op::I64Lt, &[index, len], None);
        self.branch(more, body, end);
        self.f.switch_to(body);
        let value = Val::Number(self.element(array, index));
        let (kind, name) = (node.name(0)?, node.name(1)?);
        if matches!(kind, "let" | "const") {
            self.declare(name, node.pos, value, kind == "const")?;
        } else {
            self.assign(name, node.pos, value)?;
        }
        self.targets.push(Target {
            labels: labels.to_vec(),
            plain: true,
            break_to: end,
            continue_to: Some(next),
        });
        self.statement(node.sub(3)?, &[])?;
        self.targets.pop();
        self.jump(next);
        self.f.switch_to(next);
        let one = self.f.i64(1);
        self.f.op_to(index, Op::I64AddWrap, &[index, one], None);
        self.f.poll(self.stop);
        self.jump(head);
        self.f.switch_to(end);
        Ok(())
    }

    /// `(Switch value [(Case test|- [statements])...])`.
    fn switch(&mut self, node: &'a Node, labels: &[&'a str]) -> Result<()> {
        let value = self.expr(node.sub(0)?)?;
        let end = self.f.block();
        let cases: Vec<&'a Node> =
            node.list(1)?.iter().map(Item::node).collect::<Result<Vec<_>>>()?;
        let bodies: Vec<BlockId> = cases.iter().map(|_| self.f.block()).collect();
        let mut default = end;
        for (case, body) in cases.iter().zip(&bodies) {
            let Item::Node(test) = case.field(0)? else {
                default = *body;
                continue;
            };
            let test = self.expr(test)?;
            let same = self.strictly_equal(value, test, case.pos)?;
            let next = self.f.block();
            self.branch(same, *body, next);
            self.f.switch_to(next);
        }
        self.jump(default);
        self.targets.push(Target {
            labels: labels.to_vec(),
            plain: true,
            break_to: end,
            continue_to: None,
        });
        for (i, case) in cases.iter().enumerate() {
            self.f.switch_to(bodies[i]);
            for item in case.list(1)? {
                let statement = item.node()?;
                if statement.kind == "Var" && statement.name(0)? != "var" {
                    let why = "a declaration in a `case` needs a block: `case 1: { let x … }`";
                    return Err(JitError::unsupported(statement.pos, why));
                }
                self.statement(statement, &[])?;
            }
            self.jump(bodies.get(i + 1).copied().unwrap_or(end));
        }
        self.targets.pop();
        self.f.switch_to(end);
        Ok(())
    }

    fn target(&self, node: &Node) -> Result<BlockId> {
        let label = node.name(0)?;
        let goes_on = node.kind == "Continue";
        let found = self.targets.iter().rev().find(|t| {
            if label == "-" {
                if goes_on { t.continue_to.is_some() } else { t.plain }
            } else {
                t.labels.contains(&label)
            }
        });
        let to = found.and_then(|t| if goes_on { t.continue_to } else { Some(t.break_to) });
        to.ok_or_else(|| JitError::unsupported(node.pos, "no loop to leave or to go on with"))
    }

    fn ret(&mut self, value: Val, pos: Pos) -> Result<()> {
        if let Result_::Element(array) = self.result {
            if let Val::Array(_) = value {
                return Err(JitError::unsupported(pos, "it returns a typed array"));
            }
            let bits = self.stored(array, value);
            let shape = self.f.shape(&[array.elem.ty()]);
            self.f.ret(shape, &[bits]);
            return Ok(());
        }
        match value {
            Val::Const(_) | Val::Int(_) | Val::Number(_) => {
                let value = self.num(value);
                let shape = self.f.shape(&[Ty::F64]);
                self.f.ret(shape, &[value]);
            }
            Val::Bool(value) => {
                let shape = self.f.shape(&[Ty::Bool]);
                self.f.ret(shape, &[value]);
            }
            Val::Undefined => {
                let shape = self.f.shape(&[]);
                self.f.ret(shape, &[]);
            }
            Val::Maybe(value, there) => {
                let [some, none] = [self.f.block(), self.f.block()];
                self.branch(there, some, none);
                self.f.switch_to(some);
                let shape = self.f.shape(&[Ty::F64]);
                self.f.ret(shape, &[value]);
                self.f.switch_to(none);
                let shape = self.f.shape(&[]);
                self.f.ret(shape, &[]);
            }
            Val::Array(_) => {
                return Err(JitError::unsupported(pos, "a typed array cannot be returned"));
            }
        }
        Ok(())
    }
}

pub(super) fn unknown(name: &str, pos: Pos) -> JitError {
    JitError::unsupported(
        pos,
        format!(
            "`{name}` is no parameter and no variable that is declared before; pass it as an argument"
        ),
    )
}
