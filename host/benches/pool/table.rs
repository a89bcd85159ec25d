//! Shows figures: to people as one aligned table, to programs as JSON.

use serde_json::{Value, json};

use crate::conditions::Conditions;
use crate::figure::{Figure, Peer, three_digits};

const HEAD: [&str; 8] = ["figure", "of", "ours", "peer", "peer's", "ours is better by", "target", "met"];

type Row = [String; HEAD.len()];

/// All figures as an aligned table, one line per figure and further peer, and in which conditions they were measured.
pub(crate) fn text(figures: &[Figure], conditions: &Conditions) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(figures.iter().flat_map(rows_of));
    let widths: [usize; HEAD.len()] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let table: String = rows.iter().map(|row| line(row, widths)).collect();
    format!("{table}\n{conditions}\n")
}

fn line(row: &Row, widths: [usize; HEAD.len()]) -> String {
    const NUMBERS: [usize; 3] = [2, 4, 5];
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        if NUMBERS.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    let line = cells.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

fn rows_of(figure: &Figure) -> Vec<Row> {
    let mut rows: Vec<Row> = figure.peers.iter().map(|peer| peer_cells(figure, peer)).collect();
    if rows.is_empty() {
        rows.push(Row::default());
    }
    let bound = if figure.unit.is_more_better() { "at least" } else { "at most" };
    let first = &mut rows[0];
    first[0] = figure.name.to_owned();
    first[1] = figure.what.to_owned();
    first[2] = figure.unit.show(figure.ours);
    first[6] =
        figure.target.map(|target| format!("{bound} {}", figure.unit.show(target))).unwrap_or_default();
    first[7] = figure.is_met().map(|is_met| if is_met { "yes" } else { "NO" }).unwrap_or_default().to_owned();
    rows
}

fn peer_cells(figure: &Figure, peer: &Peer) -> Row {
    let mut row = Row::default();
    row[3] = peer.name.to_owned();
    match peer.value {
        Some(value) => {
            row[4] = figure.unit.show(value);
            row[5] = format!("{}x", three_digits(figure.times_better(value)));
        }
        None => row[4] = "not here".to_owned(),
    }
    row
}

/// The same as a JSON object, in base units: seconds, calls a second, bytes per byte.
///
/// # Errors
///
/// When a figure is not a finite number.
pub(crate) fn json(figures: &[Figure], conditions: &Conditions) -> serde_json::Result<String> {
    let figures: Vec<Value> = figures.iter().map(object).collect();
    let all = json!({ "conditions": conditions.to_string(), "figures": figures });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn object(figure: &Figure) -> Value {
    let peers = figure.peers.iter().map(|peer| {
        let ratio = peer.value.map(|value| figure.times_better(value));
        json!({ "name": peer.name, "value": peer.value, "ratio": ratio })
    });
    json!({
        "figure": figure.name,
        "of": figure.what,
        "unit": figure.unit.name(),
        "more_is_better": figure.unit.is_more_better(),
        "ours": figure.ours,
        "peers": peers.collect::<Vec<_>>(),
        "target": figure.target,
        "met": figure.is_met(),
    })
}
