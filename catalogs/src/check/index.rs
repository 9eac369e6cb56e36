//! Whether an index is complete and exact: each value with each partition that has it, and nothing else.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type, UInt64Type},
    row::{OwnedRow, RowConverter, SortField},
};
use sky::{Order, Pixel};

use super::{
    Context, Member,
    defects::{Tally, counted},
    file::{self, Visitor},
    margin::hash,
};
use crate::{
    CatalogError, DataFile, IndexMember,
    members::{
        Entries, Entry,
        keys::{KeyKind, for_each_key},
        share,
    },
};

/// Marks the entry of a row of the index.
const IN_INDEX: u64 = 1 << 63;
/// The number of a row group has so many bits.
const GROUP_BITS: u32 = 31;
/// How many values of a file are remembered, so that those that repeat are noted once.
const REMEMBERED: usize = 1 << 16;

/// An index to be checked.
#[derive(Clone)]
pub(super) struct Task {
    context: Context,
    index: IndexMember,
    member: Member,
    /// The column in the table.
    column: usize,
    /// Order, number and value.
    schema: SchemaRef,
    /// Partitions, and the number of the first file of each.
    partitions: Arc<HashMap<Pixel, usize>>,
    kind: Option<KeyKind>,
    converter: Arc<RowConverter>,
    memory: usize,
    /// The first and last value of each file of the index.
    ends: Arc<Mutex<BTreeMap<usize, (OwnedRow, OwnedRow)>>>,
}

impl Task {
    /// None, and the reason, where it cannot be checked.
    pub(super) fn new(
        context: &Context,
        index: IndexMember,
        member: Member,
        things: usize,
        unchecked: &mut Vec<String>,
    ) -> Option<Self> {
        let snapshot = &context.snapshot;
        let Ok(column) = snapshot.schema().index_of(&index.column) else {
            unchecked.push(format!("{}: {} is no column of the table itself", member.folder, index.column));
            return None;
        };
        let field = snapshot.schema().field(column);
        let Ok(converter) = RowConverter::new(vec![SortField::new(field.data_type().clone())]) else {
            unchecked.push(format!("{}: values of type {} cannot be compared", member.folder, field.data_type()));
            return None;
        };
        let schema = Schema::new(vec![
            Field::new("Norder", DataType::UInt8, true),
            Field::new("Npix", DataType::UInt64, true),
            field.clone().with_nullable(true),
        ]);
        let mut partitions = HashMap::new();
        for (number, file) in snapshot.files().iter().enumerate() {
            if let Some(pixel) = file.pixel {
                partitions.entry(pixel).or_insert(number);
            }
        }
        Some(Self {
            context: context.clone(),
            kind: KeyKind::of(&index.column, field.data_type()).ok(),
            index,
            member,
            column,
            schema: Arc::new(schema),
            partitions: Arc::new(partitions),
            converter: Arc::new(converter),
            memory: context.share_of_memory(2 * things),
            ends: Arc::default(),
        })
    }

    pub(super) fn folder(&self) -> &str {
        &self.member.folder
    }

    /// Something that watches rows go by.
    pub(super) fn watch(&self) -> Seen {
        let entries = Entries::new(&self.context.options.spill, self.memory);
        Seen { task: self.clone(), entries, rows: 0, file: None, remembered: HashSet::new() }
    }

    /// Reads the index and compares it with the values that were seen. How many rows it has.
    pub(super) async fn check(self, seen: Vec<Seen>) -> Result<u64, CatalogError> {
        let task = self.clone();
        let of_index = share(self.context.options.threads, self.member.files.len(), move |numbers| {
            let task = task.clone();
            async move {
                let mut seen = task.watch();
                while let Some(number) = numbers.next() {
                    task.read(number, &mut seen).await?;
                }
                Ok(seen)
            }
        })
        .await?;
        let rows = of_index.iter().map(|seen| seen.rows).sum();
        let entries = seen.into_iter().chain(of_index).map(|seen| seen.entries).collect();
        self.compare(entries)?;
        self.check_order();
        Ok(rows)
    }

