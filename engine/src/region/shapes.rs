//! Where conditions on shapes can be true.
//!
//! What is compared with a constant shape S is the row's position p, or a shape around it that reaches no farther than r:
//!
//! | condition | p is |
//! |---|---|
//! | p in S | in S |
//! | a shape around p in S | in S |
//! | S in a shape around p, or the two meet | within r of S |

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::ScalarFunction},
};
use sky::{Cone, Coverage, Deg, Position, Rad, Shape, coverage::Detail};

use super::{Region, bounds::number};
use crate::{
    functions::{CIRCLE, CLOSER, CONTAINS, DISTANCE, IN_CIRCLE, IN_SHAPE, INTERSECTS, POINT, WITHIN},
    values::shape_of,
};

/// A shape as far as it is known before the rows are.
enum Known {
    /// The row's position.
    Row,
    /// A shape that holds the row's position and reaches so many degrees from it.
    Around(f64),
    Constant(Box<Shape>),
    /// NULL, or what describes nothing on the sky.
    Nothing,
}

impl Region<'_> {
    /// Where a condition on shapes can be true; none if it is of another kind.
    pub(super) fn shape(&self, condition: &Expr) -> Option<Coverage> {
        match condition {
            Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
                (IN_SHAPE, [lon, lat, shape]) if self.is_row(lon, lat) => self.relation(Known::Row, self.known(shape)?),
                (IN_SHAPE, [lon, lat, shape]) => {
                    self.relation(Known::Constant(Box::new(Shape::Point(position(lon, lat)?))), self.known(shape)?)
                }
                (IN_CIRCLE | WITHIN | CLOSER, [lon, lat, lon2, lat2, radius]) => {
                    let center = match (self.is_row(lon, lat), self.is_row(lon2, lat2)) {
                        (true, false) => position(lon2, lat2)?,
                        (false, true) => position(lon, lat)?,
                        _ => return None,
                    };
                    Some(self.near(center, radius)?)
                }
                _ => None,
            },
            Expr::BinaryExpr(comparison) => self.compared(comparison),
            _ => None,
        }
    }

    /// Within a radius, constant or not, of a constant position.
    fn near(&self, center: Position, radius: &Expr) -> Option<Coverage> {
        let (radius, constant) = match number(radius) {
            Some(radius) => (radius, true),
            None => (self.bounds.greatest(radius)?, false),
        };
        if radius < 0.0 {
            return Some(Coverage::empty());
        }
        // A little wider than 180 degrees is all the sky, too. It is not inside: the rim at the antipode may be left out.
        let cone = Cone::new(center, Deg(radius.min(180.0))).ok()?;
        let coverage = Coverage::of_cone(&cone, Detail::default());
        Some(if constant && radius < 180.0 { coverage } else { coverage.as_border() })
    }

    /// Conditions as they were before they became predicates, and those of shapes around the row.
    fn compared(&self, comparison: &BinaryExpr) -> Option<Coverage> {
        let (call, operator, bound) = match (called(&comparison.left), called(&comparison.right)) {
            (Some(call), None) => (call, comparison.op, &comparison.right),
            (None, Some(call)) => (call, comparison.op.swap()?, &comparison.left),
            _ => return None,
        };
        match (call.func.name(), call.args.as_slice()) {
            (CONTAINS, [inner, outer]) => {
                let coverage = self.contained(self.known(inner)?, self.known(outer)?)?;
                one_or_zero(coverage, operator, number(bound)?)
            }
            (INTERSECTS, [one, other]) => {
                let coverage = match self.relation(self.known(one)?, self.known(other)?) {
                    Some(coverage) => coverage,
                    None => self.relation(self.known(other)?, self.known(one)?)?,
                };
                one_or_zero(coverage, operator, number(bound)?)
            }
            (DISTANCE, arguments) => {
                let center = self.other_end(arguments)?;
                match operator {
                    Operator::Lt | Operator::LtEq => self.near(center, bound),
                    Operator::Gt | Operator::GtEq if number(bound).is_some() => {
                        // The rim belongs to both sides of >=.
                        Some(self.near(center, bound)?.complement().as_border())
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn contained(&self, inner: Known, outer: Known) -> Option<Coverage> {
        match (inner, outer) {
            (Known::Around(_), outer @ Known::Constant(_)) => Some(self.relation(Known::Row, outer)?.as_border()),
            // A MOC that is empty lies in every shape, wherever that is.
            (Known::Constant(inner), Known::Around(_)) if matches!(&*inner, Shape::Moc(moc) if moc.is_empty()) => None,
            (inner, outer) => self.relation(inner, outer),
        }
    }

    /// Where the row is if the two have a point in common.
    fn relation(&self, one: Known, other: Known) -> Option<Coverage> {
        match (one, other) {
            (Known::Nothing, _) | (_, Known::Nothing) => Some(Coverage::empty()),
            (Known::Row, Known::Constant(shape)) | (Known::Constant(shape), Known::Row) => {
                Some(Coverage::of_shape(&shape, detail(&shape)))
            }
            (Known::Around(radius), Known::Constant(shape)) | (Known::Constant(shape), Known::Around(radius)) => {
                let coverage = Coverage::of_shape(&shape, detail(&shape));
                Some(coverage.dilate(Rad::from(Deg(radius))).as_border())
            }
            _ => None,
        }
    }

    /// What is known of a shape.
    fn known(&self, expr: &Expr) -> Option<Known> {
        match expr {
            Expr::Literal(value @ ScalarValue::Struct(_), _) => {
                Some(shape_of(value).map_or(Known::Nothing, |shape| Known::Constant(Box::new(shape))))
            }
            Expr::Literal(value, _) if value.is_null() => Some(Known::Nothing),
            Expr::ScalarFunction(call) => self.made(call),
            _ => None,
        }
    }

    /// A shape made of numbers.
    fn made(&self, call: &ScalarFunction) -> Option<Known> {
        let arguments = match call.args.as_slice() {
            [Expr::Literal(ScalarValue::Utf8(_), _), rest @ ..] => rest,
            all => all,
        };
        let row = |point: &Expr| match point {
            Expr::ScalarFunction(call) => matches!(self.made(call), Some(Known::Row)),
            _ => false,
        };
        match (call.func.name(), arguments) {
            (POINT, [lon, lat]) if self.is_row(lon, lat) => Some(Known::Row),
            (POINT, [lon, lat]) => Some(Known::Constant(Box::new(Shape::Point(position(lon, lat)?)))),
            (CIRCLE, [lon, lat, radius]) if self.is_row(lon, lat) => self.around(radius),
            (CIRCLE, [center, radius]) if row(center) => self.around(radius),
            (CIRCLE, [lon, lat, radius]) => {
                let cone = Cone::new(position(lon, lat)?, Deg(number(radius)?)).ok()?;
                Some(Known::Constant(Box::new(Shape::Cone(cone))))
            }
            ("adql_box", [lon, lat, width, height]) if self.is_row(lon, lat) => box_around(width, height),
            ("adql_box", [center, width, height]) if row(center) => box_around(width, height),
            _ => None,
        }
    }

    fn around(&self, radius: &Expr) -> Option<Known> {
        match self.bounds.greatest(radius)? {
            radius if radius < 0.0 => Some(Known::Nothing),
            // A wider one is no circle.
            radius => Some(Known::Around(radius.min(180.0))),
        }
    }

    /// The constant point of a distance whose other end is the row's position.
    fn other_end(&self, arguments: &[Expr]) -> Option<Position> {
        match arguments {
            [one, other] => match (self.known(one)?, self.known(other)?) {
                (Known::Row, Known::Constant(shape)) | (Known::Constant(shape), Known::Row) => match *shape {
                    Shape::Point(position) => Some(position),
                    _ => None,
                },
                _ => None,
            },
            [a, b, lon, lat] | [lon, lat, a, b] if self.is_row(a, b) => position(lon, lat),
            _ => None,
        }
    }

    /// Whether these are the columns of the row's position.
    pub(super) fn is_row(&self, lon: &Expr, lat: &Expr) -> bool {
        self.place.position.is_some_and(|position| is_column(lon, &position.ra) && is_column(lat, &position.dec))
    }

    /// Whether this is the row's position as a point.
    pub(super) fn is_row_point(&self, point: &Expr) -> bool {
        matches!(self.known(point), Some(Known::Row))
    }
}

/// Cells are exact of a MOC, so that more of them pay.
fn detail(shape: &Shape) -> Detail {
    match shape {
        Shape::Moc(_) => Detail::at_most(super::MOST_RANGES),
        _ => Detail::default(),
    }
}

/// A box reaches as far as its corners, which are no farther than this.
fn box_around(width: &Expr, height: &Expr) -> Option<Known> {
    let (width, height) = (number(width)?, number(height)?);
    let sides = 0.0..180.0;
    (sides.contains(&width) && sides.contains(&height)).then(|| Known::Around(((width + height) / 2.0).min(90.0)))
}

/// Where a function that answers 1 in a coverage compares so.
fn one_or_zero(coverage: Coverage, operator: Operator, bound: f64) -> Option<Coverage> {
    let holds = |answer: f64| match operator {
        Operator::Eq => answer == bound,
        Operator::NotEq => answer != bound,
        Operator::Lt => answer < bound,
        Operator::LtEq => answer <= bound,
        Operator::Gt => answer > bound,
        Operator::GtEq => answer >= bound,
        _ => true,
    };
    match (holds(1.0), holds(0.0)) {
        (true, false) => Some(coverage),
        (false, true) => Some(coverage.complement()),
        _ => None,
    }
}

/// The function that is compared, seen through a cast only where the cast leaves its value as it is: 0 and 1 are the same
/// in every numeric type, a distance is not.
fn called(expr: &Expr) -> Option<&ScalarFunction> {
    match expr {
        Expr::ScalarFunction(call) => Some(call),
        Expr::Cast(cast) if cast.field.data_type().is_numeric() => match cast.expr.as_ref() {
            Expr::ScalarFunction(call) if [CONTAINS, INTERSECTS].contains(&call.func.name()) => Some(call),
            _ => None,
        },
        _ => None,
    }
}

fn position(lon: &Expr, lat: &Expr) -> Option<Position> {
    Position::from_deg(number(lon)?, number(lat)?).ok()
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
