//! The body of a map's loop as one run of vector instructions: branches become masks.
//!
//! Every block of the body has a *path*, the lanes that come there. A register that is written on a path keeps its old lanes
//! outside of it; what would leave there is noted in `bad`. If any lane is bad, nothing is stored: the scalar loop does the
//! same elements again, and leaves where it leaves. So it is always right to call a lane bad that is not.

mod compute;

use super::super::super::ir::{BlockId, BufId, Elem, Fit, Func, Inst, Module, Reg, Term, Ty};
use super::super::function::constants;
use super::vex::{self, Enc};
use std::collections::{HashMap, HashSet};

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Src {
    /// The result of an instruction.
    Value(u32),
    /// A constant of the pool.
    Pool(usize),
    /// A register of the function that the body does not write.
    Invariant(usize),
}

/// One vector instruction. Its result has its place in the list as its number.
#[derive(Clone, Debug)]
pub(super) enum Vector {
    /// `enc dst, first, last, immediate`.
    Op { enc: Enc, first: Option<Src>, last: Src, immediate: Option<u8> },
    /// The lanes of `yes` where the mask is set, of `no` elsewhere.
    Blend { no: Src, yes: Src, mask: Src },
    /// A shift by a constant: the opcode's extension and the count.
    Shift { enc: Enc, extension: u8, of: Src, by: u8 },
    /// The upper half.
    Upper { of: Src },
    /// Four elements of a buffer.
    Load { enc: Enc, buf: BufId },
    /// No lane is bad, or the loop ends here.
    Test { bad: Src },
    /// Four elements to a buffer.
    Store { enc: Enc, buf: BufId, of: Src },
}

/// What became of a body.
pub(super) struct Body {
    pub(super) code: Vec<Vector>,
    pub(super) pool: Vec<[u64; 4]>,
    pub(super) invariants: Vec<Reg>,
    pub(super) buffers: Vec<BufId>,
}

/// Which lanes come to a block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    All,
    /// Numbers a fork's side.
    Side(usize),
    /// Any mask.
    Mask(Src),
}

/// One side of a branch.
struct Side {
    above: Path,
    cond: Src,
    expect: bool,
    mask: Src,
}

#[derive(Clone)]
struct Arrival {
    path: Path,
    defined: HashSet<Reg>,
    stored: bool,
}

/// Blocks and instructions that are worth it: a body is computed on all of its paths.
const BLOCKS: usize = 48;
const INSTS: usize = 400;

const SIGN: u64 = 1 << 63;
/// 1.5 * 2^52: an integer of less than 2^51 in size, added to it, stands in its lowest bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;
const TWO_51: i64 = 1 << 51;
/// Of `CMPPD`: quiet, false for NaN unless it says otherwise.
const EQ: u8 = 0;
const NE: u8 = 4;
const LT: u8 = 0x11;
const LE: u8 = 0x12;
const GE: u8 = 0x1d;
const GT: u8 = 0x1e;
/// Not less; true for NaN.
const NOT_LT: u8 = 0x15;

pub(super) struct Planner<'a> {
    module: &'a Module,
    func: &'a Func,
    index: Reg,
    constants: Vec<Option<u64>>,
    written: HashSet<Reg>,
    lanes: HashMap<Reg, Src>,
    /// Bounds of integers, where they are known.
    ranges: HashMap<Src, (i64, i64)>,
    sides: Vec<Side>,
    bad: Option<Src>,
    out: Option<(BufId, Src)>,
    loaded: Vec<BufId>,
    body: Body,
}

impl<'a> Planner<'a> {
    pub(super) fn new(module: &'a Module, func: &'a Func, index: Reg) -> Self {
        Self {
            module,
            func,
            index,
            constants: constants(func),
            written: HashSet::new(),
            lanes: HashMap::new(),
            ranges: HashMap::new(),
            sides: Vec::new(),
            bad: None,
            out: None,
            loaded: Vec::new(),
            body: Body {
                code: Vec::new(),
                pool: Vec::new(),
                invariants: Vec::new(),
                buffers: Vec::new(),
            },
        }
    }

