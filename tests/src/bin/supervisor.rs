//! A program with a pool that is busy for ever, so that somebody else can end it.
//!
//! It prints its workers' process ids and those of two processes of their own, one of them a daemon, one a line, and
//! then `busy` as soon as all of them run guest code.

use std::io::Write;

use wasmpool_tests::{ACTOR, Act, FOR_EVER, Lines};

const WORKERS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    wasmpool::init();
    let lines = Lines::default();
    let pool = wasmpool::Pool::builder().workers(WORKERS).no_cache().on_output(lines.taker()).build()?;
    let act = pool.load_bytes("actor", ACTOR.as_bytes())?.task::<Act, i32>("act")?;
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| act.apply((i32::from(b'b'), FOR_EVER, 0, 0)));
        }
        let processes = [false, true].map(|is_daemon| {
            let process = act.process((i32::from(b'b'), FOR_EVER, 0, 0));
            process.and_then(|process| {
                let process = process.daemon(is_daemon);
                process.start().map(|()| process)
            })
        });
        lines.wait_for("b", WORKERS + processes.len());
        let mut out = std::io::stdout().lock();
        for pid in pool.worker_pids() {
            writeln!(out, "{pid}")?;
        }
        for process in processes {
            writeln!(out, "{}", process?.pid()?.ok_or("it was started")?)?;
        }
        writeln!(out, "busy")?;
        out.flush()?;
        Ok(())
    })
}
