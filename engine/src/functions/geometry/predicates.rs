//! Conditions on plain columns of longitudes and latitudes, as `rules::normalize_sky` writes them.
//!
//! | condition | is |
//! |---|---|
//! | `sky_in_circle(lon, lat, lon2, lat2, r)` | `CONTAINS(POINT(lon, lat), CIRCLE(lon2, lat2, r)) = 1` |
//! | `sky_in_shape(lon, lat, shape)` | `CONTAINS(POINT(lon, lat), shape) = 1` |
//! | `sky_within(lon, lat, lon2, lat2, r)` | `DISTANCE(lon, lat, lon2, lat2) <= r` |
//! | `sky_closer(lon, lat, lon2, lat2, r)` | `DISTANCE(lon, lat, lon2, lat2) < r` |
//!
//! A distance of at most `r` is a place in the circle of that radius, in every row and on the rim too, so both are asked
//! [`Position::is_within`]; what is closer than `r` is compared as a number. Most rows are decided by a latitude, a
//! longitude or a chord, and only those so near the rim that this can't tell are asked exactly.

use std::sync::Arc;

use datafusion::{
    arrow::array::{Array, ArrayRef, BooleanArray},
    common::ScalarValue,
    error::Result,
    logical_expr::ColumnarValue,
};
use sky::{Cone, ConeTest, Deg, Position, cone::Rim};

use super::{
    call::Operation,
    test::{PointTest, kept},
};
use crate::{functions::numbers::Numbers, values::Shapes};

pub(super) fn answer(operation: Operation, arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
    let answers = match operation {
        Operation::InShape => in_shape(arguments, rows)?,
        _ => near(operation, arguments, rows)?,
    };
    Ok(Arc::new(answers))
}

fn in_shape(arguments: &[ColumnarValue], rows: usize) -> Result<BooleanArray> {
    let (lon, lat) = (Numbers::of(&arguments[0])?, Numbers::of(&arguments[1])?);
    let shapes = || Shapes::of(&arguments[2]);
    if let ColumnarValue::Scalar(ScalarValue::Struct(constant)) = &arguments[2] {
        let make = || match shapes() {
            Ok(Shapes::Constant(shape)) => shape.map(|shape| PointTest::of(&shape)),
            _ => None,
        };
        let Some(test) = kept(constant, make) else { return Ok(BooleanArray::new_null(rows)) };
        return Ok(each(&lon, &lat, rows, |lon, lat| test.contains_deg(lon, lat)));
    }
    let shapes = shapes()?;
    let mut shapes = shapes.reader();
    let answers = (0..rows).map(|row| {
        let position = Position::from_deg(lon.at(row)?, lat.at(row)?).ok()?;
        Some(shapes.at(row)?.contains_position(position))
    });
    Ok(answers.collect())
}

/// Two positions and an angle.
fn near(operation: Operation, arguments: &[ColumnarValue], rows: usize) -> Result<BooleanArray> {
    let numbers: Vec<Numbers> = arguments.iter().map(Numbers::of).collect::<Result<_>>()?;
    let [lon, lat, lon2, lat2, radius] = &numbers[..] else { return Ok(BooleanArray::new_null(rows)) };
    if let Numbers::Constant(radius) = radius {
        // A distance is the same both ways, so either end may be the constant one.
        for (lon, lat, center) in [(lon, lat, (lon2, lat2)), (lon2, lat2, (lon, lat))] {
            if let (Numbers::Constant(c1), Numbers::Constant(c2)) = center {
                let (Some(c1), Some(c2), Some(radius)) = (c1, c2, radius) else {
                    return Ok(BooleanArray::new_null(rows));
                };
                let Some(test) = NearTest::new(operation, [*c1, *c2, *radius]) else {
                    return Ok(BooleanArray::new_null(rows));
                };
                return Ok(each(lon, lat, rows, |lon, lat| test.holds(lon, lat)));
            }
        }
    }
    let answers = (0..rows).map(|row| {
        let (one, other) = (
            Position::from_deg(lon.at(row)?, lat.at(row)?).ok()?,
            Position::from_deg(lon2.at(row)?, lat2.at(row)?).ok()?,
        );
        of_pair(operation, one, other, radius.at(row)?)
    });
    Ok(answers.collect())
}

