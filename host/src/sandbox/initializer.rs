//! The initializer: a task that runs once in each new instance, before its first call.
//!
//! As Python's `Pool(initializer=f, initargs=(...))`, with an instance in the place of a process. It is part of the
//! making of an instance, so it runs while the call waits that the instance is made for: in that call's time and within
//! its limits, with its grants. What it prints counts with what the module's own start prints, its fuel is as much as
//! a call's, and what it opened of shared objects is let go when it ends, as at the end of a call.
//!
//! A task of numbers is entered as it is. An SDK task pulls, as always: its first `next` gets the arguments, its `done`
//! ends the errand, and whatever else it asks for, it is told that there are no more calls. So no call can be claimed by
//! an initializer, and no initializer can be run by a call.
//!
//! One that fails costs the instance, and is told apart from the call ([`Part`](crate::channel::ending::Part)): the
//! supervisor ends the job with it.

use std::sync::Arc;

use wasmpool_abi::{Codec, Done};
use wasmtime::ValRaw;

use super::guest::Calls;
use super::tenant::{House, Tenant, not_numeric, refuel, typed};
use crate::channel::control::Arguments;
use crate::channel::ending::EndKind;
use crate::shm::object::CallEnd;

/// Why an instance could not be initialized.
pub(super) enum Failed {
    /// The engine stopped it, or a host function did.
    Stopped(wasmtime::Error),
    /// It said so itself, or left something behind that it may not.
    Said(EndKind, String),
}

impl From<wasmtime::Error> for Failed {
    fn from(error: wasmtime::Error) -> Self {
        Self::Stopped(error)
    }
}

/// What a pull loop is to do instead of calls: one run with these arguments.
pub(super) struct Errand {
    arguments: Arc<[u8]>,
    stage: Stage,
}

/// How far an errand is.
enum Stage {
    Waiting,
    Running,
    Ended(Done, Vec<u8>),
}

impl Errand {
    fn new(arguments: &[u8]) -> Box<Self> {
        Box::new(Self { arguments: arguments.into(), stage: Stage::Waiting })
    }

    /// What it is given.
    pub(super) fn arguments(&self) -> Arc<[u8]> {
        Arc::clone(&self.arguments)
    }

    /// Whether the guest has begun it and not ended it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    /// Begins it, once: gives its arguments.
    pub(super) fn begin(&mut self) -> Option<Arc<[u8]>> {
        let Stage::Waiting = self.stage else { return None };
        self.stage = Stage::Running;
        Some(self.arguments())
    }

    /// Ends it. A result is not kept: nobody wants it.
    pub(super) fn end(&mut self, done: Done, bytes: &[u8]) {
        let message = if done == Done::Returned { Vec::new() } else { bytes.to_vec() };
        self.stage = Stage::Ended(done, message);
    }

    fn outcome(self) -> Result<(), Failed> {
        match self.stage {
            Stage::Ended(Done::Returned, _) => Ok(()),
            Stage::Ended(Done::Failed, message) => Err(said(EndKind::Failed, &message)),
            Stage::Ended(Done::Refused, message) => Err(said(EndKind::Refused, &message)),
            Stage::Waiting | Stage::Running => {
                Err(wasmtime::Error::msg("the task returned before it ended its call").into())
            }
        }
    }
}

fn said(kind: EndKind, message: &[u8]) -> Failed {
    Failed::Said(kind, String::from_utf8_lossy(message).into_owned())
}

impl House {
    /// Runs the initializer in a new instance, if the module has one.
    ///
    /// # Errors
    ///
    /// When it fails in any way. The instance must not be used then.
    pub(super) fn initialize(&self, tenant: &mut Tenant) -> Result<(), Failed> {
        let Some(initializer) = &self.service.initializer else { return Ok(()) };
        tenant.store.data().desk.note_initializing(true);
        let ran = match &initializer.arguments {
            Arguments::Cells(cells) => self.run_numeric(tenant, initializer.task, cells),
            Arguments::Json(bytes) => self.run_pull(tenant, initializer.task, Codec::Json, bytes),
            Arguments::MessagePack(bytes) => {
                self.run_pull(tenant, initializer.task, Codec::MessagePack, bytes)
            }
        };
        tenant.store.data().desk.note_initializing(false);
        ran?;
        if tenant.store.data().is_spent() {
            let text =
                "it left views of shared arrays behind, which last until a call ends: open them in the calls";
            return Err(Failed::Said(EndKind::Failed, text.to_owned()));
        }
        Ok(())
    }

    fn run_numeric(&self, tenant: &mut Tenant, task: u32, cells: &[u64]) -> Result<(), Failed> {
        let entrance = self.entrances.get(task as usize).and_then(|entrance| entrance.numeric.as_ref());
        let task = entrance.ok_or_else(not_numeric)?;
        let fuel = tenant.store.data().fuel;
        refuel(&mut tenant.store, fuel)?;
        let function = tenant.instance.get_module_export(&mut tenant.store, &task.export);
        let function = function.and_then(wasmtime::Extern::into_func).ok_or_else(not_numeric)?;
        let mut values: Vec<ValRaw> = cells.iter().map(|cell| ValRaw::u64(*cell)).collect();
        let (parameters, results) = (task.entry.parameters as usize, task.entry.results as usize);
        values.resize(parameters.max(results), ValRaw::u64(0));
        tenant.call_raw(&function, task, &mut values)?;
        tenant.write_out()?;
        tenant.store.data_mut().end_sharing(CallEnd::Normal, Calls::Entered);
        Ok(())
    }

    fn run_pull(&self, tenant: &mut Tenant, task: u32, codec: Codec, bytes: &[u8]) -> Result<(), Failed> {
        let export = self.entrances.get(task as usize).and_then(|entrance| entrance.pull);
        let entry = typed::<i32>(&tenant.instance, &mut tenant.store, export);
        let entry = entry.ok_or_else(|| wasmtime::Error::msg("the task has no pull-loop entry"))?;
        let pull = &mut tenant.store.data_mut().pull;
        pull.codec = codec;
        pull.errand = Some(Errand::new(bytes));
        let fuel = tenant.store.data().fuel_between_calls();
        refuel(&mut tenant.store, fuel)?;
        let ran = entry.call(&mut tenant.store, codec as i32);
        let guest = tenant.store.data_mut();
        let errand = guest.pull.errand.take();
        ran?;
        let outcome = errand.map_or(Ok(()), |errand| errand.outcome());
        guest.end_sharing(if outcome.is_ok() { CallEnd::Normal } else { CallEnd::Abnormal }, Calls::Pulled);
        guest.finish_lines();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_is_begun_and_ended_once() {
        let mut errand = Errand::new(b"[1]");
        assert!(!errand.is_running());
        assert_eq!(errand.begin().as_deref(), Some(&b"[1]"[..]));
        assert!(errand.is_running() && errand.begin().is_none());
        errand.end(Done::Returned, b"a long result");
        assert!(!errand.is_running() && errand.begin().is_none());
        assert!(errand.outcome().is_ok());
    }

    #[test]
    fn an_errand_that_was_not_ended_well_has_failed() {
        let mut errand = Errand::new(b"[]");
        errand.begin();
        errand.end(Done::Failed, "größer".as_bytes());
        let Err(Failed::Said(EndKind::Failed, message)) = errand.outcome() else { panic!("it failed") };
        assert_eq!(message, "größer");
        assert!(matches!(Errand::new(b"[]").outcome(), Err(Failed::Stopped(_))));
    }
}
