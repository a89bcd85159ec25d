//! Host functions called through real guests, on real objects.

mod calls;
mod functions;
mod speed;
mod views;

use std::os::fd::AsFd;

use wasmpool_abi::shared::{Element, Refusal};
use wasmtime::{Instance, Linker, Module, Store, Val};

use super::*;
use crate::channel::control::{CodeKind, Grant, InstanceLimits};
use crate::channel::desk::Desk;
use crate::channel::layout::{down, up};
use crate::channel::post::Post;
use crate::sandbox::engine::{MEMORY_BYTES_MAX, WorkerLimits, compiler_engine, worker_engine};
use crate::sandbox::guest::Calls;
use crate::shm::object::ground::Rights;
use crate::shm::object::spec::{Orphaned, PipeShape, QueueShape, RecordsShape, Spec};
use crate::shm::object::{Object, Party};
use crate::shm::region::{Region, Writer};

/// Bytes that each test guest may have for itself.
const MEMORY_BYTES: u64 = 4 << 20;

/// All that makes wrong resets visible: everything stays in place, as far as the engine allows.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;

fn party(number: usize) -> Party {
    Party::new(number).expect("a party")
}

/// Whoever is not the guest: the test itself.
fn other() -> Party {
    party(1)
}

/// The party that a guest is.
fn ours() -> Party {
    party(2)
}

const QUEUE: Spec =
    Spec::Queue(QueueShape { items_max: 4, bytes_max: 4096, joinable: false, orphaned: Orphaned::GivenBack });
const JOINABLE: Spec =
    Spec::Queue(QueueShape { items_max: 4, bytes_max: 4096, joinable: true, orphaned: Orphaned::GivenBack });
const RECORDS: RecordsShape = RecordsShape { records_max: 8, bytes_max: 4096 };
const LIST: Spec = Spec::List(RECORDS);
const DICT: Spec = Spec::Dict { shape: RECORDS, seed: 7, is_namespace: false };
const COUNTER: Spec = Spec::Value { element: Element::I64 };

fn array(element: Element, length: u64) -> Spec {
    Spec::Array { element, length }
}

fn pipe(end: u8) -> Spec {
    Spec::Pipe { shape: PipeShape { bytes_max: 4096, duplex: true }, end }
}

/// Makes objects, as a supervisor does: ours to look at, and belongings of a worker.
fn make(grants: &[(&str, Spec, Rights)]) -> (Vec<Object>, Belongings) {
    let mut belongings = Belongings::default();
    let objects = grants.iter().map(|(name, spec, rights)| {
        let (region, pages) = Region::create(name, spec.bytes().unwrap(), Writer::Worker).unwrap();
        let region = Arc::new(region);
        let grant = Grant { name: (*name).into(), spec: spec.clone(), rights: *rights };
        belongings.add(grant, ours(), pages).unwrap();
        Object::open(&other_end(spec), region, Rights::ReadWrite)
    });
    let objects = objects.collect();
    (objects, belongings)
}

/// The test holds a pipe's other end.
fn other_end(spec: &Spec) -> Spec {
    match spec {
        Spec::Pipe { shape, end } => Spec::Pipe { shape: *shape, end: 1 - end },
        other => other.clone(),
    }
}

fn load(engine: &wasmtime::Engine, text: &str) -> Module {
    let wasm = wat::parse_str(text).unwrap();
    let code = compiler_engine(CodeKind::default()).unwrap().precompile_module(&wasm).unwrap();
    // SAFETY: the bytes come from `Engine::precompile_module` of this very process, unchanged.
    #[allow(unsafe_code)]
    unsafe {
        Module::deserialize(engine, code).unwrap()
    }
}

/// A worker with one module, whose guests come and go.
struct Worker {
    linker: Linker<Guest>,
    module: Module,
    belongings: Arc<Belongings>,
    post: Post,
    descriptors: [std::os::fd::OwnedFd; 2],
    objects: Vec<Object>,
}

impl Worker {
    fn new(text: &str, grants: &[(&str, Spec, Rights)]) -> Self {
        let limits = WorkerLimits {
            instance: InstanceLimits { memory_bytes: MEMORY_BYTES_MAX, ..InstanceLimits::default() },
            code: CodeKind::default(),
            keep_resident_bytes: KEEP_RESIDENT_BYTES,
        };
        let engine = worker_engine(&limits).unwrap();
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).unwrap();
        let (objects, belongings) = make(grants);
        let (post, descriptors) = Post::create().unwrap();
        let module = load(&engine, text);
        Self { linker, module, belongings: Arc::new(belongings), post, descriptors, objects }
    }

    /// A new instance.
    fn guest(&self) -> World<'_> {
        let [down_fd, up_fd] = &self.descriptors;
        let down = Region::map(down_fd.as_fd(), down::BYTES, Writer::Supervisor).unwrap();
        let up = Region::map(up_fd.as_fd(), up::BYTES, Writer::Worker).unwrap();
        let limits = InstanceLimits { memory_bytes: MEMORY_BYTES, ..InstanceLimits::default() };
        let (desk, belongings) = (Desk::new(down, up), Arc::clone(&self.belongings));
        let guest = Guest::new(desk, &limits, Vec::new().into(), belongings, &Arc::default());
        let mut store = Store::new(self.linker.engine(), guest);
        store.limiter(|guest| guest);
        let instance = self.linker.instantiate(&mut store, &self.module).unwrap();
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        World { worker: self, store, instance }
    }
}

