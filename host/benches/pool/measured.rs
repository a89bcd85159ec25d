//! What one benchmark gives: figures, curves, or both.

use crate::figure::Figure;
use crate::numbers::curve::Curve;

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) figures: Vec<Figure>,
    pub(crate) curves: Vec<Curve>,
    /// Benchmarks that failed, and why.
    pub(crate) failures: Vec<(&'static str, String)>,
}

impl Measured {
    /// Adds what another benchmark gave.
    pub(crate) fn extend(&mut self, more: Self) {
        self.figures.extend(more.figures);
        self.curves.extend(more.curves);
        self.failures.extend(more.failures);
    }
}

impl From<Figure> for Measured {
    fn from(figure: Figure) -> Self {
        vec![figure].into()
    }
}

impl From<Vec<Figure>> for Measured {
    fn from(figures: Vec<Figure>) -> Self {
        Self { figures, ..Self::default() }
    }
}

impl From<Vec<Curve>> for Measured {
    fn from(curves: Vec<Curve>) -> Self {
        Self { curves, ..Self::default() }
    }
}