    /// The body from `first` on to the `latch` behind it.
    pub(super) fn plan(mut self, blocks: &[BlockId], latch: BlockId) -> Option<Body> {
        let insts = || blocks.iter().flat_map(|b| &self.func.blocks[b.at()].insts);
        (blocks.len() <= BLOCKS && insts().count() <= INSTS).then_some(())?;
        self.written = insts().filter_map(Inst::dst).collect();
        let start = Arrival { path: Path::All, defined: HashSet::new(), stored: false };
        let mut arrivals: HashMap<BlockId, Vec<Arrival>> =
            HashMap::from([(blocks[0], vec![start])]);
        for at in blocks {
            let mut here = self.meet(arrivals.remove(at)?)?;
            for inst in &self.func.blocks[at.at()].insts {
                self.inst(inst, &mut here)?;
            }
            match *self.func.blocks[at.at()].term.as_ref()? {
                Term::Jump(to) => arrivals.entry(to).or_default().push(here),
                Term::Exit(_) => self.note_bad_path(here.path)?,
                Term::Branch { cond, then, otherwise } => {
                    let cond = self.read(cond, &here)?;
                    // Where one side only leaves, nobody asks what the other computes in its lanes.
                    let leaves = |to: BlockId| {
                        let block = &self.func.blocks[to.at()];
                        block.insts.is_empty() && matches!(block.term, Some(Term::Exit(_)))
                    };
                    for (to, expect, other) in [(then, true, otherwise), (otherwise, false, then)] {
                        let path = if leaves(other) && !leaves(to) {
                            here.path
                        } else {
                            self.side(here.path, cond, expect)
                        };
                        arrivals.entry(to).or_default().push(Arrival { path, ..here.clone() });
                    }
                }
                _ => return None,
            }
        }
        let end = arrivals.remove(&latch)?;
        (arrivals.is_empty() && end.iter().all(|a| a.stored)).then_some(())?;
        let (buf, value) = self.out?;
        (!self.loaded.contains(&buf)).then_some(())?;
        if let Some(bad) = self.bad {
            self.body.code.push(Vector::Test { bad });
        }
        self.store(buf, value)?;
        Some(self.body)
    }

    // --- paths -------------------------------------------------------------------------------------

    fn meet(&mut self, mut arrivals: Vec<Arrival>) -> Option<Arrival> {
        let mut all = arrivals.pop()?;
        let mut paths = vec![all.path];
        for other in arrivals {
            all.defined.retain(|r| other.defined.contains(r));
            (all.stored == other.stored).then_some(())?;
            paths.push(other.path);
        }
        // Both sides of a branch are the branch.
        while let Some((i, j, above)) = self.pair(&paths) {
            paths.swap_remove(i.max(j));
            paths[i.min(j)] = above;
        }
        if paths.contains(&Path::All) {
            all.path = Path::All;
            return Some(all);
        }
        all.path = paths[0];
        for path in &paths[1..] {
            let [Some(a), Some(b)] = [self.mask(all.path), self.mask(*path)] else { return None };
            all.path = Path::Mask(self.op(vex::POR, a, b));
        }
        Some(all)
    }

    fn pair(&self, paths: &[Path]) -> Option<(usize, usize, Path)> {
        for (i, a) in paths.iter().enumerate() {
            for (j, b) in paths.iter().enumerate().skip(i + 1) {
                if a == b {
                    return Some((i, j, *a));
                }
                if let (Path::Side(a), Path::Side(b)) = (a, b) {
                    let (a, b) = (&self.sides[*a], &self.sides[*b]);
                    if a.above == b.above && a.cond == b.cond && a.expect != b.expect {
                        return Some((i, j, a.above));
                    }
                }
            }
        }
        None
    }

    fn side(&mut self, above: Path, cond: Src, expect: bool) -> Path {
        let mut mask = if expect { cond } else { self.not(cond) };
        if let Some(outer) = self.mask(above) {
            mask = self.op(vex::PAND, outer, mask);
        }
        self.sides.push(Side { above, cond, expect, mask });
        Path::Side(self.sides.len() - 1)
    }

    fn mask(&self, path: Path) -> Option<Src> {
        match path {
            Path::All => None,
            Path::Side(i) => Some(self.sides[i].mask),
            Path::Mask(mask) => Some(mask),
        }
    }

    /// Lanes whose sign bit is set are bad, if they come along this path.
    fn leaves(&mut self, lanes: Src, path: Path) {
        let lanes = match self.mask(path) {
            Some(mask) => self.op(vex::PAND, lanes, mask),
            None => lanes,
        };
        self.bad = Some(match self.bad {
            Some(bad) => self.op(vex::POR, bad, lanes),
            None => lanes,
        });
    }

