//! Batch drivers: tiny generated modules that call a numeric task in a loop, wasm to wasm.
//!
//! A call from the host costs 20 ns, a call from generated wasm 2.5. So the sandbox writes one module that holds a
//! loop for each distinct signature among a module's numeric tasks; it is compiled along with the module and linked
//! with one task at a time. This file generates that module and knows nothing of engines or of who calls it.
//!
//! # Shape
//!
//! ```text
//! import "driver" "memory"  memory, 1 page or more: progress word, inputs and outputs
//! import "driver" "task<k>" function of signature k
//! export "packed<k>" (from, to, progress_tag: i64, inputs, outputs)              inputs are in memory
//! export "range<k>"  (from, to, progress_tag: i64, inputs, outputs, start: i64, step: i64)
//!                                                                                inputs are start + i * step
//! ```
//!
//! `from`, `to`, `inputs` and `outputs` are unsigned and 32 bits wide; `range<k>` exists when signature k takes
//! exactly one integer, and ignores `inputs`. Both call task k for each i in `from..to`, in order.
//!
//! # Memory
//!
//! ```text
//! address 0                             u64 progress word: progress_tag + i + 1, stored before call i
//! inputs  + (i * parameters + p) * 8    cell of parameter p of call i
//! outputs + (i * results    + r) * 8    cell of result r of call i
//! ```
//!
//! A cell is 8 bytes, little-endian. As an input, i32 and f32 are its low half and the rest is ignored; as an
//! output, i32 is sign-extended and f32 zero-extended, so that a cell is always written whole.
//!
//! Addresses wrap around at 32 bits. So the first call's cells can lie anywhere, at A for example, whatever its index:
//! `inputs` is then A - from * parameters * 8, wrapped.
//!
//! When a call traps, so does the driver; the progress word then tells which call it was, and everything before it
//! has its results. The word must therefore be in memory before the call, every time: the store below is not dead,
//! and the code generator may not move it across a call to an imported function.

use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    InstructionSink, MemArg, MemoryType, Module, NameSection, TypeSection, ValType,
};

/// Signatures that get a driver; tasks of further ones are called from the host one by one.
pub(crate) const SIGNATURES_MAX: usize = 64;
/// Raised when generated drivers change, for they are cached with the artifact.
pub(crate) const VERSION: u32 = 2;
/// Name of the driver module, by which backtraces tell its frames from the guest's.
pub(crate) const NAME: &str = "wasmpool:driver";
/// Module name of everything that a driver imports.
pub(crate) const IMPORT_MODULE: &str = "driver";
/// The imported memory.
pub(crate) const IMPORT_MEMORY: &str = "memory";
/// Bytes of a parameter or a result in memory.
pub(crate) const CELL_BYTES: u32 = 8;

/// A type that needs no codec: what WebAssembly itself passes between functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Number {
    /// 32-bit integer, signed where it is shown.
    I32,
    /// 64-bit integer, signed where it is shown.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Number {
    /// Its name in the WebAssembly text format.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    fn encoded(self) -> ValType {
        match self {
            Self::I32 => ValType::I32,
            Self::I64 => ValType::I64,
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
        }
    }
}

/// Parameters and results of a function that takes and returns only numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Signature {
    /// What it takes, in order.
    pub parameters: Vec<Number>,
    /// What it returns, in order; WebAssembly allows more than one.
    pub results: Vec<Number>,
}

impl Signature {
    /// Whether its inputs can be computed from an index: exactly one parameter, an integer.
    pub(crate) fn takes_range(&self) -> bool {
        matches!(self.parameters[..], [Number::I32 | Number::I64])
    }
}

/// Name under which a driver imports the task of signature `k`.
pub(crate) fn import_task(k: u16) -> String {
    format!("task{k}")
}

/// Name of the loop over inputs in memory, for signature `k`.
pub(crate) fn export_packed(k: u16) -> String {
    format!("packed{k}")
}

/// Name of the loop over a range of integers, for signature `k`.
pub(crate) fn export_range(k: u16) -> String {
    format!("range{k}")
}

