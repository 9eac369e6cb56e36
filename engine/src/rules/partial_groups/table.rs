//! The groups of a round, found by their keys.
//!
//! Keys are numbers of at most 64 bits, one to four of them. They are compared by their bits: what DataFusion takes for one
//! group and bits for two, it makes one when it puts the rounds together.

use datafusion::{
    arrow::{
        array::{Array, ArrayData, ArrayRef, make_array},
        buffer::{BooleanBuffer, Buffer, NullBuffer},
        datatypes::DataType,
    },
    common::internal_err,
    error::Result,
};

/// Whether values of a type can be keys.
pub(super) fn can_be_key(data_type: &DataType) -> bool {
    data_type.primitive_width().is_some_and(|width| width <= 8)
}

/// A column of keys: the bits of each, zero where it is NULL.
pub(super) struct Keys {
    bits: Bits,
    nulls: Option<NullBuffer>,
}

enum Bits {
    /// As they lie in memory.
    Shared(Buffer, usize),
    Widened(Vec<u64>),
}

impl Keys {
    pub(super) fn of(array: &ArrayRef) -> Result<Self> {
        let data = array.to_data();
        let Some(width) = data.data_type().primitive_width() else {
            return internal_err!("keys of {}", data.data_type());
        };
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let (from, to) = (data.offset(), data.offset() + data.len());
        let buffer = &data.buffers()[0];
        let mut bits = match width {
            8 => Bits::Shared(buffer.clone(), from),
            4 => Bits::Widened(buffer.typed_data::<u32>()[from..to].iter().map(|bits| u64::from(*bits)).collect()),
            2 => Bits::Widened(buffer.typed_data::<u16>()[from..to].iter().map(|bits| u64::from(*bits)).collect()),
            1 => Bits::Widened(buffer.typed_data::<u8>()[from..to].iter().map(|bits| u64::from(*bits)).collect()),
            _ => return internal_err!("keys of {width} bytes"),
        };
        if let Some(nulls) = &nulls {
            let mut all = bits.all(data.len()).to_vec();
            (!nulls.inner()).set_indices().for_each(|row| all[row] = 0);
            bits = Bits::Widened(all);
        }
        Ok(Self { bits, nulls })
    }
}

impl Bits {
    fn all(&self, rows: usize) -> &[u64] {
        match self {
            Self::Shared(buffer, from) => &buffer.typed_data::<u64>()[*from..*from + rows],
            Self::Widened(bits) => bits,
        }
    }
}

/// Rows one after the other that are of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) group: u32,
    pub(super) rows: u32,
}

/// The groups of a round by their keys, numbered as they come.
pub(super) trait Groups: Send {
    /// Adds the group of each run of rows that have the same keys, or of each row, from the first on, and how many they are.
    /// `ascending`: rows of one group follow each other.
    fn runs(&mut self, keys: &[Keys], rows: usize, ascending: bool, found: &mut Vec<Run>);
    /// How many there are.
    fn len(&self) -> usize;
    /// Bytes of memory.
    fn size(&self) -> usize;
    /// Their keys as columns of these types. Afterwards there are none.
    fn take(&mut self, types: &[DataType]) -> Result<Vec<ArrayRef>>;
}

/// Groups by so many keys; none if that is not provided for.
pub(super) fn groups(keys: usize) -> Option<Box<dyn Groups>> {
    Some(match keys {
        1 => Box::new(Table::<1>::new()),
        2 => Box::new(Table::<2>::new()),
        3 => Box::new(Table::<3>::new()),
        4 => Box::new(Table::<4>::new()),
        _ => return None,
    })
}

/// Slots of a new table: a power of two.
const FIRST_SLOTS: usize = 1 << 10;
/// So many that a group is mostly found in the first that is looked at.
const SLOTS_A_GROUP: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<const N: usize> {
    bits: [u64; N],
    /// A bit for each that is NULL.
    nulls: u8,
}

impl<const N: usize> Key<N> {
    fn hash(&self) -> u64 {
        let mut hash = 0x9E37_79B9_7F4A_7C15 ^ u64::from(self.nulls);
        for bits in self.bits {
            let product = u128::from(hash ^ bits) * 0xD6E8_FEB8_6659_FD93;
            hash = (product >> 64) as u64 ^ product as u64; // both halves of 128 bits
        }
        hash
    }
}

