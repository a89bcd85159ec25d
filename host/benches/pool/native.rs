//! The same functions natively, and threads instead of processes: what nothing protects this process from.
//!
//! Rust's own thread pool, `rayon`, runs the functions; `crossbeam-channel` carries what goes from thread to thread.

use std::hint::black_box;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Threads of rayon's, as many as a pool has workers.
///
/// # Errors
///
/// When the system gives none.
pub(crate) fn threads(count: usize) -> anyhow::Result<ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(count).build().context("rayon gets no threads")
}

/// A function of all inputs, on all threads.
pub(crate) fn map<A: Sync, R: Send>(
    threads: &ThreadPool,
    inputs: &[A],
    of: impl Fn(&A) -> R + Sync,
) -> Vec<R> {
    threads.install(|| inputs.par_iter().map(|input| of(black_box(input))).collect())
}

/// A cube as the guest computes it.
pub(crate) fn cube(number: i64) -> i64 {
    number.wrapping_mul(number).wrapping_mul(number)
}

/// The task `spin_for_iterations`, natively.
pub(crate) fn spin(iterations: i64) -> i64 {
    (0..iterations).fold(0, |state: i64, turn| black_box(state.wrapping_mul(31).wrapping_add(turn)))
}

/// Threads that cube what they are sent, and send it back to who asked.
pub(crate) struct Cubers {
    questions: Option<Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
}

/// A number, and who wants its cube.
type Question = (i64, Sender<i64>);

impl Cubers {
    /// So many threads.
    pub(crate) fn new(count: usize) -> Self {
        let (questions, asked) = crossbeam_channel::unbounded::<Question>();
        let answer = |asked: Receiver<Question>| {
            for (number, asker) in asked {
                // Who does not wait any more needs no answer.
                let _ = asker.send(cube(number));
            }
        };
        let threads = (0..count).map(|_| {
            let asked = asked.clone();
            thread::spawn(move || answer(asked))
        });
        Self { questions: Some(questions), threads: threads.collect() }
    }

    /// Somebody who asks.
    pub(crate) fn asker(&self) -> Asker {
        let (answers, answered) = crossbeam_channel::bounded(1);
        Asker { questions: self.questions.clone(), answers, answered }
    }
}

impl Cubers {
    /// The cubes of the first so many numbers: all are asked for, then all answers are taken. They come in order from
    /// a single thread.
    ///
    /// # Errors
    ///
    /// When nobody is there to answer.
    pub(crate) fn all(&self, count: usize) -> anyhow::Result<Vec<i64>> {
        let (answers, answered) = crossbeam_channel::bounded(count);
        let questions = self.questions.as_ref().context("nobody answers")?;
        (0..count as i64).try_for_each(|number| questions.send((number, answers.clone())))?;
        drop(answers);
        Ok(answered.iter().collect())
    }
}

impl Drop for Cubers {
    fn drop(&mut self) {
        self.questions = None;
        self.threads.drain(..).for_each(|thread| thread.join().expect("cubing does not panic"));
    }
}

/// Asks for cubes, one after the other.
pub(crate) struct Asker {
    questions: Option<Sender<Question>>,
    answers: Sender<i64>,
    answered: Receiver<i64>,
}

impl Asker {
    /// A cube, there and back.
    ///
    /// # Errors
    ///
    /// When nobody is there to answer.
    pub(crate) fn cube(&self, number: i64) -> anyhow::Result<i64> {
        let questions = self.questions.as_ref().context("nobody answers")?;
        questions.send((number, self.answers.clone()))?;
        Ok(self.answered.recv()?)
    }
}
