//! The range of each column in each file: what lets a query leave files out that cannot hold its rows.
//!
//! ```text
//!   rows ── Collector ──┐                                        ┌─▶ a column of all files, read when asked for
//!   footer ─ of_footer ─┴▶ FileStatistics ─ StatisticsWriter ─▶ Parquet
//! ```
//! A bound is a promise: no value of the column in the file is below `min` or above `max`; where `exact`, both occur. NaN
//! takes no part. Where nothing can be promised nothing is said. Only columns of values that have an order have bounds:
//! of lists and structures no more than the number of NULLs is told.

mod collect;
mod extremes;
mod file;
mod footer;
mod stored;

use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    datatypes::DataType,
};

pub use collect::Collector;
pub use file::{StatisticsWriter, decode, encode};
pub use footer::of_footer;
pub use stored::Statistics;

/// What is known of each top-level column of one file, in the order of the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct FileStatistics(pub Vec<ColumnBounds>);

/// What is known of one column of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnBounds {
    /// No value is lower than the one in this array of length one, which is of the column's type; of the type of its
    /// values where that is a dictionary.
    pub min: Option<ArrayRef>,
    /// No value is higher.
    pub max: Option<ArrayRef>,
    /// How many rows have none.
    pub nulls: Option<u64>,
    /// Whether both bounds are values of the column, or it has none: then they are the column's true minimum and maximum.
    pub exact: bool,
}

/// What is known of one column in all files of a table, in the order of the files.
#[derive(Clone, Debug)]
pub struct ColumnStatistics {
    /// The lower bounds, NULL where none is known. All NULL, of the type of nothing, for a column without order.
    pub min: ArrayRef,
    /// The upper bounds.
    pub max: ArrayRef,
    /// The numbers of NULLs, NULL where that is not known.
    pub nulls: UInt64Array,
    /// Whether the bounds are the true minimum and maximum.
    pub exact: BooleanArray,
}

impl ColumnStatistics {
    /// How many bytes of memory it takes.
    fn bytes(&self) -> usize {
        use arrow::array::Array;
        let arrays: [&dyn Array; 4] = [&self.min, &self.max, &self.nulls, &self.exact];
        arrays.into_iter().map(|array| array.get_array_memory_size()).sum()
    }
}

/// The type of the bounds of a column of this type; none where its values have no order.
fn bounds_type(data_type: &DataType) -> Option<DataType> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary,
        FixedSizeBinary, Float32, Float64, LargeBinary, LargeUtf8, Time32, Time64, Timestamp, Utf8, Utf8View,
    };
    match data_type {
        Dictionary(_, values) => bounds_type(values),
        Boolean | Float32 | Float64 | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => {
            Some(data_type.clone())
        }
        Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | FixedSizeBinary(_) => Some(data_type.clone()),
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => Some(data_type.clone()),
        integer if integer.is_integer() => Some(integer.clone()),
        _ => None,
    }
}
