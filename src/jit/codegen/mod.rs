//! IR to machine code, by Cranelift. Nothing here runs the code.
//!
//! ```text
//!  function.rs   one function: its registers, blocks and exits      memory.rs   buffers, lists, polls
//!  ops.rs        operations                                         calls.rs    returns, calls between functions
//!  lanes.rs      the loop of a map, several elements at once        wide/       the same in the vectors of AVX2
//! ```
//!
//! Every address in the code is one of the closed table: libm (`imports.rs`), the helpers of `kernel.rs`, and the
//! module's own functions by a table that the call brings along. So the code has no relocations and no symbols.
//!
//! Conventions: the entry is `fn(*mut Native) -> i64`: arguments and results go through memory. Functions that are called
//! from the code itself are `fn(*mut Native, args...) -> (i64 status, i64 bits)`. A status from 0 up is a shape; below, it
//! is `-1 - exit`, and every caller returns it at once.

mod calls;
mod function;
mod lanes;
mod memory;
mod ops;
mod wide;

use super::error::{JitError, Result};
use super::ir::{BlockId, Func, FuncId, Inst, Module, Term, Ty};
use super::kernel::Helper;
use cranelift_codegen::ir::{self as clif, AbiParam, InstBuilder, MemFlagsData, Signature, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, control::ControlPlane};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use function::Translator;
use std::sync::OnceLock;

/// Machine code of a module: position-independent bytes.
pub(super) struct Machine {
    /// The bytes of all functions.
    pub(super) bytes: Vec<u8>,
    /// Where the entry starts.
    pub(super) entry: usize,
    /// Where the callable version of each function starts; `None` if nobody calls it.
    pub(super) functions: Vec<Option<usize>>,
    /// Where the poll starts; `None` if nothing polls.
    pub(super) poll: Option<usize>,
    /// Where the loop in wide vectors starts; `None` if there is none.
    pub(super) wide: Option<usize>,
    /// Elements of a map that it computes at once.
    pub(super) lanes: u8,
}

impl Machine {
    /// Appends code; answers where it starts.
    fn place(&mut self, code: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(code);
        start
    }
}

/// The loop of the entry that does several elements at once.
enum Lanes {
    None,
    Two(lanes::Each),
    Wide(wide::Wide),
}

impl Lanes {
    fn find(module: &Module) -> Self {
        let entry = module.entry();
        wide::find(module, entry)
            .map(Self::Wide)
            .or_else(|| lanes::find(module, entry).map(Self::Two))
            .unwrap_or(Self::None)
    }

    /// Where the loop begins, and where it goes back.
    fn ends(&self) -> Option<(BlockId, BlockId)> {
        match self {
            Self::None => None,
            Self::Two(each) => Some((each.head, each.latch)),
            Self::Wide(wide) => Some((wide.head, wide.latch)),
        }
    }
}

fn isa() -> Result<&'static OwnedTargetIsa> {
    static ISA: OnceLock<std::result::Result<OwnedTargetIsa, String>> = OnceLock::new();
    ISA.get_or_init(|| {
        let mut flags = settings::builder();
        let set = [
            ("opt_level", "speed"),
            ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
            ("unwind_info", "false"),
            ("regalloc_checker", "false"),
        ];
        for (name, value) in set {
            flags.set(name, value).map_err(|e| e.to_string())?;
        }
        let builder = cranelift_native::builder().map_err(str::to_owned)?;
        builder.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
    })
    .as_ref()
    .map_err(|e| JitError::backend(format!("no code generator for this machine: {e}")))
}

