//! Measuring by turns: whatever else the machine is doing hits every contestant alike.

use std::cell::RefCell;

use anyhow::Context as _;

use crate::figure::{Figure, Peer};
use crate::numbers::bound::Bound;
use crate::numbers::samples::Samples;
use crate::numbers::unit::Unit;
use crate::python::Python;
use crate::say;
use crate::world::World;

/// Measures once; returns what the figure counts.
type Measure<'a> = Box<dyn FnMut() -> anyhow::Result<f64> + 'a>;

/// Everybody who has a turn at one figure: the pool, and its peers.
pub(crate) struct Contest<'a> {
    name: &'static str,
    what: String,
    unit: Unit,
    bound: Option<Bound>,
    ours: Measure<'a>,
    peers: Vec<Contestant<'a>>,
}

struct Contestant<'a> {
    name: &'static str,
    bound: Option<Bound>,
    /// How it measures, or why it does not.
    measure: Result<Measure<'a>, String>,
    values: Vec<f64>,
}

/// What is measured along with something else, turn by turn.
#[derive(Default)]
pub(crate) struct Aside(RefCell<Vec<f64>>);

impl<'a> Contest<'a> {
    /// A contest that only the pool takes part in.
    pub(crate) fn new(
        name: &'static str,
        what: impl Into<String>,
        unit: Unit,
        ours: impl FnMut() -> anyhow::Result<f64> + 'a,
    ) -> Self {
        Self { name, what: what.into(), unit, bound: None, ours: Box::new(ours), peers: Vec::new() }
    }

    /// Promises something of the pool's figure.
    pub(crate) fn promised(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }

    /// Lets a peer take part.
    pub(crate) fn against(
        mut self,
        name: &'static str,
        measure: impl FnMut() -> anyhow::Result<f64> + 'a,
    ) -> Self {
        self.peers.push(Contestant { name, bound: None, measure: Ok(Box::new(measure)), values: Vec::new() });
        self
    }

    /// Lets Python take part, if it is there.
    pub(crate) fn against_python(
        mut self,
        name: &'static str,
        world: &'a World,
        measure: impl Fn(&Python) -> anyhow::Result<f64> + 'a,
    ) -> Self {
        let measure = match &world.python {
            Ok(python) => Ok(Box::new(move || measure(python)) as Measure<'a>),
            Err(absence) => Err(absence.clone()),
        };
        self.peers.push(Contestant { name, bound: None, measure, values: Vec::new() });
        self
    }

    /// Promises how many times better the pool is than the last peer.
    pub(crate) fn better_by(mut self, bound: Bound) -> Self {
        if let Some(peer) = self.peers.last_mut() {
            peer.bound = Some(bound);
        }
        self
    }

    /// Lets everybody have so many turns, after one that does not count. A peer that fails is out, and the table says
    /// so.
    ///
    /// # Errors
    ///
    /// When the pool fails.
    pub(crate) fn run(mut self, turns: usize) -> anyhow::Result<Figure> {
        let mut ours = Vec::new();
        for turn in 0..=turns {
            let value = (self.ours)()?;
            ours.extend((turn > 0).then_some(value));
            self.peers.iter_mut().for_each(|peer| peer.take_turn(turn > 0));
        }
        let ours = Samples::new(ours).with_context(|| format!("{} measured no number", self.name))?;
        let mut figure = Figure::new(self.name, self.what, self.unit, ours);
        figure.bound = self.bound;
        figure.peers = self.peers.into_iter().map(Contestant::finish).collect();
        Ok(figure)
    }
}

impl Contestant<'_> {
    fn take_turn(&mut self, counts: bool) {
        let Ok(measure) = &mut self.measure else { return };
        match measure() {
            Ok(value) => self.values.extend(counts.then_some(value)),
            Err(error) => {
                say(&format!("{} failed: {error:#}", self.name));
                self.measure = Err(format!("failed: {}", error.root_cause()));
            }
        }
    }

    fn finish(self) -> Peer {
        let Self { name, bound, measure, values } = self;
        let value = measure.and_then(|_| Samples::new(values).ok_or_else(|| "measured no number".to_owned()));
        Peer { name, value, bound }
    }
}

impl Aside {
    /// Notes what this turn gave.
    pub(crate) fn note(&self, value: f64) {
        self.0.borrow_mut().push(value);
    }

    /// What the turns gave that count, all but the first.
    ///
    /// # Errors
    ///
    /// When there were none.
    pub(crate) fn samples(&self) -> Result<Samples, String> {
        let values = self.0.borrow();
        Samples::new(values.iter().skip(1).copied().collect()).ok_or_else(|| "not measured".to_owned())
    }

    /// The same of the pool, as a figure without peers.
    ///
    /// # Errors
    ///
    /// As [`Self::samples`].
    pub(crate) fn figure(&self, name: &'static str, what: &str, unit: Unit) -> anyhow::Result<Figure> {
        Ok(Figure::new(name, what, unit, self.samples().map_err(anyhow::Error::msg)?))
    }
}
