//! A tenant: one instance of the module, and how calls are run in it.
//!
//! A worker has one module and at most one tenant at a time. The tenant stays from call to call unless the pool asks
//! for a fresh one per call; after any failure it is thrown away, whatever it was doing. The desk lives inside the
//! tenant's store while there is one, because host functions need it, and moves on when the tenant goes.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use wasmpool_abi::{Codec, FLUSH_EXPORT, INITIALIZE_EXPORT, NUMERIC_EXPORT_PREFIX, TASK_EXPORT_PREFIX};
use wasmtime::{
    Engine, Extern, ExternType, Func, Instance, InstancePre, Linker, Memory, Module, ModuleExport, Store,
    Trap, TypedFunc, ValRaw, ValType, WasmBacktrace, WasmParams,
};

use super::catalog;
use super::driver::Number;
use super::engine::{MEMORY_BYTES_MAX, WorkerLimits, worker_engine};
use super::files::Directory;
use super::guest::{self, Calls, Guest};
use super::initializer::Failed;
use super::nesting::{self, Inside, NeedsOwnEntry};
use super::shared::{self, Belongings};
use super::wasi::{self, Stop};
use super::{current, driver, driver_memory, snapshot};
use crate::channel::control::{InstanceLimits, NumericEntry, Service, TaskEntries};
use crate::channel::desk::{Desk, Input, Next};
use crate::channel::ending::{Detail, EndKind, Part};
use crate::channel::order::{Entry, Inputs, Order};
use crate::shm::object::CallEnd;
use crate::shm::region::Region;

/// Longest stretch of work that a batch claims at once; what it has claimed nobody can take from it.
const BLOCK_TIME_MAX: Duration = Duration::from_micros(5);

/// Most calls that a batch claims at once, however short they are.
const BLOCK_CALLS_MAX: u32 = 8192;

/// Maps compiled code that the supervisor has sent.
///
/// # Errors
///
/// When the code is of another engine.
pub(crate) fn map_code(engine: &Engine, file: OwnedFd) -> wasmtime::Result<Module> {
    // SAFETY: the descriptor comes from the supervisor, which got the code from its compiler process or from a cache
    // entry whose hash it checked, and sealed it, so that it cannot change while it is mapped.
    unsafe { Module::deserialize_open_file(engine, File::from(file)) }
}

/// What a worker needs to take in tenants: the loaded module and its surroundings.
pub(crate) struct House {
    engine: Engine,
    pub(super) module: InstancePre<Guest>,
    drivers: Option<Module>,
    pub(super) service: Service,
    belongings: Arc<Belongings>,
    directories: Arc<[Directory]>,
    environment: Arc<[(String, String)]>,
    /// How each task is entered, by its number.
    pub(super) entrances: Vec<Entrance>,
    /// Where an instance is copied to, when that is all that this worker is there for.
    snapshot: Option<Region>,
    memory: Option<ModuleExport>,
    initialize: Option<ModuleExport>,
    /// Where the module begins as a program.
    start: Option<ModuleExport>,
    flush: Option<ModuleExport>,
    /// Instances for calls that run on top of others, while none does.
    resting: Mutex<Vec<Tenant>>,
    /// Whether the supervisor is gone without having ended this process.
    is_abandoned: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
}

/// How a task is entered; looked up once, for all instances.
pub(super) struct Entrance {
    pub(super) pull: Option<ModuleExport>,
    pub(super) numeric: Option<Numeric>,
}

/// An export that takes and returns numbers.
pub(super) struct Numeric {
    pub(super) entry: NumericEntry,
    pub(super) export: ModuleExport,
    /// The numbers that it returns.
    results: Vec<Number>,
}

impl Entrance {
    fn of(task: &TaskEntries, module: &Module) -> Self {
        let pull = task.pull.as_ref().and_then(|name| module.get_export_index(name));
        let numeric = task.numeric.as_ref().and_then(|entry| Numeric::of(entry, module));
        Self { pull, numeric }
    }
}

impl Numeric {
    /// Nothing when the module's export is not what was said of it.
    fn of(entry: &NumericEntry, module: &Module) -> Option<Self> {
        let ExternType::Func(kind) = module.get_export(&entry.export)? else { return None };
        let parameters: Option<Vec<Number>> = kind.params().map(number).collect();
        let results: Vec<Number> = kind.results().map(number).collect::<Option<_>>()?;
        let is_as_said =
            parameters?.len() == entry.parameters as usize && results.len() == entry.results as usize;
        let export = module.get_export_index(&entry.export)?;
        is_as_said.then(|| Self { entry: entry.clone(), export, results })
    }
}

fn number(kind: ValType) -> Option<Number> {
    Some(match kind {
        ValType::I32 => Number::I32,
        ValType::I64 => Number::I64,
        ValType::F32 => Number::F32,
        ValType::F64 => Number::F64,
        _ => return None,
    })
}