/// A guest at work.
struct World<'a> {
    worker: &'a Worker,
    store: Store<Guest>,
    instance: Instance,
}

/// A module that passes each function on, and has a page of memory and what `more` says.
fn relay(more: &str) -> String {
    let names = [
        IMPORT_OPEN,
        IMPORT_CLOSE,
        IMPORT_REFUSAL,
        IMPORT_CELL,
        IMPORT_SLICE,
        IMPORT_OP,
        IMPORT_PUT,
        IMPORT_GET,
        IMPORT_RECORD,
        IMPORT_STAGED,
        IMPORT_WAIT,
        IMPORT_MAP,
        IMPORT_UNMAP,
    ];
    let (mut imports, mut functions) = (String::new(), String::new());
    for name in names {
        let Signature { parameters, results } = signature(name).unwrap();
        let types: Vec<&str> = parameters.iter().map(|number| number.name()).collect();
        let (types, result) = (types.join(" "), results[0].name());
        let arguments: String = (0..parameters.len()).map(|index| format!(" (local.get {index})")).collect();
        imports +=
            &format!("(import \"wasmpool\" \"{name}\" (func ${name} (param {types}) (result {result})))");
        functions += &format!(
            "(func (export \"{name}\") (param {types}) (result {result}) (call ${name}{arguments}))"
        );
    }
    format!("(module {imports} {functions} {more})")
}

const ONE_PAGE: &str = "(memory (export \"memory\") 1)";

/// A worker whose guest passes each function on.
fn relaying(grants: &[(&str, Spec, Rights)]) -> Worker {
    Worker::new(&relay(ONE_PAGE), grants)
}

impl World<'_> {
    fn try_call(&mut self, name: &str, arguments: &[i64]) -> wasmtime::Result<i64> {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let kind = function.ty(&self.store);
        assert_eq!(kind.params().len(), arguments.len(), "{name}");
        let arguments: Vec<Val> = kind
            .params()
            .zip(arguments)
            .map(|(kind, argument)| match kind {
                wasmtime::ValType::I32 => Val::I32(*argument as i32),
                _ => Val::I64(*argument),
            })
            .collect();
        let mut results = vec![Val::I64(0); kind.results().len()];
        function.call(&mut self.store, &arguments, &mut results)?;
        Ok(match results.first() {
            Some(Val::I32(result)) => i64::from(*result),
            Some(Val::I64(result)) => *result,
            _ => 0,
        })
    }

    fn call(&mut self, name: &str, arguments: &[i64]) -> i64 {
        self.try_call(name, arguments).unwrap()
    }

    fn poke(&mut self, address: u32, bytes: &[u8]) {
        let memory = self.store.data().memory.unwrap();
        memory::write(&mut self.store, memory, address, bytes).unwrap();
    }

    fn peek(&self, address: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        memory::read(&self.store, self.store.data().memory.unwrap(), address, &mut bytes).unwrap();
        bytes
    }

    fn peek_u64(&self, address: u32) -> u64 {
        u64::from_le_bytes(self.peek(address, 8).try_into().unwrap())
    }

    /// Opens whatever has this name.
    fn open(&mut self, name: &str) -> i64 {
        self.open_as(name, -1, -1)
    }

    fn open_as(&mut self, name: &str, kind: i64, element: i64) -> i64 {
        self.poke(NAME as u32, name.as_bytes());
        self.call(IMPORT_OPEN, &[NAME, name.len() as i64, kind, element])
    }

    /// Text of the last refusal.
    fn text(&mut self) -> String {
        let bytes = self.call(IMPORT_REFUSAL, &[TEXT, 2048]);
        String::from_utf8(self.peek(TEXT as u32, bytes as usize)).unwrap()
    }

    fn object(&self, number: usize) -> &Object {
        &self.worker.objects[number]
    }

    fn cell(&self, number: usize, index: u64) -> i64 {
        let Object::Cells(cells) = self.object(number) else { panic!("not cells") };
        let get = wasmpool_abi::shared::CellOp::Get;
        cells.operate(get, index, 0, 0).unwrap().unwrap() as i64
    }
}

/// Where names, texts, numbers and bytes lie in the guests' memory.
const NAME: i64 = 64;
const TEXT: i64 = 4096;
const OUT: i64 = 1024;
const BYTES: i64 = 8192;

fn no(refusal: Refusal) -> i64 {
    i64::from(refusal.status())
}
