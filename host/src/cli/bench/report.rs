//! Shows figures: to people as a table with what follows from it, to programs as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::{Figures, Pool, Spread, calls_to_pay_for, pays_from_ns, speed_up};

const HEAD: [&str; 5] = ["", "a call", "middle half", "speed-up", "efficiency"];

type Row = [String; HEAD.len()];

/// The table, and in words from where on a pool pays.
pub(super) fn table(figures: &Figures) -> String {
    let mut text = conditions(figures) + "\n\n";
    let rows = rows(figures);
    let widths: [usize; HEAD.len()] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text + "\n" + &words(figures)
}

fn conditions(figures: &Figures) -> String {
    let Figures { task, inputs, calls, cores, .. } = figures;
    let first = if figures.inputs_left_out { "the first " } else { "" };
    let turns = figures.pools[0].turns.len();
    let took = figures.measured_for.as_secs_f64();
    let load = figures.load.map(|load| format!(" (load average {load:.2} before)")).unwrap_or_default();
    format!(
        "{task}: {first}{}; {} of {}, in {took:.1} s on {}{load}",
        counted(*inputs, "input"),
        counted(turns as u64, "turn"),
        counted(*calls, "call"),
        counted(*cores as u64, "core"),
    )
}

fn rows(figures: &Figures) -> Vec<Row> {
    let (inline, single) = (figures.inline(), figures.single());
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.push(row("one call, inline".to_owned(), single, None, None));
    let there_and_back = figures.round_trip();
    let faster = speed_up(single.median, there_and_back.median);
    rows.push(row("one call, there and back".to_owned(), there_and_back, Some(faster), None));
    rows.push(row("calls inline".to_owned(), inline, None, None));
    for pool in &figures.pools {
        let call = pool.call();
        let faster = speed_up(inline.median, call.median);
        let efficiency = faster / pool.workers as f64;
        let name = format!("pool of {}", counted(pool.workers as u64, "worker"));
        rows.push(row(name, call, Some(faster), Some(efficiency)));
    }
    rows
}

fn row(name: String, spread: Spread, faster: Option<f64>, efficiency: Option<f64>) -> Row {
    let range = format!("{} - {}", time(spread.low), time(spread.high));
    let faster = faster.map(|faster| format!("{faster:.2}x")).unwrap_or_default();
    let efficiency = efficiency.map(|part| format!("{:.0} %", part * 100.0)).unwrap_or_default();
    [name, time(spread.median), range, faster, efficiency]
}

fn words(figures: &Figures) -> String {
    let Pool { workers, .. } = figures.largest();
    let (overhead, trip) = (figures.overhead().median, figures.round_trip_overhead().median);
    let mut text = String::new();
    match (pays_from_ns(overhead, *workers), pays_from_ns(trip, *workers)) {
        (Some(from), Some(alone)) => {
            let rest = workers - 1;
            let _ = writeln!(
                text,
                "{workers} workers pay from calls of {}: each costs {} more in a job than inline, over {workers} - 1 = {rest};",
                time(from),
                time(overhead),
            );
            let _ = writeln!(
                text,
                "handed over one at a time, from calls of {}: there and back costs {} more than inline.",
                time(alone),
                time(trip),
            );
        }
        _ => {
            let _ = writeln!(
                text,
                "One worker never pays: each call costs {} more in a job than inline, and nobody shares it (see -j).",
                time(overhead)
            );
        }
    }
    let start = figures.largest().start().median;
    let started = format!("Starting {} takes {}", counted(*workers as u64, "worker"), time(start));
    match calls_to_pay_for(start, figures.inline().median, figures.largest().call().median) {
        Some(calls) => {
            let _ = writeln!(text, "{started}, which {} like these bring back.", counted(calls, "call"));
        }
        None => {
            let _ = writeln!(text, "{started}, which calls like these do not bring back.");
        }
    }
    text
}