#[inline]
fn key<const N: usize>(columns: &[&[u64]; N], row: usize) -> Key<N> {
    Key { bits: std::array::from_fn(|column| columns[column][row]), nulls: 0 }
}

/// The bits of each row that stand for a NULL; none if no row has one.
fn nulls(keys: &[Keys], rows: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for (column, nulls) in keys.iter().enumerate().filter_map(|(column, keys)| Some((column, keys.nulls.as_ref()?))) {
        all.resize(rows, 0);
        (!nulls.inner()).set_indices().for_each(|row| all[row] |= 1 << column);
    }
    all
}

/// Open addressing: a slot has the number of a group and one, or zero.
struct Table<const N: usize> {
    slots: Vec<u32>,
    keys: Vec<Key<N>>,
}

impl<const N: usize> Table<N> {
    fn new() -> Self {
        Self { slots: vec![0; FIRST_SLOTS], keys: Vec::new() }
    }

    /// Each row for itself: where keys come as they will, looking at the last one tells nothing.
    #[inline]
    fn each(&mut self, rows: usize, at: impl Fn(usize) -> Key<N>, found: &mut Vec<Run>) {
        found.extend((0..rows).map(|row| Run { group: self.group(at(row)), rows: 1 }));
    }

    #[inline]
    fn group(&mut self, key: Key<N>) -> u32 {
        let mask = self.slots.len() - 1;
        let mut at = key.hash() as usize & mask;
        loop {
            match self.slots[at] {
                0 => return self.add(key, at),
                group if self.keys[group as usize - 1] == key => return group - 1,
                _ => at = (at + 1) & mask,
            }
        }
    }

    #[cold]
    fn add(&mut self, key: Key<N>, at: usize) -> u32 {
        self.keys.push(key);
        self.slots[at] = self.keys.len() as u32; // a round has far fewer groups
        if self.keys.len() * SLOTS_A_GROUP > self.slots.len() {
            let mask = self.slots.len() * 2 - 1;
            self.slots = vec![0; mask + 1];
            for (group, key) in self.keys.iter().enumerate() {
                let mut at = key.hash() as usize & mask;
                while self.slots[at] != 0 {
                    at = (at + 1) & mask;
                }
                self.slots[at] = group as u32 + 1;
            }
        }
        self.keys.len() as u32 - 1
    }
}