/// Where a house will stand: the engine, before any of the module's code has been looked at.
pub(crate) struct Plot {
    engine: Engine,
    service: Service,
    belongings: Belongings,
    directories: Vec<Directory>,
    snapshot: Option<Region>,
}

impl Plot {
    /// Makes the engine, which asks the system many things.
    ///
    /// # Errors
    ///
    /// When the address space for the pool of instances cannot be reserved.
    pub(crate) fn new(
        service: Service,
        belongings: Belongings,
        directories: Vec<Directory>,
        snapshot: Option<Region>,
    ) -> wasmtime::Result<Self> {
        let limits = WorkerLimits {
            instance: InstanceLimits {
                // Views lie in a guest's memory beyond what it may have for itself; that limit is the store's limiter's.
                memory_bytes: if belongings.have_cells() {
                    MEMORY_BYTES_MAX
                } else {
                    service.limits.memory_bytes
                },
                ..service.limits
            },
            code: service.code,
            keep_resident_bytes: service.keep_resident_bytes as usize,
        };
        Ok(Self { engine: worker_engine(&limits)?, service, belongings, directories, snapshot })
    }

    /// Maps compiled code and links it.
    ///
    /// # Errors
    ///
    /// When the code is of another engine, or wants an import that there is not.
    pub(crate) fn build(self, module: OwnedFd, drivers: OwnedFd) -> wasmtime::Result<House> {
        let Self { engine, service, belongings, directories, snapshot } = self;
        let module = map_code(&engine, module)?;
        let drivers = if service.has_drivers { Some(map_code(&engine, drivers)?) } else { None };
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker)?;
        guest::add_to_linker(&mut linker)?;
        current::add_to_linker(&mut linker)?;
        shared::add_to_linker(&mut linker)?;
        nesting::add_to_linker(&mut linker)?;
        #[cfg(feature = "break-out")]
        super::break_out::add_to_linker(&mut linker)?;
        Ok(House {
            engine,
            drivers,
            belongings: Arc::new(belongings),
            directories: directories.into(),
            environment: service.environment.clone().into(),
            entrances: service.tasks.iter().map(|task| Entrance::of(task, &module)).collect(),
            memory: module.get_export_index("memory"),
            initialize: module.get_export_index(INITIALIZE_EXPORT),
            start: module.get_export_index(catalog::START_EXPORT),
            flush: module.get_export_index(FLUSH_EXPORT),
            module: linker.instantiate_pre(&module)?,
            snapshot,
            resting: Mutex::default(),
            is_abandoned: OnceLock::new(),
            service,
        })
    }
}

impl House {
    /// Takes in a tenant whose first call is the one that the desk has begun.
    fn take_in(
        self: &Arc<Self>,
        desk: Desk,
        order: &Order,
        depth: u32,
    ) -> Result<Tenant, Box<(Desk, EndKind, Detail)>> {
        let index = order.first + u64::from(desk.begun().unwrap_or(0));
        let (environment, belongings) = (Arc::clone(&self.environment), Arc::clone(&self.belongings));
        let guest = Guest::new(desk, &self.service.limits, environment, belongings, &self.directories);
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| guest);
        let guest = store.data_mut();
        guest.nesting.settle(self, depth);
        guest.prepare(order);
        guest.is_model = self.snapshot.is_some();
        if let Some(seed) = self.service.seed {
            // Each call has an instance of its own then, so what is set up for the instance is the call's.
            guest.replay(seed, index);
        }
        match self.instantiate(&mut store, order.entry) {
            Ok(instance) => {
                let flush = typed(&instance, &mut store, self.flush);
                let drivers_max = (self.service.limits.instances as usize).saturating_sub(1);
                let drivers = HashMap::new();
                let mut tenant =
                    Tenant { store, instance, flush, drivers, drivers_max, driver_memory: None, calls: 0 };
                match self.initialize(&mut tenant) {
                    Ok(()) => Ok(tenant),
                    Err(failed) => {
                        let (kind, detail) = told(failed, tenant.store.data_mut());
                        Err(Box::new((vacate(tenant.store), kind, detail)))
                    }
                }
            }
            Err(error) => {
                let (kind, detail) = judge(&error, store.data_mut());
                Err(Box::new((vacate(store), kind, detail)))
            }
        }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Tenant>> {
        // For the types' sake: a worker has one thread.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instantiate(&self, store: &mut Store<Guest>, entry: Entry) -> wasmtime::Result<Instance> {
        let fuel = store.data().fuel_between_calls();
        refuel(store, fuel)?;
        let instance = self.module.instantiate(&mut *store)?;
        let memory = self.memory.and_then(|export| instance.get_module_export(&mut *store, &export));
        store.data_mut().memory = memory.and_then(Extern::into_memory);
        // A program's `_start` does that by itself.
        let initialize = self.initialize.filter(|_| entry != Entry::Command);
        if let Some(initialize) = typed::<()>(&instance, store, initialize) {
            initialize.call(&mut *store, ())?;
        }
        Ok(instance)
    }
}