    async fn read(&self, number: usize, seen: &mut Seen) -> Result<(), CatalogError> {
        let file = &self.member.files[number];
        let path = self.context.path(&file.path);
        let mut rows = IndexRows { task: self, file, number, last: None, faults: Faults::default(), seen };
        file::read(&self.context, file, &path, &self.schema, &mut rows).await?;
        Ok(())
    }

    /// Compares what is there with what must be, value by value and partition by partition.
    fn compare(&self, entries: Vec<Entries>) -> Result<(), CatalogError> {
        let mut missing: BTreeMap<u64, (u64, u128)> = BTreeMap::new();
        let mut strange: BTreeMap<u64, (u64, u128)> = BTreeMap::new();
        let mut repeated: BTreeMap<u64, (u64, u128)> = BTreeMap::new();
        let note = |at: &mut BTreeMap<u64, (u64, u128)>, place: u64, key: u128| {
            at.entry(place).or_insert((0, key)).0 += 1;
        };
        let mut settle = |group: Option<(Entry, bool, u64)>| match group {
            Some((first, true, 0)) => note(&mut missing, first.row, first.key),
            Some((first, false, _)) => note(&mut strange, first.value & !IN_INDEX, first.key),
            // Ours has one row for each value and partition; others may have one for each position.
            Some((first, true, 2..)) if self.context.is_ours() => note(&mut repeated, first.row, first.key),
            _ => {}
        };
        let mut group: Option<(Entry, bool, u64)> = None;
        for entry in Entries::sorted(entries)? {
            let entry = entry?;
            let (known, present) = (entry.value & IN_INDEX == 0, u64::from(entry.value & IN_INDEX != 0));
            match &mut group {
                Some((first, expected, count)) if (first.key, first.row) == (entry.key, entry.row) => {
                    *expected |= known;
                    *count += present;
                }
                _ => settle(group.replace((entry, known, present))),
            }
        }
        settle(group);
        self.tell(&missing, &strange, &repeated);
        Ok(())
    }

    fn tell(
        &self,
        missing: &BTreeMap<u64, (u64, u128)>,
        strange: &BTreeMap<u64, (u64, u128)>,
        repeated: &BTreeMap<u64, (u64, u128)>,
    ) {
        let (defects, column) = (&self.context.defects, &self.index.column);
        let value = |key: u128| match self.kind.and_then(|kind| kind.text(key)) {
            Some(text) => format!("; the first is {text}"),
            None => String::new(),
        };
        let of_table = |file: &u64| &self.context.snapshot.files()[*file as usize].path;
        for (file, (count, key)) in missing {
            let what =
                format!("it lacks {} of {column} that {} has{}", counted(*count, "value"), of_table(file), value(*key));
            defects.add(&self.member.folder, None, what);
        }
        for (file, (count, key)) in repeated {
            let what = format!(
                "it has {} of {column} more than once for {}{}",
                counted(*count, "value"),
                of_table(file),
                value(*key)
            );
            defects.add(&self.member.folder, None, what);
        }
        for (place, (count, key)) in strange {
            let (file, group) = ((place >> GROUP_BITS) as usize, (place & ((1 << GROUP_BITS) - 1)) as usize);
            let what = format!(
                "it has {} of {column} for partitions that do not have them{}",
                counted(*count, "value"),
                value(*key)
            );
            defects.add(&self.member.files[file].path, Some(group), what);
        }
    }

    /// Whether each file goes on where the one before it ends.
    fn check_order(&self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, (_, last)), (next, (first, _))) in ends.iter().zip(ends.iter().skip(1)) {
            if first.row() < last.row() {
                let what = "it begins with a lower value than the file before it ends with";
                self.context.defects.add(&self.member.files[*next].path, None, what);
            }
        }
    }

    /// Hands over the key of each value, with its index; none for a NULL.
    fn for_each_key(
        &self,
        values: &ArrayRef,
        mut take: impl FnMut(usize, Option<u128>) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        if self.kind.is_some() {
            return for_each_key(values, take);
        }
        let rows = self.converter.convert_columns(&[Arc::clone(values)])?;
        let mut keys = rows.iter().enumerate();
        keys.try_for_each(|(row, key)| take(row, values.is_valid(row).then(|| hash(key.data()))))
    }
}