impl<const N: usize> Groups for Table<N> {
    fn runs(&mut self, keys: &[Keys], rows: usize, ascending: bool, found: &mut Vec<Run>) {
        let columns: [&[u64]; N] = std::array::from_fn(|column| keys[column].bits.all(rows));
        let nulls = nulls(keys, rows);
        match (nulls.is_empty(), ascending) {
            (false, _) => self.each(rows, |row| Key { nulls: nulls[row], ..key(&columns, row) }, found),
            (true, false) => self.each(rows, |row| key(&columns, row), found),
            (true, true) => {
                let mut from = 0;
                while from < rows {
                    let of_run = key(&columns, from);
                    let to = end_of_run(from, rows, |row| key(&columns, row) == of_run);
                    found.push(Run { group: self.group(of_run), rows: (to - from) as u32 });
                    from = to;
                }
            }
        }
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn size(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.keys.capacity() * size_of::<Key<N>>()
    }

    fn take(&mut self, types: &[DataType]) -> Result<Vec<ArrayRef>> {
        let keys = std::mem::take(&mut self.keys);
        self.slots = vec![0; FIRST_SLOTS];
        let column = |(column, data_type): (usize, &DataType)| {
            let bits = keys.iter().map(|key| key.bits[column]);
            let values = match data_type.primitive_width() {
                Some(8) => Buffer::from_vec(bits.collect::<Vec<u64>>()),
                Some(4) => Buffer::from_vec(bits.map(|bits| bits as u32).collect::<Vec<u32>>()), // they were widened
                Some(2) => Buffer::from_vec(bits.map(|bits| bits as u16).collect::<Vec<u16>>()),
                _ => Buffer::from_vec(bits.map(|bits| bits as u8).collect::<Vec<u8>>()),
            };
            let known = BooleanBuffer::collect_bool(keys.len(), |group| keys[group].nulls & (1 << column) == 0);
            let nulls = NullBuffer::new(known);
            let data = ArrayData::builder(data_type.clone()).len(keys.len()).add_buffer(values).nulls(Some(nulls));
            Ok(make_array(data.build()?))
        };
        types.iter().enumerate().map(column).collect()
    }
}

/// Where a run that begins at `from` ends, if all that is `same` lies together there: in steps that double, then by halves.
fn end_of_run(from: usize, rows: usize, same: impl Fn(usize) -> bool) -> usize {
    let (mut last, mut step) = (from, 1);
    while last + step < rows && same(last + step) {
        last += step;
        step *= 2;
    }
    let (mut low, mut high) = (last + 1, (last + step).min(rows));
    while low < high {
        let middle = low + (high - low) / 2;
        if same(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use datafusion::arrow::{
        array::{AsArray, Float32Array, Float64Array, Int16Array, Int64Array},
        datatypes::{Float32Type, Int16Type, Int64Type},
    };
    use proptest::prelude::*;

    use super::*;

    fn runs(groups: &mut dyn Groups, columns: &[ArrayRef], ascending: bool) -> Vec<usize> {
        let keys: Vec<Keys> = columns.iter().map(|column| Keys::of(column).unwrap()).collect();
        let mut found = Vec::new();
        groups.runs(&keys, columns[0].len(), ascending, &mut found);
        found.into_iter().flat_map(|run| vec![run.group as usize; run.rows as usize]).collect()
    }

    #[test]
    fn keys_of_every_width_come_back_as_they_were() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(-1), None, Some(i64::MAX), Some(-1)])),
            Arc::new(Float32Array::from(vec![Some(1.5), Some(1.5), None, Some(1.5)])),
            Arc::new(Int16Array::from(vec![7, 7, -7, 7])),
        ];
        let mut groups = groups(3).unwrap();
        assert_eq!(runs(&mut *groups, &columns, false), [0, 1, 2, 0]);
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        let keys = groups.take(&types).unwrap();
        assert_eq!(keys[0].as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(-1), None, Some(i64::MAX)]));
        assert_eq!(keys[1].as_primitive::<Float32Type>(), &Float32Array::from(vec![Some(1.5), Some(1.5), None]));
        assert_eq!(keys[2].as_primitive::<Int16Type>(), &Int16Array::from(vec![7, 7, -7]));
        assert_eq!(groups.len(), 0, "the next round begins with none");
        assert_eq!(
            runs(&mut *groups, &[columns[0].slice(2, 2), columns[1].slice(2, 2), columns[2].slice(2, 2)], false),
            [0, 1]
        );
    }

    #[test]
    fn a_null_is_no_zero() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.0), None, Some(0.0), None]));
        assert_eq!(runs(&mut *groups(1).unwrap(), &[column], false), [0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn rows_are_of_one_group_if_their_keys_are_equal(
            rows in prop::collection::vec((prop::option::of(0_i64..40), -2_000_i64..2_000), 1..6_000),
            ascending in any::<bool>(),
        ) {
            let mut rows = rows;
            if ascending {
                rows.sort_unstable();
            }
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|(key, _)| *key).collect::<Int64Array>()),
                Arc::new(rows.iter().map(|(_, key)| Some(*key)).collect::<Int64Array>()),
            ];
            let mut groups = groups(2).unwrap();
            let mut known = HashMap::new();
            let half = rows.len() / 2;
            let parts = [(0, half), (half, rows.len() - half)];
            let found: Vec<usize> = parts.iter().flat_map(|(from, length)| {
                let part: Vec<ArrayRef> = columns.iter().map(|column| column.slice(*from, *length)).collect();
                if *length == 0 { Vec::new() } else { runs(&mut *groups, &part, ascending) }
            }).collect();
            for (row, group) in rows.iter().zip(found) {
                let next = known.len();
                prop_assert_eq!(*known.entry(*row).or_insert(next), group);
            }
            prop_assert_eq!(known.len(), groups.len());
        }
    }
}