    fn note_bad_path(&mut self, path: Path) -> Option<()> {
        let mask = self.mask(path)?;
        self.leaves(mask, Path::All);
        Some(())
    }

    // --- registers -----------------------------------------------------------------------------------

    fn read(&mut self, reg: Reg, here: &Arrival) -> Option<Src> {
        if here.defined.contains(&reg) {
            return self.lanes.get(&reg).copied();
        }
        // Written elsewhere: it would be carried from one turn to the next.
        (!self.written.contains(&reg)).then_some(())?;
        if let Some(bits) = self.constants[reg.at()] {
            return Some(self.bits(self.func.regs[reg.at()], bits));
        }
        (self.func.regs[reg.at()] != Ty::List && reg != self.index).then_some(())?;
        let known = self.body.invariants.iter().position(|r| *r == reg);
        Some(Src::Invariant(known.unwrap_or_else(|| {
            self.body.invariants.push(reg);
            self.body.invariants.len() - 1
        })))
    }

    fn write(&mut self, reg: Reg, value: Src, here: &mut Arrival) -> Option<()> {
        (reg != self.index).then_some(())?;
        let value = match (self.lanes.get(&reg).copied(), self.mask(here.path)) {
            (Some(old), Some(mask)) if old != value => self.blend(old, value, mask),
            _ => value,
        };
        self.lanes.insert(reg, value);
        here.defined.insert(reg);
        Some(())
    }

    fn blend(&mut self, no: Src, yes: Src, mask: Src) -> Src {
        let value = self.push(Vector::Blend { no, yes, mask });
        if let (Some(a), Some(b)) = (self.range(no), self.range(yes)) {
            self.ranges.insert(value, (a.0.min(b.0), a.1.max(b.1)));
        }
        value
    }

    // --- instructions --------------------------------------------------------------------------------

    fn push(&mut self, vector: Vector) -> Src {
        self.body.code.push(vector);
        Src::Value(u32::try_from(self.body.code.len() - 1).unwrap_or(u32::MAX))
    }

    fn op(&mut self, enc: Enc, first: Src, last: Src) -> Src {
        self.push(Vector::Op { enc, first: Some(first), last, immediate: None })
    }

    fn with(&mut self, enc: Enc, first: Src, last: Src, immediate: u8) -> Src {
        self.push(Vector::Op { enc, first: Some(first), last, immediate: Some(immediate) })
    }

    fn unary(&mut self, enc: Enc, last: Src, immediate: Option<u8>) -> Src {
        self.push(Vector::Op { enc, first: None, last, immediate })
    }

    fn shift(&mut self, enc: Enc, extension: u8, of: Src, by: u8) -> Src {
        self.push(Vector::Shift { enc, extension, of, by })
    }

    fn constant(&mut self, words: [u64; 4]) -> Src {
        let known = self.body.pool.iter().position(|k| *k == words);
        Src::Pool(known.unwrap_or_else(|| {
            self.body.pool.push(words);
            self.body.pool.len() - 1
        }))
    }

    fn word(&mut self, word: u64) -> Src {
        self.constant([word; 4])
    }

    fn float(&mut self, x: f64) -> Src {
        self.word(x.to_bits())
    }

    fn int(&mut self, x: i64) -> Src {
        let value = self.word(x.cast_unsigned());
        self.ranges.insert(value, (x, x));
        value
    }

    fn bits(&mut self, ty: Ty, bits: u64) -> Src {
        match ty {
            Ty::I64 => self.int(bits.cast_signed()),
            Ty::Bool => self.word(if bits == 0 { 0 } else { u64::MAX }),
            _ => self.word(bits),
        }
    }

    fn not(&mut self, mask: Src) -> Src {
        let ones = self.word(u64::MAX);
        self.op(vex::PXOR, mask, ones)
    }

    fn range(&self, value: Src) -> Option<(i64, i64)> {
        self.ranges.get(&value).copied()
    }

    fn within(&self, value: Src, low: i64, high: i64) -> bool {
        self.range(value).is_some_and(|(a, b)| low <= a && b <= high)
    }

