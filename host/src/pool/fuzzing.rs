//! Fuzz targets: what a worker writes in the course of a chunk, and what its results are decoded from.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wasmpool_abi::Codec;

use super::chunk::Chunk;
use super::compile::Origin;
use super::decode::ResultForm;
use super::gather::Gather;
use super::job::{Job, Terms, Work};
use super::module::{Artifact, ModuleState};
use super::outcome::{Failure, FailureKind};
use super::priority::Priority;
use super::running::Running;
use super::sink::Sink;
use super::source::Integers;
use crate::channel::control::{CodeKind, InstanceLimits, Service};
use crate::channel::desk::failures_start;
use crate::channel::ending::{BACKTRACE_BYTES_MAX, EndKind, MESSAGE_BYTES_MAX};
use crate::channel::layout::{ENTRY_BYTES, PAGE, RING_BYTES, VALUE_BYTES_MAX, tagged, up};
use crate::channel::order::{Entry, Inputs, Order};
use crate::channel::post::Post;
use crate::channel::ring::{self, LINE_BYTES_MAX};
use crate::fuzzing::Bytes;
use crate::process::child::Exit;
use crate::sandbox::driver::Number;
use crate::schedule::back_off::BackOff;
use crate::shm::region::{Region, Writer};

/// Deepest nesting of results here.
const DEPTH_MAX: u32 = 128;

/// Most steps of a run.
const STEPS_MAX: usize = 96;

/// How far into the results a worker writes here.
const RESULTS_BYTES: usize = 1 << 16;

const GENERATION: u32 = 2;
const SLOT: usize = 0;

/// A supervisor's end and a worker's.
struct Stage {
    post: Post,
    worker: Region,
    module: Arc<ModuleState>,
}

thread_local! {
    static STAGE: Stage = Stage::new();
}

impl Stage {
    fn new() -> Self {
        let (post, [_, up_fd]) = Post::create().expect("two regions");
        let worker = Region::map(up_fd.as_fd(), up::BYTES, Writer::Worker).expect("a mapping");
        let text = br#"(module (func (export "f") (param i64) (result i64) (local.get 0)))"#;
        let (_, catalog) = super::read_catalog("fuzz", text, u64::MAX).expect("a module");
        let nothing = || OwnedFd::from(File::open("/dev/null").expect("there is always nothing"));
        let artifact = Artifact { module: nothing(), drivers: nothing(), has_drivers: false };
        let service = Service {
            has_drivers: false,
            limits: InstanceLimits::default(),
            code: CodeKind::default(),
            seed: None,
            keep_resident_bytes: 0,
            environment: Vec::new(),
            tasks: Vec::new(),
            stand_ins: Vec::new(),
            initializer: None,
            grants: Vec::new(),
            directories: Vec::new(),
        };
        let module = ModuleState::new(
            "fuzz".into(),
            catalog,
            artifact,
            service,
            Arc::default(),
            Origin::default(),
            Arc::default(),
        )
        .expect("a module's files");
        Self { post, worker, module }
    }

    /// As a new worker finds it.
    fn clear(&self) {
        self.worker.write(0, &[0; PAGE]);
        self.worker.write(up::RING, &vec![0; RING_BYTES]);
        self.worker.write(up::results(SLOT), &vec![0; RESULTS_BYTES]);
    }

    fn job(&self, entry: Entry, retries: u32, count: u32) -> Arc<Job> {
        let terms = Terms {
            time_max: None,
            deadline: None,
            fuel: None,
            retries,
            lost_retries: 0,
            back_off: BackOff::default(),
            priority: Priority::Normal,
            stop_on_failure: false,
            fresh: false,
            recycle: 0,
            timed: false,
            printed_bytes_max: 0,
            result_bytes_max: VALUE_BYTES_MAX as u64,
            result_depth_max: DEPTH_MAX,
        };
        let module = Arc::clone(&self.module);
        let work = Work { module, task: 0, entry, width: 1, terms, look_ahead: u64::MAX };
        let room = count as usize;
        let sink: Arc<dyn Sink> = match entry {
            Entry::Pull(_) => Arc::new(
                Gather::<String>::new(room, ResultForm::MessagePack { depth_max: DEPTH_MAX }).expect("room"),
            ),
            _ => Arc::new(Gather::<i64>::new(room, ResultForm::Numbers(vec![Number::I64])).expect("room")),
        };
        let job = Job::new(work, Box::new(Integers { start: 0 }), sink);
        job.announce(count.into(), true);
        job
    }

