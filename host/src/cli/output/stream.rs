//! Puts blobs of results into order and writes them, without making any feeder wait for the reader.
//!
//! ```text
//! feeders ── put ──► waiting (by first index) ── prefix complete ──► ready ── writer thread ──► stdout
//!                    held_bytes counts both                                   written() advances
//! ```
//!
//! One thread writes; it takes whatever is ready at a time. Under load that is much, and writes are large; when
//! results trickle each is written at once, so that `tail -f | wasmpool map` answers line by line. No timer is
//! involved.
//!
//! Nothing here limits how far feeders run ahead of a slow reader: the look-ahead of the job does, by
//! [`ResultStream::written`] and [`ResultStream::held_bytes`].

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::format::Shape;

/// In which order results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of the inputs.
    Input,
    /// As they come.
    Completion,
}

/// Why results did not all reach stdout.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// Whoever read it has gone, as `head` does: a reason to end quietly.
    #[error("the reader of stdout is gone")]
    ReaderGone,
    /// A full disk, for one.
    #[error("stdout cannot be written")]
    Write(#[source] io::Error),
    /// The system gives no more threads.
    #[error("the thread that writes stdout cannot be started")]
    Thread(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::ReaderGone } else { Self::Write(error) }
    }
}

/// Writes to `out` what comes after everything that a [`ResultStream`] has written there.
pub(crate) fn write_last<T, W: Write>(
    out: W,
    write: impl FnOnce(&mut BufWriter<Patient<W>>) -> io::Result<T>,
) -> Result<T, OutputError> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, Patient(out));
    let written = write(&mut out).and_then(|written| out.flush().map(|()| written));
    // What is left in the buffer after an error would be tried again when it is dropped.
    let (_out, _unwritten) = out.into_parts();
    Ok(written?)
}

/// A pipe's default room. Larger blobs pass by the buffer.
const BUFFER_BYTES: usize = 64 << 10;

