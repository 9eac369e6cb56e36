//! Rows of several arrays as one array, in any order: what a sort ends with.
//!
//! ```text
//!   arrays  [a b c] [d e]     rows  (1,0) (0,2) (1,1)     ─▶     [d c e]
//! ```
//! The same as to put the arrays together and to take the rows of that, without the copy in between; and lists of numbers are
//! copied list by list, where the kernel of Arrow sets up each one anew. Types that a table seldom has go Arrow's way.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{
        Array, ArrayData, ArrayRef, AsArray, BooleanArray, GenericByteArray, GenericListArray, OffsetSizeTrait,
        StructArray, UInt32Array, make_array,
    },
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::{concat, take},
    datatypes::{ArrowNativeType, BinaryType, ByteArrayType, DataType, LargeBinaryType, LargeUtf8Type, Utf8Type},
    error::ArrowError,
};

/// A row: in which of the arrays, and where there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) part: u32,
    pub(super) row: u32,
}

/// All rows of arrays of these lengths, one after the other.
pub(super) fn all_rows(lengths: impl Iterator<Item = usize>) -> Vec<Row> {
    let rows = lengths.enumerate().flat_map(|(part, length)| (0..length as u32).map(move |row| (part as u32, row)));
    rows.map(|(part, row)| Row { part, row }).collect()
}

/// These rows of arrays of one type, of which there must be at least one.
pub(super) fn gather(parts: &[&ArrayRef], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let Some(first) = parts.first() else {
        return Err(ArrowError::InvalidArgumentError("no rows can be had of no arrays".to_owned()));
    };
    match first.data_type() {
        DataType::Boolean => Ok(booleans(parts, rows)),
        DataType::Utf8 => texts::<Utf8Type>(parts, rows),
        DataType::LargeUtf8 => texts::<LargeUtf8Type>(parts, rows),
        DataType::Binary => texts::<BinaryType>(parts, rows),
        DataType::LargeBinary => texts::<LargeBinaryType>(parts, rows),
        DataType::List(_) => lists::<i32>(parts, rows),
        DataType::LargeList(_) => lists::<i64>(parts, rows),
        DataType::Struct(_) => structures(parts, rows),
        data_type => match data_type.primitive_width() {
            Some(1) => numbers::<i8>(parts, rows),
            Some(2) => numbers::<i16>(parts, rows),
            Some(4) => numbers::<i32>(parts, rows),
            Some(8) => numbers::<i64>(parts, rows),
            Some(16) => numbers::<i128>(parts, rows),
            _ => by_arrow(parts, rows),
        },
    }
}

/// The way of Arrow, for any type.
fn by_arrow(parts: &[&ArrayRef], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let mut firsts = Vec::with_capacity(parts.len());
    let mut first = 0;
    for part in parts {
        firsts.push(first);
        first += part.len() as u32;
    }
    let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
    let rows = UInt32Array::from_iter_values(rows.iter().map(|row| firsts[row.part as usize] + row.row));
    take(&concat(&parts)?, &rows, None)
}

/// Which of the rows are NULL, if any is.
fn nulls(parts: &[&ArrayRef], rows: &[Row]) -> Option<NullBuffer> {
    if parts.iter().all(|part| part.null_count() == 0) {
        return None;
    }
    let nulls: Vec<Option<&NullBuffer>> = parts.iter().map(|part| part.nulls()).collect();
    let valid = BooleanBuffer::collect_bool(rows.len(), |place| {
        let Row { part, row } = rows[place];
        nulls[part as usize].is_none_or(|nulls| nulls.is_valid(row as usize))
    });
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}

fn booleans(parts: &[&ArrayRef], rows: &[Row]) -> ArrayRef {
    let values: Vec<&BooleanBuffer> = parts.iter().map(|part| part.as_boolean().values()).collect();
    let taken = BooleanBuffer::collect_bool(rows.len(), |place| {
        let Row { part, row } = rows[place];
        values[part as usize].value(row as usize)
    });
    Arc::new(BooleanArray::new(taken, nulls(parts, rows)))
}

/// Values of a type that is as wide as `T`.
fn numbers<T: ArrowNativeType>(parts: &[&ArrayRef], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let data: Vec<ArrayData> = parts.iter().map(|part| part.to_data()).collect();
    let values: Vec<&[T]> = data.iter().map(|data| data.buffer::<T>(0)).collect();
    let taken: Vec<T> = rows.iter().map(|row| values[row.part as usize][row.row as usize]).collect();
    array_of(parts[0].data_type(), taken, nulls(parts, rows))
}

