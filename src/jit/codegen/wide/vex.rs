//! Instructions of AVX2, encoded: what the code generator library has no 256-bit form of.

/// Where an instruction stands in the opcode maps. Vectors of 256 bits unless `narrow`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Enc {
    map: u8,
    prefix: u8,
    opcode: u8,
    narrow: bool,
}

const fn enc(map: u8, prefix: u8, opcode: u8) -> Enc {
    Enc { map, prefix, opcode, narrow: false }
}

impl Enc {
    /// On 128 bits.
    pub(super) const fn narrow(self) -> Self {
        Self { narrow: true, ..self }
    }
}

macro_rules! encodings {
    ($($name:ident = $map:literal $prefix:literal $opcode:literal;)*) => {
        $(pub(super) const $name: Enc = enc($map, $prefix, $opcode);)*
    };
}

// Map 1 is 0F, 2 is 0F 38, 3 is 0F 3A; prefix 1 is 66, 2 is F3.
encodings! {
    ADDPD = 1 1 0x58; MULPD = 1 1 0x59; SUBPD = 1 1 0x5c; MINPD = 1 1 0x5d; DIVPD = 1 1 0x5e; MAXPD = 1 1 0x5f;
    SQRTPD = 1 1 0x51; ANDPD = 1 1 0x54; ORPD = 1 1 0x56; XORPD = 1 1 0x57; CMPPD = 1 1 0xc2;
    ROUNDPD = 3 1 0x09; BLENDVPD = 3 1 0x4b;
    LOADPD = 1 1 0x10; STOREPD = 1 1 0x11;
    CVTPS2PD = 1 0 0x5a; CVTPD2PS = 1 1 0x5a; CVTDQ2PD = 1 2 0xe6;
    SXDQ = 2 1 0x25; SXWQ = 2 1 0x24; SXBQ = 2 1 0x22; ZXDQ = 2 1 0x35; ZXWQ = 2 1 0x34; ZXBQ = 2 1 0x32;
    PADDQ = 1 1 0xd4; PSUBQ = 1 1 0xfb; PAND = 1 1 0xdb; POR = 1 1 0xeb; PXOR = 1 1 0xef;
    PCMPEQQ = 2 1 0x29; PCMPGTQ = 2 1 0x37; PMULDQ = 2 1 0x28; PMULLD = 2 1 0x40;
    PSLLVD = 2 1 0x47; PSRLVD = 2 1 0x45; PSRAVD = 2 1 0x46;
    PSHIFTD = 1 1 0x72; PSHIFTQ = 1 1 0x73; PSHUFD = 1 1 0x70; PBLENDD = 3 1 0x02;
    EXTRACT = 3 1 0x39; SHUFPS = 1 0 0xc6; PSHUFB = 2 1 0x00;
    MOVD = 1 1 0x7e; MOVQ = 1 1 0xd6; STOREPS = 1 0 0x11;
    TESTPD = 2 1 0x0f;
}

/// A general register, by its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gpr(pub(super) u8);

pub(super) const RAX: Gpr = Gpr(0);
pub(super) const RCX: Gpr = Gpr(1);
pub(super) const RDX: Gpr = Gpr(2);
pub(super) const RSP: Gpr = Gpr(4);
pub(super) const RSI: Gpr = Gpr(6);
pub(super) const RDI: Gpr = Gpr(7);

/// The last operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rm {
    /// A vector register.
    Reg(u8),
    /// `[base + offset]`.
    At(Gpr, i32),
    /// `[base + rsi * scale]`, the scale as its logarithm.
    Element(Gpr, u8),
    /// A constant of the pool.
    Pool(usize),
}

/// A place in code to jump to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(usize);

/// Collects bytes.
#[derive(Default)]
pub(super) struct Assembler {
    pub(super) bytes: Vec<u8>,
    /// Places of pool constants: where the displacement is, where the instruction ends, which constant.
    pool: Vec<(usize, usize, usize)>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, usize)>,
}

impl Assembler {
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn long(&mut self, value: i32) {
        self.bytes.extend(value.to_le_bytes());
    }

