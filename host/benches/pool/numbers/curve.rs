//! How something changes with something else.

use super::samples::Samples;
use super::unit::Unit;

/// Several measured lines in one picture.
pub(crate) struct Curve {
    /// Name of its picture's file, and what it is asked for by.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What is varied.
    pub(crate) varied: &'static str,
    /// What is measured.
    pub(crate) unit: Unit,
    pub(crate) lines: Vec<Line>,
    /// What could not be measured, and why.
    pub(crate) notes: Vec<String>,
}

/// One contestant's line.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// By rising amount of what is varied.
    pub(crate) points: Vec<(f64, Samples)>,
}

impl Curve {
    /// A curve without lines.
    pub(crate) fn new(
        name: &'static str,
        title: impl Into<String>,
        varied: &'static str,
        unit: Unit,
    ) -> Self {
        Self { name, title: title.into(), varied, unit, lines: Vec::new(), notes: Vec::new() }
    }

    /// Adds a point to a contestant's line.
    pub(crate) fn add(&mut self, line: &'static str, at: f64, samples: Samples) {
        let place = self.lines.iter().position(|known| known.name == line).unwrap_or_else(|| {
            self.lines.push(Line { name: line, points: Vec::new() });
            self.lines.len() - 1
        });
        self.lines[place].points.push((at, samples));
    }

    /// All amounts at which somebody measured, rising.
    pub(crate) fn places(&self) -> Vec<f64> {
        let mut places: Vec<f64> =
            self.lines.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }
}

impl Line {
    /// What was measured there, if anything.
    pub(crate) fn at(&self, place: f64) -> Option<&Samples> {
        self.points.iter().find(|(at, _)| *at == place).map(|(_, samples)| samples)
    }
}

/// An amount of what is varied, as short as it can be said.
pub(crate) fn amount(value: f64) -> String {
    const BINARY: [(f64, &str); 3] = [(1_073_741_824.0, "Gi"), (1_048_576.0, "Mi"), (1024.0, "Ki")];
    const DECIMAL: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let sizes = BINARY.into_iter().chain(DECIMAL);
    let whole = sizes.into_iter().find(|(size, _)| value >= *size && value % size == 0.0);
    whole.map_or_else(|| value.to_string(), |(size, name)| format!("{} {name}", value / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f64) -> Samples {
        Samples::new(vec![value]).unwrap()
    }

    #[test]
    fn lines_keep_their_points_and_places_are_those_of_all() {
        let mut curve = Curve::new("name", "title", "calls", Unit::Seconds);
        curve.add("ours", 10.0, one(1.0));
        curve.add("theirs", 1.0, one(2.0));
        curve.add("theirs", 10.0, one(3.0));
        assert_eq!(curve.places(), [1.0, 10.0]);
        assert_eq!(curve.lines.len(), 2);
        assert_eq!(curve.lines[0].at(1.0), None);
        assert_eq!(curve.lines[1].at(10.0), Some(&one(3.0)));
    }

    #[test]
    fn amounts_are_short() {
        let amounts = [8.0, 1000.0, 1024.0, 1e8, 268_435_456.0, 200.0].map(amount);
        assert_eq!(amounts, ["8", "1 k", "1 Ki", "100 M", "256 Mi", "200"]);
    }
}
