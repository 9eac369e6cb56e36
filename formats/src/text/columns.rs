//! Columns of fields as Arrow arrays, a type at a time.
//!
//! A field that is no value of its column becomes NULL here and is reported with its row: the caller sets the row aside.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, BooleanBuilder, FixedSizeListArray, GenericListArray, GenericStringArray,
        OffsetSizeTrait, PrimitiveBuilder, builder::NullBufferBuilder,
    },
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Decimal256Type, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
    error::ArrowError,
};

use super::values::{Misfit, boolean, date, decimal, double, integer, is_null_word, single, timestamp};

/// The texts that mean NULL beside the empty field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nulls(Vec<Vec<u8>>);

impl Nulls {
    pub(crate) fn new(texts: &[String]) -> Self {
        Self(texts.iter().map(|text| text.trim_ascii().as_bytes().to_vec()).collect())
    }

    /// Whether this field means NULL in a column of any type.
    pub(super) fn hold(&self, field: &[u8]) -> bool {
        field.is_empty() || (!self.0.is_empty() && self.0.iter().any(|text| text == field))
    }
}

/// Whether fields can be read as this type.
pub(super) fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => matches!(zone.as_ref(), "UTC" | "Z" | "+00:00" | "Etc/UTC"),
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale >= 0,
        DataType::List(item) => is_element(item.data_type()),
        DataType::FixedSizeList(item, size) => *size > 0 && is_element(item.data_type()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Date32 | DataType::Timestamp(_, None) => true,
        other => is_element(other),
    }
}

/// Whether lists of this type can be read.
fn is_element(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean | DataType::Float32 | DataType::Float64) || data_type.is_integer()
}

/// Fields that are to become an array.
pub(super) struct Reading<'a> {
    pub(super) fields: &'a [&'a [u8]],
    pub(super) nulls: &'a Nulls,
    /// Takes the number of each field that is no value, and why.
    pub(super) misfit: &'a mut dyn FnMut(usize, Misfit),
}

impl<'a> Reading<'a> {
    /// The array, of a type that is readable.
    pub(super) fn read(self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        Ok(match data_type {
            DataType::Boolean => self.booleans(),
            DataType::Int8 => self.numbers::<Int8Type>(data_type, integer),
            DataType::Int16 => self.numbers::<Int16Type>(data_type, integer),
            DataType::Int32 => self.numbers::<Int32Type>(data_type, integer),
            DataType::Int64 => self.numbers::<Int64Type>(data_type, integer),
            DataType::UInt8 => self.numbers::<UInt8Type>(data_type, integer),
            DataType::UInt16 => self.numbers::<UInt16Type>(data_type, integer),
            DataType::UInt32 => self.numbers::<UInt32Type>(data_type, integer),
            DataType::UInt64 => self.numbers::<UInt64Type>(data_type, integer),
            DataType::Float32 => self.numbers::<Float32Type>(data_type, single),
            DataType::Float64 => self.numbers::<Float64Type>(data_type, double),
            DataType::Date32 => self.numbers::<Date32Type>(data_type, date),
            DataType::Timestamp(unit, _) => self.timestamps(data_type, *unit),
            DataType::Decimal128(precision, scale) => {
                self.numbers::<Decimal128Type>(data_type, |field| decimal::<Decimal128Type>(field, *precision, *scale))
            }
            DataType::Decimal256(precision, scale) => {
                self.numbers::<Decimal256Type>(data_type, |field| decimal::<Decimal256Type>(field, *precision, *scale))
            }
            DataType::Utf8 => self.texts::<i32>()?,
            DataType::LargeUtf8 => self.texts::<i64>()?,
            DataType::List(item) => self.lists(item)?,
            DataType::FixedSizeList(item, size) => self.vectors(item, *size)?,
            other => return Err(ArrowError::NotYetImplemented(format!("text as {other}"))),
        })
    }

    /// Gives each field to `value`: its number and what it holds, none if NULL.
    fn each<V>(self, parse: impl Fn(&[u8]) -> Result<V, Misfit>, mut value: impl FnMut(Option<V>)) {
        for (row, field) in self.fields.iter().enumerate() {
            let field = field.trim_ascii();
            if self.nulls.hold(field) {
                value(None);
                continue;
            }
            match parse(field) {
                Ok(found) => value(Some(found)),
                Err(misfit) => {
                    if !is_null_word(field) && !is_not_a_number(field) {
                        (self.misfit)(row, misfit);
                    }
                    value(None);
                }
            }
        }
    }

    fn numbers<T: ArrowPrimitiveType>(
        self,
        data_type: &DataType,
        parse: impl Fn(&[u8]) -> Result<T::Native, Misfit>,
    ) -> ArrayRef {
        let mut array = PrimitiveBuilder::<T>::with_capacity(self.fields.len()).with_data_type(data_type.clone());
        self.each(parse, |value| array.append_option(value));
        Arc::new(array.finish())
    }