/// Writes the driver module for these signatures; those beyond [`SIGNATURES_MAX`] are left out.
pub(crate) fn generate(signatures: &[Signature]) -> Vec<u8> {
    let signatures = &signatures[..signatures.len().min(SIGNATURES_MAX)];
    let mut drivers = Drivers::new(signatures);
    for (k, signature) in (0u16..).zip(signatures) {
        drivers.add(export_packed(k), drivers.packed_type, packed(k, signature));
        if signature.takes_range() {
            drivers.add(export_range(k), drivers.range_type, range(k, signature));
        }
    }
    drivers.finish()
}

/// The module under construction.
struct Drivers {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
    packed_type: u32,
    range_type: u32,
    functions_imported: u32,
}

impl Drivers {
    /// Types and imports; type k and function k belong to signature k.
    fn new(signatures: &[Signature]) -> Self {
        let mut types = TypeSection::new();
        let mut imports = ImportSection::new();
        imports.import(IMPORT_MODULE, IMPORT_MEMORY, any_memory());
        for (k, signature) in (0u16..).zip(signatures) {
            let parameters = signature.parameters.iter().map(|number| number.encoded());
            let results = signature.results.iter().map(|number| number.encoded());
            types.ty().function(parameters, results);
            imports.import(IMPORT_MODULE, &import_task(k), EntityType::Function(u32::from(k)));
        }
        let packed_type = types.len();
        types.ty().function(PACKED_PARAMETERS, []);
        let range_type = types.len();
        types.ty().function(RANGE_PARAMETERS, []);
        Self {
            types,
            functions_imported: packed_type,
            packed_type,
            range_type,
            imports,
            functions: FunctionSection::new(),
            exports: ExportSection::new(),
            code: CodeSection::new(),
        }
    }

    fn add(&mut self, name: String, type_index: u32, body: Function) {
        let index = self.functions_imported + self.functions.len();
        self.functions.function(type_index);
        self.exports.export(&name, ExportKind::Func, index);
        self.code.function(&body);
    }

    fn finish(self) -> Vec<u8> {
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions);
        module.section(&self.exports).section(&self.code);
        let mut names = NameSection::new();
        names.module(NAME);
        module.section(&names);
        module.finish()
    }
}