/// What one thread has seen of the values of a table, or of its index.
pub(super) struct Seen {
    task: Task,
    entries: Entries,
    rows: u64,
    /// The file that the remembered keys are of.
    file: Option<usize>,
    remembered: HashSet<u128>,
}

impl Seen {
    /// Notes the values of rows of the table.
    pub(super) fn table_rows(&mut self, file: usize, rows: &RecordBatch) -> Result<(), CatalogError> {
        let Self { task, entries, file: of, remembered, .. } = self;
        let Some(partition) = task.context.snapshot.files()[file].pixel.and_then(|pixel| task.partitions.get(&pixel))
        else {
            return Ok(());
        };
        if *of != Some(file) || remembered.len() > REMEMBERED {
            *of = Some(file);
            remembered.clear();
        }
        task.for_each_key(rows.column(task.column), |_, key| match key {
            Some(key) if remembered.insert(key) => entries.push(Entry { key, row: *partition as u64, value: 0 }),
            _ => Ok(()),
        })
    }
}

/// What is wrong with rows of one row group of an index.
#[derive(Default)]
struct Faults {
    empty: Tally,
    nowhere: Tally,
    unsorted: Tally,
}

/// Looks at the rows of a file of an index.
struct IndexRows<'a> {
    task: &'a Task,
    file: &'a DataFile,
    number: usize,
    last: Option<OwnedRow>,
    faults: Faults,
    seen: &'a mut Seen,
}

impl Visitor for IndexRows<'_> {
    fn rows(&mut self, row_group: usize, first_row: u64, rows: &RecordBatch) -> Result<(), CatalogError> {
        self.seen.rows += rows.num_rows() as u64;
        self.look_at_order(first_row, rows.column(2))?;
        let (orders, pixels) =
            (rows.column(0).as_primitive::<UInt8Type>(), rows.column(1).as_primitive::<UInt64Type>());
        let (task, entries, faults) = (self.task, &mut self.seen.entries, &mut self.faults);
        let place = (self.number as u64) << GROUP_BITS | row_group as u64;
        task.for_each_key(rows.column(2), |row, key| {
            let pixel = Order::new(orders.value(row)).and_then(|order| Pixel::new(order, pixels.value(row))).ok();
            let there = orders.is_valid(row) && pixels.is_valid(row);
            match (key, pixel.filter(|_| there).and_then(|pixel| task.partitions.get(&pixel))) {
                (None, _) => faults.empty.add(first_row + row as u64),
                (_, None) => faults.nowhere.add(first_row + row as u64),
                (Some(key), Some(partition)) => {
                    entries.push(Entry { key, row: *partition as u64, value: IN_INDEX | place })?;
                }
            }
            Ok(())
        })
    }

    fn end(&mut self, row_group: usize) {
        let faults = std::mem::take(&mut self.faults);
        let tell = |tally: Tally, what: &str| {
            if let Some(rows) = tally.told() {
                self.task.context.defects.add(&self.file.path, Some(row_group), format!("{what}: {rows}"));
            }
        };
        tell(faults.empty, "no value");
        tell(faults.nowhere, "a partition that the table does not have");
        tell(faults.unsorted, "after a row of a higher value");
    }
}

impl IndexRows<'_> {
    fn look_at_order(&mut self, first_row: u64, values: &ArrayRef) -> Result<(), CatalogError> {
        let rows = self.task.converter.convert_columns(&[Arc::clone(values)])?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        for row in 0..rows.num_rows() {
            let falls = match row {
                0 => self.last.as_ref().is_some_and(|last| rows.row(0) < last.row()),
                _ => rows.row(row) < rows.row(row - 1),
            };
            if falls {
                self.faults.unsorted.add(first_row + row as u64);
            }
        }
        let last = rows.row(rows.num_rows() - 1).owned();
        let mut ends = self.task.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.entry(self.number).or_insert_with(|| (rows.row(0).owned(), last.clone())).1 = last.clone();
        self.last = Some(last);
        Ok(())
    }
}