/// Takes an instance down. Nothing of it stays but the desk.
///
/// The guest leaves first: `into_data` lets go of the instances before it hands out the data, so that the guard of
/// mapped views, which is part of the data, would come too late.
fn vacate(mut store: Store<Guest>) -> Desk {
    store.data_mut().leave();
    store.into_data().desk
}

/// How an initializer ended, as the call that waited for it.
fn told(failed: Failed, guest: &mut Guest) -> (EndKind, Detail) {
    let (kind, detail) = match failed {
        Failed::Stopped(error) => judge(&error, guest),
        Failed::Said(kind, message) => (kind, Detail::message(message)),
    };
    (kind, Detail { part: Part::Initializer, ..detail })
}

/// Gives the guest its fuel for what comes next, where code counts any.
pub(super) fn refuel(store: &mut Store<Guest>, fuel: Option<u64>) -> wasmtime::Result<()> {
    fuel.map_or(Ok(()), |fuel| store.set_fuel(fuel))
}

/// A function of an instance, if it exports one of this kind there.
pub(super) fn typed<P: WasmParams>(
    instance: &Instance,
    store: &mut Store<Guest>,
    export: Option<ModuleExport>,
) -> Option<TypedFunc<P, ()>> {
    let function = instance.get_module_export(&mut *store, &export?)?.into_func()?;
    function.typed(&*store).ok()
}

/// One instance of the module.
pub(super) struct Tenant {
    pub(super) store: Store<Guest>,
    pub(super) instance: Instance,
    /// The guest's way to write out what it buffers.
    flush: Option<TypedFunc<(), ()>>,
    drivers: HashMap<u32, Driver>,
    /// Drivers that it keeps at most; another task beyond them costs a new tenant.
    drivers_max: usize,
    driver_memory: Option<Memory>,
    /// Calls that it has begun.
    calls: u64,
}

/// Arguments of a driver: first call, end, progress tag, addresses of inputs and results.
type PackedArguments = (i32, i32, i64, i32, i32);

/// The same for consecutive integers, with the argument of call 0 and the step.
type RangeArguments = (i32, i32, i64, i32, i32, i64, i64);

/// A task's batch driver.
#[derive(Clone)]
struct Driver {
    packed: TypedFunc<PackedArguments, ()>,
    range: Option<TypedFunc<RangeArguments, ()>>,
}

impl Tenant {
    fn desk(&mut self) -> &mut Desk {
        &mut self.store.data_mut().desk
    }

    fn is_used_up(&self, order: &Order) -> bool {
        self.store.data().is_spent()
            || (order.fresh || order.entry == Entry::Command) && self.calls > 0
            || order.recycle != 0 && self.calls >= u64::from(order.recycle)
    }

    /// Whether it can drive another task, or one that it drives already.
    fn has_room_for(&self, order: &Order) -> bool {
        order.entry != Entry::Batch
            || self.drivers.len() < self.drivers_max
            || self.drivers.contains_key(&order.task)
    }

    /// Writes out what the guest has buffered, after calls that could not do it for themselves.
    pub(super) fn write_out(&mut self) -> wasmtime::Result<()> {
        if let Some(flush) = &self.flush {
            flush.call(&mut self.store, ())?;
        }
        self.store.data_mut().finish_lines();
        Ok(())
    }
}

/// A worker's desk and, where there is one, the tenant that sits at it.
pub(crate) struct Room {
    house: Arc<House>,
    occupant: Occupant,
    /// Nanoseconds that a call of the running batch takes, at its slowest lately; zero while unknown.
    batch_call_ns: u64,
    /// How an initializer has failed in the running order: it is not tried again in that order, for each of its calls
    /// would be an attempt.
    uninitialized: Option<(EndKind, Detail)>,
    /// Calls that wait further down on this stack.
    depth: u32,
}

enum Occupant {
    Nobody(Desk),
    Tenant(Box<Tenant>),
    /// Only while one is exchanged for the other.
    Moving,
}

impl Room {
    /// A room without a tenant.
    pub(crate) fn new(house: House, desk: Desk) -> Self {
        Self {
            house: Arc::new(house),
            occupant: Occupant::Nobody(desk),
            batch_call_ns: 0,
            uninitialized: None,
            depth: 0,
        }
    }

    /// Has calls that wait for others ask this, from time to time, whether there is still anybody who would tell them.
    pub(crate) fn ask_when_waiting(&self, is_abandoned: impl Fn() -> bool + Send + Sync + 'static) {
        // Once for each house; a second question would be the same.
        let _ = self.house.is_abandoned.set(Box::new(is_abandoned));
    }