    /// A VEX instruction; `immediate` is also the fourth register of a blend.
    pub(super) fn vex(&mut self, enc: Enc, reg: u8, second: u8, rm: Rm, immediate: Option<u8>) {
        let (index, base) = match rm {
            Rm::Reg(r) => (0, r),
            Rm::At(base, _) => (0, base.0),
            Rm::Element(base, _) => (RSI.0, base.0),
            Rm::Pool(_) => (0, 0),
        };
        let high = |r: u8, bit: u8| if r < 8 { 1 << bit } else { 0 };
        self.byte(0xc4);
        self.byte(high(reg, 7) | high(index, 6) | high(base, 5) | enc.map);
        self.byte((!second & 15) << 3 | u8::from(!enc.narrow) << 2 | enc.prefix);
        self.byte(enc.opcode);
        self.operand(reg, rm);
        self.bytes.extend(immediate);
        if let Rm::Pool(constant) = rm {
            let end = self.bytes.len();
            let at = end - 4 - usize::from(immediate.is_some());
            self.pool.push((at, end, constant));
        }
    }

    fn operand(&mut self, reg: u8, rm: Rm) {
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Reg(r) => self.byte(0xc0 | reg | r & 7),
            Rm::At(base, offset) => {
                self.byte(0x80 | reg | if base == RSP { 4 } else { base.0 & 7 });
                if base == RSP {
                    self.byte(0x24);
                }
                self.long(offset);
            }
            Rm::Element(base, scale) => {
                self.byte(0x80 | reg | 4);
                self.byte(scale << 6 | (RSI.0 & 7) << 3 | base.0 & 7);
                self.long(0);
            }
            Rm::Pool(_) => {
                self.byte(reg | 5);
                self.long(0);
            }
        }
    }

    /// `mov reg, [base + offset]`.
    pub(super) fn load(&mut self, reg: Gpr, base: Gpr, offset: i32) {
        self.byte(0x48 | (reg.0 >> 3) << 2 | base.0 >> 3);
        self.byte(0x8b);
        self.operand(reg.0, Rm::At(base, offset));
    }

    /// `add reg, value`, or another of the group: 0 add, 5 sub.
    pub(super) fn arithmetic(&mut self, group: u8, reg: Gpr, value: i32) {
        self.byte(0x48 | reg.0 >> 3);
        self.byte(0x81);
        self.byte(0xc0 | group << 3 | reg.0 & 7);
        self.long(value);
    }

    /// `cmp a, b`.
    pub(super) fn compare(&mut self, a: Gpr, b: Gpr) {
        self.byte(0x48 | (b.0 >> 3) << 2 | a.0 >> 3);
        self.byte(0x39);
        self.byte(0xc0 | (b.0 & 7) << 3 | a.0 & 7);
    }

    /// `mov a, b`.
    pub(super) fn copy(&mut self, a: Gpr, b: Gpr) {
        self.byte(0x48 | (b.0 >> 3) << 2 | a.0 >> 3);
        self.byte(0x89);
        self.byte(0xc0 | (b.0 & 7) << 3 | a.0 & 7);
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.bytes.len());
    }

    /// Jumps if the condition holds: 5 is "not zero", 0xe "less or equal", 0xf "greater".
    pub(super) fn jump_if(&mut self, condition: u8, to: Label) {
        self.byte(0x0f);
        self.byte(0x80 | condition);
        self.long(0);
        self.jumps.push((self.bytes.len(), to.0));
    }

    /// Long no-ops up to a multiple of `to`.
    pub(super) fn align(&mut self, to: usize) {
        const NOP: [u8; 9] = [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];
        while let left @ 1.. = self.bytes.len().next_multiple_of(to) - self.bytes.len() {
            match left {
                9.. => self.bytes.extend(NOP),
                _ => self.byte(0x90),
            }
        }
    }

    /// The bytes, with the constants behind them.
    pub(super) fn finish(mut self, constants: &[[u64; 4]]) -> Option<Vec<u8>> {
        let fix = |bytes: &mut Vec<u8>, at: usize, from: usize, to: usize| {
            let distance = i32::try_from(to as i64 - from as i64).ok()?;
            bytes.get_mut(at..at + 4)?.copy_from_slice(&distance.to_le_bytes());
            Some(())
        };
        for (end, label) in std::mem::take(&mut self.jumps) {
            fix(&mut self.bytes, end - 4, end, self.labels[label]?)?;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(32), 0xcc);
        let start = self.bytes.len();
        self.bytes.extend(constants.iter().flatten().flat_map(|word| word.to_le_bytes()));
        for (at, end, constant) in std::mem::take(&mut self.pool) {
            fix(&mut self.bytes, at, end, start + 32 * constant)?;
        }
        Some(self.bytes)
    }
}
