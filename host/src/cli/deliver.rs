//! From a job's results to stdout: the sink behind every verb that makes calls.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::cells::write_cells;
use super::output::{Call, Ended, Format, ResultStream, Shape, Strings, failure_line};
use super::{json, say};
use crate::pool::sink::{Form, Results, Sink};
use crate::pool::{Failure, FailureKind, ending};
use crate::sandbox::driver::Number;

/// Bytes of results that may wait for a slow reader; beyond them no further calls are started.
const HELD_BYTES_MAX: u64 = 64 << 20;

/// Calls whose cells are copied out of shared memory at a time.
const CALLS_AT_ONCE: usize = 1 << 12;

/// Writes results and failures, each call's in its place.
pub(super) struct Delivery {
    /// Open from before the job is announced until its output is ended. A feeder may come with results afterwards when
    /// the job was ended before its time; they are dropped.
    stream: RwLock<Option<ResultStream>>,
    format: Format,
    /// What result cells mean, for tasks of numbers.
    numbers: Option<Vec<Number>>,
    /// Deepest nesting of a result.
    depth_max: usize,
    /// Results are what programs wrote to stdout, of any bytes.
    are_texts: bool,
}

impl Delivery {
    pub(super) fn new(format: Format, numbers: Option<Vec<Number>>, depth_max: u32) -> Self {
        Self { stream: RwLock::new(None), format, numbers, depth_max: depth_max as usize, are_texts: false }
    }

    /// The same for runs of a program.
    pub(super) fn of_program(self) -> Self {
        Self { are_texts: true, ..self }
    }

    /// Whether results go to stdout as they are, end to end.
    fn is_verbatim(&self) -> bool {
        self.are_texts && self.format.strings == Strings::Raw
    }

