//! Processes of their own, in tests that must not see those of others: they fill all places, or change signals.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmpool::{ErrorKind, PROCESSES_MAX, Process, active_children};
use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines, builder, text_in};

wasmpool::test_support!();

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn there_is_a_bound_and_its_error_names_it() {
    let _alone = alone();
    let fixture = text_in(builder(1), "slow", include_str!("../modules/slow.wat"));
    let sleeps = fixture.module.task::<i64, i64>("sleeps").expect("a task");
    let start = || -> Result<Process<i64>, wasmpool::Error> {
        let process = sleeps.process(600)?.daemon(true);
        process.start().map(|()| process)
    };
    let processes: Vec<_> = (0..PROCESSES_MAX).map(|_| start().expect("within the bound")).collect();
    assert_eq!(active_children().len(), PROCESSES_MAX);
    let error = start().expect_err("beyond the bound");
    assert_eq!(error.kind(), ErrorKind::Setting);
    assert!(error.to_string().starts_with(&format!("{PROCESSES_MAX} processes are alive")), "{error}");
    // One place is free again when its process is joined.
    processes[7].kill().expect("started");
    processes[7].join(None).expect("started");
    start().expect("within the bound");
    drop(fixture);
    assert!(active_children().is_empty());
    let codes = processes.iter().map(|process| process.exit_code().expect("not closed"));
    assert!(codes.eq((0..PROCESSES_MAX).map(|at| Some(if at == 7 { -9 } else { -15 }))));
}

/// F13: Python's `terminate` waits for ever then.
#[test]
fn terminate_ends_also_a_process_that_ignores_the_signal() {
    let _alone = alone();
    let lines = Lines::default();
    let fixture = text_in(builder(1).on_output(lines.taker()), "actor", ACTOR);
    let busy = fixture.module.task::<Act, i32>("act").expect("a task");
    let busy = busy.process((i32::from(b'b'), FOR_EVER, 0, 0)).expect("arguments");
    ignore_sigterm(true);
    busy.start().expect("a process");
    ignore_sigterm(false);
    lines.wait_for("b", 1);
    busy.terminate().expect("started");
    busy.join(None).expect("started");
    assert_eq!(busy.exit_code().expect("not closed"), Some(-9));
}

/// What a signal that is ignored does is handed down to the processes that are started.
#[allow(unsafe_code, reason = "there is no safe function for it")]
fn ignore_sigterm(is_ignored: bool) {
    let handler = if is_ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: no handler of this program's own is installed or taken away, for it has none for this signal.
    unsafe { libc::signal(libc::SIGTERM, handler) };
}