/// A count with its noun.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Nanoseconds with three digits, in the unit that suits them.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        small if small < 999.5 => (small, "ns"),
        small if small < 999.5e3 => (small / 1e3, "us"),
        small if small < 999.5e6 => (small / 1e6, "ms"),
        large => (large / 1e9, "s"),
    };
    let decimals = match value {
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// The same as one JSON object; times in nanoseconds.
pub(super) fn json(figures: &Figures) -> String {
    let (inline, single) = (figures.inline(), figures.single());
    let pools = figures.pools.iter().map(|pool| {
        let (call, start) = (pool.call(), pool.start());
        let faster = speed_up(inline.median, call.median);
        json!({
            "workers": pool.workers,
            "call_ns": object(call),
            "speed_up": faster,
            "efficiency": faster / pool.workers as f64,
            "start_ns": object(start),
            "starts": pool.starts.len(),
            "start_paid_by_calls": calls_to_pay_for(start.median, inline.median, call.median),
            "pays_from_ns": pays_from_ns(figures.overhead().median, pool.workers),
            "one_at_a_time_pays_from_ns": pays_from_ns(figures.round_trip_overhead().median, pool.workers),
        })
    });
    let value = json!({
        "task": figures.task,
        "inputs": figures.inputs,
        "inputs_left_out": figures.inputs_left_out,
        "cores": figures.cores,
        "load_average": figures.load,
        "turns": figures.pools[0].turns.len(),
        "calls_per_turn": figures.calls,
        "measured_for_s": figures.measured_for.as_secs_f64(),
        "one_call": {
            "calls": figures.singles.len(),
            "inline_ns": object(single),
            "there_and_back_ns": object(figures.round_trip()),
            "overhead_ns": object(figures.round_trip_overhead()),
        },
        "inline": { "call_ns": object(inline), "overhead_in_pool_ns": object(figures.overhead()) },
        "pools": pools.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn object(spread: Spread) -> Value {
    json!({ "median": spread.median, "low": spread.low, "high": spread.high })
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::example;
    use super::*;

    #[test]
    fn the_table_says_what_was_measured_and_what_follows() {
        let expected = "\
cube(number: i64): 10 inputs; 3 turns of 1000 calls, in 5.0 s on 2 cores (load average 0.25 before)

                           a call        middle half  speed-up  efficiency
one call, inline           200 ns    200 ns - 200 ns
one call, there and back  5.00 us  5.00 us - 5.00 us     0.04x
calls inline               100 ns    100 ns - 100 ns
pool of 1 worker           110 ns    110 ns - 110 ns     0.91x        91 %
pool of 2 workers         55.0 ns  54.5 ns - 55.5 ns     1.82x        91 %

2 workers pay from calls of 10.0 ns: each costs 10.0 ns more in a job than inline, over 2 - 1 = 1;
handed over one at a time, from calls of 4.80 us: there and back costs 4.80 us more than inline.
Starting 2 workers takes 4.50 ms, which 100000 calls like these bring back.
";
        assert_eq!(table(&example()), expected);
    }

    #[test]
    fn one_worker_never_pays() {
        let mut figures = example();
        figures.pools.truncate(1);
        figures.inputs_left_out = true;
        let table = table(&figures);
        assert!(table.starts_with("cube(number: i64): the first 10 inputs; "), "{table}");
        let words = "\
One worker never pays: each call costs 10.0 ns more in a job than inline, and nobody shares it (see -j).
Starting 1 worker takes 2.00 ms, which calls like these do not bring back.
";
        assert!(table.ends_with(words), "{table}");
        let json: Value = serde_json::from_str(&json(&figures)).expect("JSON");
        assert_eq!(json["pools"][0]["pays_from_ns"], Value::Null);
        assert_eq!(json["pools"][0]["start_paid_by_calls"], Value::Null);
    }

    #[test]
    fn programs_get_the_same_in_nanoseconds() {
        let json: Value = serde_json::from_str(&json(&example())).expect("JSON");
        assert_eq!(json["inline"]["call_ns"], json!({ "median": 100.0, "low": 100.0, "high": 100.0 }));
        assert_eq!(json["one_call"]["overhead_ns"]["median"], 4800.0);
        assert_eq!(json["pools"][1]["workers"], 2);
        assert_eq!(json["pools"][1]["pays_from_ns"], 10.0);
        assert_eq!(json["pools"][1]["start_paid_by_calls"], 100_000);
        assert_eq!((&json["turns"], &json["calls_per_turn"]), (&json!(3), &json!(1000)));
    }

    #[test]
    fn times_have_three_digits() {
        for (nanoseconds, expected) in [
            (0.0, "0.00 ns"),
            (5.214, "5.21 ns"),
            (99.96, "100 ns"),
            (999.6, "1.00 us"),
            (12_345.0, "12.3 us"),
            (4.5e6, "4.50 ms"),
            (61e9, "61.0 s"),
        ] {
            assert_eq!(time(nanoseconds), expected);
        }
    }
}