    /// Serves orders on top of a call that waits, until the one that has it go on; returns the desk with that one.
    ///
    /// Each such call has a room of its own, and so an instance of its own, which rests between two waits.
    pub(super) fn help(house: &Arc<House>, desk: Desk, depth: u32) -> Desk {
        let resting = house.resting().pop();
        let occupant = match resting {
            Some(mut tenant) => {
                let guest = tenant.store.data_mut();
                guest.desk = desk;
                guest.nesting.settle(house, depth);
                Occupant::Tenant(Box::new(tenant))
            }
            None => Occupant::Nobody(desk),
        };
        let mut room =
            Self { house: Arc::clone(house), occupant, batch_call_ns: 0, uninitialized: None, depth };
        loop {
            match room.desk().next() {
                Next::Order(order) if order.resumes => return room.leave(),
                Next::Order(order) => room.run(&order),
                Next::Nothing if house.is_abandoned.get().is_some_and(|ask| ask()) => std::process::exit(0),
                Next::Nothing => {}
            }
        }
    }

    /// Gives the desk back; the tenant rests.
    fn leave(mut self) -> Desk {
        match std::mem::replace(&mut self.occupant, Occupant::Moving) {
            Occupant::Tenant(mut tenant) => {
                let desk = tenant.desk().lend();
                self.house.resting().push(*tenant);
                desk
            }
            Occupant::Nobody(desk) => desk,
            Occupant::Moving => unreachable!("a tenant is exchanged within one function"),
        }
    }

    /// The desk, whoever sits at it.
    pub(crate) fn desk(&mut self) -> &mut Desk {
        match &mut self.occupant {
            Occupant::Nobody(desk) => desk,
            Occupant::Tenant(tenant) => tenant.desk(),
            Occupant::Moving => unreachable!("a tenant is exchanged within one function"),
        }
    }

    /// Runs all calls of an order that the worker gets hold of, and ends its chunk.
    pub(crate) fn run(&mut self, order: &Order) {
        if let Occupant::Tenant(tenant) = &mut self.occupant {
            tenant.store.data_mut().prepare(order);
        }
        self.uninitialized = None;
        match order.entry {
            _ if self.house.snapshot.is_some() => self.run_snapshot(order),
            Entry::Batch => self.run_batch(order),
            Entry::Each => self.run_each(order),
            Entry::Pull(codec) => self.run_pull(order, codec),
            Entry::Command => self.run_command(order),
        }
        self.desk().end_chunk();
    }

    /// The tenant for the next call: the one who is here, or a new one.
    fn tenant(&mut self, order: &Order) -> Result<&mut Tenant, (EndKind, Detail)> {
        if matches!(&self.occupant, Occupant::Tenant(tenant) if tenant.is_used_up(order) || !tenant.has_room_for(order))
        {
            self.evict();
        }
        if let Occupant::Nobody(_) = &self.occupant {
            if let Some(failed) = &self.uninitialized {
                return Err(failed.clone());
            }
            let Occupant::Nobody(desk) = std::mem::replace(&mut self.occupant, Occupant::Moving) else {
                unreachable!("looked at just now")
            };
            match self.house.take_in(desk, order, self.depth) {
                Ok(tenant) => self.occupant = Occupant::Tenant(Box::new(tenant)),
                Err(failed) => {
                    let (desk, kind, detail) = *failed;
                    self.occupant = Occupant::Nobody(desk);
                    if detail.part == Part::Initializer {
                        self.uninitialized = Some((kind, detail.clone()));
                    }
                    return Err((kind, detail));
                }
            }
        }
        match &mut self.occupant {
            Occupant::Tenant(tenant) => Ok(tenant),
            _ => unreachable!("taken in just now"),
        }
    }

    /// Throws the tenant out. Nothing of it stays but the desk.
    fn evict(&mut self) {
        if let Occupant::Tenant(_) = &self.occupant
            && let Occupant::Tenant(tenant) = std::mem::replace(&mut self.occupant, Occupant::Moving)
        {
            self.occupant = Occupant::Nobody(vacate(tenant.store));
        }
    }

    /// Takes the measure of an error, throws the tenant out, and says how the call ended.
    fn fail(&mut self, error: &wasmtime::Error) -> (EndKind, Vec<u8>) {
        let (kind, detail) = match &mut self.occupant {
            Occupant::Tenant(tenant) => judge(error, tenant.store.data_mut()),
            _ => (EndKind::Trapped, Detail::message(error.to_string())),
        };
        self.evict();
        (kind, travelling(&detail))
    }