fn array_of<T: ArrowNativeType>(
    data_type: &DataType,
    values: Vec<T>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let length = values.len();
    let data = ArrayData::builder(data_type.clone()).len(length).add_buffer(Buffer::from_vec(values)).nulls(nulls);
    Ok(make_array(data.build()?))
}

/// Where the values of rows of no fixed width are.
struct Stretches<O: OffsetSizeTrait> {
    /// The array of each row, and where there its values begin.
    starts: Vec<(u32, usize)>,
    /// Where they begin and end when they stand one after the other.
    offsets: OffsetBuffer<O>,
}

impl<O: OffsetSizeTrait> Stretches<O> {
    /// Those of these rows of arrays with such offsets. A row that is NULL has no values.
    fn new(offsets: &[&[O]], nulls: &[Option<&NullBuffer>], rows: &[Row]) -> Result<Self, ArrowError> {
        let mut starts = Vec::with_capacity(rows.len());
        let mut ends = Vec::with_capacity(rows.len() + 1);
        let mut end = 0;
        ends.push(O::zero());
        for Row { part, row } in rows {
            let (of_part, row) = (offsets[*part as usize], *row as usize);
            let start = of_part[row].as_usize();
            if nulls[*part as usize].is_none_or(|nulls| nulls.is_valid(row)) {
                end += of_part[row + 1].as_usize() - start;
            }
            starts.push((*part, start));
            ends.push(O::from_usize(end).ok_or(ArrowError::OffsetOverflowError(end))?);
        }
        Ok(Self { starts, offsets: OffsetBuffer::new(ScalarBuffer::from(ends)) })
    }

    /// How many values all rows have.
    fn total(&self) -> usize {
        self.offsets.last().map_or(0, |end| end.as_usize())
    }

    /// The array of each row, and where its values are there.
    fn each(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.starts
            .iter()
            .zip(self.offsets.windows(2))
            .map(|((part, start), ends)| (*part as usize, *start..*start + (ends[1].as_usize() - ends[0].as_usize())))
    }

    /// The values of the rows.
    fn values<T: Copy>(&self, parts: &[&[T]]) -> Vec<T> {
        let mut values = Vec::with_capacity(self.total());
        for (part, range) in self.each() {
            values.extend_from_slice(&parts[part][range]);
        }
        values
    }
}

fn texts<B: ByteArrayType>(parts: &[&ArrayRef], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let parts_of: Vec<&GenericByteArray<B>> = parts.iter().map(|part| part.as_bytes::<B>()).collect();
    let offsets: Vec<&[B::Offset]> = parts_of.iter().map(|part| part.value_offsets()).collect();
    let null: Vec<Option<&NullBuffer>> = parts_of.iter().map(|part| part.nulls()).collect();
    let stretches = Stretches::new(&offsets, &null, rows)?;
    let bytes: Vec<&[u8]> = parts_of.iter().map(|part| part.value_data()).collect();
    let bytes = stretches.values(&bytes);
    Ok(Arc::new(GenericByteArray::<B>::try_new(stretches.offsets, bytes.into(), nulls(parts, rows))?))
}

fn lists<O: OffsetSizeTrait>(parts: &[&ArrayRef], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let lists: Vec<&GenericListArray<O>> = parts.iter().map(|part| part.as_list::<O>()).collect();
    let (DataType::List(field) | DataType::LargeList(field)) = parts[0].data_type() else {
        return by_arrow(parts, rows);
    };
    let of_width = match field.data_type().primitive_width() {
        Some(1) => elements_of::<i8, O>,
        Some(2) => elements_of::<i16, O>,
        Some(4) => elements_of::<i32, O>,
        Some(8) => elements_of::<i64, O>,
        _ => return by_arrow(parts, rows),
    };
    let offsets: Vec<&[O]> = lists.iter().map(|list| list.value_offsets()).collect();
    let null: Vec<Option<&NullBuffer>> = lists.iter().map(|list| list.nulls()).collect();
    let stretches = Stretches::new(&offsets, &null, rows)?;
    let elements: Vec<&ArrayRef> = lists.iter().map(|list| list.values()).collect();
    let values = of_width(&stretches, &elements)?;
    Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(field), stretches.offsets, values, nulls(parts, rows))?))
}

