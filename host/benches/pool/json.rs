//! Shows to programs what was measured: base units, that is seconds, bytes, and calls or bytes a second.

use serde_json::{Value, json};

use crate::conditions::Conditions;
use crate::figure::{Figure, Peer};
use crate::measured::Measured;
use crate::numbers::bound::{Bound, Verdict};
use crate::numbers::curve::{Curve, Line};
use crate::numbers::samples::Samples;

/// All that was measured, and in which conditions, as one JSON object.
///
/// # Errors
///
/// When something in it is no JSON, which does not happen: samples are numbers.
pub(crate) fn text(measured: &Measured, conditions: &Conditions) -> serde_json::Result<String> {
    let failures =
        measured.failures.iter().map(|(name, reason)| json!({ "benchmark": name, "reason": reason }));
    let all = json!({
        "conditions": conditions.json(),
        "figures": measured.figures.iter().map(figure).collect::<Vec<_>>(),
        "curves": measured.curves.iter().map(curve).collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn figure(figure: &Figure) -> Value {
    json!({
        "figure": figure.name,
        "of": figure.what,
        "unit": figure.unit.name(),
        "more_is_better": figure.unit.is_more_better(),
        "ours": samples(&figure.ours),
        "peers": figure.peers.iter().map(|peer| self::peer(figure, peer)).collect::<Vec<_>>(),
        "target": figure.bound.map(bound),
        "met": figure.verdict().map(Verdict::word),
    })
}

fn peer(figure: &Figure, peer: &Peer) -> Value {
    json!({
        "name": peer.name,
        "value": peer.value.as_ref().ok().map(samples),
        "absence": peer.value.as_ref().err(),
        "ratio": figure.times_better(peer),
        "target_ratio": peer.bound.map(bound),
        "met": figure.verdict_against(peer).map(Verdict::word),
    })
}

fn samples(samples: &Samples) -> Value {
    let [low, high] = samples.quartiles();
    json!({ "median": samples.median(), "quartiles": [low, high], "turns": samples.turns() })
}

fn bound(bound: Bound) -> Value {
    json!({ "must": bound.must, "aim": bound.aim })
}

fn curve(curve: &Curve) -> Value {
    let line = |line: &Line| {
        let points = line.points.iter().map(|(at, value)| json!({ "at": at, "value": samples(value) }));
        json!({ "name": line.name, "points": points.collect::<Vec<_>>() })
    };
    json!({
        "curve": curve.name,
        "of": curve.title,
        "varied": curve.varied,
        "unit": curve.unit.name(),
        "lines": curve.lines.iter().map(line).collect::<Vec<_>>(),
        "notes": curve.notes,
    })
}
