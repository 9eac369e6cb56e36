//! Arrays of any length: a row holds how many values there are and where, and the values stand in the heap behind the
//! rows.
//!
//! What a row says is checked before anything is read: an array that is not within the heap, or makes the row too large,
//! is a fault of that row. The arrays of a batch are read together, near ones at once.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, ListArray, StringBuilder},
    buffer::OffsetBuffer,
    error::ArrowError,
};
use bytes::Bytes;

use crate::{
    FormatError,
    fits::{
        columns::{Column, Element, Form, ROW_LIMIT, item},
        data::Data,
        decode::{self, Faults, Span},
    },
};

/// How much that nobody wants may be read between two arrays, and altogether for a batch.
const GAP: u64 = 256 << 10;
const GAPS: u64 = 32 << 20;

/// The place of the heap in the data of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heap {
    pub(super) start: u64,
    pub(super) size: u64,
}

/// An array of a row: how many values it has, and which bytes of the heap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    values: usize,
    at: u64,
    pub(super) bytes: usize,
}

/// The arrays of a column, one a row. Those that cannot be read become empty, and their rows faults.
pub(super) fn locate(column: &Column, heap: Heap, rows: &[u8], stride: usize, faults: &mut Faults<'_>) -> Vec<Extent> {
    let Form::Heap { element, wide } = &column.form else { return Vec::new() };
    let mut locate = |row: usize, values: i64, at: u64| {
        if values == 0 {
            return Extent::default();
        }
        let checked = u64::try_from(values).map_err(|_| format!("its array has {values} values")).and_then(|values| {
            let bytes = element.bytes(values).unwrap_or(u64::MAX);
            if at.checked_add(bytes).is_none_or(|end| end > heap.size) {
                let size = heap.size;
                return Err(format!(
                    "its array of {values} values at byte {at} is not within the heap, which has {size} bytes"
                ));
            }
            if bytes > ROW_LIMIT {
                return Err(format!("its array of {bytes} bytes is larger than {} MiB", ROW_LIMIT >> 20));
            }
            Ok(Extent { values: values as usize, at, bytes: bytes as usize })
        });
        checked.unwrap_or_else(|reason| {
            faults.note(row, reason);
            Extent::default()
        })
    };
    let fields = rows.chunks_exact(stride).map(|row| &row[column.at..]).enumerate();
    if *wide {
        let number = |bytes: &[u8; 8]| i64::from_be_bytes(*bytes);
        fields
            .map(|(row, field)| {
                let pair = &field.as_chunks::<8>().0[..2];
                // No heap is as large as a negative place is when it is read as a large one.
                locate(row, number(&pair[0]), number(&pair[1]).cast_unsigned())
            })
            .collect()
    } else {
        let number = |bytes: &[u8; 4]| i32::from_be_bytes(*bytes);
        fields
            .map(|(row, field)| {
                let pair = &field.as_chunks::<4>().0[..2];
                // In heaps of more than 2 GiB writers count on to 4 GiB.
                locate(row, number(&pair[0]).into(), number(&pair[1]).cast_unsigned().into())
            })
            .collect()
    }
}

/// Parts of the heap, by where they begin.
#[derive(Default)]
pub(super) struct Fetched(Vec<(u64, Bytes)>);

impl Fetched {
    /// Reads the bytes of all these arrays.
    pub(super) fn read<'a>(
        data: &Data,
        heap: Heap,
        extents: impl Iterator<Item = &'a Extent>,
    ) -> Result<Self, FormatError> {
        let ends = |extent: &Extent| (extent.at, extent.at + extent.bytes as u64);
        let mut wanted: Vec<(u64, u64)> = extents.filter(|extent| extent.bytes > 0).map(ends).collect();
        wanted.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        let mut spare = GAPS;
        for (begin, end) in wanted {
            match merged.last_mut() {
                Some(last) if begin <= last.1.saturating_add(GAP.min(spare)) => {
                    spare -= begin.saturating_sub(last.1);
                    last.1 = last.1.max(end);
                }
                _ => merged.push((begin, end)),
            }
        }
        let read = |(begin, end): (u64, u64)| {
            let bytes = data.read(heap.start + begin, (end - begin) as usize)?;
            Ok((begin, bytes))
        };
        Ok(Self(merged.into_iter().map(read).collect::<Result<_, _>>()?))
    }

    fn bytes(&self, extent: &Extent) -> &[u8] {
        if extent.bytes == 0 {
            return &[];
        }
        // Every array was wanted, so that a part begins at or before it and holds it.
        let part = self.0.partition_point(|(begin, _)| *begin <= extent.at) - 1;
        let (begin, bytes) = &self.0[part];
        let from = (extent.at - begin) as usize;
        &bytes[from..from + extent.bytes]
    }
}

/// The arrays of a column as lists, or as texts.
pub(super) fn decode(
    element: Element,
    extents: &[Extent],
    fetched: &Fetched,
    faults: &mut Faults<'_>,
) -> Result<ArrayRef, ArrowError> {
    let arrays = extents.iter().map(|extent| fetched.bytes(extent));
    let size = extents.iter().map(|extent| extent.bytes).sum();
    let count: usize = extents.iter().map(|extent| extent.values).sum();
    let values: ArrayRef = match element {
        Element::Text { .. } => {
            let mut builder = StringBuilder::with_capacity(extents.len(), size);
            arrays.enumerate().for_each(|(row, bytes)| decode::text(bytes, row, &mut builder, faults));
            return Ok(Arc::new(builder.finish()));
        }
        Element::Bit => {
            let mut builder = BooleanBufferBuilder::new(count);
            arrays.zip(extents).for_each(|(bytes, extent)| decode::append_bits(&mut builder, bytes, extent.values));
            Arc::new(BooleanArray::new(builder.finish(), None))
        }
        Element::Logical => {
            arrays.clone().enumerate().for_each(|(row, bytes)| decode::check_logical(bytes, row, faults));
            decode::logical(Span::whole(&arrays.collect::<Vec<_>>().concat(), count))
        }
        Element::Number(number) => {
            decode::numbers(number, Span::whole(&arrays.collect::<Vec<_>>().concat(), count * number.lanes))
        }
    };
    let offsets = OffsetBuffer::from_lengths(extents.iter().map(|extent| extent.values * element.lanes()));
    Ok(Arc::new(ListArray::try_new(item(values.data_type().clone()), offsets, values, None)?))
}