/// The answer for one pair of positions. None where the radius is that of no circle, and one is asked for.
fn of_pair(operation: Operation, one: Position, other: Position, radius: f64) -> Option<bool> {
    if operation == Operation::InCircle {
        return Some(Cone::new(other, Deg(radius)).ok()?.contains_position(one));
    }
    // Two parallels are nowhere closer than their difference in latitude.
    if (one.lat.deg() - other.lat.deg()).abs() > radius + 1e-9 {
        return Some(false);
    }
    Some(compares(operation, one, other, radius))
}

/// Whether [`IN_CIRCLE`](super::IN_CIRCLE) is true of a position and a circle.
pub(crate) fn in_circle(position: Position, center: Position, radius: f64) -> bool {
    of_pair(Operation::InCircle, position, center, radius) == Some(true)
}

/// Whether [`WITHIN`](super::WITHIN) is true of two positions and an angle.
pub(crate) fn within(one: Position, other: Position, radius: f64) -> bool {
    of_pair(Operation::Within, one, other, radius) == Some(true)
}

/// Whether [`CLOSER`](super::CLOSER) is true of two positions and an angle.
pub(crate) fn closer(one: Position, other: Position, radius: f64) -> bool {
    of_pair(Operation::Closer, one, other, radius) == Some(true)
}

/// The answer for every row; where a number is missing there is none.
fn each(lon: &Numbers, lat: &Numbers, rows: usize, holds: impl Fn(f64, f64) -> Option<bool>) -> BooleanArray {
    match (lon, lat) {
        (Numbers::Column(lon), Numbers::Column(lat)) if lon.null_count() == 0 && lat.null_count() == 0 => {
            lon.values().iter().zip(lat.values()).map(|(lon, lat)| holds(*lon, *lat)).collect()
        }
        _ => (0..rows).map(|row| holds(lon.at(row)?, lat.at(row)?)).collect(),
    }
}

/// A centre and a radius made ready for many positions.
struct NearTest {
    operation: Operation,
    center: Position,
    radius: f64,
    /// None where the radius is that of no circle.
    cone: Option<ConeTest>,
}

impl NearTest {
    /// None where every answer is NULL.
    fn new(operation: Operation, [lon, lat, radius]: [f64; 3]) -> Option<Self> {
        let center = Position::from_deg(lon, lat).ok()?;
        let cone = Cone::new(center, Deg(radius)).ok().map(|cone| cone.tester());
        (cone.is_some() || operation != Operation::InCircle).then_some(Self { operation, center, radius, cone })
    }

    fn holds(&self, lon: f64, lat: f64) -> Option<bool> {
        match &self.cone {
            Some(cone) if self.operation == Operation::InCircle => cone.contains_deg(lon, lat),
            Some(cone) => Some(match cone.rim(lon, lat)? {
                Rim::Within => true,
                Rim::Beyond => false,
                Rim::On(position) => compares(self.operation, position, self.center, self.radius),
            }),
            None => Some(compares(self.operation, Position::from_deg(lon, lat).ok()?, self.center, self.radius)),
        }
    }
}

/// `DISTANCE(…) <= radius` or `<`. A radius that no circle has is compared as columns are, NaN above all numbers.
fn compares(operation: Operation, one: Position, other: Position, radius: f64) -> bool {
    if operation == Operation::Within && (0.0..=180.0).contains(&radius) {
        return other.is_within(Deg(radius), one);
    }
    Deg::from(one.distance(other)).0.total_cmp(&radius).is_lt()
}
