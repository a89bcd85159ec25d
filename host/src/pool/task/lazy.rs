//! Calls whose results come as an iterator.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Entrance, Task};
use crate::pool::error::{Error, ErrorKind};
use crate::pool::handle::Origin;
use crate::pool::imap::{Imap, Taken, Taker};
use crate::pool::inflow::{Bounds, Inflow};
use crate::pool::job::Job;
use crate::pool::landing::{LOOK_AHEAD_BYTES, LOOK_AHEAD_MAX, Landing};
use crate::pool::source::Block;

/// How far inputs go ahead of what the landing lets in: no farther.
const BOUNDS: Bounds = Bounds { calls: LOOK_AHEAD_MAX, bytes: LOOK_AHEAD_BYTES as usize };

impl<A: Serialize + 'static, R: DeserializeOwned + Send + 'static> Task<A, R> {
    /// Runs one call per input and gives the results one by one, in the inputs' order, like Python's `Pool.imap`.
    ///
    /// Inputs are taken by a thread of their own, and only so far ahead of the results that are taken: 64 calls at
    /// first, and with the results that have come up to 65,536 calls or about 64 MiB. So an endless iterator of inputs
    /// needs no more memory than a short one, and one that waits does not hold back results that are there.
    ///
    /// A call that fails is an error in its place, and iteration goes on. An iterator of inputs that panics ends it, by
    /// an error of kind [`ErrorKind::Input`] behind the results of everything before. That nothing can be run is the
    /// first item.
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
    /// // As many as there are numbers, but only the first few are asked for.
    /// let mut sum = 0;
    /// for doubled in double.imap(0..).take(10) {
    ///     sum += doubled?;
    /// }
    /// assert_eq!(sum, 90);
    /// # Ok(())
    /// # }
    /// ```
    pub fn imap<I>(&self, inputs: I) -> Imap<R>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
    {
        self.lazily(inputs.into_iter().map(Ok), true)
    }

    /// As [`imap`](Self::imap), but with each result as soon as it is there.
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
    /// let mut doubled = double.imap_unordered(vec![3, 1, 2]).collect::<Result<Vec<_>, _>>()?;
    /// doubled.sort();
    /// assert_eq!(doubled, [2, 4, 6]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn imap_unordered<I>(&self, inputs: I) -> Imap<R>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
    {
        self.lazily(inputs.into_iter().map(Ok), false)
    }

    /// As [`imap`](Self::imap), for inputs that may fail, such as the lines of a file.
    ///
    /// The first one that does ends the inputs. Everything before it is delivered, then an error of kind
    /// [`ErrorKind::Input`] whose source is the failure.
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
    /// let mut doubled = double.try_imap(["1", "2", "three", "4"].map(str::parse::<i64>));
    /// assert_eq!(doubled.next().unwrap()?, 2);
    /// assert_eq!(doubled.next().unwrap()?, 4);
    /// assert_eq!(doubled.next().unwrap().unwrap_err().kind(), wasmpool::ErrorKind::Input);
    /// assert!(doubled.next().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_imap<I, E>(&self, inputs: I) -> Imap<R>
    where
        I: IntoIterator<Item = Result<A, E>, IntoIter: Send + 'static>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.lazily(inputs.into_iter().map(|input| input.map_err(Into::into)), true)
    }

    /// As [`try_imap`](Self::try_imap), but with each result as soon as it is there.
    pub fn try_imap_unordered<I, E>(&self, inputs: I) -> Imap<R>
    where
        I: IntoIterator<Item = Result<A, E>, IntoIter: Send + 'static>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.lazily(inputs.into_iter().map(|input| input.map_err(Into::into)), false)
    }

    fn lazily(&self, inputs: impl Inputs<A>, is_ordered: bool) -> Imap<R> {
        match self.begin_lazily(inputs, is_ordered) {
            Ok(imap) => imap,
            Err(error) => {
                let form = crate::pool::decode::ResultForm::Numbers(Vec::new());
                let landing = Landing::new(form, is_ordered);
                landing.abort(error);
                Imap::new(Arc::new(landing), None)
            }
        }
    }

    fn begin_lazily(&self, mut inputs: impl Inputs<A>, is_ordered: bool) -> Result<Imap<R>, Error> {
        let shared = self.module.shared();
        let entry = Entrance::new(shared)?;
        let work = self.work(self.module.module()?, false)?;
        let (width, form) = (self.width(&work), self.result_form(&work));
        let landing = Arc::new(Landing::new(form, is_ordered));
        let inflow = Inflow::new(shared, width, BOUNDS, Some(entry));
        let job = Job::new(work, Box::new(Arc::clone(&inflow)), Arc::clone(&landing) as _);
        let (module, waiting, taking) = (self.module.clone(), Arc::clone(&landing), Arc::clone(&inflow));
        job.at_end(Box::new(move |job| {
            if let Some(error) = module.shared().conclude(job) {
                waiting.abort(error);
            }
            job.detach();
            taking.close();
        }));
        let origin = Arc::new(Origin { shared: Arc::clone(shared), job });
        let imap = Imap::new(Arc::clone(&landing), Some(Arc::clone(&origin)));
        shared.submit(&origin.job)?;
        let task = self.clone();
        let take = move |block: &mut Block| match inputs.next() {
            None => Taken::End,
            Some(Err(failure)) => {
                let text = format!("the inputs ended with an error: {failure}");
                Taken::Broken(Error::new(ErrorKind::Input, text).with_source(failure))
            }
            Some(Ok(input)) => match task.encode(&input, block) {
                Ok(()) => Taken::Encoded,
                Err(reason) => {
                    // Its place must be taken, or the calls behind it would move up.
                    task.encode_nothing(block);
                    Taken::Refused(reason)
                }
            },
        };
        Taker { inflow, landing, origin }.start(take)?;
        Ok(imap)
    }
}

/// Inputs that may fail.
trait Inputs<A>: Iterator<Item = Result<A, Box<dyn std::error::Error + Send + Sync>>> + Send + 'static {}

impl<A, I> Inputs<A> for I where
    I: Iterator<Item = Result<A, Box<dyn std::error::Error + Send + Sync>>> + Send + 'static
{
}