/// The results of one job on their way to `stdout`.
///
/// All methods may be called from several threads, and none but [`finish`](Self::finish) and
/// [`put_line`](Self::put_line) wait for the reader. Dropping finishes.
#[derive(Debug)]
pub(crate) struct ResultStream {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl ResultStream {
    /// Starts to write to `out`; `advanced` is called with the new [`written`](Self::written) each time it grows, and
    /// once when writing fails.
    pub(crate) fn start(
        out: impl Write + Send + 'static,
        shape: Shape,
        order: Order,
        advanced: impl Fn(u64) + Send + 'static,
    ) -> Result<Self, OutputError> {
        let state = State { order: Reorder::new(order), ..State::default() };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), advanced: Condvar::new() });
        let writer = std::thread::Builder::new()
            .name("wasmpool-stdout".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || write(&shared, out, shape, advanced)
            })
            .map_err(OutputError::Thread)?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Takes what the calls from `first` to `first + count` print; each call's output is put once.
    pub(crate) fn put(&self, first: u64, count: u64, blob: Vec<u8>) {
        let mut state = self.shared.lock();
        if count == 0 || state.end != End::Open {
            return;
        }
        state.held_bytes += blob.len() as u64;
        let State { order, ready, .. } = &mut *state;
        order.put(first, Block { count, bytes: blob }, ready);
        if !ready.is_empty() {
            self.shared.work.notify_one();
        }
    }

    /// Takes a line that is no call's result, and goes out as soon as possible, never within a result.
    ///
    /// Waits while more than `held_bytes_max` bytes wait for the reader.
    pub(crate) fn put_line(&self, line: Vec<u8>, held_bytes_max: u64) {
        let too_many = |state: &mut State| state.end == End::Open && state.held_bytes > held_bytes_max;
        let state = self.shared.lock();
        let mut state =
            self.shared.advanced.wait_while(state, too_many).unwrap_or_else(PoisonError::into_inner);
        if state.end != End::Open {
            return;
        }
        state.held_bytes += line.len() as u64;
        state.ready.push_back(Block { count: 0, bytes: line });
        self.shared.work.notify_one();
    }

    /// Takes what the call at `index` prints and nothing behind it, also nothing that was put before.
    pub(crate) fn put_last(&self, index: u64, blob: Vec<u8>) {
        let mut state = self.shared.lock();
        if state.end != End::Open {
            return;
        }
        let dropped = state.order.truncate(index);
        state.held_bytes -= dropped;
        state.held_bytes += blob.len() as u64;
        let State { order, ready, .. } = &mut *state;
        order.put(index, Block { count: 1, bytes: blob }, ready);
        state.end = End::Closed;
        self.shared.work.notify_one();
    }

    /// How many calls' output stdout has: with `Order::Input`, everything below this index.
    pub(crate) fn written(&self) -> u64 {
        self.shared.lock().written
    }

    /// How many bytes have been put and not yet been written.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.shared.lock().held_bytes
    }

    /// Whether all further output is in vain, because the reader is gone or a write failed.
    pub(crate) fn is_dead(&self) -> bool {
        self.shared.lock().end == End::Dead
    }

    #[cfg(test)]
    /// Waits until `target` calls' output is written, the stream is dead, or `patience` is over; gives `written`.
    pub(crate) fn wait_written(&self, target: u64, patience: Duration) -> u64 {
        let waiting = |state: &mut State| state.written < target && state.end != End::Dead;
        let state = self.shared.lock();
        let (state, _timeout) = self
            .shared
            .advanced
            .wait_timeout_while(state, patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        state.written
    }

    /// Writes what is complete, ends the output (an array gets its bracket), and gives the number of calls written.
    ///
    /// Blobs behind a gap, as after a failure that stopped the job, are dropped.
    pub(crate) fn finish(mut self) -> Result<u64, OutputError> {
        if let Err(panic) = self.join() {
            std::panic::resume_unwind(panic);
        }
        let mut state = self.shared.lock();
        match state.failure.take() {
            None => Ok(state.written),
            Some(error) => Err(error.into()),
        }
    }

    /// Fails if `advanced` has panicked.
    fn join(&mut self) -> std::thread::Result<()> {
        let mut state = self.shared.lock();
        if state.end == End::Open {
            state.end = End::Closed;
        }
        drop(state);
        self.shared.work.notify_one();
        self.writer.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for ResultStream {
    fn drop(&mut self) {
        // A panic of the writer's has been reported by its thread; here may be the middle of another one.
        let _ = self.join();
    }
}

/// What the calls of one contiguous range print.
#[derive(Debug)]
struct Block {
    count: u64,
    bytes: Vec<u8>,
}

/// The decision when a block may be written.
#[derive(Debug)]
enum Reorder {
    Input { next: u64, waiting: BTreeMap<u64, Block> },
    Completion,
}

impl Reorder {
    fn new(order: Order) -> Self {
        match order {
            Order::Input => Self::Input { next: 0, waiting: BTreeMap::new() },
            Order::Completion => Self::Completion,
        }
    }

    /// Forgets blocks that wait at `index` or behind it; returns how many bytes that were.
    fn truncate(&mut self, index: u64) -> u64 {
        match self {
            Self::Input { waiting, .. } => {
                waiting.split_off(&index).values().map(|block| block.bytes.len() as u64).sum()
            }
            Self::Completion => 0,
        }
    }

    /// Appends to `ready` what may be written now that `block`, from index `first` on, is there.
    fn put(&mut self, first: u64, block: Block, ready: &mut VecDeque<Block>) {
        let Self::Input { next, waiting } = self else {
            ready.push_back(block);
            return;
        };
        debug_assert!(first >= *next, "call {first} was put again, after {next}");
        waiting.insert(first, block);
        while let Some(block) = waiting.remove(next) {
            *next += block.count;
            ready.push_back(block);
        }
    }
}

impl Default for Reorder {
    fn default() -> Self {
        Self::new(Order::Input)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// More may come.
    #[default]
    Open,
    /// Nothing more comes.
    Closed,
    /// Nothing more can be written.
    Dead,
}

#[derive(Debug, Default)]
struct State {
    order: Reorder,
    ready: VecDeque<Block>,
    written: u64,
    held_bytes: u64,
    end: End,
    failure: Option<io::Error>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There are ready blocks, or the end has come.
    work: Condvar,
    /// `written` or `end` has changed.
    advanced: Condvar,
}

impl Shared {
    /// No holder of the lock can leave the state half changed, so that a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for blocks to write and takes some; none at the end.
    fn next_batch(&self) -> Vec<Block> {
        /// Enough for large writes, and little enough that `written` advances while a slow reader reads.
        const BATCH_BYTES: usize = 1 << 20;
        let idle = |state: &mut State| state.ready.is_empty() && state.end == End::Open;
        let mut state = self.work.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let mut bytes = 0;
        let taken = state.ready.iter().take_while(|block| {
            let wanted = bytes < BATCH_BYTES;
            bytes += block.bytes.len();
            wanted
        });
        let taken = taken.count();
        state.ready.drain(..taken).collect()
    }

    fn advance(&self, calls: u64, bytes: u64) -> u64 {
        let mut state = self.lock();
        state.written += calls;
        state.held_bytes -= bytes;
        self.advanced.notify_all();
        state.written
    }

    fn fail(&self, error: io::Error) -> u64 {
        let mut state = self.lock();
        state.failure = Some(error);
        state.end = End::Dead;
        state.order = Reorder::Completion;
        state.ready.clear();
        state.held_bytes = 0;
        self.advanced.notify_all();
        state.written
    }
}

/// The writer thread.
fn write(shared: &Shared, out: impl Write, shape: Shape, advanced: impl Fn(u64)) {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, Patient(out));
    if let Err(error) = write_batches(shared, &mut out, shape, &advanced) {
        // What is left in the buffer would be tried again when it is dropped.
        let (_out, _unwritten) = out.into_parts();
        advanced(shared.fail(error));
    }
}

fn write_batches(
    shared: &Shared,
    out: &mut impl Write,
    shape: Shape,
    advanced: &impl Fn(u64),
) -> io::Result<()> {
    let mut array = ArrayFrame::Before;
    loop {
        let mut batch = shared.next_batch();
        if batch.is_empty() {
            break;
        }
        for block in &mut batch {
            if shape == Shape::Array {
                array.open(&mut block.bytes);
            }
            out.write_all(&block.bytes)?;
        }
        out.flush()?;
        let calls = batch.iter().map(|block| block.count).sum();
        let bytes = batch.iter().map(|block| block.bytes.len() as u64).sum();
        advanced(shared.advance(calls, bytes));
    }
    if shape == Shape::Array {
        out.write_all(array.end())?;
    }
    out.flush()
}

/// Whether an array's bracket has been opened: each of its values comes with a comma in front, see `Format::write`.
#[derive(Clone, Copy)]
enum ArrayFrame {
    Before,
    Within,
}

impl ArrayFrame {
    /// Turns the first comma into the bracket.
    fn open(&mut self, bytes: &mut [u8]) {
        if let (Self::Before, Some(comma)) = (*self, bytes.first_mut()) {
            *comma = b'[';
            *self = Self::Within;
        }
    }

    fn end(self) -> &'static [u8] {
        match self {
            Self::Before => b"[]\n",
            Self::Within => b"]\n",
        }
    }
}

/// Retries writes to a stdout that someone else has made non-blocking; terminals and pipes are shared.
pub(crate) struct Patient<W>(W);

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1))
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A stdout that a test looks at, and that fails once it is full.
    #[derive(Clone, Default)]
    struct Page {
        bytes: Arc<Mutex<Vec<u8>>>,
        failing: Option<(usize, ErrorKind)>,
    }

    impl Page {
        fn failing(room_bytes: usize, kind: ErrorKind) -> Self {
            Self { failing: Some((room_bytes, kind)), ..Self::default() }
        }

        fn text(&self) -> String {
            String::from_utf8(self.bytes.lock().expect("not poisoned").clone()).expect("text")
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut page = self.bytes.lock().expect("not poisoned");
            match self.failing {
                Some((room_bytes, kind)) if page.len() + bytes.len() > room_bytes => Err(kind.into()),
                _ => page.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn start(page: &Page, shape: Shape, order: Order) -> ResultStream {
        ResultStream::start(page.clone(), shape, order, |_written| {}).expect("a thread")
    }

    fn check(shape: Shape, order: Order, puts: &[(u64, u64, &str)], written: u64, expected: &str) {
        let page = Page::default();
        let stream = start(&page, shape, order);
        for (first, count, text) in puts {
            stream.put(*first, *count, text.as_bytes().to_vec());
        }
        assert_eq!(stream.finish().expect("written"), written);
        assert_eq!(page.text(), expected);
    }

    #[test]
    fn blobs_are_written_in_the_order_of_their_calls() {
        let puts = [(3, 2, "3\n4\n"), (1, 2, "1\n2\n"), (5, 1, "5\n"), (0, 1, "0\n")];
        check(Shape::Lines, Order::Input, &puts, 6, "0\n1\n2\n3\n4\n5\n");
        check(Shape::Lines, Order::Completion, &puts, 6, "3\n4\n1\n2\n5\n0\n");
    }

    #[test]
    fn calls_without_output_keep_their_places() {
        check(Shape::Lines, Order::Input, &[(2, 1, "2\n"), (0, 2, ""), (3, 0, "")], 3, "2\n");
    }

    #[test]
    fn what_lies_behind_a_gap_is_dropped() {
        check(Shape::Lines, Order::Input, &[(0, 1, "0\n"), (2, 1, "2\n")], 1, "0\n");
    }

    #[test]
    fn arrays_are_valid_whatever_happens() {
        check(Shape::Array, Order::Input, &[], 0, "[]\n");
        check(Shape::Array, Order::Input, &[(0, 5, "")], 5, "[]\n");
        check(Shape::Array, Order::Input, &[(1, 1, ",1"), (0, 1, ",0"), (2, 2, ",2,3")], 4, "[0,1,2,3]\n");
        check(Shape::Array, Order::Completion, &[(1, 1, ",1"), (0, 1, ",0")], 2, "[1,0]\n");
        check(Shape::Array, Order::Input, &[(0, 1, ",0"), (2, 1, ",2")], 1, "[0]\n");
    }

    #[test]
    fn dropping_ends_the_output() {
        let page = Page::default();
        let stream = start(&page, Shape::Array, Order::Input);
        stream.put(0, 1, b",0".to_vec());
        drop(stream);
        assert_eq!(page.text(), "[0]\n");
    }

    #[test]
    fn each_result_is_written_at_once_when_nothing_else_is_there() {
        let page = Page::default();
        let (sender, progress) = mpsc::channel();
        let advanced = move |written| sender.send(written).expect("the test listens");
        let stream =
            ResultStream::start(page.clone(), Shape::Lines, Order::Input, advanced).expect("a thread");
        for index in 0..100 {
            stream.put(index, 1, format!("{index}\n").into_bytes());
            assert_eq!(progress.recv_timeout(LONG), Ok(index + 1));
            assert_eq!(stream.wait_written(index + 1, LONG), index + 1);
            assert!(page.text().ends_with(&format!("{index}\n")));
            assert_eq!(stream.held_bytes(), 0);
        }
    }

    #[test]
    fn many_threads_put_and_nothing_is_lost() {
        let page = Page::default();
        let stream = start(&page, Shape::Lines, Order::Input);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let stream = &stream;
                scope.spawn(move || {
                    for index in (thread..4000).step_by(4) {
                        stream.put(index, 1, format!("{index}\n").into_bytes());
                    }
                });
            }
        });
        assert_eq!(stream.finish().expect("written"), 4000);
        let expected: String = (0..4000).map(|index| format!("{index}\n")).collect();
        assert_eq!(page.text(), expected);
    }

    #[test]
    fn held_bytes_are_those_not_yet_written() {
        let page = Page::default();
        let stream = start(&page, Shape::Lines, Order::Input);
        stream.put(1, 1, b"1234\n".to_vec());
        assert_eq!(stream.held_bytes(), 5);
        assert_eq!(stream.wait_written(1, Duration::ZERO), 0);
        stream.put(0, 1, b"0\n".to_vec());
        assert_eq!(stream.wait_written(2, LONG), 2);
        assert_eq!(stream.held_bytes(), 0);
    }

    #[test]
    fn a_reader_that_leaves_ends_the_stream_quietly() {
        let page = Page::failing(4, ErrorKind::BrokenPipe);
        let (sender, progress) = mpsc::channel();
        let advanced = move |written| sender.send(written).expect("the test listens");
        let stream =
            ResultStream::start(page.clone(), Shape::Array, Order::Input, advanced).expect("a thread");
        stream.put(0, 1, b",0".to_vec());
        assert_eq!(progress.recv_timeout(LONG), Ok(1));
        assert!(!stream.is_dead());
        stream.put(1, 1, b",1234567".to_vec());
        assert_eq!(
            progress.recv_timeout(LONG),
            Ok(1),
            "whoever counts on progress learns that there is none"
        );
        assert!(stream.is_dead());
        stream.put(2, 1, b",2".to_vec());
        assert_eq!(stream.held_bytes(), 0);
        assert!(matches!(stream.finish(), Err(OutputError::ReaderGone)));
        assert_eq!(page.text(), "[0");
    }

    #[test]
    fn a_dead_stream_wakes_who_waits() {
        let (sender, woken) = mpsc::channel();
        let stream = start(&Page::failing(0, ErrorKind::BrokenPipe), Shape::Lines, Order::Input);
        std::thread::spawn(move || {
            stream.put(0, 1, b"0\n".to_vec());
            let written = stream.wait_written(1, 100 * LONG);
            sender.send(written).expect("the test listens");
        });
        assert_eq!(woken.recv_timeout(LONG), Ok(0));
    }

    #[test]
    fn a_stdout_that_is_not_ready_is_tried_again() {
        struct Unready(Page, u32);
        impl Write for Unready {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match self.1 {
                    0 => self.0.write(bytes),
                    _ => {
                        self.1 -= 1;
                        Err(ErrorKind::WouldBlock.into())
                    }
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                self.0.flush()
            }
        }
        let page = Page::default();
        let stream = ResultStream::start(Unready(page.clone(), 3), Shape::Lines, Order::Input, |_written| {})
            .expect("a thread");
        stream.put(0, 1, b"0\n".to_vec());
        assert_eq!(stream.finish().expect("written"), 1);
        assert_eq!(page.text(), "0\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let page = Page::failing(0, ErrorKind::StorageFull);
        let stream = start(&page, Shape::Lines, Order::Input);
        stream.put(0, 1, b"0\n".to_vec());
        match stream.finish() {
            Err(OutputError::Write(error)) => assert_eq!(error.kind(), ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
    }
}