    fn post(&self, entry: Entry, count: u32) {
        let inputs = Inputs::Range { start: 0 };
        let order = Order {
            generation: GENERATION,
            task: 0,
            count,
            entry,
            inputs,
            fresh: false,
            recycle: 0,
            resumes: false,
            hot: false,
            timed: false,
            printed_bytes_max: 0,
            result_bytes_max: VALUE_BYTES_MAX as u64,
            fuel: None,
            first: 0,
            job: 1,
            attempt: 1,
        };
        self.post.send(&order);
    }
}

/// One chunk from its posting to its worker's burial, with a worker that writes anything in between.
///
/// Each call is in exactly one place all the time, and settled exactly once in the end.
pub(crate) fn chunk(data: &[u8]) {
    STAGE.with(|stage| {
        let mut bytes = Bytes::new(data);
        let entry = [Entry::Batch, Entry::Each, Entry::Pull(Codec::MessagePack)][usize::from(bytes.u8() % 3)];
        let count = 1 + u32::from(bytes.u8());
        stage.clear();
        let job = stage.job(entry, u32::from(bytes.u8() % 3), count);
        stage.post(entry, count);
        let mut run = Run {
            stage,
            running: Running::new(GENERATION, Arc::clone(&job), entry, 0, count),
            lines: ring::Reader::default(),
            elsewhere: Vec::new(),
        };
        for _ in 0..STEPS_MAX {
            if bytes.is_empty() || run.step(&mut bytes).is_err() {
                break;
            }
        }
        run.bury();
        assert!(job.wait(Some(Duration::ZERO)), "a call was lost");
    });
}

/// A chunk under way.
struct Run<'a> {
    stage: &'a Stage,
    running: Running,
    lines: ring::Reader,
    /// Calls that are not with the worker any more and not settled.
    elsewhere: Vec<Chunk>,
}

impl Run<'_> {
    /// What worker or supervisor does next; an error when the supervisor has found the worker out.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Result<(), crate::channel::post::Lie> {
        let (post, worker) = (&self.stage.post, &self.stage.worker);
        let word = |at: usize, value: u64| worker.word64(at).store(value, Ordering::Relaxed);
        match bytes.u8() % 18 {
            0 => word(8 * (usize::from(bytes.u16()) % (PAGE / 8)), bytes.u64()),
            1 | 2 => word(up::finished(SLOT), tagged(GENERATION, bytes.u16().into())),
            3 => {
                let calls = u64::from(bytes.u16()) << 24 | u64::from(bytes.u16());
                word(up::range(SLOT), u64::from(GENERATION) << 48 | calls);
            }
            4 => {
                let at = usize::from(bytes.u16()) % (RESULTS_BYTES - 256);
                worker.write(up::results(SLOT) + at, bytes.short());
            }
            5 | 6 => self.write_head(bytes),
            7 => word(up::failure_bytes(SLOT), bytes.u16().into()),
            8 => {
                let at = usize::from(bytes.u16()) % (RING_BYTES - 256);
                worker.write(up::RING + at, bytes.short());
            }
            9 => word(up::RING_WRITTEN, bytes.u32().into()),
            10 => word(up::PROGRESS, tagged(GENERATION, bytes.u16().into())),
            11 => word(up::full(SLOT), tagged(GENERATION, bytes.u16().into())),
            12 | 13 => {
                let finished = post.finished(GENERATION, u32::MAX);
                self.running.take(finished, post, 0, &mut self.elsewhere)?;
            }
            14 => self.running.free_room(post),
            15 => {
                let wanted = u32::from(bytes.u16());
                let before = self.running.ledger.outstanding();
                if let Some(chunk) = self.running.cut(post, |rest| wanted.min(rest)) {
                    let calls = chunk.calls();
                    assert!(calls.end == u64::from(before.end) && calls.start >= u64::from(before.start));
                    self.elsewhere.push(chunk);
                }
            }
            16 => {
                let mut drained = 0;
                post.drain(&mut self.lines, |_, line| {
                    assert!(line.len() <= LINE_BYTES_MAX);
                    drained += line.len();
                })?;
                assert!(drained <= RING_BYTES, "{drained} bytes out of the ring");
            }
            _ => {
                self.running.check_end()?;
                self.running.drop_unwanted(post);
                self.running.teach(post.busy_ns(GENERATION));
                let _ = (self.running.wants_room(post), self.running.rest(post), post.sleep().grant());
            }
        }
        Ok(())
    }

    /// The head of a call's result, or of a batch's failure record.
    fn write_head(&self, bytes: &mut Bytes<'_>) {
        let (place, kind, length, rest) = (bytes.u8(), bytes.u8() % 9, bytes.u16(), bytes.u16());
        let start = match self.running.job.work.entry {
            Entry::Batch => failures_start(self.running.count, 1),
            Entry::Each | Entry::Pull(_) | Entry::Command => 0,
        };
        let mut head = [0; ENTRY_BYTES];
        head[0] = kind;
        head[4..6].copy_from_slice(&length.to_le_bytes());
        head[8..10].copy_from_slice(&rest.to_le_bytes());
        self.stage.worker.write(up::results(SLOT) + start + usize::from(place) * ENTRY_BYTES, &head);
    }

    /// What the supervisor does when the worker is dead.
    fn bury(mut self) {
        let post = &self.stage.post;
        let named = post.progress().filter(|(generation, _)| *generation == GENERATION).map(|(_, call)| call);
        let _ = self.running.take(post.finished(GENERATION, u32::MAX), post, 0, &mut self.elsewhere);
        if let (Entry::Batch, Some(call)) = (self.running.job.work.entry, named) {
            self.running.take_until(call, post, 0, &mut self.elsewhere);
        }
        let burial = self.running.ledger.bury(self.running.ledger.outstanding().start, named);
        if let Some(call) = burial.charged {
            let lost = FailureKind::WorkerLost(Exit::Unknown);
            self.running.fail(Failure::new(self.running.index(call), lost, ""), 0, &mut self.elsewhere);
        }
        for untouched in burial.untouched {
            if !untouched.is_empty() {
                self.elsewhere.push(self.running.chunk(untouched));
            }
        }
        // Dropped, they are settled; a call that is settled twice is found by the job.
    }
}