    /// Runs no task: takes in a tenant, whose initializer runs, and copies what it has become.
    fn run_snapshot(&mut self, order: &Order) {
        let house = Arc::clone(&self.house);
        while let Some(claimed) = self.desk().claim(|_| 1) {
            let call = claimed.start;
            self.desk().begin(call);
            let copied = self.tenant(order).and_then(|tenant| {
                let copied = house.snapshot.as_ref().map_or(Ok(()), |region| tenant.copy_to(&house, region));
                copied.map_err(|failed| told(failed, tenant.store.data_mut()))
            });
            match copied {
                Ok(()) => self.desk().end(call, EndKind::Returned, &[], 0),
                Err((kind, detail)) => self.desk().end(call, kind, &travelling(&detail), 0),
            }
            self.evict();
        }
    }

    fn run_pull(&mut self, order: &Order, codec: Codec) {
        let export = self.house.entrances[order.task as usize].pull;
        while let Some(claimed) = self.desk().claim(|_| 1) {
            let call = claimed.start;
            // Named already here, because taking in a tenant runs guest code.
            self.desk().begin(call);
            let entered = match self.tenant(order) {
                Err((kind, detail)) => {
                    self.desk().end(call, kind, &travelling(&detail), 0);
                    continue;
                }
                Ok(tenant) => tenant.enter_pull(order, codec, call, export),
            };
            let Occupant::Tenant(tenant) = &mut self.occupant else {
                unreachable!("it was entered just now")
            };
            let pull = &mut tenant.store.data_mut().pull;
            let unfinished = pull.claimed.take().or(pull.running.take());
            let error = match (entered, unfinished) {
                (Ok(()), None) => continue,
                (Ok(()), Some(_)) => wasmtime::Error::msg("the task returned before it ended its call"),
                (Err(error), _) => error,
            };
            let (kind, detail) = self.fail(&error);
            // A trap between two calls is nobody's: it only costs the instance.
            if let Some(call) = unfinished {
                self.desk().end(call, kind, &detail, 0);
            }
        }
    }

    fn run_each(&mut self, order: &Order) {
        let house = Arc::clone(&self.house);
        let task = house.entrances[order.task as usize].numeric.as_ref();
        while let Some(claimed) = self.desk().claim(|_| 1) {
            let call = claimed.start;
            self.desk().begin(call);
            let result = match (self.tenant(order), task) {
                (Err((kind, detail)), _) => Err((kind, travelling(&detail))),
                (Ok(_), None) => Err(self.fail(&not_numeric())),
                (Ok(tenant), Some(task)) => match tenant.call_each(task, call) {
                    Ok(cells) => Ok(cells),
                    Err(error) => Err(self.fail(&error)),
                },
            };
            // Another number than before, if it has waited for other calls.
            let call = self.desk().begun().unwrap_or(call);
            match (result, &mut self.occupant) {
                (Ok(cells), Occupant::Tenant(tenant)) => {
                    tenant.store.data_mut().end(call, EndKind::Returned, cells.as_flattened());
                }
                (Ok(_), _) => unreachable!("the tenant that returned is here"),
                (Err((kind, detail)), _) => self.desk().end(call, kind, &detail, 0),
            }
        }
    }

    fn run_command(&mut self, order: &Order) {
        let start = self.house.start;
        while let Some(claimed) = self.desk().claim(|_| 1) {
            let call = claimed.start;
            self.desk().begin(call);
            let result = match self.tenant(order) {
                Err((kind, detail)) => Err((kind, travelling(&detail))),
                Ok(tenant) => match tenant.run_program(start, call) {
                    Ok(stdout) => Ok(stdout),
                    Err(error) => Err(self.fail(&error)),
                },
            };
            match (result, &mut self.occupant) {
                (Ok(stdout), Occupant::Tenant(tenant)) => {
                    tenant.store.data_mut().end(call, EndKind::Returned, &stdout);
                }
                (Ok(_), _) => unreachable!("the tenant that returned is here"),
                (Err((kind, detail)), _) => self.desk().end(call, kind, &detail, 0),
            }
        }
    }

    fn run_batch(&mut self, order: &Order) {
        let house = Arc::clone(&self.house);
        let task = house.entrances[order.task as usize].numeric.as_ref().map(|numeric| &numeric.entry);
        let results = task.map_or(0, |task| task.results as usize);
        self.desk().set_cells(results);
        self.batch_call_ns = 0;
        while let Some(block) = self.claim_block() {
            let mut next = block.start;
            while next < block.end {
                match self.run_block(order, task, next..block.end) {
                    Ok(()) => next = block.end,
                    Err((call, kind, detail)) => {
                        // Everything below has ended, and the one that failed is told apart by its record.
                        self.desk().finish(call);
                        self.desk().fail_in_batch(call, kind, &detail, results);
                        next = call + 1;
                    }
                }
            }
            self.desk().finish(block.end);
            self.desk().rest();
        }
    }

    fn claim_block(&mut self) -> Option<std::ops::Range<u32>> {
        let affordable = block_calls(self.batch_call_ns);
        self.desk().claim(|rest| affordable.min(rest.div_ceil(2)))
    }