    fn timestamps(self, data_type: &DataType, unit: TimeUnit) -> ArrayRef {
        let parse = |field: &[u8]| timestamp(field, unit);
        match unit {
            TimeUnit::Second => self.numbers::<TimestampSecondType>(data_type, parse),
            TimeUnit::Millisecond => self.numbers::<TimestampMillisecondType>(data_type, parse),
            TimeUnit::Microsecond => self.numbers::<TimestampMicrosecondType>(data_type, parse),
            TimeUnit::Nanosecond => self.numbers::<TimestampNanosecondType>(data_type, parse),
        }
    }

    fn booleans(self) -> ArrayRef {
        let mut array = BooleanBuilder::with_capacity(self.fields.len());
        self.each(boolean, |value| array.append_option(value));
        Arc::new(array.finish())
    }

    fn texts<O: OffsetSizeTrait>(self) -> Result<ArrayRef, ArrowError> {
        let mut bytes = Vec::with_capacity(self.fields.iter().map(|field| field.len()).sum());
        let mut offsets = Vec::with_capacity(self.fields.len() + 1);
        let mut valid = NullBufferBuilder::new(self.fields.len());
        offsets.push(O::zero());
        for field in self.fields {
            let null = self.nulls.hold(field);
            valid.append(!null);
            if !null {
                bytes.extend_from_slice(field);
            }
            offsets.push(O::usize_as(bytes.len()));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(GenericStringArray::<O>::try_new(offsets, bytes.into(), valid.finish())?))
    }

    /// Lists of any length, written as in JSON.
    fn lists(self, item: &FieldRef) -> Result<ArrayRef, ArrowError> {
        let mut elements = Elements::of(&self, None);
        let (values, valid) = (elements.read(self, item)?, elements.valid.finish());
        let offsets = OffsetBuffer::<i32>::from_lengths(elements.lengths);
        Ok(Arc::new(GenericListArray::try_new(Arc::clone(item), offsets, values, valid)?))
    }

    /// Lists of one length, written as in JSON.
    fn vectors(self, item: &FieldRef, size: i32) -> Result<ArrayRef, ArrowError> {
        let mut elements = Elements::of(&self, Some(size as usize));
        let (values, valid) = (elements.read(self, item)?, elements.valid.finish());
        Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(item), size, values, valid)?))
    }
}

/// The elements of a column of lists.
struct Elements<'f> {
    /// Those of all rows.
    fields: Vec<&'f [u8]>,
    /// The row of each.
    rows: Vec<usize>,
    /// How many each row has.
    lengths: Vec<usize>,
    /// Which rows have a list at all.
    valid: NullBufferBuilder,
    /// Rows that are no list.
    misfits: Vec<(usize, Misfit)>,
}

impl<'f> Elements<'f> {
    fn of(lists: &Reading<'f>, size: Option<usize>) -> Self {
        let valid = NullBufferBuilder::new(lists.fields.len());
        let mut found = Self { fields: vec![], rows: vec![], lengths: vec![], valid, misfits: vec![] };
        for (row, field) in lists.fields.iter().enumerate() {
            let before = found.fields.len();
            let field = field.trim_ascii();
            let mut present = !lists.nulls.hold(field) && !is_null_word(field);
            if present && let Err(misfit) = split_list(field, size, &mut found.fields) {
                found.misfits.push((row, misfit));
                found.fields.truncate(before);
                present = false;
            }
            if !present {
                found.fields.resize(before + size.unwrap_or(0), b"");
            }
            found.valid.append(present);
            found.lengths.push(found.fields.len() - before);
            found.rows.resize(found.fields.len(), row);
        }
        found
    }

    fn read(&self, lists: Reading<'_>, item: &FieldRef) -> Result<ArrayRef, ArrowError> {
        let misfit = lists.misfit;
        self.misfits.iter().for_each(|(row, why)| misfit(*row, *why));
        let mut of_row = |element: usize, why| misfit(self.rows[element], why);
        Reading { fields: &self.fields, nulls: lists.nulls, misfit: &mut of_row }.read(item.data_type())
    }
}

/// NaN has no place in a column of other types than floating point; there, and only there, it was a value.
fn is_not_a_number(field: &[u8]) -> bool {
    field.len() == 3 && field.eq_ignore_ascii_case(b"nan")
}

