//! Shows to people what was measured: figures as one aligned table, curves as small ones behind it.

use crate::conditions::Conditions;
use crate::figure::{Figure, Peer};
use crate::measured::Measured;
use crate::numbers::bound::Verdict;
use crate::numbers::curve::{Curve, amount};
use crate::numbers::unit::three_digits;

const HEAD: [&str; 10] = [
    "figure",
    "of",
    "ours",
    "quartiles",
    "peer",
    "peer's",
    "quartiles",
    "ours is better by",
    "must / aim",
    "met",
];

/// Columns of numbers.
const NUMBERS: [usize; 5] = [2, 3, 5, 6, 7];

type Row = [String; HEAD.len()];

/// All that was measured, and in which conditions.
pub(crate) fn text(measured: &Measured, conditions: &Conditions) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(measured.figures.iter().flat_map(rows_of));
    for (name, reason) in &measured.failures {
        let mut row = Row::default();
        (row[0], row[1], row[9]) = ((*name).to_owned(), format!("not measured: {reason}"), "NO".to_owned());
        rows.push(row);
    }
    let table =
        if rows.len() > 1 { aligned(&rows, |column| NUMBERS.contains(&column)) } else { String::new() };
    let absences: String = measured.figures.iter().flat_map(absences).collect();
    let curves: String = measured.curves.iter().map(curve).collect();
    format!("{table}{absences}{curves}\n{conditions}\n")
}

fn aligned<const N: usize>(rows: &[[String; N]], is_number: impl Fn(usize) -> bool) -> String {
    aligned_rows(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), is_number)
}

fn aligned_rows(rows: &[Vec<String>], is_number: impl Fn(usize) -> bool) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A row for a figure and each further peer. What was promised of the figure itself stands in its first row; where the
/// first peer comes with a promise of its own, it begins the next one.
fn rows_of(figure: &Figure) -> Vec<Row> {
    let mut rows: Vec<Row> = figure.peers.iter().map(|peer| peer_cells(figure, peer)).collect();
    let first_has_own = figure.peers.first().is_some_and(|peer| peer.bound.is_some());
    if rows.is_empty() || (figure.bound.is_some() && first_has_own) {
        rows.insert(0, Row::default());
    }
    let Figure { name, what, unit, ours, .. } = figure;
    let first = &mut rows[0];
    (first[0], first[1]) = ((*name).to_owned(), what.clone());
    (first[2], first[3]) = (unit.show(ours.median()), unit.show_quartiles(ours));
    if let Some(bound) = figure.bound {
        first[8] = bound.show(unit.is_more_better(), |value| unit.show(value));
        first[9] = figure.verdict().map(Verdict::word).unwrap_or_default().to_owned();
    }
    rows
}

fn peer_cells(figure: &Figure, peer: &Peer) -> Row {
    let mut row = Row::default();
    row[4] = peer.name.to_owned();
    match &peer.value {
        Ok(samples) => {
            (row[5], row[6]) = (figure.unit.show(samples.median()), figure.unit.show_quartiles(samples));
            row[7] = figure.times_better(peer).map_or_else(String::new, times);
        }
        // The reason stands below the table, where there is room.
        Err(_) => "not here".clone_into(&mut row[5]),
    }
    if let Some(bound) = peer.bound {
        row[8] = bound.show(true, times);
        row[9] = figure.verdict_against(peer).map_or("not measured", Verdict::word).to_owned();
    }
    row
}

/// Why peers of a figure are not here.
fn absences(figure: &Figure) -> impl Iterator<Item = String> {
    figure.peers.iter().filter_map(|peer| {
        let reason = peer.value.as_ref().err()?;
        Some(format!("  not here, {} of {}: {reason}\n", peer.name, figure.name))
    })
}

fn times(ratio: f64) -> String {
    format!("{}x", three_digits(ratio))
}

fn curve(curve: &Curve) -> String {
    let lines = curve.lines.iter().map(|line| line.name.to_owned());
    let mut rows: Vec<Vec<String>> = vec![[curve.varied.to_owned()].into_iter().chain(lines).collect()];
    for place in curve.places() {
        let cells = curve
            .lines
            .iter()
            .map(|line| line.at(place).map_or_else(String::new, |samples| curve.unit.show(samples.median())));
        rows.push([amount(place)].into_iter().chain(cells).collect());
    }
    let notes: String = curve.notes.iter().map(|note| format!("  {note}\n")).collect();
    format!("\n{}: {}\n{}{notes}", curve.name, curve.title, aligned_rows(&rows, |_| true))
}
