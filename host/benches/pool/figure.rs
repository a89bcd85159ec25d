//! One figure: what was measured, what others need for the same, and what was promised.

use crate::numbers::bound::{Bound, Verdict};
use crate::numbers::samples::Samples;
use crate::numbers::unit::Unit;

/// A measured figure.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// What was measured, in a few words, with its inputs.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) ours: Samples,
    pub(crate) peers: Vec<Peer>,
    /// What was promised of ours.
    pub(crate) bound: Option<Bound>,
}

/// The same work done by somebody else, in the same run.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// In the figure's unit; why there is none where it was not measured.
    pub(crate) value: Result<Samples, String>,
    /// What was promised of how many times better ours is.
    pub(crate) bound: Option<Bound>,
}

impl Figure {
    /// A figure without peers and promises.
    pub(crate) fn new(name: &'static str, what: impl Into<String>, unit: Unit, ours: Samples) -> Self {
        Self { name, what: what.into(), unit, ours, peers: Vec::new(), bound: None }
    }

    /// The figure beside a peer's.
    pub(crate) fn against(mut self, name: &'static str, value: Result<Samples, String>) -> Self {
        self.peers.push(Peer { name, value, bound: None });
        self
    }

    /// The figure with what was promised of it.
    pub(crate) fn promised(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }

    /// Whether what was promised of it is kept.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        Some(self.bound?.judge(self.ours.median(), self.unit.is_more_better()))
    }

    /// How many times better ours is than a peer's that was measured; nothing where both are nothing.
    pub(crate) fn times_better(&self, peer: &Peer) -> Option<f64> {
        let theirs = peer.value.as_ref().ok()?;
        let is_more_better = self.unit.is_more_better();
        let times = if is_more_better { self.ours.over(theirs) } else { theirs.over(&self.ours) };
        times.is_finite().then_some(times)
    }

    /// Whether what was promised against a peer is kept.
    pub(crate) fn verdict_against(&self, peer: &Peer) -> Option<Verdict> {
        Some(peer.bound?.judge(self.times_better(peer)?, true))
    }
}