    fn inst(&mut self, inst: &Inst, here: &mut Arrival) -> Option<()> {
        match *inst {
            Inst::Const { dst, bits } => {
                let value = self.bits(self.func.regs[dst.at()], bits);
                self.write(dst, value, here)
            }
            Inst::Copy { dst, src } => {
                let value = self.read(src, here)?;
                self.write(dst, value, here)
            }
            Inst::Load { dst, buf, index, .. } => {
                (index == self.index && self.out.is_none()).then_some(())?;
                let value = self.load(buf, here.path);
                self.write(dst, value, here)
            }
            Inst::Store { buf, index, src, fit, .. } => {
                let elem = self.module.buffers[buf.at()].elem;
                let value = self.read(src, here)?;
                (index == self.index && !here.stored).then_some(())?;
                if let (Fit::Leave, Some((low, high))) = (fit, elem.range())
                    && !self.within(value, low, high)
                    && elem != Elem::I64
                {
                    return None;
                }
                let value = match (self.out, self.mask(here.path)) {
                    (Some((other, _)), _) if other != buf => return None,
                    (Some((_, old)), Some(mask)) => self.blend(old, value, mask),
                    _ => value,
                };
                self.out = Some((buf, value));
                here.stored = true;
                Some(())
            }
            Inst::Guard { cond, expect, .. } => {
                let mask = self.read(cond, here)?;
                let mask = if expect { self.not(mask) } else { mask };
                self.leaves(mask, here.path);
                Some(())
            }
            Inst::Mark { src } => (src == self.index).then_some(()),
            Inst::Op { op, dst, args, .. } => {
                let mut v = [Src::Pool(0); 3];
                for (slot, arg) in v.iter_mut().zip(&args[..op.args().len()]) {
                    *slot = self.read(*arg, here)?;
                }
                let value = self.compute(op, v, here.path)?;
                self.write(dst, value, here)
            }
            _ => None,
        }
    }

    fn uses(&mut self, buf: BufId) {
        if !self.body.buffers.contains(&buf) {
            self.body.buffers.push(buf);
        }
    }

    fn load(&mut self, buf: BufId, path: Path) -> Src {
        self.uses(buf);
        self.loaded.push(buf);
        let elem = self.module.buffers[buf.at()].elem;
        let enc = match elem {
            Elem::F64 | Elem::I64 | Elem::U64 => vex::LOADPD,
            Elem::F32 => vex::CVTPS2PD,
            Elem::I32 => vex::SXDQ,
            Elem::I16 => vex::SXWQ,
            Elem::I8 => vex::SXBQ,
            Elem::U32 => vex::ZXDQ,
            Elem::U16 => vex::ZXWQ,
            Elem::U8 | Elem::Bool => vex::ZXBQ,
        };
        let value = self.push(Vector::Load { enc, buf });
        match elem {
            Elem::Bool => {
                let zero = self.word(0);
                let none = self.op(vex::PCMPEQQ, value, zero);
                return self.not(none);
            }
            Elem::U64 => self.leaves(value, path),
            _ => {}
        }
        if let Some(range) = elem.range() {
            self.ranges.insert(value, range);
        }
        value
    }

    fn store(&mut self, buf: BufId, value: Src) -> Option<()> {
        self.uses(buf);
        let (enc, of) = match self.module.buffers[buf.at()].elem {
            Elem::F64 | Elem::I64 | Elem::U64 => (vex::STOREPD, value),
            Elem::F32 => (vex::STOREPS.narrow(), self.unary(vex::CVTPD2PS, value, None)),
            Elem::I32 | Elem::U32 => (vex::STOREPS.narrow(), self.low_halves(value)),
            Elem::I16 | Elem::U16 => {
                let halves = self.low_halves(value);
                let order = self.constant([0x0d0c_0908_0504_0100, 0, 0, 0]);
                (vex::MOVQ.narrow(), self.op(vex::PSHUFB.narrow(), halves, order))
            }
            Elem::I8 | Elem::U8 | Elem::Bool => {
                let mut halves = self.low_halves(value);
                if self.module.buffers[buf.at()].elem == Elem::Bool {
                    let one = self.word(0x1_0000_0001);
                    halves = self.op(vex::PAND, halves, one);
                }
                let order = self.constant([0x0c08_0400, 0, 0, 0]);
                (vex::MOVD.narrow(), self.op(vex::PSHUFB.narrow(), halves, order))
            }
        };
        self.push(Vector::Store { enc, buf, of });
        Some(())
    }

    /// The low 32 bits of every lane, side by side in 128 bits.
    fn low_halves(&mut self, value: Src) -> Src {
        let upper = self.push(Vector::Upper { of: value });
        self.with(vex::SHUFPS.narrow(), value, upper, 0x88)
    }
}