    /// Runs a stretch of a batch; tells which call failed, and how.
    fn run_block(
        &mut self,
        order: &Order,
        task: Option<&NumericEntry>,
        calls: std::ops::Range<u32>,
    ) -> Result<(), (u32, EndKind, Vec<u8>)> {
        self.desk().begin(calls.start);
        let started = Instant::now();
        let house = Arc::clone(&self.house);
        let ran = match self.tenant(order) {
            Err((kind, detail)) => return Err((calls.start, kind, travelling(&detail))),
            Ok(tenant) => tenant.drive(&house, order, task, calls.clone()),
        };
        let Err(error) = ran else {
            let ns = (started.elapsed().as_nanos() as u64 / calls.len() as u64).max(1);
            // It forgets a slow block by a quarter at a time.
            self.batch_call_ns = ns.max(self.batch_call_ns - self.batch_call_ns / 4);
            return Ok(());
        };
        let call = self.desk().begun().filter(|call| calls.contains(call)).unwrap_or(calls.start);
        let (kind, detail) = self.fail(&error);
        Err((call, kind, detail))
    }
}

impl Tenant {
    /// Copies the instance's memories and globals, if they are all that there is of it.
    fn copy_to(&mut self, house: &House, region: &Region) -> Result<(), Failed> {
        if self.store.data().has_other_files() {
            let text = "it left files open, or closed a granted directory, which no snapshot can hold: close what it \
                        opens, or leave the snapshot away";
            return Err(Failed::Said(EndKind::Failed, text.to_owned()));
        }
        let copied = snapshot::copy(&mut self.store, &self.instance, house.module.module(), region);
        copied.map_err(|reason| Failed::Said(EndKind::Failed, reason))
    }

    fn enter_pull(
        &mut self,
        order: &Order,
        codec: Codec,
        call: u32,
        export: Option<ModuleExport>,
    ) -> wasmtime::Result<()> {
        let entry = typed::<i32>(&self.instance, &mut self.store, export);
        let entry = entry.ok_or_else(|| wasmtime::Error::msg("the task has no pull-loop entry"))?;
        let pull = &mut self.store.data_mut().pull;
        pull.codec = codec;
        pull.claimed = Some(call);
        pull.running = None;
        let left = match (order.fresh, order.recycle) {
            (true, _) => 1,
            (false, 0) => u64::MAX,
            (false, most) => u64::from(most).saturating_sub(self.calls).max(1),
        };
        pull.calls_left = left;
        let fuel = self.store.data().fuel_between_calls();
        refuel(&mut self.store, fuel)?;
        let result = entry.call(&mut self.store, codec as i32);
        if result.is_ok() && self.store.data().pull.running.is_none() {
            // What was opened after the last call had ended.
            self.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
        }
        self.calls += left - std::mem::take(&mut self.store.data_mut().pull.calls_left);
        result
    }

    /// Calls an export of numbers once.
    fn call_each(&mut self, task: &Numeric, call: u32) -> wasmtime::Result<Vec<[u8; 8]>> {
        self.calls += 1;
        self.store.data_mut().begin(call);
        let fuel = self.store.data().fuel;
        refuel(&mut self.store, fuel)?;
        let function = self.instance.get_module_export(&mut self.store, &task.export);
        let function = function.and_then(Extern::into_func).ok_or_else(not_numeric)?;
        let mut values = self.arguments(&task.entry, call);
        self.store.data_mut().nesting.inside = Inside::Export;
        let results = self.call_raw(&function, task, &mut values);
        self.store.data_mut().nesting.inside = Inside::PullLoop;
        let results = results?;
        self.write_out()?;
        self.store.data_mut().end_sharing(CallEnd::Normal, Calls::Entered);
        Ok(results)
    }

    /// Runs the module as a program, to its end; returns what it wrote to stdout.
    fn run_program(&mut self, start: Option<ModuleExport>, call: u32) -> wasmtime::Result<Vec<u8>> {
        self.calls += 1;
        let guest = self.store.data_mut();
        guest.begin(call);
        guest.start_program(call)?;
        let fuel = guest.fuel;
        refuel(&mut self.store, fuel)?;
        let start = typed::<()>(&self.instance, &mut self.store, start).ok_or_else(|| {
            wasmtime::Error::msg("the module has no _start, and cannot be run as a program")
        })?;
        match start.call(&mut self.store, ()) {
            Err(error) if error.downcast_ref() != Some(&Stop::Exit(0)) => return Err(error),
            _ => {}
        }
        let guest = self.store.data_mut();
        guest.end_sharing(CallEnd::Normal, Calls::Entered);
        Ok(guest.end_program())
    }

