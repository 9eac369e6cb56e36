//! `moc_union` and `moc_of_positions`: one MOC from many rows.
//!
//! Both gather ranges of order-29 cells and merge them whenever they have doubled, so that memory follows the answer and
//! not the rows. Between the steps of an aggregation the ranges travel as one binary value.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
    },
    common::{ScalarValue, exec_err, plan_err},
    error::Result,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use sky::{Moc, Order, Pixel, Position, Shape};

use super::moc::order;
use crate::{
    functions::{Body, Declaration, Form, Function, Origin},
    values::{ShapeBuilder, ShapeType, Shapes, is_number, spoken},
};

/// How many ranges are gathered before they are merged at all.
const FEW: usize = 4096;

pub(super) fn declared() -> Vec<Function> {
    let union = Declaration {
        name: "moc_union",
        planned: "moc_union",
        origin: Origin::Almagest,
        forms: &[Form { arguments: &[("moc", "MOC")], returns: "MOC" }],
        description: "Of many rows: the cells of any of the MOCs. NULLs leave no trace; NULL if there is nothing else.",
        example: "moc_union(MOC('4/1-3'))",
    };
    let positions = Declaration {
        name: "moc_of_positions",
        planned: "moc_of_positions",
        origin: Origin::Almagest,
        forms: &[
            Form {
                arguments: &[("order", "INTEGER"), ("lon", "DOUBLE PRECISION"), ("lat", "DOUBLE PRECISION")],
                returns: "MOC",
            },
            Form { arguments: &[("order", "INTEGER"), ("point", "POINT")], returns: "MOC" },
        ],
        description: "Of many rows: the HEALPix cells of an order (0 to 29, a constant) that hold one of the positions. \
                      Rows without a position leave no trace; NULL if there are no others.",
        example: "moc_of_positions(6, 56.75, 24.12)",
    };
    [(union, Gathered::Mocs), (positions, Gathered::Positions)]
        .map(|(declaration, gathered)| {
            let signature = Signature::user_defined(Volatility::Immutable);
            let function = MocOfRows { name: declaration.planned, gathered, signature };
            Function { declaration, body: Body::Aggregate(Arc::new(AggregateUDF::new_from_impl(function))) }
        })
        .to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gathered {
    Mocs,
    Positions,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MocOfRows {
    name: &'static str,
    gathered: Gathered,
    signature: Signature,
}

impl AggregateUDFImpl for MocOfRows {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let is = |given: &DataType, kind| given == &DataType::Null || ShapeType::of(given) == Some(kind);
        match (self.gathered, given) {
            (Gathered::Mocs, [moc]) if is(moc, ShapeType::Moc) => Ok(vec![ShapeType::Moc.data_type()]),
            (Gathered::Positions, [order, point]) if order.is_integer() && is(point, ShapeType::Point) => {
                Ok(vec![DataType::Int64, ShapeType::Point.data_type()])
            }
            (Gathered::Positions, [order, lon, lat]) if order.is_integer() && is_number(lon) && is_number(lat) => {
                Ok(vec![DataType::Int64, DataType::Float64, DataType::Float64])
            }
            _ => {
                let takes = match self.gathered {
                    Gathered::Mocs => "(moc)",
                    Gathered::Positions => "(order, lon, lat) or (order, point)",
                };
                let given: Vec<String> = given.iter().map(spoken).collect();
                plan_err!("{} takes {takes}, not ({})", self.name, given.join(", "))
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(ShapeType::Moc.data_type())
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = |part: &str| format!("{}[{part}]", arguments.name);
        Ok(vec![
            Arc::new(Field::new(name("order"), DataType::Int64, true)),
            Arc::new(Field::new(name("ranges"), DataType::LargeBinary, true)),
        ])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Gathering { gathered: self.gathered, order: None, ranges: Vec::new(), merged: 0 }))
    }
}

/// The ranges found so far.
#[derive(Debug)]
struct Gathering {
    gathered: Gathered,
    /// The finest order of all; none before the first row that counts.
    order: Option<Order>,
    ranges: Vec<(u64, u64)>,
    /// How many ranges there were after the last merge.
    merged: usize,
}

impl Gathering {
    fn add(&mut self, order: Order, ranges: impl Iterator<Item = (u64, u64)>) {
        self.order = self.order.max(Some(order));
        for (start, end) in ranges {
            match self.ranges.last_mut() {
                // Rows come along the sky more often than not.
                Some(last) if last.0 <= start && start <= last.1 => last.1 = last.1.max(end),
                _ => self.ranges.push((start, end)),
            }
        }
        if self.ranges.len() > FEW.max(2 * self.merged) {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, kept| {
            let joined = next.0 <= kept.1;
            if joined {
                kept.1 = kept.1.max(next.1);
            }
            joined
        });
        self.merged = self.ranges.len();
    }

    fn add_mocs(&mut self, mocs: &ArrayRef) -> Result<()> {
        let mocs = Shapes::of_array(mocs)?;
        let mut reader = mocs.reader();
        for row in 0..mocs.rows().unwrap_or_default() {
            if let Some(Shape::Moc(moc)) = reader.at(row) {
                self.add(moc.order(), moc.ranges().map(|range| (range.start, range.end)));
            }
        }
        Ok(())
    }

    fn add_positions(&mut self, orders: &ArrayRef, positions: &[ArrayRef]) -> Result<()> {
        let orders = orders.as_primitive::<Int64Type>();
        let mut add = |row: usize, lon: f64, lat: f64| {
            let Some(order) = orders.is_valid(row).then(|| orders.value(row)) else { return Ok(()) };
            let order = match self::order(order) {
                Ok(order) => order,
                Err(mistake) => return plan_err!("{mistake}"),
            };
            if let Ok(position) = Position::from_deg(lon, lat) {
                let cells = Pixel::of(position, order).range();
                self.add(order, std::iter::once((cells.start, cells.end)));
            }
            Ok(())
        };
        match positions {
            [points] => {
                let points = Shapes::of_array(points)?;
                let mut reader = points.reader();
                for row in 0..orders.len() {
                    if let Some(Shape::Point(at)) = reader.at(row) {
                        add(row, at.lon.deg(), at.lat.deg())?;
                    }
                }
            }
            [lon, lat] => {
                let (lon, lat) = (lon.as_primitive::<Float64Type>(), lat.as_primitive::<Float64Type>());
                for row in (0..orders.len()).filter(|row| lon.is_valid(*row) && lat.is_valid(*row)) {
                    add(row, lon.value(row), lat.value(row))?;
                }
            }
            _ => return exec_err!("positions were expected"),
        }
        Ok(())
    }
}

impl Accumulator for Gathering {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match (self.gathered, values) {
            (Gathered::Mocs, [mocs]) => self.add_mocs(mocs),
            (Gathered::Positions, [order, positions @ ..]) => self.add_positions(order, positions),
            _ => exec_err!("a MOC or positions were expected"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.merge();
        let mut builder = ShapeBuilder::new(ShapeType::Moc);
        match self.order {
            Some(order) => {
                let ranges = self.ranges.iter().map(|(start, end)| *start..*end);
                let moc = Moc::from_ranges(order, ranges)
                    .map_err(|e| datafusion::error::DataFusionError::External(e.into()))?;
                if builder.push(Some(&Shape::Moc(moc))).is_err() {
                    builder.push_null();
                }
            }
            None => builder.push_null(),
        }
        ScalarValue::try_from_array(&builder.finish(), 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.ranges.capacity() * size_of::<(u64, u64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.merge();
        let bytes = self.ranges.iter().flat_map(|(start, end)| [start.to_le_bytes(), end.to_le_bytes()]).flatten();
        Ok(vec![
            ScalarValue::Int64(self.order.map(|order| i64::from(order.get()))),
            ScalarValue::LargeBinary(self.order.map(|_| bytes.collect())),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [orders, ranges] = states else { return exec_err!("two states were expected") };
        let (orders, ranges) = (orders.as_primitive::<Int64Type>(), ranges.as_binary::<i64>());
        for row in 0..orders.len() {
            if orders.is_null(row) || ranges.is_null(row) {
                continue;
            }
            let Ok(order) = order(orders.value(row)) else { return exec_err!("a state of another function") };
            let (pairs, _) = ranges.value(row).as_chunks::<16>();
            let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            self.add(order, pairs.iter().map(|pair| (number(&pair[..8]), number(&pair[8..]))));
        }
        Ok(())
    }
}
