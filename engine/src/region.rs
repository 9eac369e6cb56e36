//! Which part of the sky a filter can be true in.
//!
//! Three-valued and always a superset: AND intersects, OR unites, NOT complements, and whatever is not understood may be
//! true anywhere. The filter itself is always applied to the rows as well, so this decides only what need not be read.

use catalogs::PositionColumns;
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        datatypes::{DataType, Float64Type},
    },
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::ScalarFunction},
};
use sky::{Cone, Coverage, Deg, Position, coverage::Detail};

use crate::functions::{CIRCLE, CONTAINS, DISTANCE, POINT};

/// The coverage of all filters together, on these position columns.
pub(crate) fn coverage_of(filters: &[Expr], position: &PositionColumns) -> Coverage {
    filters.iter().fold(Coverage::whole_sky(), |sky, filter| sky.intersection(&coverage(filter, position)))
}

fn coverage(filter: &Expr, position: &PositionColumns) -> Coverage {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            coverage(left, position).intersection(&coverage(right, position))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            coverage(left, position).union(&coverage(right, position))
        }
        Expr::Not(inner) => coverage(inner, position).complement(),
        Expr::BinaryExpr(comparison) => compared(comparison, position).unwrap_or_else(Coverage::unknown),
        _ => Coverage::unknown(),
    }
}

