//! Draws a curve as SVG: both axes logarithmic, a line per contestant, whiskers from quartile to quartile.
//!
//! A page of code of our own: the crates for it bring fonts, bitmaps and canvases, or leave the axes to the caller.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::curve::{Curve, Line, amount};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 430.0;

/// Where the axes lie.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 370.0;

/// Pixels between two names behind lines that end close to each other.
const NAME_HEIGHT: f64 = 16.0;

/// Told apart also by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];

/// A scale on which each factor has the same length.
struct Scale {
    low: f64,
    high: f64,
    /// Pixels of both ends.
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: RangeInclusive<f64>, from: f64, to: f64) -> Self {
        let (low, high) = values.into_inner();
        // A single value lies in the middle.
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, high * 2.0) };
        Self { low: low.ln(), high: high.ln(), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.ln() - self.low) / (self.high - self.low) * (self.to - self.from)
    }
}

/// The picture, as the text of a file. Nothing when there is nothing to be drawn: logarithms know no zero.
pub(crate) fn svg(curve: &Curve) -> Option<String> {
    let across = extremes(curve.places())?;
    let measured = curve.lines.iter().flat_map(|line| &line.points);
    let up = extremes(measured.flat_map(|(_, samples)| samples.quartiles()))?;
    let up = decade_below(*up.start())..=decade_below(*up.end() * 9.999);
    let (x, y) = (Scale::new(across, LEFT, RIGHT), Scale::new(up.clone(), BOTTOM, TOP));
    let mut svg = String::new();
    head(&mut svg, curve);
    decades(&mut svg, curve, &y, up);
    places(&mut svg, curve, &x);
    let mut names = Vec::new();
    for (line, colour) in curve.lines.iter().zip(COLOURS.iter().cycle()) {
        if let Some(end) = draw(&mut svg, line, colour, &x, &y) {
            names.push((end, line.name, *colour));
        }
    }
    write_names(&mut svg, names);
    svg.push_str("</svg>\n");
    Some(svg)
}

fn extremes(values: impl IntoIterator<Item = f64>) -> Option<RangeInclusive<f64>> {
    let positive: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).collect();
    let least = positive.iter().copied().reduce(f64::min)?;
    let most = positive.iter().copied().reduce(f64::max)?;
    Some(least..=most)
}

fn decade_below(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

fn head(svg: &mut String, curve: &Curve) {
    let title = escaped(&curve.title);
    let (middle, below) = (f64::midpoint(LEFT, RIGHT), HEIGHT - 14.0);
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">
<title>{title}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="26" font-size="15" font-weight="bold">{title}</text>
<text x="{middle}" y="{below}" text-anchor="middle">{}</text>
"##,
        escaped(curve.varied)
    );
}

/// A line across for each power of ten.
fn decades(svg: &mut String, curve: &Curve, y: &Scale, up: RangeInclusive<f64>) {
    let (first, last) = (up.start().log10().round() as i32, up.end().log10().round() as i32);
    for decade in (first..=last.max(first + 1)).map(|power| 10f64.powi(power)) {
        let at = y.place(decade);
        if !(TOP - 1.0..=BOTTOM + 1.0).contains(&at) {
            continue;
        }
        let (end, base) = (LEFT - 8.0, at + 4.0);
        // A hair more, lest the power of a fraction be written as 999 of the next smaller unit.
        let name = escaped(&curve.unit.show(decade * 1.000_001));
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="#dddddd"/><text x="{end}" y="{base:.1}" text-anchor="end">{name}</text>"##
        );
    }
}