/// Compiles a checked module; with `lanes`, the loops of maps in vectors where that can be done.
///
/// # Errors
/// `Backend` if this machine has no backend, or the backend refuses.
pub(super) fn generate(module: &Module, lanes: bool) -> Result<Machine> {
    let isa = isa()?;
    let mut called = vec![false; module.funcs.len()];
    for block in module.funcs.iter().flat_map(|f| &f.blocks) {
        if let Some(Term::Call { func, .. }) = &block.term {
            called[func.at()] = true;
        }
    }
    let lanes = if lanes { Lanes::find(module) } else { Lanes::None };
    let mut machine = Machine {
        bytes: Vec::new(),
        entry: 0,
        functions: vec![None; module.funcs.len()],
        poll: None,
        wide: None,
        lanes: match lanes {
            Lanes::None => 1,
            Lanes::Two(_) => 2,
            Lanes::Wide(_) => 4,
        },
    };
    let mut shared = FunctionBuilderContext::new();
    emit(module, isa, FuncId(0), Some(&lanes), &mut shared, &mut machine)?;
    if let Lanes::Wide(wide) = &lanes {
        machine.wide = Some(machine.place(&wide.code));
    }
    for (i, _) in called.iter().enumerate().filter(|(_, called)| **called) {
        let id = FuncId(u32::try_from(i).unwrap_or(u32::MAX));
        machine.functions[i] = Some(emit(module, isa, id, None, &mut shared, &mut machine)?);
    }
    let polls =
        |f: &Func| f.blocks.iter().any(|b| b.insts.iter().any(|i| matches!(i, Inst::Poll { .. })));
    if module.funcs.iter().any(polls) {
        machine.poll = Some(emit_poll(isa, &mut shared, &mut machine)?);
    }
    Ok(machine)
}

/// Appends one function; answers where it starts. `entry`: it is the entry, and its loop that has lanes.
fn emit(
    module: &Module,
    isa: &OwnedTargetIsa,
    id: FuncId,
    entry: Option<&Lanes>,
    shared: &mut FunctionBuilderContext,
    machine: &mut Machine,
) -> Result<usize> {
    let func = &module.funcs[id.at()];
    let mut context = Context::new();
    context.func.signature = if entry.is_some() {
        let mut sig = Signature::new(isa.default_call_conv());
        sig.params.push(AbiParam::new(types::I64));
        sig.returns.push(AbiParam::new(types::I64));
        sig
    } else {
        inner_signature(func)
    };
    let builder = FunctionBuilder::new(&mut context.func, shared);
    let host = isa.default_call_conv();
    Translator::new(module, func, entry.is_some(), host, builder)
        .run(isa, entry.unwrap_or(&Lanes::None));
    append(&mut context, isa, machine)
}

/// Compiles what is in `context` and appends it; answers where it starts.
fn append(context: &mut Context, isa: &OwnedTargetIsa, machine: &mut Machine) -> Result<usize> {
    let code = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|e| JitError::backend(format!("the code generator failed: {:?}", e.inner)))?;
    if !code.buffer.relocs().is_empty() {
        return Err(JitError::backend("this machine lacks an instruction that the code needs"));
    }
    Ok(machine.place(code.buffer.data()))
}

/// `poll` for the code: it keeps every register, so that a loop need not hold its variables in memory for the sake of a call
/// that comes once in thousands of turns. It answers in the fuel: below 0 is stop.
fn emit_poll(
    isa: &OwnedTargetIsa,
    shared: &mut FunctionBuilderContext,
    machine: &mut Machine,
) -> Result<usize> {
    let mut context = Context::new();
    context.func.signature = poll_signature();
    let mut b = FunctionBuilder::new(&mut context.func, shared);
    let start = b.create_block();
    b.append_block_params_for_function_params(start);
    b.switch_to_block(start);
    let native = b.block_params(start)[0];
    let mut sig = Signature::new(isa.default_call_conv());
    sig.params.push(AbiParam::new(types::I64));
    sig.returns.push(AbiParam::new(types::I64));
    let sig = b.import_signature(sig);
    let target = b.ins().iconst(types::I64, Helper::Poll.address().cast_signed() as i64);
    b.ins().call_indirect(sig, target, &[native]);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
    append(&mut context, isa, machine)
}

fn poll_signature() -> Signature {
    let mut sig = Signature::new(CallConv::PreserveAll);
    sig.params.push(AbiParam::new(types::I64));
    sig
}

fn inner_signature(func: &Func) -> Signature {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(types::I64));
    let params = &func.regs[..func.params as usize];
    sig.params.extend(params.iter().map(|ty| AbiParam::new(clif_type(*ty))));
    sig.returns.extend([AbiParam::new(types::I64), AbiParam::new(types::I64)]);
    sig
}

fn clif_type(ty: Ty) -> clif::Type {
    match ty {
        Ty::F64 => types::F64,
        Ty::I64 | Ty::List => types::I64,
        Ty::I32 => types::I32,
        Ty::Bool => types::I8,
    }
}

/// The call brings this memory along; it neither traps nor is it misaligned.
fn own() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// The host's buffers: any alignment.
fn lent() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

#[cfg(test)]
mod tests;
