//! One figure: what was measured, what others need for the same, and what was promised.

/// A measured figure.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// What was measured, in a few words.
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    pub(crate) ours: f64,
    pub(crate) peers: Vec<Peer>,
    pub(crate) target: Option<f64>,
}

/// The same work done by somebody else, in the same run.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// In the figure's unit; nothing where the peer is not installed.
    pub(crate) value: Option<f64>,
}

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// More is better.
    PerSecond,
    /// More is better.
    BytesPerSecond,
    /// Less is better.
    Seconds,
    /// Bytes used per byte needed; less is better.
    Multiple,
}

impl Figure {
    /// A figure without peers and target.
    pub(crate) fn new(name: &'static str, what: &'static str, unit: Unit, ours: f64) -> Self {
        Self { name, what, unit, ours, peers: Vec::new(), target: None }
    }

    /// The figure beside a peer's.
    pub(crate) fn against(mut self, name: &'static str, value: impl Into<Option<f64>>) -> Self {
        self.peers.push(Peer { name, value: value.into() });
        self
    }

    /// The figure with what was promised: at least, or at most, depending on the unit.
    pub(crate) fn promised(mut self, target: f64) -> Self {
        self.target = Some(target);
        self
    }

    /// Whether the promise is kept, if there is one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.target.map(|target| self.times_better(target) >= 1.0)
    }

    /// How many times better ours is than `other`.
    pub(crate) fn times_better(&self, other: f64) -> f64 {
        if self.unit.is_more_better() { self.ours / other } else { other / self.ours }
    }
}

impl Unit {
    /// Whether larger figures are better.
    pub(crate) fn is_more_better(self) -> bool {
        matches!(self, Self::PerSecond | Self::BytesPerSecond)
    }

    /// Its name, for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "per second",
            Self::BytesPerSecond => "bytes per second",
            Self::Seconds => "seconds",
            Self::Multiple => "times",
        }
    }

    /// A value in words: three digits and a unit of a fitting size.
    pub(crate) fn show(self, value: f64) -> String {
        const PER_SECOND: [(f64, &str); 3] = [(1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")];
        const BYTES_PER_SECOND: [(f64, &str); 2] = [(1e9, " GB/s"), (1e6, " MB/s")];
        const SECONDS: [(f64, &str); 4] = [(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")];
        const MULTIPLE: [(f64, &str); 1] = [(1.0, "x")];
        let sizes: &[_] = match self {
            Self::PerSecond => &PER_SECOND,
            Self::BytesPerSecond => &BYTES_PER_SECOND,
            Self::Seconds => &SECONDS,
            Self::Multiple => &MULTIPLE,
        };
        let fitting = sizes.iter().find(|(size, _)| value >= *size).or(sizes.last());
        let (size, name) = fitting.copied().unwrap_or((1.0, ""));
        format!("{}{name}", three_digits(value / size))
    }
}

/// A number with about three digits.
pub(crate) fn three_digits(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