/// A tick for each measured place.
fn places(svg: &mut String, curve: &Curve, x: &Scale) {
    let mut free_from = 0.0;
    for place in curve.places() {
        let (at, base) = (x.place(place), BOTTOM + 18.0);
        let _ = write!(svg, r##"<path d="M{at:.1} {BOTTOM}v5" stroke="#888888"/>"##);
        // Names that would touch are left out.
        if at >= free_from {
            let name = escaped(&amount(place));
            free_from = at + 8.0 * name.len() as f64 + 4.0;
            let _ = write!(svg, r#"<text x="{at:.1}" y="{base}" text-anchor="middle">{name}</text>"#);
        }
        svg.push('\n');
    }
    let _ = writeln!(svg, r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#888888"/>"##);
}

/// Draws a line; returns the height at which it ends.
fn draw(svg: &mut String, line: &Line, colour: &str, x: &Scale, y: &Scale) -> Option<f64> {
    let mut way = String::new();
    let mut end = None;
    for (place, samples) in &line.points {
        let [low, high] = samples.quartiles();
        if low <= 0.0 {
            continue;
        }
        let (at, height) = (x.place(*place), y.place(samples.median()));
        let step = if end.is_none() { 'M' } else { 'L' };
        let _ = write!(way, "{step}{at:.1} {height:.1}");
        let (low, high) = (y.place(low), y.place(high));
        let _ = writeln!(
            svg,
            r#"<path d="M{at:.1} {low:.1}V{high:.1}" stroke="{colour}" opacity="0.5"/><circle cx="{at:.1}" cy="{height:.1}" r="2.5" fill="{colour}"/>"#
        );
        end = Some(height);
    }
    let _ = writeln!(svg, r#"<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.8"/>"#);
    end
}

/// Names of lines behind their ends, moved down where two would lie upon each other.
fn write_names(svg: &mut String, mut names: Vec<(f64, &str, &str)>) {
    names.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
    let mut free_from = 0.0_f64;
    for (end, name, colour) in names {
        let height = end.max(free_from);
        free_from = height + NAME_HEIGHT;
        let (at, base) = (RIGHT + 10.0, height + 4.0);
        let name = escaped(name);
        let _ = writeln!(svg, r#"<text x="{at}" y="{base:.1}" fill="{colour}">{name}</text>"#);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::samples::Samples;
    use super::super::unit::Unit;
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples::new(values.to_vec()).unwrap()
    }

    #[test]
    fn equal_factors_have_equal_lengths() {
        let scale = Scale::new(1.0..=10_000.0, 0.0, 400.0);
        let places = [1.0, 10.0, 100.0, 10_000.0].map(|value| scale.place(value).round());
        assert_eq!(places, [0.0, 100.0, 200.0, 400.0]);
    }

    #[test]
    fn a_picture_shows_each_line_within_its_axes() {
        let mut curve = Curve::new("name", "a < b", "calls", Unit::Seconds);
        for (at, value) in [(10.0, 1e-6), (1000.0, 3e-5), (100_000.0, 1e-2)] {
            curve.add("ours", at, samples(&[value, value * 2.0]));
            curve.add("theirs", at, samples(&[value * 50.0]));
        }
        let svg = svg(&curve).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("<title>a &lt; b</title>") && !svg.contains("a < b"));
        assert_eq!(svg.matches("<circle").count(), 6);
        assert!(svg.contains(">ours</text>") && svg.contains(">theirs</text>"));
        assert!(svg.contains(">1.00 us</text>") && svg.contains(">100 k</text>"));
        let heights = svg.split("cy=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for height in heights.map(|height| height.parse::<f64>().unwrap()) {
            assert!((TOP..=BOTTOM).contains(&height), "{height}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn names_do_not_lie_upon_each_other() {
        let mut svg = String::new();
        write_names(&mut svg, vec![(100.0, "one", "#000000"), (101.0, "other", "#000000")]);
        assert!(svg.contains(r#"y="104.0""#) && svg.contains(r#"y="120.0""#), "{svg}");
    }

    #[test]
    fn nothing_is_no_picture() {
        let mut curve = Curve::new("name", "title", "calls", Unit::Bytes);
        assert_eq!(svg(&curve), None);
        curve.add("ours", 1.0, samples(&[0.0]));
        assert_eq!(svg(&curve), None);
    }
}
