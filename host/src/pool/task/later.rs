//! Calls that run on behind a handle.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Entrance, Listed, Prepared, Task, sole};
use crate::pool::error::{Error, ErrorKind};
use crate::pool::handle::{Handle, Origin};
use crate::pool::module::ModuleState;
use crate::pool::outcome::{Failure, FailureKind};
use crate::pool::slot::Slot;
use crate::pool::stream::Stream;

impl<A: Serialize, R: DeserializeOwned + Send + 'static> Task<A, R> {
    /// Begins one call and returns a handle to its outcome, like Python's `Pool.apply_async`.
    ///
    /// Any number of threads may submit. When 65,536 calls of the task, or 64 MiB of their arguments, have not ended,
    /// whoever submits another one waits until there is room.
    ///
    /// # Errors
    ///
    /// When nothing can be run: the pool is closed, the module is not run any more. What becomes of the call, also that
    /// its arguments do not fit, is the handle's to say.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(2).build()?;
    /// let text = br#"(module (func (export "add") (param i64 i64) (result i64)
    ///     (i64.add (local.get 0) (local.get 1))))"#;
    /// let add = pool.load_bytes("numbers", text)?.task::<(i64, i64), i64>("add")?;
    /// let sums = [add.apply_async((1, 2))?, add.apply_async((3, 4))?];
    /// let sums = sums.map(|sum| sum.get(None));
    /// assert_eq!((sums[0].as_ref().unwrap(), sums[1].as_ref().unwrap()), (&3, &7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply_async(&self, arguments: A) -> Result<Handle<R>, Error> {
        let module = self.module.module()?;
        if self.terms.deadline.is_some() || module.is_deterministic() {
            // A deadline begins with its call, and chance with the number of the call in its job.
            return self.begin(std::iter::once(arguments), |mut results: Vec<R>| {
                let text = "the call left no result";
                results.pop().ok_or_else(|| Error::new(ErrorKind::Call, text))
            });
        }
        let slot = Slot::new();
        let stream = self.stream(module)?;
        let mut input = stream.block();
        if let Err(reason) = self.encode(&arguments, &mut input) {
            slot.fill(Err(Error::call(Failure::new(0, FailureKind::Refused, reason))));
            return Ok(Handle::new(slot, Arc::clone(stream.origin()), None));
        }
        let call = match stream.submit(&input, Arc::clone(&slot)) {
            Ok(call) => call,
            Err(_) if stream.origin().job.has_ended() => {
                // It was ended just now, with everything that its module had to do; perhaps another one can begin.
                let stream = self.stream(module)?;
                let call = stream.submit(&input, Arc::clone(&slot))?;
                return Ok(Handle::new(slot, Arc::clone(stream.origin()), Some(call)));
            }
            Err(error) => return Err(error),
        };
        Ok(Handle::new(slot, Arc::clone(stream.origin()), Some(call)))
    }

    /// Begins one call per input and returns a handle to all results, like Python's `Pool.map_async`.
    ///
    /// The inputs are read before it returns, and encoded, while workers run those that were read: they may be
    /// borrowed, but not endless, as their results will have to fit into memory, too. Ranges of integers are not
    /// written down. [`imap`](Self::imap) is for inputs that come slowly or never end.
    ///
    /// # Errors
    ///
    /// When nothing can be run, or there is no memory for the results. The failing call with the lowest index is the
    /// handle's to tell.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(2).build()?;
    /// # let text = br#"(module (func (export "double") (param i64) (result i64)
    /// #     (i64.mul (local.get 0) (i64.const 2))))"#;
    /// # let double = pool.load_bytes("numbers", text)?.task::<i64, i64>("double")?;
    /// let doubled = double.map_async(vec![1, 2, 3])?;
    /// // ... something else meanwhile ...
    /// assert_eq!(doubled.get(None)?, [2, 4, 6]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_async(&self, inputs: impl IntoIterator<Item = A>) -> Result<Handle<Vec<R>>, Error> {
        self.begin(inputs, Ok)
    }

    /// The same as [`Task::map_async`], under the name that `multiprocessing` gives it when each input is a tuple of
    /// arguments.
    ///
    /// # Errors
    ///
    /// As [`Task::map_async`].
    pub fn starmap_async(&self, inputs: impl IntoIterator<Item = A>) -> Result<Handle<Vec<R>>, Error> {
        self.map_async(inputs)
    }

    /// Begins a job whose results come to what `finish` makes of them.
    fn begin<T: Send + 'static>(
        &self,
        inputs: impl IntoIterator<Item = A>,
        finish: impl FnOnce(Vec<R>) -> Result<T, Error> + Send + 'static,
    ) -> Result<Handle<T>, Error> {
        let inputs = inputs.into_iter();
        let shared = self.module.shared();
        let entry = Entrance::new(shared)?;
        let Prepared { job, gather, blocks, integers } = self.prepare(&inputs, true)?;
        // At the end whoever takes the results has to be the only one who knows them.
        let room = Arc::downgrade(&gather);
        let (slot, module) = (Slot::new(), self.module.clone());
        let waiting = Arc::clone(&slot);
        shared.submit(&job)?;
        job.at_end(Box::new(move |job| {
            let outcome = match module.shared().conclude(job) {
                Some(error) => Err(error),
                None => sole(job, gather).and_then(|gathered| {
                    // SAFETY: the job is over without a failure, so each of its calls has returned.
                    #[allow(unsafe_code, reason = "the job vouches for every result")]
                    finish(unsafe { gathered.finish(job.announced() as usize) })
                }),
            };
            waiting.fill(outcome);
            drop(entry);
        }));
        let listed = Listed { shared, job: &job };
        if integers.is_none() {
            let reserve = |total| room.upgrade().map_or(Ok(()), |gather| gather.reserve(total));
            self.announce_all(inputs, &job, &blocks, reserve, |_| !job.has_ended());
        }
        drop(listed);
        let origin = Origin { shared: Arc::clone(shared), job };
        Ok(Handle::new(slot, Arc::new(origin), None))
    }

    /// The stream of single calls.
    fn stream(&self, module: &Arc<ModuleState>) -> Result<Arc<Stream<R>>, Error> {
        self.stream.find_or(module, &self.terms, || {
            let work = self.work(module, false)?;
            let (width, form) = (self.width(&work), self.result_form(&work));
            Stream::open(&self.module, work, self.terms.clone(), width, form)
        })
    }
}
