//! Where conditions on numbers of HEALPix cells can be true.
//!
//! ```text
//! ivo_healpix_index(8, ra, dec) = 1234              the cell of the row, at any order
//! _healpix_29 BETWEEN 12 AND 34                     the column of cells
//! _healpix_29 >> 42 = 77                            its parents
//! source_id / 34359738368 IN (5, 6)                 an id that begins with a cell
//! source_id = 4295806720
//! ```

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{
        BinaryExpr, Expr, Operator,
        expr::{Between, InList},
    },
};
use sky::{Arcsec, Coverage, Deg, Moc, Order, Rad};

use super::Region;
use crate::functions::{Values, values_of};

/// Whole numbers from the first to the last.
type Run = (i128, i128);

/// Numbers beyond all that a column can hold.
const LEAST: i128 = -(1 << 100);
const GREATEST: i128 = 1 << 100;

impl Region<'_> {
    /// Where a condition on whole numbers can be true; none if it is of another kind.
    pub(super) fn cells(&self, condition: &Expr) -> Option<Coverage> {
        let (subject, runs, negated) = runs(condition)?;
        let coverage = self.of_subject(subject, runs)?;
        Some(if negated { coverage.complement() } else { coverage })
    }

    /// The cells of the rows of which a number is in one of the runs.
    fn of_subject(&self, subject: &Expr, runs: Vec<Run>) -> Option<Coverage> {
        match subject {
            Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Int64 | DataType::Decimal128(_, 0)) => {
                self.of_subject(&cast.expr, runs)
            }
            Expr::Column(column) => self.of_column(&column.name, runs),
            // Before the division; what rounds to zero comes from both sides of it.
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) => {
                let by = whole(right).filter(|by| *by > 0)?;
                let before = |(first, last): Run| {
                    let first = if first > 0 { first.checked_mul(by)? } else { LEAST };
                    Some((first, if last >= 0 { last.checked_mul(by)?.checked_add(by - 1)? } else { 0 }))
                };
                self.of_subject(left, runs.into_iter().map(before).collect::<Option<_>>()?).map(|c| c.as_border())
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::BitwiseShiftRight, right }) => {
                let bits = whole(right).filter(|bits| (0..63).contains(bits))?;
                let before = |(first, last): Run| {
                    let length = 1_i128 << bits;
                    (first.saturating_mul(length), last.saturating_mul(length).saturating_add(length - 1))
                };
                self.of_subject(left, runs.into_iter().map(before).collect())
            }
            Expr::ScalarFunction(call) if call.func.name() == "ivo_healpix_index" => {
                let (order, of_the_row) = match call.args.as_slice() {
                    [order, lon, lat] => (order, self.is_row(lon, lat)),
                    [order, point] => (order, self.is_row_point(point)),
                    _ => return None,
                };
                let order = Order::new(u8::try_from(whole(order)?).ok()?).ok()?;
                if of_the_row { covered(order, runs) } else { None }
            }
            _ => None,
        }
    }

    fn of_column(&self, name: &str, runs: Vec<Run>) -> Option<Coverage> {
        if let Some((column, order)) = self.place.healpix
            && column == name
        {
            let coverage = covered(Order::new(order).ok()?, runs)?;
            return Some(widened(coverage, self.place.slack));
        }
        let encoded = self.place.id_encodes.filter(|encoded| encoded.column == name)?;
        let shifted = runs.into_iter().map(|(first, last)| (first >> encoded.shift, last >> encoded.shift)).collect();
        let coverage = covered(Order::new(encoded.order).ok()?, shifted)?;
        Some(widened(coverage.as_border(), Deg::from(Arcsec(encoded.slack_arcsec))))
    }
}

/// What holds of a cell holds of positions that may be a little beside it.
fn widened(coverage: Coverage, slack: Deg) -> Coverage {
    if slack.0 > 0.0 { coverage.dilate(Rad::from(slack)).as_border() } else { coverage }
}

/// The cells of an order whose numbers are in one of the runs.
fn covered(order: Order, runs: Vec<Run>) -> Option<Coverage> {
    let last_cell = i128::from(order.cells()) - 1;
    let ranges = runs.into_iter().filter_map(|(first, last)| {
        let (first, last) = (first.max(0), last.min(last_cell));
        (first <= last).then(|| first as u64 * order.cell_length()..(last as u64 + 1) * order.cell_length())
    });
    Some(Coverage::of_moc(&Moc::from_ranges(Order::MAX, ranges).ok()?))
}

/// What is compared, the numbers for which the comparison is true, and whether it is meant the other way round.
fn runs(condition: &Expr) -> Option<(&Expr, Vec<Run>, bool)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (subject, op, bound) = match (whole(left), whole(right)) {
                (None, Some(bound)) => (left, *op, bound),
                (Some(bound), None) => (right, op.swap()?, bound),
                _ => return None,
            };
            let (run, negated) = match op {
                Operator::Eq => ((bound, bound), false),
                Operator::NotEq => ((bound, bound), true),
                Operator::Lt => ((LEAST, bound - 1), false),
                Operator::LtEq => ((LEAST, bound), false),
                Operator::Gt => ((bound + 1, GREATEST), false),
                Operator::GtEq => ((bound, GREATEST), false),
                _ => return None,
            };
            Some((subject, vec![run], negated))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            Some((expr, vec![(whole(low)?, whole(high)?)], *negated))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let numbers = list.iter().map(|number| whole(number).map(|number| (number, number)));
            Some((expr, numbers.collect::<Option<_>>()?, *negated))
        }
        among => match values_of(among)? {
            (subject, Values::Whole(numbers)) => {
                let numbers = numbers.iter().map(|number| (i128::from(*number), i128::from(*number)));
                Some((subject, numbers.collect(), false))
            }
            _ => None,
        },
    }
}

/// A constant whole number.
fn whole(expr: &Expr) -> Option<i128> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::Decimal128(Some(number), _, 0) => Some(*number),
        ScalarValue::UInt64(Some(number)) => Some(i128::from(*number)),
        other if other.data_type().is_integer() => match other.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(number) => number.map(i128::from),
            _ => None,
        },
        _ => None,
    }
}