    fn arguments(&mut self, entry: &NumericEntry, call: u32) -> Vec<ValRaw> {
        let parameters = entry.parameters as usize;
        let cells = match self.desk().input(call, parameters) {
            Input::Number(number) => vec![number.to_le_bytes()],
            Input::Bytes { offset, .. } => {
                let mut cells = vec![[0; 8]; parameters];
                self.desk().regions().0.read(offset, cells.as_flattened_mut());
                cells
            }
        };
        let mut values: Vec<_> =
            cells.into_iter().map(|cell| ValRaw::u64(u64::from_le_bytes(cell))).collect();
        values.resize(parameters.max(entry.results as usize), ValRaw::u64(0));
        values
    }

    pub(super) fn call_raw(
        &mut self,
        function: &Func,
        task: &Numeric,
        values: &mut [ValRaw],
    ) -> wasmtime::Result<Vec<[u8; 8]>> {
        assert!(values.len() >= (task.entry.parameters as usize).max(task.results.len()));
        let raw: *mut [ValRaw] = values;
        // SAFETY: the function belongs to this store and is the module's export of this task, whose type was compared
        // with the task's numbers of parameters and results when the house was opened; there is room for both, as just
        // asserted; and all of them are numbers, for which every bit pattern is a value.
        unsafe { function.call_unchecked(&mut self.store, raw) }?;
        let cells = task.results.iter().zip(values.iter()).map(|(kind, value)| match kind {
            Number::I32 => i64::from(value.get_i32()) as u64,
            Number::F32 => u64::from(value.get_f32()),
            Number::I64 | Number::F64 => value.get_u64(),
        });
        Ok(cells.map(u64::to_le_bytes).collect())
    }

    /// Runs a stretch of a batch in its driver.
    fn drive(
        &mut self,
        house: &House,
        order: &Order,
        task: Option<&NumericEntry>,
        calls: std::ops::Range<u32>,
    ) -> wasmtime::Result<()> {
        if house.belongings.len() > 0 {
            // A driver cannot tell where one call ends, so what it holds of shared objects would never be let go.
            return Err(wasmtime::Error::msg("calls that share objects were ordered in a batch"));
        }
        let task = task.ok_or_else(not_numeric)?;
        let driver = self.driver(house, order.task, task)?;
        self.calls += calls.len() as u64;
        let slot = order.slot();
        let (from, to) = (calls.start as i32, calls.end as i32);
        let tag = self.desk().progress_tag();
        let (inputs, results) = (driver_memory::inputs(slot), driver_memory::results(slot));
        self.store.data_mut().begin(calls.start);
        self.store.data_mut().nesting.inside = Inside::Batch;
        let driven = match order.inputs {
            Inputs::Range { start } => {
                let range = driver.range.as_ref().ok_or_else(not_numeric)?;
                range.call(&mut self.store, (from, to, tag, inputs, results, start, 1))
            }
            Inputs::Cells | Inputs::Blobs => {
                driver.packed.call(&mut self.store, (from, to, tag, inputs, results))
            }
        };
        self.store.data_mut().nesting.inside = Inside::PullLoop;
        driven?;
        self.write_out()
    }

    /// The driver of a task, bound to this instance.
    fn driver(&mut self, house: &House, task: u32, entry: &NumericEntry) -> wasmtime::Result<Driver> {
        if let Some(driver) = self.drivers.get(&task) {
            return Ok(driver.clone());
        }
        self.store.data_mut().looks_away = true;
        let driver = self.bind_driver(house, entry);
        self.store.data_mut().looks_away = false;
        let driver = driver?;
        self.drivers.insert(task, driver.clone());
        Ok(driver)
    }

    fn bind_driver(&mut self, house: &House, entry: &NumericEntry) -> wasmtime::Result<Driver> {
        let (Some(number), Some(module)) = (entry.driver, &house.drivers) else { return Err(not_numeric()) };
        let memory = match self.driver_memory {
            Some(memory) => memory,
            None => self.make_driver_memory()?,
        };
        let mut imports = vec![memory.into()];
        for (index, stand_in) in house.service.stand_ins.iter().enumerate() {
            let export = if index == usize::from(number) { &entry.export } else { stand_in };
            let function = self.instance.get_func(&mut self.store, export).ok_or_else(not_numeric)?;
            imports.push(function.into());
        }
        let instance = Instance::new(&mut self.store, module, &imports)?;
        let packed = instance.get_typed_func(&mut self.store, &format!("packed{number}"))?;
        let range = instance.get_typed_func(&mut self.store, &format!("range{number}")).ok();
        Ok(Driver { packed, range })
    }

    fn make_driver_memory(&mut self) -> wasmtime::Result<Memory> {
        let (down, up) = self.desk().regions();
        let (down, up) = (Arc::clone(down), Arc::clone(up));
        let memory = driver_memory::create(&mut self.store, &down, &up)?;
        self.driver_memory = Some(memory);
        Ok(memory)
    }
}