/// Chunks that end well, and one that fails.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let take = |count: u16| [&[1][..], &count.to_le_bytes(), &[12]].concat();
    let head = |place: u8, kind: EndKind, length: u16, call: u16| {
        [&[5, place, kind as u8][..], &length.to_le_bytes(), &call.to_le_bytes()].concat()
    };
    let text = |at: u16, bytes: &[u8]| [&[4][..], &at.to_le_bytes(), &[bytes.len() as u8], bytes].concat();
    let line = [&[8, 0, 0, 6, 2, 0, 0, 0, b'h', b'i', 9, 6, 0, 0, 0, 16][..]].concat();
    let entries = 4 * ENTRY_BYTES as u16;
    let detail = [&7i32.to_le_bytes()[..], &4u32.to_le_bytes(), b"oops0: f"].concat();
    let pulled = [
        vec![2, 3, 1],
        head(0, EndKind::Returned, 3, 0),
        head(1, EndKind::Failed, detail.len() as u16, 0),
        text(entries, &[b"\xa2ab", &detail[..]].concat()),
        take(1),
        line.clone(),
        take(2),
        vec![15, 1, 0, 10, 4, 0],
    ];
    let batch = [
        vec![0, 9, 0],
        head(0, EndKind::Trapped, 0, 2),
        vec![7, 16, 0],
        take(5),
        vec![3, 6, 0, 10, 0, 15, 2, 0, 14, 17],
        take(10),
    ];
    let each = [vec![1, 1, 0], head(0, EndKind::Returned, 8, 0), take(1), vec![11, 1, 0, 14], line, take(2)];
    vec![pulled.concat(), batch.concat(), each.concat()]
}

/// Results and details of any bytes: decoded as several types, or refused.
pub(crate) fn results(data: &[u8]) {
    drop(super::decode::from_message_pack::<serde_json::Value>(data, DEPTH_MAX));
    drop(super::decode::from_message_pack::<Vec<String>>(data, DEPTH_MAX));
    drop(super::decode::from_message_pack::<(i64, Option<f64>, bool)>(data, DEPTH_MAX));
    let cells = data.as_chunks().0;
    for numbers in [&[][..], &[Number::I64], &[Number::F32, Number::I32]] {
        drop(super::cells::read::<serde_json::Value>(cells, numbers));
        drop(super::cells::read::<(f32, i32)>(cells, numbers));
    }
    for kind in (0..9).filter_map(EndKind::from_code) {
        let told = Failure::told(0, kind, data, Some("f"));
        // Each byte that is no text has become a character of three.
        assert!(told.message().len() <= 3 * MESSAGE_BYTES_MAX);
        assert!(told.backtrace().len() <= 3 * BACKTRACE_BYTES_MAX);
        assert!(told.brief().to_string().len() <= 1024);
    }
}
