//! Machine code of a body: registers by linear scan, four elements a turn.
//!
//! `extern "sysv64" fn(buffers: *const *mut u8, index: i64, limit: i64, invariants: *const [u64; 4]) -> i64` answers the index
//! of the first element that it has not done.

use super::body::{Body, Src, Vector};
use super::vex::{self, Assembler, Gpr, RAX, RCX, RDI, RDX, RSI, RSP, Rm};
use crate::jit::ir::{BufId, Module};

/// Registers that hold addresses of buffers; the last is where their table was.
const ADDRESSES: [Gpr; 6] = [Gpr(8), Gpr(9), Gpr(10), Gpr(11), RAX, RDI];
const REGISTERS: usize = 16;
/// Elements a turn.
const TURN: i32 = 4;

struct Emitter<'a> {
    module: &'a Module,
    body: &'a Body,
    asm: Assembler,
    /// The instructions that read each value, last first.
    uses: Vec<Vec<usize>>,
    /// Which value a register holds.
    held: [Option<u32>; REGISTERS],
    home: Vec<Option<u8>>,
    slot: Vec<Option<i32>>,
    slots: i32,
}

fn sources(vector: &Vector) -> [Option<Src>; 3] {
    match *vector {
        Vector::Op { first, last, .. } => [first, Some(last), None],
        Vector::Blend { no, yes, mask } => [Some(no), Some(yes), Some(mask)],
        Vector::Shift { of, .. } | Vector::Upper { of } | Vector::Store { of, .. } => {
            [Some(of), None, None]
        }
        Vector::Test { bad } => [Some(bad), None, None],
        Vector::Load { .. } => [None; 3],
    }
}

/// The code of a body, or `None` where it takes more than there is.
pub(super) fn emit(module: &Module, body: &Body) -> Option<Vec<u8>> {
    (body.buffers.len() <= ADDRESSES.len()).then_some(())?;
    let mut uses: Vec<Vec<usize>> = vec![Vec::new(); body.code.len()];
    for (at, vector) in body.code.iter().enumerate().rev() {
        // What nobody reads is not computed (masks of paths, mostly).
        if uses[at].is_empty() && !matches!(vector, Vector::Test { .. } | Vector::Store { .. }) {
            continue;
        }
        for source in sources(vector).into_iter().flatten() {
            if let Src::Value(v) = source {
                uses[v as usize].push(at);
            }
        }
    }
    let count = body.code.len();
    Emitter {
        module,
        body,
        asm: Assembler::default(),
        uses,
        held: [None; REGISTERS],
        home: vec![None; count],
        slot: vec![None; count],
        slots: 0,
    }
    .run()
}