/// A comparison that says where it is true; none if it is of another kind.
///
/// ```text
/// adql_contains(adql_point(ra, dec), circle) = 1      and with 0, reversed, or <> instead of =
/// adql_distance(ra, dec, lon, lat) <= r               and <, reversed, or with points
/// ```
fn compared(comparison: &BinaryExpr, position: &PositionColumns) -> Option<Coverage> {
    let (call, operator, bound) = match (called(&comparison.left), called(&comparison.right)) {
        (Some(call), None) => (call, comparison.op, number(&comparison.right)?),
        (None, Some(call)) => (call, comparison.op.swap()?, number(&comparison.left)?),
        _ => return None,
    };
    match (call.func.name(), call.args.as_slice()) {
        (CONTAINS, [point, circle]) if is_position(point, position) => {
            let [lon, lat, radius] = constant_parts(circle)?;
            let cone = cone(lon, lat, radius)?;
            match (operator, bound) {
                (Operator::Eq, 1.0) | (Operator::NotEq, 0.0) => Some(cone),
                (Operator::Eq, 0.0) | (Operator::NotEq, 1.0) => Some(cone.complement()),
                _ => None,
            }
        }
        (DISTANCE, arguments) => {
            let [lon, lat] = other_end(arguments, position)?;
            match operator {
                Operator::Lt | Operator::LtEq => cone(lon, lat, bound),
                // The cone is closed, and so is >=: the border belongs to both. It is covered unless the cone is the
                // whole sky, which has none.
                Operator::Gt | Operator::GtEq if bound < 180.0 => Some(cone(lon, lat, bound)?.complement().as_border()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The geometry function that is compared, seen through a cast only where the cast leaves its value as it is: 0 and 1 are
/// the same in every numeric type, a distance is not.
fn called(expr: &Expr) -> Option<&ScalarFunction> {
    match expr {
        Expr::ScalarFunction(call) => Some(call),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::ScalarFunction(call) if call.func.name() == CONTAINS && cast.field.data_type().is_numeric() => {
                Some(call)
            }
            _ => None,
        },
        _ => None,
    }
}

fn cone(lon: f64, lat: f64, radius: f64) -> Option<Coverage> {
    let cone = Cone::new(Position::from_deg(lon, lat).ok()?, Deg(radius)).ok()?;
    Some(Coverage::of_cone(&cone, Detail::default()))
}

/// The constant point of a distance whose other end is the row's position.
fn other_end(arguments: &[Expr], position: &PositionColumns) -> Option<[f64; 2]> {
    match arguments {
        [a, b] if is_position(a, position) => constant_parts(b),
        [a, b] if is_position(b, position) => constant_parts(a),
        [a, b, lon, lat] | [lon, lat, a, b] if are_columns(a, b, position) => Some([number(lon)?, number(lat)?]),
        _ => None,
    }
}

fn is_position(expr: &Expr, position: &PositionColumns) -> bool {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == POINT => {
            matches!(call.args.as_slice(), [lon, lat] if are_columns(lon, lat, position))
        }
        _ => false,
    }
}

fn are_columns(lon: &Expr, lat: &Expr, position: &PositionColumns) -> bool {
    is_column(lon, &position.ra) && is_column(lat, &position.dec)
}

/// A column, or a column of smaller numbers that is widened.
fn is_column(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Column(column) => column.name == name,
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Float64 => {
            matches!(cast.expr.as_ref(), Expr::Column(column) if column.name == name)
        }
        _ => false,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    let Expr::Literal(value, _) = expr else { return None };
    if !value.data_type().is_numeric() {
        return None; // a text compares by its letters
    }
    match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(number) => number,
        _ => None,
    }
}

/// The numbers of a constant point or circle.
fn constant_parts<const N: usize>(expr: &Expr) -> Option<[f64; N]> {
    match expr {
        Expr::Literal(ScalarValue::Struct(shape), _) if shape.is_valid(0) => {
            let part = |column: &ArrayRef| {
                column.as_primitive_opt::<Float64Type>().filter(|c| c.is_valid(0)).map(|c| c.value(0))
            };
            shape.columns().iter().map(part).collect::<Option<Vec<f64>>>()?.try_into().ok()
        }
        Expr::ScalarFunction(call) if [POINT, CIRCLE].contains(&call.func.name()) => {
            call.args.iter().map(number).collect::<Option<Vec<f64>>>()?.try_into().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use datafusion::prelude::{cast, col, lit};
    use proptest::{prelude::*, test_runner::RngSeed};
    use sky::healpix::cell29;

    use super::*;
    use crate::functions;

    fn call(name: &str, arguments: Vec<Expr>) -> Expr {
        functions::all().into_iter().find(|function| function.name() == name).unwrap().call(arguments)
    }

    fn in_circle(lon: f64, lat: f64, radius: f64) -> Expr {
        let point = call(POINT, vec![col("ra"), col("dec")]);
        let circle = call(CIRCLE, vec![lit(lon), lit(lat), lit(radius)]);
        lit(1_i64).eq(cast(call(CONTAINS, vec![point, circle]), DataType::Int64))
    }

    fn columns() -> PositionColumns {
        PositionColumns { ra: "ra".into(), dec: "dec".into() }
    }

    fn may_be_at(filters: &[Expr], lon: f64, lat: f64) -> bool {
        coverage_of(filters, &columns()).may_contain(cell29(Position::from_deg(lon, lat).unwrap()))
    }

    #[test]
    fn a_cone_excludes_what_is_far_from_it() {
        for filter in [
            in_circle(10.0, 20.0, 1.0),
            call(DISTANCE, vec![col("ra"), col("dec"), lit(10.0), lit(20.0)]).lt(lit(1.0)),
            lit(1.0).gt_eq(call(DISTANCE, vec![lit(10.0), lit(20.0), col("ra"), col("dec")])),
        ] {
            assert!(may_be_at(from_ref(&filter), 10.5, 20.5), "{filter}");
            assert!(!may_be_at(from_ref(&filter), 13.0, 20.0), "{filter}");
        }
    }

    #[test]
    fn and_or_not_combine_and_the_unknown_hides_nothing() {
        let (a, b) = (in_circle(10.0, 20.0, 1.0), in_circle(12.0, 20.0, 0.5));
        assert!(may_be_at(&[a.clone().or(b.clone())], 12.0, 20.0));
        assert!(coverage_of(&[a.clone(), b.clone()], &columns()).is_empty());
        assert!(!may_be_at(&[a.clone().and(col("mag").gt(lit(3)))], 50.0, 0.0));
        assert!(may_be_at(&[a.clone().or(col("mag").gt(lit(3)))], 50.0, 0.0));
        assert!(may_be_at(&[Expr::Not(Box::new(a.clone()))], 50.0, 0.0));
        assert!(!may_be_at(&[Expr::Not(Box::new(a.clone()))], 10.0, 20.0));
        assert!(may_be_at(&[Expr::Not(Box::new(a.clone().and(col("mag").gt(lit(3)))))], 10.0, 20.0));
        assert!(!may_be_at(&[Expr::Not(Box::new(Expr::Not(Box::new(a))))], 50.0, 0.0));
    }

    #[test]
    fn a_cast_that_changes_the_number_hides_nothing() {
        let distance = || call(DISTANCE, vec![col("ra"), col("dec"), lit(10.0), lit(20.0)]);
        for filter in [
            cast(distance(), DataType::Int32).lt_eq(lit(1)), // true up to 2 degrees
            cast(distance(), DataType::Utf8).lt(lit("2")),   // true at 10 degrees and more
            cast(distance(), DataType::Float32).lt_eq(lit(1.0_f32)),
            distance().lt(lit("2")),
            call(DISTANCE, vec![cast(col("ra"), DataType::Int64), col("dec"), lit(10.0), lit(20.0)]).lt(lit(1.0)),
        ] {
            assert!(may_be_at(from_ref(&filter), 200.0, -50.0), "{filter}");
        }
        let widened = cast(col("ra"), DataType::Float64);
        let filter = call(DISTANCE, vec![widened, col("dec"), lit(10.0), lit(20.0)]).lt(lit(1.0));
        assert!(!may_be_at(from_ref(&filter), 200.0, -50.0), "{filter}");
    }

    #[test]
    fn a_condition_on_other_columns_or_with_other_numbers_is_left_alone() {
        let swapped = call(POINT, vec![col("dec"), col("ra")]);
        let circle = call(CIRCLE, vec![lit(0.0), lit(0.0), lit(1.0)]);
        let other = call(CONTAINS, vec![swapped, circle]).eq(lit(1));
        assert!(may_be_at(&[other], 90.0, 0.0));
        let not_equal = call(DISTANCE, vec![col("ra"), col("dec"), lit(0.0), lit(0.0)]).eq(lit(1.0));
        assert!(may_be_at(&[not_equal], 90.0, 0.0));
        let column_radius = call(DISTANCE, vec![col("ra"), col("dec"), lit(0.0), lit(0.0)]).lt(col("r"));
        assert!(may_be_at(&[column_radius], 90.0, 0.0));
        let antipode = call(DISTANCE, vec![col("ra"), col("dec"), lit(0.0), lit(0.0)]).gt_eq(lit(180.0));
        assert!(may_be_at(&[antipode], 180.0, 0.0));
    }

    /// The same cases in every run, unless a number of fresh ones is asked for.
    fn cases() -> ProptestConfig {
        let fresh = std::env::var_os("PROPTEST_CASES").is_some();
        ProptestConfig {
            rng_seed: if fresh { RngSeed::Random } else { RngSeed::Fixed(55) },
            ..ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(cases())]
        #[test]
        fn no_point_where_the_filter_is_true_is_left_out(
            (lon, lat, radius) in (0.0..360.0, -90.0..=90.0_f64, 0.0..180.0_f64),
            (other_lon, other_lat, other_radius) in (0.0..360.0, -90.0..=90.0_f64, 0.0..180.0_f64),
            points in prop::collection::vec((0.0..360.0, -90.0..=90.0_f64), 50),
            negated in any::<bool>(),
            or in any::<bool>(),
        ) {
            let distance = call(DISTANCE, vec![col("ra"), col("dec"), lit(other_lon), lit(other_lat)]);
            let right = if negated { distance.gt_eq(lit(other_radius)) } else { distance.lt(lit(other_radius)) };
            let left = in_circle(lon, lat, radius);
            let filter = if or { left.or(right) } else { left.and(right) };
            let coverage = coverage_of(&[filter], &columns());
            for (x, y) in points {
                let point = Position::from_deg(x, y).unwrap();
                let within = |x, y, r| Deg::from(point.distance(Position::from_deg(x, y).unwrap())).0 <= r;
                let (a, b) = (within(lon, lat, radius), within(other_lon, other_lat, other_radius) != negated);
                let truth = if or { a || b } else { a && b };
                prop_assert!(!truth || coverage.may_contain(cell29(point)));
            }
        }
    }
}
