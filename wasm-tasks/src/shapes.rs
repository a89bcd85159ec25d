//! Nested structures: enums of structures, lists of both.

use serde::{Deserialize, Serialize};
use wasmpool_guest::task;

/// A point of the plane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
}

/// A figure of the plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// All points within `radius` of `center`.
    Circle {
        /// The middle.
        center: Point,
        /// How far it reaches.
        radius: f64,
    },
    /// All points between two corners.
    Rectangle(Point, Point),
    /// All points within a closed line.
    Polygon(Vec<Point>),
}

/// A rectangle along the axes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// The lower left corner.
    pub least: Point,
    /// The upper right corner.
    pub greatest: Point,
}

/// The smallest box around all shapes; none if there is nothing to be put into it.
#[task]
pub fn bounding_box(shapes: Vec<Shape>) -> Option<BoundingBox> {
    shapes
        .iter()
        .flat_map(Shape::extremes)
        .fold(None, |bounds, point| Some(BoundingBox::around(bounds, point)))
}

/// Moves a shape.
#[task]
pub fn moved(shape: Shape, by: Point) -> Shape {
    let shift = |point: Point| Point { x: point.x + by.x, y: point.y + by.y };
    match shape {
        Shape::Circle { center, radius } => Shape::Circle { center: shift(center), radius },
        Shape::Rectangle(one, other) => Shape::Rectangle(shift(one), shift(other)),
        Shape::Polygon(corners) => Shape::Polygon(corners.into_iter().map(shift).collect()),
    }
}

impl Shape {
    /// Points of which the farthest are as far out as the shape.
    fn extremes(&self) -> Vec<Point> {
        match self {
            Self::Circle { center: Point { x, y }, radius } => {
                vec![Point { x: x - radius, y: y - radius }, Point { x: x + radius, y: y + radius }]
            }
            Self::Rectangle(one, other) => vec![*one, *other],
            Self::Polygon(corners) => corners.clone(),
        }
    }
}

impl BoundingBox {
    fn around(bounds: Option<Self>, point: Point) -> Self {
        let Self { least, greatest } = bounds.unwrap_or(Self { least: point, greatest: point });
        Self {
            least: Point { x: least.x.min(point.x), y: least.y.min(point.y) },
            greatest: Point { x: greatest.x.max(point.x), y: greatest.y.max(point.y) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(x: f64, y: f64) -> Point {
        Point { x, y }
    }

    #[test]
    fn the_box_holds_every_shape() {
        let shapes = vec![
            Shape::Circle { center: at(0.0, 0.0), radius: 2.0 },
            Shape::Rectangle(at(5.0, 1.0), at(4.0, 3.0)),
            Shape::Polygon(vec![at(0.0, -7.0)]),
        ];
        let bounds = BoundingBox { least: at(-2.0, -7.0), greatest: at(5.0, 3.0) };
        assert_eq!(bounding_box(shapes), Some(bounds));
        assert_eq!(bounding_box(vec![Shape::Polygon(Vec::new())]), None);
    }

    #[test]
    fn a_moved_shape_keeps_its_form() {
        let circle = Shape::Circle { center: at(1.0, 1.0), radius: 2.0 };
        assert_eq!(moved(circle, at(1.0, -1.0)), Shape::Circle { center: at(2.0, 0.0), radius: 2.0 });
    }
}