impl Emitter<'_> {
    fn run(mut self) -> Option<Vec<u8>> {
        self.asm.arithmetic(5, RSP, 0);
        let frame = self.asm.bytes.len() - 4;
        for (i, _) in self.body.buffers.iter().enumerate() {
            self.asm.load(ADDRESSES[i], RDI, i32::try_from(8 * i).ok()?);
        }
        let (turn, done) = (self.asm.label(), self.asm.label());
        self.asm.arithmetic(5, RDX, TURN);
        self.asm.compare(RSI, RDX);
        self.asm.jump_if(0xf, done);
        self.asm.align(32);
        self.asm.bind(turn);
        let body = self.body;
        for (at, vector) in body.code.iter().enumerate() {
            let effect = matches!(vector, Vector::Test { .. } | Vector::Store { .. });
            if self.uses[at].is_empty() && !effect {
                continue;
            }
            self.vector(at, vector, done)?;
        }
        self.asm.arithmetic(0, RSI, TURN);
        self.asm.compare(RSI, RDX);
        self.asm.jump_if(0xe, turn);
        self.asm.bind(done);
        self.asm.copy(RAX, RSI);
        let size = self.slots * 32;
        self.asm.bytes[frame..frame + 4].copy_from_slice(&size.to_le_bytes());
        self.asm.arithmetic(0, RSP, size);
        // `vzeroupper`, and back.
        self.asm.bytes.extend([0xc5, 0xf8, 0x77, 0xc3]);
        self.asm.finish(&self.body.pool)
    }

    fn vector(&mut self, at: usize, vector: &Vector, done: vex::Label) -> Option<()> {
        let mut pinned = Vec::new();
        match *vector {
            Vector::Op { enc, first, last, immediate } => {
                let second = match first {
                    Some(first) => self.register(first, at, &mut pinned)?,
                    None => 0,
                };
                let rm = self.operand(last, &mut pinned);
                let dst = self.result(at, &pinned)?;
                self.asm.vex(enc, dst, second, rm, immediate);
            }
            Vector::Blend { no, yes, mask } => {
                let second = self.register(no, at, &mut pinned)?;
                let mask = self.register(mask, at, &mut pinned)?;
                let rm = self.operand(yes, &mut pinned);
                let dst = self.result(at, &pinned)?;
                self.asm.vex(vex::BLENDVPD, dst, second, rm, Some(mask << 4));
            }
            Vector::Shift { enc, extension, of, by } => {
                let of = self.register(of, at, &mut pinned)?;
                let dst = self.result(at, &pinned)?;
                self.asm.vex(enc, extension, dst, Rm::Reg(of), Some(by));
            }
            Vector::Upper { of } => {
                let of = self.register(of, at, &mut pinned)?;
                let dst = self.result(at, &pinned)?;
                self.asm.vex(vex::EXTRACT, of, 0, Rm::Reg(dst), Some(1));
            }
            Vector::Load { enc, buf } => {
                let element = self.element(buf)?;
                let dst = self.result(at, &pinned)?;
                self.asm.vex(enc, dst, 0, element, None);
            }
            Vector::Test { bad } => {
                let bad = self.register(bad, at, &mut pinned)?;
                self.asm.vex(vex::TESTPD, bad, 0, Rm::Reg(bad), None);
                self.asm.jump_if(5, done);
                self.release(at);
            }
            Vector::Store { enc, buf, of } => {
                let of = self.register(of, at, &mut pinned)?;
                let element = self.element(buf)?;
                self.asm.vex(enc, of, 0, element, None);
                self.release(at);
            }
        }
        Some(())
    }

    fn element(&self, buf: BufId) -> Option<Rm> {
        let number = self.body.buffers.iter().position(|b| *b == buf)?;
        let size = self.module.buffers[buf.at()].elem.size();
        Some(Rm::Element(ADDRESSES[number], u8::try_from(size.trailing_zeros()).ok()?))
    }

    fn memory(&self, source: Src) -> Rm {
        let offset = |n: usize| i32::try_from(32 * n).unwrap_or(i32::MAX);
        match source {
            Src::Pool(constant) => Rm::Pool(constant),
            Src::Invariant(n) => Rm::At(RCX, offset(n)),
            Src::Value(v) => Rm::At(RSP, 32 * self.slot[v as usize].unwrap_or_default()),
        }
    }

    /// An operand that may be in memory.
    fn operand(&self, source: Src, pinned: &mut Vec<u8>) -> Rm {
        if let Src::Value(v) = source
            && let Some(register) = self.home[v as usize]
        {
            pinned.push(register);
            return Rm::Reg(register);
        }
        self.memory(source)
    }

    /// An operand in a register. One that is loaded for this instruction alone is free again at once.
    fn register(&mut self, source: Src, at: usize, pinned: &mut Vec<u8>) -> Option<u8> {
        if let Src::Value(v) = source
            && let Some(register) = self.home[v as usize]
        {
            pinned.push(register);
            return Some(register);
        }
        let memory = self.memory(source);
        let register = self.free(at, pinned)?;
        self.asm.vex(vex::LOADPD, register, 0, memory, None);
        if let Src::Value(v) = source {
            self.held[register as usize] = Some(v);
            self.home[v as usize] = Some(register);
        }
        pinned.push(register);
        Some(register)
    }

    /// The register of the result of instruction `at`, once what it reads for the last time is free.
    fn result(&mut self, at: usize, pinned: &[u8]) -> Option<u8> {
        self.release(at);
        // Sources whose last use this is may be the result as well; the others stay.
        let keep: Vec<u8> =
            pinned.iter().filter(|r| self.held[**r as usize].is_some()).copied().collect();
        let register = self.free(at, &keep)?;
        self.held[register as usize] = u32::try_from(at).ok();
        self.home[at] = Some(register);
        Some(register)
    }

    /// Lets go of what instruction `at` was the last to read.
    fn release(&mut self, at: usize) {
        for source in sources(&self.body.code[at]).into_iter().flatten() {
            if let Src::Value(v) = source {
                let v = v as usize;
                while self.uses[v].last() == Some(&at) {
                    self.uses[v].pop();
                }
                if self.uses[v].is_empty()
                    && let Some(register) = self.home[v].take()
                {
                    self.held[register as usize] = None;
                }
            }
        }
    }

    /// A register that holds nothing; the value that is read last goes to memory if there is none.
    fn free(&mut self, at: usize, pinned: &[u8]) -> Option<u8> {
        let all = || (0..REGISTERS as u8).filter(|r| !pinned.contains(r));
        if let Some(register) = all().find(|r| self.held[*r as usize].is_none()) {
            return Some(register);
        }
        let next = |r: &u8| {
            let value = self.held[*r as usize].unwrap_or_default();
            self.uses[value as usize].iter().rev().find(|use_at| **use_at >= at).copied()
        };
        let register = all().max_by_key(|r| next(r))?;
        let value = self.held[register as usize].take()? as usize;
        self.home[value] = None;
        if self.slot[value].is_none() {
            self.slot[value] = Some(self.slots);
            self.slots += 1;
            let slot = Rm::At(RSP, 32 * (self.slots - 1));
            self.asm.vex(vex::STOREPD, register, 0, slot, None);
        }
        Some(register)
    }
}