    /// Opens stdout, which needs to know the job that needs this sink.
    pub(super) fn open(&self, stream: ResultStream) {
        *self.stream.write().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    /// Ends the output: gives the stream to be finished.
    pub(super) fn close(&self) -> Option<ResultStream> {
        self.stream.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn stream(&self) -> RwLockReadGuard<'_, Option<ResultStream>> {
        self.stream.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a line that a guest printed, where the guests' stdout is the command's; says whether stdout was open.
    pub(super) fn put_line(&self, line: Vec<u8>) -> bool {
        let stream = self.stream();
        if let Some(stream) = &*stream {
            stream.put_line(line, HELD_BYTES_MAX);
        }
        stream.is_some()
    }

    /// Puts what the calls from `first` on print.
    fn put_text(&self, first: u64, count: u64, text: Vec<u8>) {
        if let Some(stream) = &*self.stream() {
            stream.put(first, count, text);
        }
    }

    fn cells(
        &self,
        first: u64,
        results: &Results<'_>,
        width: usize,
        read: &dyn Fn(usize, &mut [MaybeUninit<u8>]),
    ) {
        let mut cells = Vec::new();
        let mut done = 0;
        while done < results.count {
            let count = CALLS_AT_ONCE.min(results.count - done);
            read_cells(done * width, count * width, read, &mut cells);
            let mut text = Vec::with_capacity(count * 12);
            let mut json = Vec::new();
            for call in 0..count {
                json.clear();
                let cells = &cells[call * width..(call + 1) * width];
                write_cells(cells, self.numbers.as_deref().unwrap_or_default(), &mut json);
                self.write(first + (done + call) as u64, results, 0, &json, &mut text);
            }
            self.put_text(first + done as u64, count as u64, text);
            done += count;
        }
    }

    fn write(&self, index: u64, results: &Results<'_>, nanoseconds: u64, json: &[u8], text: &mut Vec<u8>) {
        let call = Call {
            index,
            attempt: results.attempts.get(&index).copied().unwrap_or(1),
            worker: results.worker as u32,
            time: Duration::from_nanos(nanoseconds),
        };
        self.format.write(&call, &Ended::Returned { json }, text);
    }

    /// A separately run call's result as JSON, checked; a task of numbers has cells.
    fn json<'a>(&self, bytes: &'a [u8], written: &'a mut Vec<u8>) -> Result<&'a [u8], Unfit> {
        if let Some(numbers) = &self.numbers {
            let (cells, rest) = bytes.as_chunks();
            let cells: Vec<u64> = cells.iter().map(|cell| u64::from_le_bytes(*cell)).collect();
            if cells.len() != numbers.len() || !rest.is_empty() {
                let reason = format!("{} bytes are not {} numbers", bytes.len(), numbers.len());
                return Err(Unfit::Unreadable(reason));
            }
            written.clear();
            write_cells(&cells, numbers, written);
            return Ok(written);
        }
        if self.are_texts {
            let text = std::str::from_utf8(bytes).map_err(|error| Unfit::NoText(error.valid_up_to()))?;
            *written = serde_json::to_vec(text).expect("a text can be written as JSON");
            return Ok(written);
        }
        if !self.format.task_has_result && bytes.is_empty() {
            return Ok(bytes);
        }
        check(bytes, self.depth_max)?;
        Ok(bytes)
    }

    /// What stdout gets for a failed call.
    fn text_of(&self, failure: &Failure) -> Vec<u8> {
        let call = Call {
            index: failure.index(),
            attempt: failure.attempt(),
            worker: failure.worker().unwrap_or_default() as u32,
            time: Duration::ZERO,
        };
        if self.is_verbatim() {
            return Vec::new();
        }
        let ended = Ended::Failed { kind: failure.kind().name(), message: failure.message() };
        let mut text = Vec::new();
        self.format.write(&call, &ended, &mut text);
        text
    }

    /// Puts the record of the call whose failure ended the job, after those before it; the other forms just end.
    pub(super) fn put_last(&self, failure: &Failure) {
        if self.format.shape != Shape::Records {
            return;
        }
        if let Some(stream) = &*self.stream() {
            stream.put_last(failure.index(), self.text_of(failure));
        }
    }

    /// Puts a run of calls that returned.
    fn put(&self, calls: Range<u64>, text: &mut Vec<u8>) {
        self.put_text(calls.start, calls.end - calls.start, std::mem::take(text));
    }
}

/// Why a result cannot be printed.
pub(super) enum Unfit {
    Unreadable(String),
    /// Deeper than so many levels.
    TooDeep(usize),
    /// What a program wrote is no text at this byte.
    NoText(usize),
}

impl Unfit {
    fn failure(&self, index: u64) -> Failure {
        match self {
            Self::Unreadable(reason) => {
                let text = format!("the result cannot be printed: {reason}");
                Failure::new(index, FailureKind::BadResult, text)
            }
            Self::NoText(at) => {
                let text = format!("stdout is not UTF-8 at byte {at}: --raw prints it as it is");
                Failure::new(index, FailureKind::BadResult, text)
            }
            Self::TooDeep(most) => {
                let text = format!("result too deep: nested deeper than {most} levels");
                Failure::new(index, FailureKind::ResultTooDeep, text)
            }
        }
    }
}

/// Whether bytes are one JSON value on one line, nested no deeper than so.
pub(super) fn check(bytes: &[u8], depth_max: usize) -> Result<(), Unfit> {
    let unreadable = |reason: &str| Unfit::Unreadable(reason.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    if text.contains(['\n', '\r']) {
        return Err(unreadable("it spans several lines"));
    }
    json::check_within(text, depth_max).map_err(|fault| match fault.problem {
        json::Problem::TooDeep(most) => Unfit::TooDeep(most),
        problem => Unfit::Unreadable(format!("it is not JSON: {problem}")),
    })
}

fn read_cells(
    first: usize,
    count: usize,
    read: &dyn Fn(usize, &mut [MaybeUninit<u8>]),
    cells: &mut Vec<u64>,
) {
    cells.clear();
    cells.resize(count, 0);
    let mut bytes = vec![MaybeUninit::new(0); count * 8];
    read(first, &mut bytes);
    for (cell, bytes) in cells.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *cell = u64::from_le_bytes(initialized(*bytes));
    }
}

#[allow(unsafe_code, reason = "reading what was filled just now")]
fn initialized(bytes: [MaybeUninit<u8>; 8]) -> [u8; 8] {
    // SAFETY: the buffer was initialised when it was made, and filled since.
    unsafe { std::mem::transmute(bytes) }
}

impl Sink for Delivery {
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        let (heads, bytes) = match results.form {
            Form::Cells { width, read } => {
                self.cells(first, &results, width, read);
                return Ok(());
            }
            Form::Values { heads, bytes } => (heads, bytes),
        };
        if self.is_verbatim() {
            self.put_text(first, heads.len() as u64, bytes.to_vec());
            return Ok(());
        }
        let mut unreadable = Vec::new();
        let (mut text, mut written) = (Vec::new(), Vec::new());
        let (mut at, mut start) = (0, first);
        for (index, head) in (first..).zip(heads) {
            match self.json(&bytes[at..at + head.length], &mut written) {
                Ok(json) => self.write(index, &results, head.nanoseconds, json, &mut text),
                Err(unfit) => {
                    self.put(start..index, &mut text);
                    start = index + 1;
                    unreadable.push(unfit.failure(index));
                }
            }
            at += head.length;
        }
        self.put(start..first + heads.len() as u64, &mut text);
        if unreadable.is_empty() { Ok(()) } else { Err(unreadable) }
    }

    fn failed(&self, failure: &Failure) {
        say(&line_of(failure));
        self.put_text(failure.index(), 1, self.text_of(failure));
    }

    fn delivered(&self) -> u64 {
        match &*self.stream() {
            Some(stream) if stream.held_bytes() > HELD_BYTES_MAX => 0,
            Some(stream) => stream.written(),
            None => 0,
        }
    }

    fn is_in_vain(&self) -> bool {
        self.stream().as_ref().is_some_and(ResultStream::is_dead)
    }
}

/// What stderr says about a failed call.
pub(super) fn line_of(failure: &Failure) -> String {
    let line = failure_line(failure.index(), None, &ending(failure.kind(), failure.message()));
    frames_of(failure).fold(line, |line, frame| line + "\n" + &frame)
}

/// Says the stack of a failure, whose message has been said.
pub(super) fn say_frames(failure: &Failure) {
    frames_of(failure).for_each(|frame| say(&frame));
}

fn frames_of(failure: &Failure) -> impl Iterator<Item = String> {
    let shown = |frame| format!("  {}", crate::printable::printable(frame, FRAME_CHARACTERS_MAX));
    failure.backtrace().lines().map(shown)
}

/// Most characters of a stack frame that are shown.
const FRAME_CHARACTERS_MAX: usize = 200;