fn any_memory() -> MemoryType {
    MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

const PACKED_PARAMETERS: [ValType; 5] =
    [ValType::I32, ValType::I32, ValType::I64, ValType::I32, ValType::I32];
const RANGE_PARAMETERS: [ValType; 7] = {
    let [from, to, progress_tag, inputs, outputs] = PACKED_PARAMETERS;
    [from, to, progress_tag, inputs, outputs, ValType::I64, ValType::I64]
};

// Locals of both loops. The parameters serve as the running variables, so that a turn adds and never multiplies.
const FROM: u32 = 0;
const TO: u32 = 1;
/// The tag at first, then the progress word of the running call: counter and pointer in one.
const PROGRESS: u32 = 2;
/// Cell of the next call's first parameter.
const INPUT: u32 = 3;
/// Cell of the running call's first result.
const OUTPUT: u32 = 4;
/// The first value of the range at first, then the running call's.
const VALUE: u32 = 5;
const STEP: u32 = 6;

/// A loop that loads each call's parameters from memory.
fn packed(k: u16, signature: &Signature) -> Function {
    let parameters = &signature.parameters;
    let input_stride = cells_bytes(parameters.len());
    build(k, signature, 5, |code, turn| match turn {
        Turn::Start => advance_by_from(code, INPUT, input_stride),
        Turn::Load => {
            for (p, number) in parameters.iter().enumerate() {
                code.local_get(INPUT);
                load(code, *number, cells_bytes(p));
            }
        }
        Turn::Step => add_i32(code, INPUT, input_stride),
    })
}

/// A loop whose parameter is computed: `start + i * step`, wrapping.
fn range(k: u16, signature: &Signature) -> Function {
    let wraps = signature.parameters[0] == Number::I32;
    build(k, signature, 7, |code, turn| match turn {
        Turn::Start => {
            code.local_get(VALUE).local_get(FROM).i64_extend_i32_u().local_get(STEP).i64_mul();
            code.i64_add().local_set(VALUE);
        }
        Turn::Load => {
            code.local_get(VALUE);
            if wraps {
                code.i32_wrap_i64();
            }
        }
        Turn::Step => {
            code.local_get(VALUE).local_get(STEP).i64_add().local_set(VALUE);
        }
    })
}

/// The places where the two loops differ.
#[derive(Clone, Copy)]
enum Turn {
    /// Before the first call: moves the input from 0 to `from`.
    Start,
    /// Pushes the running call's parameters.
    Load,
    /// Moves the input on to the next call.
    Step,
}

/// What both loops share; `input` fills the places where they differ.
fn build(
    k: u16,
    signature: &Signature,
    parameters: u32,
    input: impl Fn(&mut InstructionSink<'_>, Turn),
) -> Function {
    let end = parameters;
    let first_result = end + 1;
    let results = &signature.results;
    let output_stride = cells_bytes(results.len());
    let mut locals = vec![ValType::I64];
    locals.extend(results.iter().map(|number| number.encoded()));
    let mut function = Function::new_with_locals_types(locals);
    let code = &mut function.instructions();

    code.local_get(FROM).local_get(TO).i32_ge_u().if_(BlockType::Empty).return_().end();
    code.local_get(PROGRESS).local_get(TO).i64_extend_i32_u().i64_add().local_set(end);
    code.local_get(PROGRESS).local_get(FROM).i64_extend_i32_u().i64_add().local_set(PROGRESS);
    advance_by_from(code, OUTPUT, output_stride);
    input(code, Turn::Start);

    code.loop_(BlockType::Empty);
    code.i32_const(0).local_get(PROGRESS).i64_const(1).i64_add().local_tee(PROGRESS).i64_store(cell(0));
    input(code, Turn::Load);
    code.call(u32::from(k));
    store(code, results, first_result);
    input(code, Turn::Step);
    add_i32(code, OUTPUT, output_stride);
    code.local_get(PROGRESS).local_get(end).i64_ne().br_if(0);
    code.end().end();
    function
}

/// Takes the results off the stack, last first, and stores them as cells.
fn store(code: &mut InstructionSink<'_>, results: &[Number], first_local: u32) {
    let locals: Vec<u32> = (first_local..).take(results.len()).collect();
    for local in locals.iter().rev() {
        code.local_set(*local);
    }
    for (r, (local, number)) in locals.into_iter().zip(results).enumerate() {
        code.local_get(OUTPUT).local_get(local);
        match number {
            Number::I32 => code.i64_extend_i32_s(),
            Number::I64 => code,
            Number::F32 => code.i32_reinterpret_f32().i64_extend_i32_u(),
            Number::F64 => code.i64_reinterpret_f64(),
        };
        code.i64_store(cell(cells_bytes(r)));
    }
}

fn load(code: &mut InstructionSink<'_>, number: Number, offset: u32) {
    match number {
        Number::I32 => code.i32_load(half_cell(offset)),
        Number::I64 => code.i64_load(cell(offset)),
        Number::F32 => code.f32_load(half_cell(offset)),
        Number::F64 => code.f64_load(cell(offset)),
    };
}

/// `pointer += from * stride`
fn advance_by_from(code: &mut InstructionSink<'_>, pointer: u32, stride: u32) {
    code.local_get(pointer).local_get(FROM).i32_const(stride.cast_signed()).i32_mul();
    code.i32_add().local_set(pointer);
}

fn add_i32(code: &mut InstructionSink<'_>, local: u32, amount: u32) {
    code.local_get(local).i32_const(amount.cast_signed()).i32_add().local_set(local);
}

/// Bytes of so many cells; a function has at most 1,000 parameters and as many results.
fn cells_bytes(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX / CELL_BYTES) * CELL_BYTES
}

fn cell(offset: u32) -> MemArg {
    MemArg { offset: u64::from(offset), align: 3, memory_index: 0 }
}

fn half_cell(offset: u32) -> MemArg {
    MemArg { offset: u64::from(offset), align: 2, memory_index: 0 }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Extern, Func, Instance, Linker, Memory, Module, Store, Trap};

    use super::*;
    use crate::channel::control::CodeKind;
    use crate::sandbox::engine::compiler_engine;

    const INPUTS: u32 = 1 << 16;
    const OUTPUTS: u32 = 2 << 16;
    const TAG: i64 = 7 << 32;

    /// A task, its driver and their memory.
    struct Bench {
        store: Store<()>,
        memory: Memory,
        drivers: Instance,
    }

    impl Bench {
        /// Links the function `task` of a module in text form with a driver for its signature.
        fn new(text: &str) -> Self {
            let engine = compiler_engine(CodeKind::default()).unwrap();
            let mut store = Store::new(&engine, ());
            let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            let task = Instance::new(&mut store, &module, &[]).unwrap().get_func(&mut store, "task").unwrap();
            let signature = signature_of(&task, &store);
            Self::link(engine, store, task, &signature)
        }

        fn link(engine: Engine, mut store: Store<()>, task: Func, signature: &Signature) -> Self {
            let memory = Memory::new(&mut store, wasmtime::MemoryType::new(3, None)).unwrap();
            let module = Module::new(&engine, generate(std::slice::from_ref(signature))).unwrap();
            let mut linker = Linker::new(&engine);
            linker.define(&store, IMPORT_MODULE, IMPORT_MEMORY, memory).unwrap();
            linker.define(&store, IMPORT_MODULE, &import_task(0), task).unwrap();
            let drivers = linker.instantiate(&mut store, &module).unwrap();
            Self { store, memory, drivers }
        }

        fn put(&mut self, cells: &[u64]) {
            let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            self.memory.write(&mut self.store, INPUTS as usize, &bytes).unwrap();
        }

        fn packed(&mut self, from: u32, to: u32) -> wasmtime::Result<()> {
            let run = self.drivers.get_typed_func(&mut self.store, &export_packed(0)).unwrap();
            run.call(&mut self.store, (from, to, TAG, INPUTS, OUTPUTS))
        }

        fn range(&mut self, from: u32, to: u32, start: i64, step: i64) -> wasmtime::Result<()> {
            let run = self.drivers.get_typed_func(&mut self.store, &export_range(0)).unwrap();
            run.call(&mut self.store, (from, to, TAG, INPUTS, OUTPUTS, start, step))
        }

        fn cells(&self, address: u32, count: usize) -> Vec<u64> {
            let mut bytes = vec![0; count * 8];
            self.memory.read(&self.store, address as usize, &mut bytes).unwrap();
            bytes.chunks_exact(8).map(|cell| u64::from_le_bytes(cell.try_into().unwrap())).collect()
        }

        fn outputs(&self, count: usize) -> Vec<u64> {
            self.cells(OUTPUTS, count)
        }

        fn progress(&self) -> u64 {
            self.cells(0, 1)[0]
        }
    }

    fn signature_of(task: &Func, store: &Store<()>) -> Signature {
        let number = |ty: wasmtime::ValType| match ty {
            wasmtime::ValType::I32 => Number::I32,
            wasmtime::ValType::I64 => Number::I64,
            wasmtime::ValType::F32 => Number::F32,
            wasmtime::ValType::F64 => Number::F64,
            other => panic!("{other} is no number"),
        };
        let ty = task.ty(store);
        Signature {
            parameters: ty.params().map(number).collect(),
            results: ty.results().map(number).collect(),
        }
    }

    fn word(index: u64) -> u64 {
        TAG.cast_unsigned() + index + 1
    }

    #[test]
    fn every_type_goes_through_a_cell_unchanged() {
        let negative = -5i64 as u64;
        let cases = [
            ("i32", u64::from(-5i32 as u32), negative),
            ("i64", negative, negative),
            ("f32", u64::from((-0.0f32).to_bits()), u64::from((-0.0f32).to_bits())),
            ("f64", (-0.5f64).to_bits(), (-0.5f64).to_bits()),
        ];
        for (ty, input, output) in cases {
            let text = format!("(module (func (export \"task\") (param {ty}) (result {ty}) local.get 0))");
            let mut bench = Bench::new(&text);
            bench.put(&[input]);
            bench.packed(0, 1).unwrap();
            assert_eq!(bench.outputs(2), [output, 0], "{ty}");
        }
    }

    #[test]
    fn what_lies_above_a_narrow_input_is_ignored_and_what_lies_above_a_narrow_output_is_overwritten() {
        for ty in ["i32", "f32"] {
            let text = format!("(module (func (export \"task\") (param {ty}) (result {ty}) local.get 0))");
            let mut bench = Bench::new(&text);
            bench.put(&[0xdead_beef_0000_0001]);
            bench.memory.write(&mut bench.store, OUTPUTS as usize, &[0xff; 8]).unwrap();
            bench.packed(0, 1).unwrap();
            assert_eq!(bench.outputs(1), [1], "{ty}");
        }
    }

    #[test]
    fn mixed_parameters_and_several_results_keep_their_order() {
        let mut bench = Bench::new(
            "(module (func (export \"task\") (param i32 f64 i64 f32) (result f32 i64 f64 i32)
                local.get 3 local.get 2 local.get 1 local.get 0))",
        );
        let call = |i: u64| [i, (i as f64).to_bits(), i << 40, u64::from((i as f32).to_bits())];
        bench.put(&(0..5).flat_map(call).collect::<Vec<_>>());
        bench.packed(0, 5).unwrap();
        let expected: Vec<u64> = (0..5).flat_map(|i| call(i).into_iter().rev().collect::<Vec<_>>()).collect();
        assert_eq!(bench.outputs(20), expected);
    }

    #[test]
    fn a_block_in_the_middle_touches_only_its_own_cells() {
        let mut bench = Bench::new(
            "(module (func (export \"task\") (param i64) (result i64) (i64.add (local.get 0) (i64.const 100))))",
        );
        bench.put(&[1, 2, 3, 4, 5]);
        bench.packed(1, 3).unwrap();
        assert_eq!(bench.outputs(5), [0, 102, 103, 0, 0]);
        assert_eq!(bench.progress(), word(2));
    }

    #[test]
    fn an_empty_block_does_nothing() {
        let mut bench = Bench::new("(module (func (export \"task\") (param i64) (result i64) local.get 0))");
        for (from, to) in [(0, 0), (7, 7), (9, 3), (u32::MAX, 0)] {
            bench.packed(from, to).unwrap();
            bench.range(from, to, 1, 1).unwrap();
        }
        assert_eq!(bench.progress(), 0);
    }

    #[test]
    fn tasks_without_parameters_or_results_run_as_often_as_asked() {
        let counter = "(module (global $n (mut i64) (i64.const 0)) (func (export \"task\") (result i64)
            (global.set $n (i64.add (global.get $n) (i64.const 1))) global.get $n))";
        let mut bench = Bench::new(counter);
        bench.packed(0, 4).unwrap();
        assert_eq!(bench.outputs(4), [1, 2, 3, 4]);

        let mut bench = Bench::new("(module (func (export \"task\")))");
        bench.packed(2, 1_000).unwrap();
        assert_eq!(bench.progress(), word(999));

        let mut bench = Bench::new("(module (func (export \"task\") (param f64 f64)))");
        bench.packed(0, 3).unwrap();
        assert_eq!((bench.outputs(1), bench.progress()), (vec![0], word(2)));
    }

    #[test]
    fn a_trap_tells_its_index_and_leaves_what_is_before_it() {
        let mut bench = Bench::new(
            "(module (func (export \"task\") (param i32) (result i32)
                (if (i32.eq (local.get 0) (i32.const 3)) (then unreachable))
                (i32.mul (local.get 0) (i32.const 10))))",
        );
        let error = bench.range(0, 6, 0, 1).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
        assert_eq!(bench.progress(), word(3));
        assert_eq!(bench.outputs(6), [0, 10, 20, 0, 0, 0]);
        bench.range(4, 6, 0, 1).unwrap();
        assert_eq!(bench.outputs(6), [0, 10, 20, 0, 40, 50]);
    }

    #[test]
    fn the_progress_word_is_in_memory_before_the_call() {
        let engine = compiler_engine(CodeKind::default()).unwrap();
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, wasmtime::MemoryType::new(3, None)).unwrap();
        let task = Func::wrap(&mut store, move |caller: wasmtime::Caller<'_, ()>| -> i64 {
            i64::from_le_bytes(memory.data(&caller)[..8].try_into().unwrap())
        });
        let signature = Signature { parameters: vec![], results: vec![Number::I64] };
        let module = Module::new(&engine, generate(&[signature])).unwrap();
        let imports = [Extern::from(memory), Extern::from(task)];
        let drivers = Instance::new(&mut store, &module, &imports).unwrap();
        let mut bench = Bench { store, memory, drivers };
        bench.packed(0, 3).unwrap();
        assert_eq!(bench.outputs(3), [word(0), word(1), word(2)]);
    }

    #[test]
    fn a_range_counts_in_steps_and_wraps() {
        let mut bench = Bench::new("(module (func (export \"task\") (param i64) (result i64) local.get 0))");
        let cases: [(u32, i64, i64); 4] =
            [(0, 5, 1), (3, -7, -2), (2, i64::MAX - 1, 1), (1, i64::MIN, i64::MIN)];
        for (from, start, step) in cases {
            bench.range(from, from + 4, start, step).unwrap();
            let expected: Vec<u64> = (i64::from(from)..i64::from(from) + 4)
                .map(|i| start.wrapping_add(i.wrapping_mul(step)).cast_unsigned())
                .collect();
            assert_eq!(bench.cells(OUTPUTS + from * 8, 4), expected);
        }

        let mut bench = Bench::new("(module (func (export \"task\") (param i32) (result i32) local.get 0))");
        bench.range(0, 2, i64::from(i32::MAX), 1).unwrap();
        assert_eq!(bench.outputs(2), [i32::MAX as u64, i64::from(i32::MIN).cast_unsigned()]);
    }

    #[test]
    fn an_index_with_the_highest_bit_set_is_no_negative_one() {
        let mut bench = Bench::new("(module (func (export \"task\") (param i64) (result i64) local.get 0))");
        let from = 1 << 31;
        bench.range(from, from + 2, 1, 2).unwrap();
        // 2^31 cells are a multiple of 4 GiB, so the outputs wrap around to where they would be for index 0.
        assert_eq!(bench.outputs(2), [(1 << 32) + 1, (1 << 32) + 3]);
        assert_eq!(bench.progress(), word((1 << 31) + 1));
    }

    #[test]
    fn an_output_outside_the_memory_traps() {
        let mut bench = Bench::new("(module (func (export \"task\") (param i64) (result i64) local.get 0))");
        let error = bench.packed(0, 1 << 20).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
    }

    #[test]
    fn only_a_single_integer_gets_a_range() {
        for (parameters, takes_range) in [
            (vec![], false),
            (vec![Number::I32], true),
            (vec![Number::I64], true),
            (vec![Number::F64], false),
            (vec![Number::I32, Number::I32], false),
        ] {
            let signature = Signature { parameters, results: vec![] };
            let module =
                Module::new(&compiler_engine(CodeKind::default()).unwrap(), generate(&[signature])).unwrap();
            assert!(module.get_export(&export_packed(0)).is_some());
            assert_eq!(module.get_export(&export_range(0)).is_some(), takes_range);
        }
    }

    #[test]
    fn the_widest_signatures_and_the_most_of_them_make_a_valid_module() {
        let wide = Signature { parameters: vec![Number::F32; 1_000], results: vec![Number::I32; 1_000] };
        let mut signatures = vec![Signature::default(), wide];
        signatures.extend((0..100).map(|n| Signature { parameters: vec![Number::I32; n], results: vec![] }));
        let module = generate(&signatures);
        wasmparser::validate(&module).unwrap();
        let exports =
            Module::new(&compiler_engine(CodeKind::default()).unwrap(), &module).unwrap().exports().count();
        assert_eq!(exports, SIGNATURES_MAX + 1);
    }

    #[test]
    fn no_signature_still_makes_a_module() {
        wasmparser::validate(&generate(&[])).unwrap();
    }
}