pub(super) fn not_numeric() -> wasmtime::Error {
    wasmtime::Error::msg("the task's export does not take and return numbers as its module said")
}

fn travelling(detail: &Detail) -> Vec<u8> {
    let mut bytes = Vec::new();
    detail.write(&mut bytes);
    bytes
}

/// How many calls make a block, when one takes about this long; one while nothing is known.
fn block_calls(call_ns: u64) -> u32 {
    match call_ns {
        0 => 1,
        ns => (BLOCK_TIME_MAX.as_nanos() as u64 / ns).clamp(1, u64::from(BLOCK_CALLS_MAX)) as u32,
    }
}

/// How a call ended that ended in an error.
fn judge(error: &wasmtime::Error, guest: &mut Guest) -> (EndKind, Detail) {
    guest.keep_accounts();
    let frames = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    let frames = if guest.panic.is_some() { behind_the_panic(&frames) } else { &frames };
    let backtrace = numbered(frames);
    let with =
        |code, message: String| Detail { code, message, backtrace: backtrace.clone(), ..Detail::default() };
    if let Some(needs) = error.downcast_ref::<NeedsOwnEntry>() {
        return (EndKind::Nests, Detail::message(needs.to_string()));
    }
    match error.downcast_ref::<Stop>() {
        Some(Stop::Exit(code)) => {
            // To a program that is an end like any other, and its author looks for no stack.
            let backtrace = if guest.is_program() { String::new() } else { backtrace };
            let with = |code, message| Detail { code, message, backtrace, ..Detail::default() };
            return (EndKind::Exited, with(*code as i32, format!("exited with code {}", *code as i32)));
        }
        Some(stop @ Stop::OutputTooLarge) => {
            let text = format!("{stop} (at most {} bytes a call)", guest.printed.most);
            return (EndKind::OutputTooLarge, with(0, text));
        }
        Some(stop @ Stop::ResultTooLarge) => {
            let most = guest.desk.result_bytes_max();
            let text = format!("{stop}: more than {most} bytes on stdout");
            return (EndKind::ResultTooLarge, with(0, text));
        }
        _ => {}
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let text = format!("out of fuel: it had {} units", guest.fuel.unwrap_or(0));
            return (EndKind::OutOfFuel, with(0, text));
        }
        Some(Trap::StackOverflow) => {
            let text = format!("stack overflow: it may have {} bytes of stack", guest.stack_bytes_max);
            return (EndKind::StackOverflow, with(0, text));
        }
        _ => {}
    }
    if let Some(message) = guest.panic.take() {
        return (EndKind::Panicked, with(0, message));
    }
    if guest.memory_limit.was_refused {
        let text = format!("out of memory: it may have {} bytes and wanted more", guest.memory_limit.most());
        return (EndKind::OutOfMemory, with(0, text));
    }
    if guest.table_limit.was_refused {
        let most = guest.table_limit.most();
        let text = format!("out of tables: it may have {most} elements of tables and wanted more");
        return (EndKind::OutOfTables, with(0, text));
    }
    let mut message = error.root_cause().to_string();
    let is_fault = error.downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds);
    if is_fault && guest.shared.views().have_been() {
        message.push_str("; a store to a view for reading, or to where a view was, is one, too");
    }
    (EndKind::Trapped, with(0, message))
}

/// Names of the functions on the stack, innermost first, without the driver below them.
fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let of_guest = |frame: &&wasmtime::FrameInfo| frame.module().name() != Some(driver::NAME);
    let name = |frame: &wasmtime::FrameInfo| {
        frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled)
    };
    backtrace.frames().iter().filter(of_guest).map(name).collect()
}

/// Where a panic began: without the frames by which the standard library reports it.
fn behind_the_panic(frames: &[String]) -> &[String] {
    const REPORTING: [&str; 6] = [
        "core::panicking::",
        "std::panicking::",
        "core::option::",
        "core::result::",
        "std::sys::",
        "__rustc::",
    ];
    let is_reporting = |name: &String| REPORTING.iter().any(|start| name.starts_with(start));
    frames.iter().rposition(is_reporting).map_or(frames, |last| &frames[last + 1..])
}

fn numbered(frames: &[String]) -> String {
    let lines: Vec<String> =
        frames.iter().enumerate().map(|(number, name)| format!("{number}: {name}")).collect();
    lines.join("\n")
}

/// A function's name as its author wrote it, without the hash that the compiler appends, and without the prefix under
/// which the SDK exports a task.
fn demangled(name: &str) -> String {
    let task = name.strip_prefix(TASK_EXPORT_PREFIX).or_else(|| name.strip_prefix(NUMERIC_EXPORT_PREFIX));
    format!("{:#}", rustc_demangle::demangle(task.unwrap_or(name)))
}