/// The elements of lists, one list after the other.
fn elements_of<T: ArrowNativeType, O: OffsetSizeTrait>(
    stretches: &Stretches<O>,
    elements: &[&ArrayRef],
) -> Result<ArrayRef, ArrowError> {
    let data: Vec<ArrayData> = elements.iter().map(|elements| elements.to_data()).collect();
    let values: Vec<&[T]> = data.iter().map(|data| data.buffer::<T>(0)).collect();
    let taken = stretches.values(&values);
    if elements.iter().all(|elements| elements.null_count() == 0) {
        return array_of(elements[0].data_type(), taken, None);
    }
    let nulls: Vec<Option<&NullBuffer>> = elements.iter().map(|elements| elements.nulls()).collect();
    let mut valid = Bits::with_capacity(taken.len());
    for (part, range) in stretches.each() {
        valid.extend(nulls[part].map(NullBuffer::inner), range);
    }
    let nulls = NullBuffer::new(valid.finish());
    array_of(elements[0].data_type(), taken, Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

fn structures(parts: &[&ArrayRef], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let structures: Vec<&StructArray> = parts.iter().map(|part| part.as_struct()).collect();
    if structures[0].num_columns() == 0 {
        return by_arrow(parts, rows);
    }
    let columns = (0..structures[0].num_columns()).map(|column| {
        let columns: Vec<&ArrayRef> = structures.iter().map(|structure| structure.column(column)).collect();
        gather(&columns, rows)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StructArray::try_new(structures[0].fields().clone(), columns, nulls(parts, rows))?))
}

/// Bits that are put one after the other, a few at a time.
struct Bits {
    words: Vec<u64>,
    word: u64,
    /// How many bits of `word` are set already, less than 64.
    filled: usize,
}

/// How many bits are moved at once: that many are in eight bytes wherever the first of them begins.
const AT_ONCE: usize = 57;

impl Bits {
    fn with_capacity(bits: usize) -> Self {
        Self { words: Vec::with_capacity(bits / 64 + 1), word: 0, filled: 0 }
    }

    /// Adds these bits of a buffer, or as many ones.
    fn extend(&mut self, bits: Option<&BooleanBuffer>, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let count = (range.end - at).min(AT_ONCE);
            let some = bits.map_or(u64::MAX, |bits| word_at(bits.values(), bits.offset() + at));
            self.push(some & ((1 << count) - 1), count);
            at += count;
        }
    }

    /// Adds so many bits, less than 64; those above must be zero.
    fn push(&mut self, bits: u64, count: usize) {
        self.word |= bits << self.filled;
        self.filled += count;
        if self.filled >= 64 {
            self.words.push(self.word.to_le());
            self.filled -= 64;
            self.word = if self.filled == 0 { 0 } else { bits >> (count - self.filled) };
        }
    }

    fn finish(mut self) -> BooleanBuffer {
        let length = self.words.len() * 64 + self.filled;
        if self.filled > 0 {
            self.words.push(self.word.to_le());
        }
        BooleanBuffer::new(Buffer::from_vec(self.words), 0, length)
    }
}

/// The bits from this one on, at least [`AT_ONCE`] of them where there are so many.
fn word_at(bytes: &[u8], bit: usize) -> u64 {
    let bytes = &bytes[bit / 8..];
    let word = match bytes.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(eight)
        }
    };
    word >> (bit % 8)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{
            Decimal256Array, DictionaryArray, FixedSizeListArray, Float32Array, Int8Array, Int16Array, Int64Array,
            LargeStringArray, ListArray, StringArray, TimestampMicrosecondArray, types::Int32Type,
        },
        compute::cast,
        datatypes::{Field, Float32Type, i256},
    };
    use proptest::prelude::*;

    use super::*;

    /// An array of each type from the same seeds; every fifth seed or so is NULL.
    fn arrays(seeds: &[u32]) -> Vec<ArrayRef> {
        let some = |every: u32| move |seed: &u32| (!seed.is_multiple_of(every)).then_some(*seed);
        let short = |seed: &u32| some(5)(seed).map(|seed| "αβ".repeat(seed as usize % 4));
        let items = |seed: &u32| {
            some(7)(seed).map(|seed| (0..seed % 70 % 9 * (1 + seed % 11)).map(move |n| some(3)(&(seed + n))))
        };
        let floats = |seed: &u32| items(seed).map(|items| items.map(|n| n.map(|n| n as f32)).collect::<Vec<_>>());
        let whole = |seed: &u32| {
            items(seed).map(|items| items.map(|n| Some(n.map_or(0, i64::from) as i32)).collect::<Vec<_>>())
        };
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(seeds.iter().map(floats)));
        let element = Arc::new(Field::new("element", DataType::Utf8, true));
        let pairs = Int16Array::from_iter(seeds.iter().flat_map(|seed| [some(3)(seed).map(|n| n as i16), Some(1)]));
        let pair = Arc::new(Field::new("item", DataType::Int16, true));
        let of_structure = vec![
            Arc::new(Field::new("a", DataType::Utf8, true)),
            Arc::new(Field::new("b", list.data_type().clone(), true)),
        ];
        let text: ArrayRef = Arc::new(StringArray::from_iter(seeds.iter().map(short)));
        let nulls = NullBuffer::from_iter(seeds.iter().map(|seed| seed % 4 > 0));
        vec![
            Arc::new(BooleanArray::from_iter(seeds.iter().map(|seed| some(5)(seed).map(|seed| seed % 3 == 0)))),
            Arc::new(Int8Array::from_iter(seeds.iter().map(|seed| some(5)(seed).map(|seed| seed as i8)))),
            Arc::new(Int64Array::from_iter_values(seeds.iter().map(|seed| i64::from(*seed) << 20))),
            Arc::new(Float32Array::from_iter(seeds.iter().map(|seed| some(5)(seed).map(|seed| seed as f32)))),
            Arc::new(
                TimestampMicrosecondArray::from_iter(seeds.iter().map(|seed| some(5)(seed).map(i64::from)))
                    .with_timezone("UTC"),
            ),
            cast(
                &Int64Array::from_iter(seeds.iter().map(|seed| some(5)(seed).map(i64::from))),
                &DataType::Decimal128(20, 2),
            )
            .unwrap(),
            Arc::new(Decimal256Array::from_iter(seeds.iter().map(|seed| some(5)(seed).map(|n| i256::from(n as i32))))),
            Arc::new(LargeStringArray::from_iter(seeds.iter().map(short))),
            cast(&text, &DataType::Binary).unwrap(),
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| (seed % 5 > 0).then_some(["x", "y"][*seed as usize % 2]))
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
            cast(&list, &DataType::List(element)).unwrap(),
            cast(&list, &DataType::LargeList(Arc::new(Field::new("item", DataType::Float64, true)))).unwrap(),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(seeds.iter().map(whole))),
            Arc::new(FixedSizeListArray::new(pair, 2, Arc::new(pairs), Some(nulls.clone()))),
            Arc::new(StructArray::new(of_structure.into(), vec![Arc::clone(&text), Arc::clone(&list)], Some(nulls))),
            text,
            list,
        ]
    }

    proptest! {
        #[test]
        fn rows_are_what_arrow_takes_of_all_arrays_together(
            seeds in prop::collection::vec(prop::collection::vec(any::<u32>(), 1..40), 1..5),
            cuts in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64), 5),
            chosen in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..120),
        ) {
            let whole: Vec<Vec<ArrayRef>> = seeds.iter().map(|seeds| arrays(seeds)).collect();
            // Slices, so that neither offsets nor bits begin where a buffer does.
            let parts: Vec<Vec<ArrayRef>> = whole.iter().zip(&cuts).map(|(arrays, (from, length))| {
                arrays.iter().map(|array| {
                    let from = (from * array.len() as f64) as usize;
                    array.slice(from, 1 + (length * (array.len() - from - 1) as f64) as usize)
                }).collect()
            }).collect();
            let rows: Vec<Row> = chosen.iter().map(|(part, row)| {
                let part = part.index(parts.len());
                Row { part: part as u32, row: row.index(parts[part][0].len()) as u32 }
            }).collect();
            for column in 0..parts[0].len() {
                let parts: Vec<&ArrayRef> = parts.iter().map(|part| &part[column]).collect();
                let (ours, theirs) = (gather(&parts, &rows).unwrap(), by_arrow(&parts, &rows).unwrap());
                prop_assert_eq!(&ours, &theirs);
                prop_assert!(ours.to_data().validate_full().is_ok());
            }
        }

        #[test]
        fn bits_come_out_as_they_went_in(
            bits in prop::collection::vec(any::<bool>(), 1..400),
            stretches in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64), 0..40),
            from in 0_usize..20,
        ) {
            let from = from.min(bits.len() - 1);
            let buffer = BooleanBuffer::from(bits.clone()).slice(from, bits.len() - from);
            let (mut put, mut expected) = (Bits::with_capacity(0), Vec::new());
            for (start, length) in stretches {
                let start = (start * buffer.len() as f64) as usize;
                let range = start..start + (length * (buffer.len() - start) as f64) as usize;
                expected.extend(bits[from..][range.clone()].iter().copied().chain(range.clone().map(|_| true)));
                put.extend(Some(&buffer), range.clone());
                put.extend(None, range);
            }
            prop_assert_eq!(put.finish(), BooleanBuffer::from(expected));
        }
    }

    #[test]
    fn no_arrays_have_no_rows() {
        assert!(gather(&[], &[]).is_err());
    }
}