/// The elements of a list like `[1, 2.5, null]`.
fn split_list<'f>(field: &'f [u8], size: Option<usize>, elements: &mut Vec<&'f [u8]>) -> Result<(), Misfit> {
    const FORM: Misfit = Misfit::Form("is no list like [1,2]");
    let inner = field.strip_prefix(b"[").and_then(|field| field.strip_suffix(b"]")).ok_or(FORM)?.trim_ascii();
    let before = elements.len();
    if !inner.is_empty() {
        for element in inner.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if element.is_empty() {
                return Err(FORM);
            }
            elements.push(element);
        }
    }
    match size {
        Some(size) if elements.len() - before != size => {
            Err(Misfit::Form("is a list of another length than its column"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray, StringArray},
        datatypes::Field,
    };

    use super::*;

    fn read(data_type: &DataType, fields: &[&str]) -> (ArrayRef, Vec<(usize, Misfit)>) {
        let fields: Vec<_> = fields.iter().map(|field| field.as_bytes()).collect();
        let mut misfits = Vec::new();
        let nulls = Nulls::new(&["-999".to_owned()]);
        let mut misfit = |row, why| misfits.push((row, why));
        let array = Reading { fields: &fields, nulls: &nulls, misfit: &mut misfit }.read(data_type).unwrap();
        assert_eq!(array.data_type(), data_type);
        (array, misfits)
    }

    #[test]
    fn null_is_the_empty_field_the_null_words_and_what_was_asked_for() {
        let (array, misfits) = read(&DataType::Int16, &["1", "", " ", "NULL", "-999", " 7 ", "nan", "x", "99999"]);
        let numbers = array.as_primitive::<Int16Type>();
        let values: Vec<_> = numbers.iter().collect();
        assert_eq!(values, [Some(1), None, None, None, None, Some(7), None, None, None]);
        assert_eq!(misfits, [(7, Misfit::Form("is no whole number")), (8, Misfit::Range)]);
    }

    #[test]
    fn nan_is_a_value_of_floats_only() {
        let (array, misfits) = read(&DataType::Float64, &["nan", "NULL", "1e5"]);
        let values: Vec<_> = array.as_primitive::<Float64Type>().iter().collect();
        assert!(values[0].unwrap().is_nan());
        assert_eq!((&values[1..], misfits.len()), (&[None, Some(1e5)][..], 0));
    }

    #[test]
    fn text_is_kept_as_it_is_written() {
        let fields = ["a", "", " ", "NULL", "-999", "nan", "Ωμέγα"];
        for data_type in [DataType::Utf8, DataType::LargeUtf8] {
            let (array, misfits) = read(&data_type, &fields);
            let array = arrow::compute::cast(&array, &DataType::Utf8).unwrap();
            let expected = [Some("a"), None, Some(" "), Some("NULL"), None, Some("nan"), Some("Ωμέγα")];
            assert_eq!((array.as_string::<i32>(), misfits.len()), (&StringArray::from_iter(expected), 0));
        }
    }

    #[test]
    fn times_and_decimals_have_the_type_that_was_asked_for() {
        let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        assert!(is_readable(&utc));
        assert!(!is_readable(&DataType::Timestamp(TimeUnit::Millisecond, Some("+02:00".into()))));
        let (array, misfits) = read(&utc, &["1970-01-01T00:00:01", "1970-01-01 00:00:00.0001"]);
        assert_eq!(array.as_primitive::<TimestampMillisecondType>().iter().collect::<Vec<_>>(), [Some(1000), None]);
        assert_eq!(misfits.len(), 1);
        let (array, misfits) = read(&DataType::Decimal128(10, 2), &["1.50", "1.505"]);
        assert_eq!(array.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(150), None]);
        assert_eq!(misfits.len(), 1);
    }

    #[test]
    fn lists_are_read_element_by_element() {
        let item = Arc::new(Field::new("element", DataType::Float64, true));
        let list = DataType::List(Arc::clone(&item));
        let (array, misfits) = read(&list, &["[1, 2.5,null]", "", "[]", "1", "[1,x]", "[NaN]", "[1,]"]);
        let rows: Vec<_> = array.as_list::<i32>().iter().map(|row| row.map(|row| row.len())).collect();
        assert_eq!(rows, [Some(3), None, Some(0), None, Some(2), Some(1), None]);
        assert_eq!(misfits.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [3, 6, 4]);
        let (array, misfits) = read(&DataType::FixedSizeList(item, 2), &["[1,2]", "", "[1,2,3]", "[3,4]"]);
        let rows: Vec<_> = array.as_fixed_size_list().iter().map(|row| row.is_some()).collect();
        assert_eq!(rows, [true, false, false, true]);
        assert_eq!(misfits, [(2, Misfit::Form("is a list of another length than its column"))]);
        let last = array.as_fixed_size_list().value(3);
        assert_eq!(last.as_primitive::<Float64Type>().values(), &[3.0, 4.0]);
    }

    #[test]
    fn types_that_text_cannot_have_are_known() {
        let item = |data_type| Arc::new(Field::new("element", data_type, true));
        for unreadable in [
            DataType::Null,
            DataType::Binary,
            DataType::Utf8View,
            DataType::Decimal128(5, -2),
            DataType::List(item(DataType::Utf8)),
            DataType::FixedSizeList(item(DataType::Int8), 0),
        ] {
            assert!(!is_readable(&unreadable), "{unreadable}");
        }
    }
}
