//! A keeper: the thread that sees one process through, from its first words to its death.
//!
//! It does for one call what a feeder does for many, over the same [`Service`]: the time limit, the ring of printed
//! lines, the checks of what the worker writes are the pool's own. It replaces nobody and repeats nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::life::Life;
use crate::pool::chunk::Chunk;
use crate::pool::feeder::{LoadProblem, load, welcome};
use crate::pool::outcome::{Failure, FailureKind};
use crate::pool::seat::Service;
use crate::pool::shared::Blank;
use crate::process::child::{Child, Exit};

/// No seat of the pool.
const NO_SEAT: usize = usize::MAX;

/// Sees a process through that has just been started. `death` says when the kernel has proved that it is dead.
pub(super) fn keep(life: &Arc<Life>, blank: Blank, death: &Receiver<()>) {
    let child = Arc::clone(&blank.child);
    if let Some(call) = life.take_call() {
        // A panic costs the call, whose chunk settles itself, and not the one who waits for it.
        let _ = catch_unwind(AssertUnwindSafe(|| serve(life, blank, call, death)));
    }
    life.end(end(&child, death));
}

/// Ends a process that is not needed any more; returns how it ended.
fn end(child: &Child, death: &Receiver<()>) -> Exit {
    child.kill();
    // Nothing comes when it has been received before, and then it is known already.
    let _ = death.recv();
    child.death().unwrap_or(Exit::Unknown)
}

/// Has the process run its call, and settles it, whatever becomes of the process.
fn serve(life: &Life, blank: Blank, call: Chunk, death: &Receiver<()>) {
    let module = Arc::clone(&call.job().work.module);
    let pool = life.pool();
    if let Err(unwelcome) = welcome(&blank, pool.wishes) {
        return not_served(life, &blank.child, call, death, unwelcome.to_string(), true);
    }
    let record = module.record();
    let post = match load(&blank, &module, life.identity()) {
        Ok(post) => post,
        Err(LoadProblem::SetUp(story)) => {
            return not_served(life, &blank.child, call, death, story, true);
        }
        Err(LoadProblem::Broke(story)) => {
            return not_served(life, &blank.child, call, death, story, false);
        }
    };
    let Blank { child, control, .. } = blank;
    let mut service = Service::new(child, control, post, module, record);
    let unfit = service.post(call, false).rest;
    debug_assert!(unfit.is_none(), "a single call fits");
    if let Some(exit) = attend(life, &mut service) {
        bury(life, service, exit);
    }
}

/// Sees to the process until its call is settled, or until it is dead; tells how it died.
fn attend(life: &Life, service: &mut Service) -> Option<Exit> {
    loop {
        if let Some(exit) = service.child.death() {
            return Some(exit);
        }
        // Nothing is tried again, so nothing comes back.
        service.tend(life.worker(), &*life.pool().on_line);
        if service.is_idle() {
            return None;
        }
        let mut limit = service.interval();
        if let Some(kill_at) = life.kill_at() {
            limit = limit.min(Duration::from_millis(5));
            if Instant::now() >= kill_at {
                service.child.kill();
            }
        }
        let announced = service.post.feeder_bell().announce();
        if !service.has_news() {
            service.post.feeder_bell().sleep(announced, limit);
        }
    }
}

/// Settles the call of a dead process.
fn bury(life: &Life, service: Service, exit: Exit) {
    let pid = service.child.pid();
    let remains = service.bury(exit, life.worker(), &*life.pool().on_line);
    for call in remains.chunks {
        // It had not begun, or its beginning was not seen.
        lose(life, call, exit, format!("its worker (process {pid}) {exit}"));
    }
}

/// Ends a process that could not begin, and its call with it.
fn not_served(life: &Life, child: &Child, call: Chunk, death: &Receiver<()>, story: String, is_set_up: bool) {
    let by_itself = child.death();
    child.kill();
    let _ = death.recv();
    let exit = by_itself.or(child.death()).unwrap_or(Exit::Unknown);
    if is_set_up && life.pool().workers() == 0 {
        // A pool that has nothing but processes of their own can run nothing.
        life.pool().note_broken(NO_SEAT, story.clone());
    }
    lose(life, call, exit, format!("its process ({}) could not begin: {story}", child.pid()));
}

fn lose(life: &Life, call: Chunk, exit: Exit, story: String) {
    let (job, calls) = call.into_parts();
    for index in calls {
        job.failed(Failure::new(index, FailureKind::WorkerLost(exit), story.clone()), life.worker());
    }
}
